"""Turn the audio of data directories into speech tokens (stage 7).

Run jobs 1 to N, each as `--num_jobs N --job J`, then once more with `--merge true`.
A job that was killed goes on where it was when started again.
"""

import argparse
import logging
from pathlib import Path
from typing import Any, Callable

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError


def _bool(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{value}: give true or false")
    return value.lower() == "true"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train_config", type=Path, required=True)
    parser.add_argument("--model_file", type=Path, required=True)
    parser.add_argument(
        "--data_dirs",
        type=Path,
        nargs="+",
        required=True,
        help="Kaldi data directories, e.g. dump/raw/train dump/raw/valid",
    )
    parser.add_argument(
        "--output_root",
        type=Path,
        required=True,
        help="a directory for each data directory is made in it",
    )
    parser.add_argument("--num_jobs", type=int, default=1, help="(default: 1)")
    parser.add_argument("--job", type=int, default=1, help="from 1 (default: 1)")
    parser.add_argument(
        "--merge",
        type=_bool,
        default=False,
        help="join what the jobs made instead of making it (default: false)",
    )
    parser.add_argument("--batch_size", type=int, default=16, help="(default: 16)")
    parser.add_argument(
        "--chunk_size",
        type=int,
        default=100,
        help="utterances that are written, and lost to a kill, together; the same "
        "for all jobs and the merge (default: 100)",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)"
    )
    parser.add_argument(
        "--num_threads", type=int, default=1, help="of each job (default: 1)"
    )
    return parser


def extract(args: argparse.Namespace, load_tokenizer: Callable[..., Any]) -> None:
    """Run one job or the merge.

    Args:
        args: What `get_parser` gives.
        load_tokenizer: `SpeechTokenizer.from_pretrained`, or what is like it.
    """
    from espnet_fsqdiff.extraction import merge, model_key, plan, run_job

    for name in ("num_jobs", "batch_size", "chunk_size", "num_threads"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: give at least 1")
    if not 1 <= args.job <= args.num_jobs:
        raise InputError(f"--job {args.job}: give 1 to --num_jobs {args.num_jobs}")
    # Padding in a batch may move a rounding, so the batch size counts too.
    key = f"{model_key(args.train_config, args.model_file)} {args.batch_size}"
    chunks = plan(args.data_dirs, args.output_root, args.num_jobs, key, args.chunk_size)
    if args.merge:
        merge(chunks)
        return

    def load():
        import torch

        torch.set_num_threads(args.num_threads)
        return load_tokenizer(args.train_config, args.model_file, device=args.device)

    run_job(chunks, args.job, load, args.batch_size)


def _from_pretrained(train_config: Path, model_file: Path, device: str):
    from espnet_fsqdiff.tokenizer import SpeechTokenizer

    return SpeechTokenizer.from_pretrained(train_config, model_file, device=device)


def main(cmd=None) -> None:
    """Run the command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    extract(get_parser().parse_args(cmd), _from_pretrained)


if __name__ == "__main__":
    cli(main)
