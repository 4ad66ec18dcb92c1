"""What was heard in a synthesis, utterance by utterance."""

import csv
import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

from espnet_fsqdiff.data.audio import Notices, load_audio
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.scoring.acoustic import FS, compare_acoustics
from espnet_fsqdiff.scoring.parallel import parallel_map
from espnet_fsqdiff.scoring.recognizer import AbsRecognizer, recognize_files
from espnet_fsqdiff.scoring.text import edit_counts
from espnet_fsqdiff.shards import digest_file

# The result of scoring, and the sign that it is done.
RESULT = "utterances.csv"
# Beside it: digest of what was scored and against what.
SCORED = "utterances.sha256"


@dataclass(frozen=True)
class UtteranceScores:
    """Counts of one utterance, of which figures of any set can be made.

    Attributes:
        utt: Its id.
        char_edits: Edits between its text and what was recognised, in characters.
        chars: Characters of the text.
        word_edits: Edits in words.
        words: Words of the text.
        mcd: Mel-cepstral distortion to the original, dB.
        squared_log_f0: Sum of squared differences of log F0, nats^2.
        num_voiced: Frames in that sum.
        seconds: Length.
        reference_seconds: Length of the original.
        right_tokens: Right tokens of the rollout; None if it was not measured.
        tokens: Tokens of the rollout.
        recognized: What was recognised.
    """

    utt: str
    char_edits: int
    chars: int
    word_edits: int
    words: int
    mcd: Optional[float]
    squared_log_f0: Optional[float]
    num_voiced: Optional[int]
    seconds: Optional[float]
    reference_seconds: Optional[float]
    right_tokens: Optional[int]
    tokens: Optional[int]
    recognized: str


def read_test_set(directory: Union[str, Path]) -> Tuple[Dict[str, str], Dict[str, str]]:
    """Texts and audio files of the originals.

    Raises:
        InputError: If they name different utterances, or none.
    """
    directory = Path(directory)
    texts, wavs = read_table(directory / "text"), read_table(directory / "wav.scp")
    if not texts or texts.keys() != wavs.keys():
        raise InputError(
            f"{directory}: text and wav.scp name different utterances, or none; "
            "make the set again"
        )
    return texts, wavs


def score_directories(
    directories: Sequence[Union[str, Path]],
    test_set: Union[str, Path],
    recognizer: AbsRecognizer,
    nj: int = 1,
    cache_dir: Union[None, str, Path] = None,
) -> None:
    """Write `utterances.csv` of syntheses and its digest, all in one go.

    Args:
        directories: Each with `wav.scp` and perhaps `rollout.txt`
            (`utt right total`).
        test_set: Data directory of the originals.
        recognizer: Judge of the error rates.
        nj: Number of processes.
        cache_dir: Where recognised texts are kept.

    Raises:
        InputError: A synthesis lacks an utterance, or an audio file is unfit.
    """
    texts, originals = read_test_set(test_set)
    wavs: Dict[str, Dict[str, str]] = {}
    for directory in map(str, directories):
        files = read_table(Path(directory) / "wav.scp")
        missing = [utt for utt in texts if utt not in files]
        if missing:
            raise InputError(
                f"{directory}/wav.scp: utterance {missing[0]} is missing; "
                "remove the directory and synthesise again"
            )
        wavs[directory] = {utt: files[utt] for utt in texts}
    names = {f"{d} {u}": wav for d, own in wavs.items() for u, wav in own.items()}
    heard = recognize_files(names, recognizer, nj, cache_dir)
    # All syntheses of an utterance together: the original is read once.
    items = [
        (utt, originals[utt], [wavs[directory][utt] for directory in wavs])
        for utt in texts
    ]
    compared = parallel_map(_compare, items, nj, "compare")
    for place, directory in enumerate(wavs):
        rollout = _read_rollout(Path(directory))
        rows = []
        for (utt, text), comparisons in zip(texts.items(), compared):
            recognized = heard[f"{directory} {utt}"]
            right, total = rollout.get(utt, (None, None))
            rows.append(
                UtteranceScores(
                    utt,
                    *edit_counts(text, recognized),
                    *comparisons[place],
                    right,
                    total,
                    recognized,
                )
            )
        write_scores(Path(directory) / RESULT, rows)
        with atomic_path(Path(directory) / SCORED) as aside:
            digest = score_digest(Path(directory), Path(test_set))
            aside.write_text(f"{digest}\n", encoding="ascii")


def score_digest(directory: Path, test_set: Path) -> str:
    """Digest of what scores depend on; `stats.json` stands for the waves."""
    files = [test_set / "text", test_set / "wav.scp"]
    files += [directory / "wav.scp", directory / "stats.json"]
    found = [digest_file(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(" ".join(found).encode()).hexdigest()


def is_scored(directory: Path, test_set: Path) -> bool:
    """Whether there are scores of these waves against this test set.

    Scores without a digest, of a study begun before there was one, are taken as they
    are.
    """
    if not (directory / RESULT).is_file():
        return False
    scored = directory / SCORED
    if not scored.is_file():
        return True
    return scored.read_text(encoding="ascii").strip() == score_digest(
        directory, test_set
    )


def _compare(item: Tuple[str, str, List[str]]) -> List[Tuple]:
    utt, original, syntheses = item
    quiet = Notices(lambda message: None)
    reference = load_audio(original, FS, utt, quiet)
    found = []
    for path in syntheses:
        if path == original:
            found.append((None,) * 5)
            continue
        c = compare_acoustics(reference, load_audio(path, FS, utt, quiet))
        found.append(
            (c.mcd, c.squared_log_f0, c.num_voiced, c.seconds, c.reference_seconds)
        )
    return found


def _read_rollout(directory: Path) -> Mapping[str, Tuple[int, int]]:
    path = directory / "rollout.txt"
    if not path.is_file():
        return {}
    try:
        return {
            utt: tuple(int(x) for x in line.split(" ", 1))  # type: ignore[misc]
            for utt, line in read_table(path).items()
        }
    except ValueError:
        raise InputError(f"{path}: not lines `utt right total`; synthesise again")


def write_scores(path: Path, rows: Sequence[UtteranceScores]) -> None:
    """Write a line for each utterance, whole or not at all."""
    with atomic_path(path) as aside:
        with open(aside, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, [x.name for x in fields(UtteranceScores)])
            writer.writeheader()
            writer.writerows(map(asdict, rows))


def read_scores(path: Union[str, Path]) -> List[UtteranceScores]:
    """Read what `write_scores` wrote.

    Raises:
        InputError: If the file is missing or has another form.
    """
    path = Path(path)
    kinds = {x.name: x.type for x in fields(UtteranceScores)}

    def value(name: str, cell: str):
        kind = kinds[name]
        if kind is str:
            return cell
        if cell == "" and kind is not int:
            return None
        return int(cell) if kind in (int, Optional[int]) else float(cell)

    try:
        with open(path, newline="", encoding="utf-8") as f:
            return [
                UtteranceScores(**{k: value(k, v) for k, v in row.items()})
                for row in csv.DictReader(f)
            ]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the scoring stage") from None
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: not a table of scores; remove it, score again")
