"""VCTK 0.92: 44 hours of 110 speakers (CC BY 4.0).

`wav48_silence_trimmed/<speaker>/<speaker>_<number>_mic<1|2>.flac` at 48,000 Hz, and
`txt/<speaker>/<speaker>_<number>.txt`. What is missing in the published corpus:

* the transcripts of p315: that speaker is left out, as any without transcripts;
* the second microphone of p280 and p315: a speaker without any file of `--mic` is
  taken from the other microphone;
* single files, of p362 among others: an utterance without its recording or its
  transcript is left out. More than one in twenty of them are an error.

Speakers are named p225 to p376, and s5. The split is by speakers: those of
`--valid_list` and `--test_list`; all others are for training.
"""

import argparse
import logging
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Tuple

from espnet_fsqdiff.data.corpora.fetching import Source, obtain
from espnet_fsqdiff.data.corpora.finding import (
    add_corpus_arguments,
    find_corpus,
    folder_with,
    read_list,
)
from espnet_fsqdiff.data.corpora.prompts import choose_prompts, write_prompts
from espnet_fsqdiff.data.corpora.utterances import (
    Sets,
    Utterance,
    read_text,
    write_sets,
)
from espnet_fsqdiff.errors import InputError

# The checksum is torchaudio's (torchaudio.datasets.VCTK_092).
ARCHIVE = Source(
    "https://datashare.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
    "f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
)
RATE = 48000
AUDIO = "wav48_silence_trimmed"
MICS = ("mic1", "mic2")
MAX_MISSING = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    add_corpus_arguments(parser)
    parser.add_argument("--mic", choices=MICS, default="mic2", help="microphone")
    parser.add_argument("--valid_list", default="local/valid.list", help="speakers")
    parser.add_argument("--test_list", default="local/test.list", help="speakers")
    parser.add_argument("--rate", type=int, default=RATE, help="of the files, in Hz")


def recordings(folder: Path, mic: str) -> Tuple[str, Dict[str, Path]]:
    """Find the recordings of one speaker.

    Args:
        folder: The speaker's folder of audio.
        mic: The microphone wanted.

    Returns:
        The microphone that is used, and its files by utterance id.
    """
    found: Dict[str, Dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("*_mic?.flac")):
        utt, _, name = path.stem.rpartition("_")
        found[name][utt] = path
    if not found[mic]:
        mic = MICS[1 - MICS.index(mic)]
    return mic, found[mic]


def read_speakers(root: Path, mic: str) -> Dict[str, List[Utterance]]:
    """Read all speakers that have recordings and transcripts.

    Args:
        root: The folder that holds `wav48_silence_trimmed` and `txt`.
        mic: The microphone wanted.

    Returns:
        Utterances by speaker.

    Raises:
        InputError: More than one in twenty of the utterances of speakers with
            transcripts are not whole.
    """
    speakers: Dict[str, List[Utterance]] = {}
    missing: List[Path] = []
    for folder in sorted(p for p in (root / AUDIO).iterdir() if p.is_dir()):
        speaker = folder.name
        texts = {p.stem: p for p in sorted((root / "txt" / speaker).glob("*.txt"))}
        if not texts:
            logging.warning(f"{speaker} has no transcripts: left out")
            continue
        used, wavs = recordings(folder, mic)
        if used != mic:
            logging.warning(f"{speaker} has no recording of {mic}: {used} is used")
        missing += [folder / f"{u}_{used}.flac" for u in sorted(set(texts) - set(wavs))]
        missing += [
            root / "txt" / speaker / f"{u}.txt" for u in sorted(set(wavs) - set(texts))
        ]
        whole = sorted(set(texts) & set(wavs))
        if whole:
            speakers[speaker] = [
                Utterance(u, wavs[u], read_text(texts[u], u), speaker) for u in whole
            ]
    total = len(missing) + sum(map(len, speakers.values()))
    if missing:
        message = (
            f"{len(missing)} of {total} utterances lack a file, first {missing[0]}"
        )
        if len(missing) > MAX_MISSING * total:
            raise InputError(f"{root}: {message}; unpack the corpus again")
        logging.warning(f"{message}: left out")
    return speakers


def split(speakers: Dict[str, List[Utterance]], valid: List, test: List) -> Sets:
    """Make the sets: speakers of two lists, and the others for training.

    Raises:
        InputError: A speaker of the lists is not in the corpus, or is in both.
    """
    for speaker in [*valid, *test]:
        if speaker not in speakers:
            raise InputError(
                f"speaker {speaker} of the lists is not in the corpus, or not with "
                "transcripts and recordings; correct the list or complete the corpus"
            )
        if speaker in valid and speaker in test:
            raise InputError(f"speaker {speaker} is in both lists; take it out of one")
    parts = {
        "train": sorted(set(speakers) - set(valid) - set(test)),
        "valid": valid,
        "test": test,
    }
    return {
        name: [u for speaker in part for u in speakers[speaker]]
        for name, part in parts.items()
    }


def prepare(args: argparse.Namespace) -> None:
    """Make the data directories; `test` with prompts of the same speaker."""
    corpus = find_corpus(args)
    if corpus is None:
        corpus = obtain(ARCHIVE, Path(args.download_dir), "VCTK-Corpus-0.92")
    root = folder_with(AUDIO, corpus, "VCTK 0.92")
    lists = read_list(args.valid_list), read_list(args.test_list)
    sets = split(read_speakers(root, args.mic), *lists)
    seconds = write_sets(sets, args, args.rate)
    write_prompts(
        Path(args.output_dir) / "test",
        choose_prompts(sets["test"], sets["test"], seconds["test"]),
    )
