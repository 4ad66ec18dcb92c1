"""Kathleen: 55 minutes of one voice (CC0).

Reads both layouts: a folder with `metadata.tsv` and one file a prompt, and
the upstream repository with `data/<prompt>_<time>.wav|txt`, one pair a take, of
which the last take of each prompt is used. Prompts whose takes differ by more
than 1.25 in length are left out.
"""

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple

from espnet_fsqdiff.data.corpora.fetching import Source, obtain
from espnet_fsqdiff.data.corpora.finding import (
    add_corpus_arguments,
    find_corpus,
    read_list,
)
from espnet_fsqdiff.data.corpora.utterances import Sets, Utterance, write_sets
from espnet_fsqdiff.errors import InputError

URL = "https://github.com/rhasspy/dataset-voice-kathleen/archive/c51cb97.zip"
MAX_TAKE_RATIO = 1.25
SPEAKER = "kathleen"


class Prompt(NamedTuple):
    """One utterance of the corpus."""

    wav: Path
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser, shared="kathleen")
    parser.add_argument("--url", default=URL, help="zip archive of the corpus")
    parser.add_argument("--valid_list", default="local/valid.list")
    parser.add_argument("--test_list", default="local/test.list")


def read_metadata_layout(corpus: Path) -> Dict[str, Prompt]:
    """Read `metadata.tsv` with columns id, path, flag, text (and others)."""
    prompts: Dict[str, Prompt] = {}
    path = corpus / "metadata.tsv"
    with open(path, encoding="utf-8", newline="") as f:
        rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        lacking = {"id", "path", "flag", "text"} - set(rows.fieldnames or ())
        if lacking:
            raise InputError(f"{path}: no column {min(lacking)}; is it this corpus?")
        for row in rows:
            if row["id"] in prompts:
                raise InputError(
                    f"{path}: prompt {row['id']} is there twice; keep one line of it"
                )
            if row["flag"] != "takes_differ":
                prompts[row["id"]] = Prompt(corpus / row["path"], row["text"] or "")
    return prompts


def read_takes_layout(corpus: Path) -> Dict[str, Prompt]:
    """Read `data/<prompt>_<time>.wav|txt` of the upstream repository."""
    import soundfile

    takes: Dict[str, List[Path]] = defaultdict(list)
    for wav in (corpus / "data").glob("*.wav"):
        match = re.fullmatch(r"(.+)_([^_]+)", wav.stem)
        if match is None:
            raise InputError(f"{wav}: not named <prompt>_<time>.wav; rename or move it")
        takes[match[1]].append(wav)
    prompts: Dict[str, Prompt] = {}
    for prompt, wavs in sorted(takes.items()):
        # Times are numbers or dates; both sort once their lengths are equal.
        wavs.sort(key=lambda w: (len(w.stem), w.stem))
        try:
            seconds = [soundfile.info(str(w)).duration for w in wavs]
        except (soundfile.SoundFileError, RuntimeError):
            raise InputError(
                f"{prompt}: a take in {corpus}/data cannot be read; fetch it again"
            ) from None
        if max(seconds) > MAX_TAKE_RATIO * min(seconds):
            continue
        script = wavs[-1].with_suffix(".txt")
        if not script.is_file():
            raise InputError(f"{prompt}: {script} is missing; fetch it again")
        text = " ".join(script.read_text(encoding="utf-8").split())
        prompts[prompt] = Prompt(wavs[-1], text)
    return prompts


def read_corpus(corpus: Path) -> Dict[str, Prompt]:
    """Read the corpus in the layout that is found."""
    if (corpus / "metadata.tsv").is_file():
        return read_metadata_layout(corpus)
    if (corpus / "data").is_dir():
        return read_takes_layout(corpus)
    raise InputError(
        f"{corpus}: neither metadata.tsv nor data/ in it; give the folder of the "
        "Kathleen corpus as --corpus"
    )


def split(prompts: Dict[str, Prompt], valid_list: str, test_list: str) -> Sets:
    """Make the sets: the prompts of two lists, and the others for training.

    Raises:
        InputError: A prompt of the lists is not in the corpus or is listed twice.
    """
    sets = {"valid": read_list(valid_list), "test": read_list(test_list)}
    held_out = sets["valid"] + sets["test"]
    for prompt in held_out:
        if held_out.count(prompt) > 1:
            raise InputError(
                f"prompt {prompt} is twice in {valid_list} and {test_list}; "
                "keep one line of it"
            )
        if prompt not in prompts:
            raise InputError(
                f"prompt {prompt} of the lists is not in the corpus (or its takes "
                "differ); complete the corpus"
            )
    sets["train"] = sorted(set(prompts) - set(held_out))
    return {
        name: [Utterance(f"{SPEAKER}_{n}", *prompts[n], SPEAKER) for n in names]
        for name, names in sets.items()
    }


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories."""
    corpus = find_corpus(args)
    if corpus is None:
        folder = obtain(Source(args.url), Path(args.download_dir), "kathleen")
        # GitHub puts everything into one folder named after the commit.
        found = [p.parent for n in ("metadata.tsv", "data") for p in folder.rglob(n)]
        corpus = min(found, key=lambda p: len(p.parts), default=folder)
    sets = split(read_corpus(corpus), args.valid_list, args.test_list)
    write_sets(sets, args)
