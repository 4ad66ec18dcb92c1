#!/usr/bin/env python3
"""Score originals and systems on a test set and write the report."""

import argparse
import logging
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring import read_curves, recognizer_choices
from espnet_fsqdiff.scoring.evaluation import evaluate, read_json, read_wall_seconds
from espnet_fsqdiff.scoring.tables import markdown_score_table


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Score originals and systems on a test set; write index.html, "
        "results.md and scores.json",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--ref_dir", required=True, help="data directory of the originals"
    )
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="directory with wav.scp and perhaps stats.json; may be repeated",
    )
    parser.add_argument("--token_stats", help="stats.json of the extracted tokens")
    parser.add_argument("--duration_stats", help="stats.json of the duration table")
    parser.add_argument("--wall_seconds", help="exp/wall_seconds.txt of the recipe")
    parser.add_argument(
        "--wall_before", type=int, help="leave out its stages from this number on"
    )
    parser.add_argument(
        "--curves",
        action="append",
        default=[],
        metavar="NAME=LOG",
        help="train.log of a training; may be repeated",
    )
    parser.add_argument("--outdir", required=True, help="where the report goes")
    parser.add_argument(
        "--cache_dir", help="recognised texts [default: OUTDIR/recognized]"
    )
    parser.add_argument(
        "--recognizer", choices=sorted(recognizer_choices), default="pocketsphinx"
    )
    parser.add_argument(
        "--spk_config", help="config.yaml of an ESPnet speaker model: compares voices"
    )
    parser.add_argument("--spk_file", help="its weights")
    parser.add_argument("--nj", type=int, default=1, help="number of processes")
    parser.add_argument(
        "--num_examples", type=int, default=5, help="utterances shown and played"
    )
    parser.add_argument("--title", default="Speech synthesis report")
    return parser


def by_name(pairs: Sequence[str], option: str) -> Dict[str, Path]:
    """Take `NAME=PATH` apart."""
    named: Dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(f"{option} {pair}: give it as NAME=PATH")
        if name in named:
            raise InputError(f"{option} {pair}: {name} is given twice; rename one")
        named[name] = Path(path)
    return named


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command with the arguments `cmd`, `sys.argv` by default.

    Raises:
        InputError: Something given is missing or unfit.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if args.nj < 1 or args.num_examples < 0:
        raise InputError("--nj has to be at least 1 and --num_examples at least 0")
    if (args.spk_config is None) != (args.spk_file is None):
        raise InputError("give --spk_config and --spk_file, or neither")
    speaker_model = None
    if args.spk_config is not None:
        from espnet_fsqdiff.scoring.similarity import SpeakerModel

        speaker_model = SpeakerModel(args.spk_config, args.spk_file)
        speaker_model.load()
    # Small files first: a missing one is known before minutes of recognition.
    given = dict(
        tokens=args.token_stats and read_json(args.token_stats, "stage 7 (tokens)"),
        duration=args.duration_stats
        and read_json(args.duration_stats, "stage 8 (duration)"),
        wall=args.wall_seconds
        and read_wall_seconds(args.wall_seconds, before=args.wall_before),
        curves={
            name: read_curves(log)
            for name, log in by_name(args.curves, "--curves").items()
        },
    )
    recognizer = recognizer_choices[args.recognizer]()
    texts, systems = evaluate(
        args.ref_dir,
        by_name(args.system, "--system"),
        recognizer,
        nj=args.nj,
        cache_dir=args.cache_dir or Path(args.outdir) / "recognized",
        speaker_model=speaker_model,
    )

    from espnet_fsqdiff.scoring.report import Report

    report = Report(
        title=args.title,
        texts=texts,
        systems=systems,
        judge=f"Recognised by {args.recognizer}.",
        num_examples=args.num_examples,
        **{key: value for key, value in given.items() if value},
    )
    index = report.write(args.outdir)
    print(markdown_score_table(systems))
    print(index)


if __name__ == "__main__":
    cli(main)
