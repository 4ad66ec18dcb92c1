"""Arguments of commands that run as parallel jobs, 1 to N, and then merge."""

import argparse

from espnet_fsqdiff.errors import InputError


def _bool(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{value}: give true or false")
    return value.lower() == "true"


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which job this is, of how many, and how it runs."""
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


def check_job(args: argparse.Namespace) -> None:
    """Refuse numbers that make no sense.

    Raises:
        InputError: As said.
    """
    for name in ("num_jobs", "batch_size", "chunk_size", "num_threads"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: give at least 1")
    if not 1 <= args.job <= args.num_jobs:
        raise InputError(f"--job {args.job}: give 1 to --num_jobs {args.num_jobs}")
