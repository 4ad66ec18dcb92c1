"""LJSpeech 1.1: 24 hours of one voice (public domain).

`metadata.csv` has three columns with `|` between them: id, text as printed, text with
numbers and abbreviations written as words. Quotation marks are plain characters. The
third column is used; where it is empty, the second. The files are `wavs/<id>.wav` at
22,050 Hz.

The split: of all clips in the order of their ids, the last `--num_test` are for test,
the `--num_valid` before them for validation, the others for training.
"""

import argparse
import logging
from pathlib import Path
from typing import Dict

from espnet_fsqdiff.data.corpora.fetching import Source, obtain
from espnet_fsqdiff.data.corpora.finding import (
    add_corpus_arguments,
    find_corpus,
    folder_with,
)
from espnet_fsqdiff.data.corpora.utterances import (
    Sets,
    Utterance,
    one_line,
    write_sets,
)
from espnet_fsqdiff.errors import InputError

# The checksum is torchaudio's (torchaudio.datasets.LJSPEECH).
ARCHIVE = Source(
    "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
    "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
)
RATE = 22050
SPEAKER = "LJ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser)
    parser.add_argument("--num_valid", type=int, default=250, help="utterances")
    parser.add_argument("--num_test", type=int, default=250, help="utterances")
    parser.add_argument("--rate", type=int, default=RATE, help="of the files, in Hz")


def read_metadata(path: Path) -> Dict[str, str]:
    """Read `metadata.csv`.

    Returns:
        Texts by clip id.

    Raises:
        InputError: The file is not UTF-8, a line has other columns than three, or
            an id is there twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as e:
        raise InputError(
            f"{path}: not UTF-8 (byte {e.start}); fetch the corpus again"
        ) from None
    texts: Dict[str, str] = {}
    printed = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) != 3:
            raise InputError(
                f"{path}:{number}: {len(fields)} columns instead of 3 (id|text|"
                "normalized text); is it LJSpeech 1.1?"
            )
        clip, raw, normalized = (one_line(field) for field in fields)
        if clip in texts:
            raise InputError(f"{path}:{number}: {clip} is there twice; keep one line")
        printed += not normalized
        texts[clip] = normalized or raw
    if printed:
        logging.info(
            f"{printed} clips have no normalized text: the printed one is used"
        )
    return texts


def split(utterances: Dict[str, Utterance], num_valid: int, num_test: int) -> Sets:
    """Make the sets by the rule above.

    Raises:
        InputError: A number is below 1, or nothing is left for training.
    """
    ids = sorted(utterances)
    num_train = len(ids) - num_valid - num_test
    if min(num_valid, num_test, num_train) < 1:
        raise InputError(
            f"{len(ids)} clips cannot give {num_valid} for validation, {num_test} for "
            "test and some for training; change --num_valid and --num_test"
        )
    parts = {
        "train": ids[:num_train],
        "valid": ids[num_train:-num_test],
        "test": ids[-num_test:],
    }
    return {name: [utterances[i] for i in part] for name, part in parts.items()}


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories."""
    corpus = find_corpus(args)
    if corpus is None:
        corpus = obtain(ARCHIVE, Path(args.download_dir), "LJSpeech-1.1")
    root = folder_with("metadata.csv", corpus, "LJSpeech 1.1")
    utterances = {
        clip: Utterance(clip, root / "wavs" / f"{clip}.wav", text, SPEAKER)
        for clip, text in read_metadata(root / "metadata.csv").items()
    }
    write_sets(split(utterances, args.num_valid, args.num_test), args, args.rate)
