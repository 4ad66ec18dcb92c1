#!/usr/bin/env python3
"""Compare copies of recordings with them: one table of all systems.

Systems are vocoders, codecs or chains from tokens to waves that make the same
utterances anew. Writes sound.md, sound.json and utterances.csv; what was measured is
kept, so that a run that was stopped goes on and a new system costs its own time alone.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.score import by_name
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.scoring import recognizer_choices
from espnet_fsqdiff.scoring.evaluation import ORIGINAL, read_json
from espnet_fsqdiff.scoring.recognizer import recognize_files
from espnet_fsqdiff.scoring.text import edit_counts


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--ref", required=True, help="data directory of the recordings, or a wav.scp"
    )
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="directory with wav.scp and perhaps stats.json (rtf, bytes, parameters); "
        "may be repeated",
    )
    parser.add_argument("--text", help="table of texts, for the character error rate")
    parser.add_argument("--against", default="", help="system to compare others with")
    parser.add_argument("--outdir", required=True, help="where the tables go")
    parser.add_argument(
        "--cache_dir", help="what was measured [default: OUTDIR/measured]"
    )
    parser.add_argument(
        "--num_utts", type=int, help="the first ones alone [default: all]"
    )
    parser.add_argument(
        "--recognizer", choices=sorted(recognizer_choices), default="pocketsphinx"
    )
    parser.add_argument("--nj", type=int, default=1, help="number of processes")
    return parser


def read_references(ref: str, num_utts: Optional[int]) -> Dict[str, str]:
    """Audio files of the recordings by utterance id.

    Raises:
        InputError: There is none.
    """
    path = Path(ref)
    wavs = read_table(path / "wav.scp" if path.is_dir() else path)
    wavs = dict(list(wavs.items())[:num_utts])
    if not wavs:
        raise InputError(f"{ref}: no utterance in it")
    return wavs


def _of(utts: Sequence[str], path: Path) -> Dict[str, str]:
    """Entries of a table for some utterances.

    Raises:
        InputError: One is missing.
    """
    table = read_table(path)
    for utt in utts:
        if utt not in table:
            raise InputError(f"{path}: utterance {utt} of the recordings is missing")
    return {utt: table[utt] for utt in utts}


def _stats(directory: Path) -> Mapping[str, Any]:
    path = directory / "stats.json"
    return read_json(path, "what makes the copies") if path.is_file() else {}


def _as_json(systems) -> str:
    from espnet_fsqdiff.scoring.sound_tables import figures

    entries = {}
    for system in systems:
        found = {
            key: dict(estimate=i.estimate, low=i.low, high=i.high)
            for key, i in figures(system).items()
        }
        entries[system.name] = dict(found, stats=dict(system.stats))
    return json.dumps(entries, indent=1) + "\n"


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command with the arguments `cmd`, `sys.argv` by default.

    Raises:
        InputError: Something given is missing or unfit.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if args.nj < 1 or (args.num_utts is not None and args.num_utts < 1):
        raise InputError("--nj and --num_utts have to be at least 1")
    directories = by_name(args.system, "--system")
    if not directories:
        raise InputError("no --system NAME=DIR is given; there is nothing to compare")
    if ORIGINAL in directories:
        raise InputError(f"a system cannot be called {ORIGINAL}; give another name")
    if args.against and args.against not in directories:
        raise InputError(f"--against {args.against} is none of the systems")
    references = read_references(args.ref, args.num_utts)
    utts = list(references)
    wavs = {name: _of(utts, d / "wav.scp") for name, d in directories.items()}
    stats = {name: _stats(d) for name, d in directories.items()}
    texts = _of(utts, Path(args.text)) if args.text else {}

    from espnet_fsqdiff.scoring.copies import compare_files
    from espnet_fsqdiff.scoring.perceptual import versions
    from espnet_fsqdiff.scoring.sound_tables import (
        System,
        Utterance,
        markdown,
        utterances_csv,
    )

    cache = Path(args.cache_dir or Path(args.outdir) / "measured")
    compared = compare_files(references, wavs, args.nj, cache)
    heard: Dict[str, str] = {}
    if texts:
        named = {
            f"{name} {utt}": path
            for name, files in {ORIGINAL: references, **wavs}.items()
            for utt, path in files.items()
        }
        recognizer = recognizer_choices[args.recognizer]()
        heard = recognize_files(named, recognizer, args.nj, cache)

    def system(name: str) -> System:
        utterances = []
        for utt in utts:
            words = heard.get(f"{name} {utt}")
            edits = None if words is None else edit_counts(texts[utt], words)
            copy = compared[name][utt] if name in compared else None
            utterances.append(Utterance(utt, copy, edits, words))
        return System(name, utterances, stats.get(name, {}))

    # The recordings have a row where there is something to say of them.
    systems = [system(name) for name in ([ORIGINAL] if texts else []) + list(wavs)]
    missing = [package for package, number in versions().items() if number is None]
    table = markdown(systems, missing, args.against)
    for name, content in {
        "utterances.csv": utterances_csv(systems),
        "sound.json": _as_json(systems),
        "sound.md": table,
    }.items():
        with atomic_path(Path(args.outdir) / name) as aside:
            aside.write_text(content, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    cli(main)
