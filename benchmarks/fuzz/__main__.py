"""Give the package random and hostile inputs; each has to work or be refused in a line.

Ends with a table (Markdown); the exit status is 1 if there was a fault.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

from benchmarks.fuzz.guard import FAULT, MIB, Guard, Limits
from benchmarks.fuzz.running import HEAD, fuzz, row, shared_out, total

NAMES = (
    *("text", "voice", "audio", "data", "tokens", "durations", "configs", "training"),
    *("packs", "checkpoints", "commands"),
)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--num_inputs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--seconds", type=float, default=20, help="limit of one input")
    parser.add_argument(
        "--memory", type=int, default=512, help="limit of one input, MiB resident"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("fuzz"), help="failures go here"
    )
    return parser


def main(cmd: Optional[List[str]] = None) -> int:
    """Run the command; returns how many faults there were."""
    args = get_parser().parse_args(cmd)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz") as root, _by_itself(Path(root)):
        return _fuzz_all(args, Path(root).resolve())


@contextmanager
def _by_itself(root: Path) -> Iterator[None]:
    """No words of libraries, and nothing written outside of `root`."""
    (root / "tmp").mkdir()
    before = tempfile.tempdir, sys.dont_write_bytecode
    places = {"TMPDIR": str(root / "tmp"), "ESPNET_FSQDIFF_CACHE": str(root / "cache")}
    outside = {name: os.environ.get(name) for name in places}
    tempfile.tempdir = places["TMPDIR"]
    os.environ.update(places)
    sys.dont_write_bytecode = True  # it would look like a write of the input
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        tempfile.tempdir, sys.dont_write_bytecode = before
        for name, value in outside.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _fuzz_all(args: argparse.Namespace, root: Path) -> int:
    from tqdm import tqdm

    from benchmarks.fuzz.material import Material
    from benchmarks.fuzz.targets import TARGETS

    material = Material(root / "material")
    limits = Limits(args.seconds, args.memory * MIB, (args.memory + 2048) * MIB)
    guard = Guard(root, limits)
    targets = [TARGETS[name](material) for name in args.targets]
    counts = shared_out(args.num_inputs, [target.share for target in targets])
    records, start = [], time.perf_counter()
    print(HEAD, flush=True)
    with tqdm(total=args.num_inputs, unit="input", disable=None) as bar:
        for target, count in zip(targets, counts):
            bar.set_description(target.name)
            records.append(
                fuzz(target, count, args.seed, guard, args.output_dir, bar.update)
            )
            bar.write(row(records[-1]))
            sys.stdout.flush()
    print(row(total(records)))
    print(f"\n{time.perf_counter() - start:.0f} s, seed {args.seed}")
    return sum(record.counts[FAULT] for record in records)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
