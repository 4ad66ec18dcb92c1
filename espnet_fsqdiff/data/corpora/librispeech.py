"""LibriSpeech as it is published (CC BY 4.0): what recipes take from it.

`<subset>/<reader>/<chapter>/<reader>-<chapter>-<number>.flac` at 16,000 Hz, and all
texts of a chapter, in capitals, in `<reader>-<chapter>.trans.txt`.
"""

import csv
from pathlib import Path
from typing import Dict, List, NamedTuple

from espnet_fsqdiff.data.corpora.fetching import Source
from espnet_fsqdiff.data.corpora.utterances import Utterance, one_line
from espnet_fsqdiff.errors import InputError

RATE = 16000
# The published list of `read_pairs`.
LIST = "librispeech_pc_test_clean_cross_sentence.lst"
_URL = "https://www.openslr.org/resources/12/"
# The checksums are torchaudio's (torchaudio.datasets.LIBRISPEECH).
ARCHIVES = {
    "test-clean": Source(
        _URL + "test-clean.tar.gz",
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
    "test-other": Source(
        _URL + "test-other.tar.gz",
        "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    ),
}


class Pair(NamedTuple):
    """What to speak, and the recording whose voice to take.

    Attributes:
        target: The recording of the sentence that is to be spoken.
        prompt: Another recording of the same reader.
    """

    target: Utterance
    prompt: Utterance


def subset_folder(folder: Path, subset: str) -> Path:
    """Return the folder of a subset: `folder` itself, or one or two levels in it.

    Raises:
        InputError: There is none.
    """
    if folder.name == subset:
        return folder
    for candidate in (folder / subset, folder / "LibriSpeech" / subset):
        if candidate.is_dir():
            return candidate
    raise InputError(
        f"{folder}: no {subset} of LibriSpeech in it; give the folder that has it"
    )


def audio_file(root: Path, utt: str) -> Path:
    """Return where the recording of `utt` is in the subset at `root`."""
    reader, chapter = utt.split("-")[:2]
    return root / reader / chapter / f"{utt}.flac"


def read_utterances(root: Path, utts: List[str]) -> List[Utterance]:
    """Read utterances by their ids, texts in lower case.

    Raises:
        InputError: The transcript of one is missing.
    """
    texts: Dict[str, str] = {}
    for folder in sorted({audio_file(root, utt).parent for utt in utts}):
        for path in sorted(folder.glob("*.trans.txt")):
            for line in path.read_text(encoding="utf-8").splitlines():
                utt, _, text = line.partition(" ")
                texts[utt] = one_line(text).lower()
    missing = [utt for utt in utts if utt not in texts]
    if missing:
        raise InputError(
            f"{missing[0]}: no transcript in {audio_file(root, missing[0]).parent}; "
            "complete the corpus"
        )
    return [
        Utterance(utt, audio_file(root, utt), texts[utt], utt.split("-")[0])
        for utt in utts
    ]


def check_list(path: Path) -> None:
    """Refuse a list of pairs that is not there: before hours of downloads.

    Raises:
        InputError: There is no such file.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such list of pairs; fetch data/{LIST} of "
            "github.com/SWivid/F5-TTS and give it as --pairs"
        )


def read_pairs(path: Path, root: Path) -> List[Pair]:
    """Read the zero-shot list of LibriSpeech-PC test-clean, cross-sentence.

    Args:
        path: Lines of prompt id, prompt seconds, prompt text, target id, target
            seconds and target text, with tabs between them: 1127 in the list that
            F5-TTS and others report on.
        root: The folder of test-clean.

    Returns:
        The pairs; ids of targets are those of LibriSpeech.

    Raises:
        InputError: The list is missing, has other columns, or a target twice.
    """
    check_list(path)
    pairs, seen = [], set()
    with open(path, encoding="utf-8", newline="") as f:
        rows = csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(rows, 1):
            if len(row) != 6 or row[0].count("-") != 2 or row[3].count("-") != 2:
                raise InputError(
                    f"{path}:{number}: not prompt id, seconds, text, target id, "
                    "seconds, text with tabs between them; correct the line"
                )
            if row[3] in seen:
                raise InputError(
                    f"{path}:{number}: target {row[3]} is there twice; keep one line"
                )
            seen.add(row[3])
            prompt, target = (
                Utterance(utt, audio_file(root, utt), one_line(text), utt.split("-")[0])
                for utt, text in ((row[0], row[2]), (row[3], row[5]))
            )
            pairs.append(Pair(target, prompt))
    return pairs
