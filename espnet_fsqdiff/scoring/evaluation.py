"""Scores of a test set: originals and systems, from audio files to figures."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np

from espnet_fsqdiff.data.audio import Notices, load_audio
from espnet_fsqdiff.data.datadir import read_prompts, read_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.acoustic import (
    FS,
    AcousticComparison,
    compare_acoustics,
    summarize,
)
from espnet_fsqdiff.scoring.parallel import parallel_map
from espnet_fsqdiff.scoring.recognizer import AbsRecognizer, recognize_files
from espnet_fsqdiff.scoring.text import error_rates, normalize_text

if TYPE_CHECKING:
    from espnet_fsqdiff.scoring.similarity import SpeakerModel

ORIGINAL = "original"
# Other entries of scores.json.
RESERVED_NAMES = (ORIGINAL, "tokens", "duration", "wall_seconds")


@dataclass
class SystemScores:
    """One system on one test set.

    Attributes:
        name: `original`, `resynthesis`, `synthesis`, ...
        wavs: Audio file by utterance id.
        recognized: Recognised text by utterance id.
        scores: Figures over the test set.
    """

    name: str
    wavs: Dict[str, str]
    recognized: Dict[str, str] = field(default_factory=dict)
    scores: Dict[str, Any] = field(default_factory=dict)


def read_json(path: Union[str, Path], stage: str) -> Dict[str, Any]:
    """Read an object of figures; entries that are no finite number are left out.

    Args:
        path: The file.
        stage: What makes it, for the message.

    Raises:
        InputError: It is missing or no JSON object.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run {stage}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path}: no JSON ({e}); run {stage} again") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: no JSON object; run {stage} again")
    return _known(data)


def _known(data: Dict[str, Any]) -> Dict[str, Any]:
    """Drop nulls and numbers that are not finite, at every depth."""
    known = {}
    for key, value in data.items():
        if isinstance(value, dict):
            known[key] = _known(value)
        elif value is not None and not (
            isinstance(value, float) and not math.isfinite(value)
        ):
            known[key] = value
    return known


