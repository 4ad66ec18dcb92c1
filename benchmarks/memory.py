"""Print the peak resident memory in GB of sampling one utterance in this process."""

import argparse
from typing import List, Optional

import torch

from benchmarks.decoder import ours
from benchmarks.machine import peak_resident
from benchmarks.networks import build
from benchmarks.workload import make_workload


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--num_steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Sample, then print the peak."""
    args = get_parser().parse_args(cmd)
    torch.set_num_threads(args.threads)
    parts = build(args.config)
    ours(parts, make_workload(parts, [args.seconds]), args.num_steps)
    print(f"{peak_resident():.4f}")


if __name__ == "__main__":
    main()
