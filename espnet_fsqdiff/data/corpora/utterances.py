"""Sets of utterances: every one checked, then written as data directories."""

import argparse
import logging
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.errors import InputError

Sets = Dict[str, List["Utterance"]]


class Utterance(NamedTuple):
    """One recorded sentence.

    Attributes:
        utt: Utterance id: without white space or slashes, unique in the corpus.
        wav: Its audio file.
        text: What is said.
        speaker: Speaker id.
    """

    utt: str
    wav: Path
    text: str
    speaker: str


def one_line(text: str) -> str:
    """Return `text` in one line, with single spaces, in Unicode's form NFC."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_text(path: Path, utt: str) -> str:
    """Read the text of one utterance from a file of its own.

    Raises:
        InputError: The file is not UTF-8.
    """
    try:
        return one_line(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as e:
        raise InputError(
            f"{utt}: {path} is not UTF-8 (byte {e.start}); fetch the corpus again"
        ) from None


def seconds_of(utterance: Utterance, rate: Optional[int] = None) -> float:
    """Return how long an utterance is, by the header of its audio file.

    Args:
        utterance: The utterance.
        rate: Sampling rate that the file has to have, in Hz; None for any.

    Raises:
        InputError: Id or text are no good, or the file is missing, unreadable,
            empty or at another rate.
    """
    import soundfile

    utt, wav, text, speaker = utterance
    if not utt or "/" in utt or len(utt.split()) != 1 or len(speaker.split()) != 1:
        raise InputError(
            f"utterance id {utt!r} or speaker {speaker!r} is empty or has a slash or "
            "white space; rename it in the corpus"
        )
    if not text:
        raise InputError(f"{utt}: it has no text; complete the corpus")
    if not wav.is_file():
        raise InputError(f"{utt}: no audio file {wav}; complete the corpus")
    try:
        info = soundfile.info(str(wav))
    except (soundfile.SoundFileError, RuntimeError):
        raise InputError(
            f"{utt}: {wav} is damaged or no audio; fetch the corpus again"
        ) from None
    if info.frames == 0:
        raise InputError(f"{utt}: {wav} is empty; fetch the corpus again")
    if rate is not None and info.samplerate != rate:
        raise InputError(
            f"{utt}: {wav} is at {info.samplerate} Hz, the published corpus at {rate}; "
            f"take the published one, or say --rate {info.samplerate} if the whole "
            "copy is so"
        )
    return info.frames / info.samplerate


def check_sets(
    sets: Sets, rate: Optional[int] = None, nj: int = 8
) -> Dict[str, Dict[str, float]]:
    """Check every utterance.

    Args:
        sets: Utterances by name of the set.
        rate: Sampling rate of all files in Hz; None for any.
        nj: Files read at once.

    Returns:
        Seconds by utterance id, by name of the set.

    Raises:
        InputError: A set is empty, an id is there twice, or an utterance has a
            fault (see :func:`seconds_of`).
    """
    from tqdm import tqdm

    seen: Dict[str, str] = {}
    for name, utterances in sets.items():
        if not utterances:
            raise InputError(f"no utterance for set {name}; complete the corpus")
        for utterance in utterances:
            if utterance.utt in seen:
                raise InputError(
                    f"{utterance.utt}: it is in {seen[utterance.utt]} and in {name}; "
                    "keep one of them"
                )
            seen[utterance.utt] = name
    seconds = {}
    with ThreadPoolExecutor(max(1, nj)) as pool:
        for name, utterances in sets.items():
            lengths = pool.map(lambda u: seconds_of(u, rate), utterances)
            bar = tqdm(lengths, name, len(utterances), unit="utt", disable=None)
            seconds[name] = dict(zip([u.utt for u in utterances], bar))
    return seconds


def data_dir(utterances: Sequence[Utterance]) -> DataDir:
    """Return utterances as a data directory."""
    data = DataDir({}, {}, {})
    for utterance in utterances:
        data.wav[utterance.utt] = str(utterance.wav)
        data.text[utterance.utt] = utterance.text
        data.utt2spk[utterance.utt] = utterance.speaker
    return data


def write_sets(
    sets: Sets, args: argparse.Namespace, rate: Optional[int] = None
) -> Dict[str, Dict[str, float]]:
    """Check all sets, then write each to `<args.output_dir>/<set>`.

    Args:
        sets: Utterances by name of the set.
        args: `output_dir` and `nj` of :func:`finding.add_corpus_arguments`.
        rate: See :func:`check_sets`.

    Returns:
        Seconds by utterance id, by name of the set.

    Raises:
        InputError: See :func:`check_sets`; nothing is written then.
    """
    seconds = check_sets(sets, rate, args.nj)
    for name, utterances in sets.items():
        data_dir(utterances).write(Path(args.output_dir) / name)
        logging.info(
            f"{args.output_dir}/{name}: {len(utterances)} utterances, "
            f"{len({u.speaker for u in utterances})} speakers, "
            f"{sum(seconds[name].values()) / 3600:.2f} h"
        )
    return seconds
