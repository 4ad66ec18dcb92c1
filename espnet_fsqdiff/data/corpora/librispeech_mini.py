"""Ten utterances each of 8 speakers of LibriSpeech test-other (CC BY 4.0).

Reads both layouts: a folder with `metadata.tsv` (id, path, speaker, text), and
LibriSpeech's own test-other, of which the utterances of `--utterance_list` are taken.

The split: of each speaker's utterances in the order of their ids the last is for test,
the one before it for validation, the others for training.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Dict, List

from espnet_fsqdiff.data.corpora.fetching import obtain
from espnet_fsqdiff.data.corpora.finding import (
    add_corpus_arguments,
    find_corpus,
    read_list,
)
from espnet_fsqdiff.data.corpora.librispeech import (
    ARCHIVES,
    RATE,
    read_utterances,
    subset_folder,
)
from espnet_fsqdiff.data.corpora.prompts import choose_prompts, write_prompts
from espnet_fsqdiff.data.corpora.utterances import (
    Sets,
    Utterance,
    one_line,
    write_sets,
)
from espnet_fsqdiff.errors import InputError

SUBSET = "test-other"
COLUMNS = {"id", "path", "speaker", "text"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser, shared="librispeech_mini")
    parser.add_argument("--utterance_list", default="local/utterances.list")


def read_metadata(path: Path) -> List[Utterance]:
    """Read `metadata.tsv`.

    Raises:
        InputError: A column is missing.
    """
    with open(path, encoding="utf-8", newline="") as f:
        rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        lacking = COLUMNS - set(rows.fieldnames or ())
        if lacking:
            raise InputError(f"{path}: no column {min(lacking)}; is it this corpus?")
        return [
            Utterance(
                row["id"],
                path.parent / row["path"],
                one_line(row["text"] or ""),
                row["speaker"],
            )
            for row in rows
        ]


def split(utterances: List[Utterance]) -> Sets:
    """Make the sets by the rule above.

    Raises:
        InputError: A speaker has fewer than three utterances.
    """
    by_speaker: Dict[str, List[Utterance]] = defaultdict(list)
    for utterance in sorted(utterances):
        by_speaker[utterance.speaker].append(utterance)
    sets: Sets = {"train": [], "valid": [], "test": []}
    for speaker, own in by_speaker.items():
        if len(own) < 3:
            raise InputError(
                f"speaker {speaker} has {len(own)} utterances; three are needed, one "
                "for each set: complete the corpus"
            )
        sets["train"] += own[:-2]
        sets["valid"].append(own[-2])
        sets["test"].append(own[-1])
    return sets


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories; `test` with prompts of the same speaker."""
    corpus = find_corpus(args)
    if corpus is None:
        corpus = obtain(ARCHIVES[SUBSET], Path(args.download_dir), SUBSET)
        corpus = corpus / "LibriSpeech"
    if (corpus / "metadata.tsv").is_file():
        utterances = read_metadata(corpus / "metadata.tsv")
    else:
        root = subset_folder(corpus, SUBSET)
        utterances = read_utterances(root, read_list(args.utterance_list))
    sets = split(utterances)
    seconds = write_sets(sets, args, RATE)
    lengths = {utt: s for part in seconds.values() for utt, s in part.items()}
    write_prompts(
        Path(args.output_dir) / "test",
        choose_prompts(sets["test"], utterances, lengths),
    )
