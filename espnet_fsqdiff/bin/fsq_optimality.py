"""The numerical claims of arXiv 2606.09962, stage by stage (egs/fsq_optimality)."""

import argparse
import importlib
import logging
from pathlib import Path

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError

STAGES = (
    "paths",
    "distance",
    "accuracy",
    "priors",
    "counterexamples",
    "toy",
    "figures",
    "report",
)


def str2bool(value: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"true or false, not {value!r}")
    return value == "true"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage_name", choices=STAGES, required=True)
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="tables, figures, report"
    )
    parser.add_argument(
        "--quick",
        type=str2bool,
        default=False,
        help="small samples: a check that everything runs (default: false)",
    )
    parser.add_argument(
        "--counts",
        type=Path,
        default=Path("local/counts_kathleen.txt"),
        help="`code count` lines of 6561 codes, as the token extraction writes them",
    )
    parser.add_argument("--nj", type=int, default=1, help="processes (default: 1)")
    return parser


def main(cmd=None) -> None:
    """Run one stage."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.nj < 1:
        raise InputError(f"--nj {args.nj}: give at least 1")
    from espnet_fsqdiff.theory.experiments.common import QUICK, Budget, Work

    budget = QUICK if args.quick else Budget()
    work = Work(args.output_dir, budget, args.nj, args.counts)
    module = f"espnet_fsqdiff.theory.experiments.{args.stage_name}"
    importlib.import_module(module).run(work)
    logging.info(f"{args.stage_name}: written to {args.output_dir}")


if __name__ == "__main__":
    cli(main)