def read_wall_seconds(
    path: Union[str, Path], before: Optional[int] = None
) -> Dict[str, Tuple[str, float]]:
    """Read `exp/wall_seconds.txt`.

    Args:
        path: Lines `<stage number> <name> <seconds>`; the last of a stage counts.
        before: Leave out this stage and those after it. A report that is made again
            would count its own first making otherwise.

    Returns:
        `{stage number: (name, seconds)}` by rising stage.

    Raises:
        InputError: It is missing or a line has another form.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; run a stage of the recipe")
    stages: Dict[str, Tuple[str, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            stage, name, seconds = fields[0], " ".join(fields[1:-1]), float(fields[-1])
            if len(fields) < 3 or not stage.isdecimal() or not math.isfinite(seconds):
                raise ValueError
        except ValueError:
            raise InputError(
                f"{path}:{number}: not '<stage number> <name> <seconds>'; "
                "remove the line"
            ) from None
        stages[stage] = (name, seconds)
    kept = [s for s in stages if before is None or int(s) < before]
    return {stage: stages[stage] for stage in sorted(kept, key=int)}


def read_references(ref_dir: Union[str, Path]) -> Tuple[Dict[str, str], Dict[str, str]]:
    """Read the audio files and texts of the originals.

    Raises:
        InputError: A file is missing, the two name different utterances, or a
            text has no word.
    """
    ref_dir = Path(ref_dir)
    wavs, texts = read_table(ref_dir / "wav.scp"), read_table(ref_dir / "text")
    if not wavs:
        raise InputError(f"{ref_dir}/wav.scp: no utterance in it; run stage 3 again")
    if wavs.keys() != texts.keys():
        utt = min(wavs.keys() ^ texts.keys())
        lacking = "text" if utt in wavs else "wav.scp"
        raise InputError(
            f"{ref_dir}/{lacking}: utterance {utt} is missing; "
            "give wav.scp and text the same utterances"
        )
    for utt, text in texts.items():
        if not normalize_text(text):
            raise InputError(
                f"{ref_dir}/text: the text of utterance {utt} has no word; "
                "write it or remove the utterance"
            )
    return wavs, texts


def read_system(
    name: str, system_dir: Union[str, Path], utts: Mapping[str, Any]
) -> SystemScores:
    """Read `wav.scp` and, if it is there, `stats.json` of a system.

    Utterances of the system that are not in `utts` are passed over, so that a part
    of a test set can be scored.

    Raises:
        InputError: The system lacks one of `utts`.
    """
    system_dir = Path(system_dir)
    if not (system_dir / "wav.scp").is_file():
        raise InputError(
            f"{system_dir}/wav.scp: no such file; run the stage that makes the "
            f"{name} (12: synthesis)"
        )
    wavs = read_table(system_dir / "wav.scp")
    for utt in utts:
        if utt not in wavs:
            raise InputError(
                f"{system_dir}/wav.scp: utterance {utt} of the originals is missing in "
                f"the {name}; run stage 12 (synthesis) again"
            )
    scores = {}
    if (system_dir / "stats.json").is_file():
        scores = read_json(system_dir / "stats.json", "stage 12 (synthesis)")
    return SystemScores(name, {utt: wavs[utt] for utt in utts}, scores=scores)


def _check_file(item: Tuple[str, str]) -> None:
    utt, path = item
    load_audio(path, FS, utt, Notices(lambda message: None))


def _compare_files(item: Tuple[str, str, str, str]) -> AcousticComparison:
    utt_a, path_a, utt_b, path_b = item
    quiet = Notices(lambda message: None)
    return compare_acoustics(
        load_audio(path_a, FS, utt_a, quiet), load_audio(path_b, FS, utt_b, quiet)
    )


def evaluate(
    ref_dir: Union[str, Path],
    system_dirs: Mapping[str, Union[str, Path]],
    recognizer: AbsRecognizer,
    nj: int = 1,
    cache_dir: Union[None, str, Path] = None,
    speaker_model: Optional["SpeakerModel"] = None,
) -> Tuple[Dict[str, str], List[SystemScores]]:
    """Score originals and systems on one test set.

    Args:
        ref_dir: Data directory of the originals (`wav.scp`, `text`).
        system_dirs: By name, directories with `wav.scp` and perhaps `stats.json`,
            the entries of which join the scores of that system.
        recognizer: Judge of the error rates.
        nj: Number of processes.
        cache_dir: Where recognised texts are kept; see :func:`recognize_files`.
        speaker_model: What compares voices: with the prompts if `ref_dir` has some,
            else with the originals. None leaves that out.

    Returns:
        The texts by utterance id, and the originals followed by the systems.

    Raises:
        InputError: An utterance is missing in a system, or an audio file is
            missing, damaged, empty, silent or has samples that are not numbers.
    """
    for name in system_dirs:
        if name in RESERVED_NAMES:
            raise InputError(f"a system cannot be called {name}; give another name")
    wavs, texts = read_references(ref_dir)
    systems = [SystemScores(ORIGINAL, wavs)]
    systems += [read_system(name, path, wavs) for name, path in system_dirs.items()]

    # Of all that can be wrong with the audio, before the long work.
    named = {f"{s.name} {utt}": path for s in systems for utt, path in s.wavs.items()}
    parallel_map(_check_file, list(named.items()), 1, "check audio", "file")

    recognized = recognize_files(named, recognizer, nj, cache_dir)
    for s in systems:
        s.recognized = {utt: recognized[f"{s.name} {utt}"] for utt in s.wavs}
        rates = error_rates(
            [texts[utt] for utt in s.wavs], [s.recognized[utt] for utt in s.wavs]
        )
        s.scores = {**rates, **{k: v for k, v in s.scores.items() if k not in rates}}

    pairs = [
        (f"{ORIGINAL} {utt}", wavs[utt], f"{s.name} {utt}", s.wavs[utt])
        for s in systems[1:]
        for utt in wavs
    ]
    comparisons = parallel_map(_compare_files, pairs, nj, "compare")
    for number, s in enumerate(systems[1:]):
        distances = comparisons[number * len(wavs) : (number + 1) * len(wavs)]
        s.scores.update(summarize(distances))
    if speaker_model is not None:
        _compare_voices(systems, ref_dir, speaker_model, nj)
    return texts, systems


def _compare_voices(
    systems: List[SystemScores],
    ref_dir: Union[str, Path],
    model: "SpeakerModel",
    nj: int,
) -> None:
    """Add the mean similarity to the scores, of originals too if there are prompts."""
    # It needs torch, which every process of a pool would load.
    from espnet_fsqdiff.scoring.similarity import similarities

    originals = systems[0].wavs
    prompts = read_prompts(ref_dir, originals)[0]
    compared = systems if prompts else systems[1:]
    wavs = {s.name: s.wavs for s in compared}
    found = similarities(wavs, prompts or originals, model, nj)
    for s in compared:
        s.scores["speaker_similarity"] = float(np.mean(found[s.name]))
