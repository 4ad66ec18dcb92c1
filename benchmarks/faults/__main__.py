"""Kills, full disks and broken files: does the mini recipe come out the same?

    python -m benchmarks.faults --output_dir faults --num_kills 100
    python -m benchmarks.faults --output_dir faults --parts disk damage

Runs the recipe once, keeps what is there after each stage, and then runs single
stages, starting from there: killed, on a full disk, with files damaged or taken away.
A run that is broken off goes on where it was; the tables are printed at the end.
"""

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import List, Optional

from benchmarks.faults import damage, disk, kills
from benchmarks.faults.recipe import STAGES, Recipe
from benchmarks.faults.records import Records, failures, summary
from benchmarks.faults.warm import Warm

PARTS = ("kill", "disk", "damage")
NAMES = dict(
    enumerate(
        "data|format audio|drop utterances|text token list|tokenizer statistics|"
        "tokenizer training|token extraction|duration table|diffusion statistics|"
        "diffusion training|token-to-wave|synthesis|scoring|pack".split("|"),
        start=1,
    )
)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--stages", type=int, nargs="+", default=list(STAGES))
    parser.add_argument("--num_kills", type=int, default=100, help="of all stages")
    parser.add_argument(
        "--max_in_a_row", type=int, default=2, help="kills before a stage may end"
    )
    parser.add_argument("--fills", type=int, default=2, help="full disks of each stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cold",
        action="store_true",
        help="start Python anew for every command, imports and all, instead of "
        "forking one that has imported them",
    )
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the parts asked for and print the tables."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    unknown = sorted(set(args.stages) - set(STAGES))
    if unknown or args.num_kills < 1 or args.max_in_a_row < 1:
        parser.error(f"stages are {STAGES[0]} to {STAGES[-1]}, numbers from 1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # So that nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    args.output_dir.mkdir(parents=True, exist_ok=True)
    warm = None if args.cold else Warm(args.output_dir / "warm")
    try:
        run(args, warm)
    finally:
        if warm is not None:
            warm.close()


def run(args: argparse.Namespace, warm: Optional[Warm]) -> None:
    """Run the parts asked for."""
    recipe = Recipe(args.output_dir / "work", warm)
    try:
        run_parts(args, recipe)
    finally:
        recipe.stop()


def run_parts(args: argparse.Namespace, recipe: Recipe) -> None:
    """Run the parts asked for, and print the tables."""
    start = "cold" if recipe.warm is None else "warm"
    records = Records(args.output_dir / f"{start}.jsonl")
    states = args.output_dir / "states"
    kills.make_states(recipe, states)
    stages = sorted(set(args.stages))
    lacking = []
    if "kill" in args.parts:
        number, most = args.num_kills, args.max_in_a_row
        kills.run_kills(recipe, states, stages, number, most, args.seed, records)
        lacking += kills.lacking(stages, number, records)
    if "disk" in args.parts:
        place, fills = args.output_dir / "disk", args.fills
        disk.run_disks(place, recipe.warm, states, stages, fills, args.seed, records)
        lacking += disk.lacking(stages, fills, args.seed, records)
    if "damage" in args.parts:
        damage.run_cases(recipe, states, stages, records)
        lacking += damage.lacking(stages, records)
    for line in summary(records, NAMES):
        print(line)
    wrong = failures(records) + lacking
    if wrong:
        sys.exit(f"not as it should be: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
