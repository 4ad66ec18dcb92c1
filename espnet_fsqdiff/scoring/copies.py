"""How far copies of recordings are from them: vocoders, codecs, token-to-wave.

A copy is in time with its recording, which a reading of the same text is not; for
readings see `scoring.evaluation`.
"""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from espnet_fsqdiff.data.audio import read_audio, resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.acoustic import (
    FS,
    compare_acoustics,
    compare_features,
    world_features,
)
from espnet_fsqdiff.scoring.cache import ContentCache, keep_result, read_result
from espnet_fsqdiff.scoring.offset import find_offset, in_time
from espnet_fsqdiff.scoring.parallel import parallel_map
from espnet_fsqdiff.scoring.perceptual import (
    installed,
    intelligibility,
    versions,
    wideband_pesq,
)

FULL_FS = 24000
# Ends may be rounded to whole frames or tokens.
MAX_LENGTH_DIFFERENCE = 0.25
# Raised when a measure changes, so that results kept before do not count.
_VERSION = 1


@dataclass(frozen=True)
class CopyScores:
    """Measures of one copy; all at 16 kHz but one, and after the offset is taken out.

    Attributes:
        seconds: What both have in common.
        offset: By how much the copy is late, in seconds; see `scoring.offset`.
        pesq: Wide-band PESQ, 1.0 to 4.64; None if it is not installed or finds no
            speech.
        stoi: STOI, at most 1; None if pystoi is not installed or there is less than
            0.4 s of sound.
        estoi: Extended STOI, likewise.
        mcd: Mel-cepstral distortion in dB, frame by frame.
        mcd_warped: The same after dynamic time warping.
        mcd_24k: The same as `mcd` at 24 kHz with 35 cepstra; None if a file has a
            lower rate.
        squared_log_f0: Sum of squared differences of log F0 in nats^2, frame by frame.
        num_voiced: Frames in that sum, voiced on both sides.
        voicing_errors: Frames that are voiced on one side alone.
        num_frames: Frames, one every 5 ms.
    """

    seconds: float
    offset: float
    pesq: Optional[float]
    stoi: Optional[float]
    estoi: Optional[float]
    mcd: float
    mcd_warped: float
    mcd_24k: Optional[float]
    squared_log_f0: float
    num_voiced: int
    voicing_errors: int
    num_frames: int


Sound = Tuple[np.ndarray, int]


def compare_copy(reference: Sound, copy: Sound) -> CopyScores:
    """Measure a copy.

    Args:
        reference: Samples `(n,)` and their rate in Hz.
        copy: Samples `(m,)` and their rate in Hz.

    Raises:
        ValueError: Lengths differ by more than 0.25 s.
    """
    lengths = [len(wave) / rate for wave, rate in (reference, copy)]
    if abs(lengths[0] - lengths[1]) > MAX_LENGTH_DIFFERENCE:
        raise ValueError(f"{lengths[1]:.2f} s is no copy of {lengths[0]:.2f} s")
    a, b = (resample(wave, rate, FS) for wave, rate in (reference, copy))
    offset = find_offset(a, b, FS)
    a, b = in_time(a, b, offset)
    features = world_features(a), world_features(b)
    seconds = len(a) / FS
    aligned, warped = (
        compare_features(*features, warp, (seconds, seconds)) for warp in (False, True)
    )
    has_stoi = installed("pystoi")
    return CopyScores(
        seconds=seconds,
        offset=offset / FS,
        pesq=wideband_pesq(a, b) if installed("pesq") else None,
        stoi=intelligibility(a, b) if has_stoi else None,
        estoi=intelligibility(a, b, extended=True) if has_stoi else None,
        mcd=aligned.mcd,
        mcd_warped=warped.mcd,
        mcd_24k=_full_band(reference, copy, offset / FS),
        squared_log_f0=aligned.squared_log_f0,
        num_voiced=aligned.num_voiced,
        voicing_errors=aligned.voicing_errors,
        num_frames=aligned.num_frames,
    )


def _full_band(reference: Sound, copy: Sound, offset: float) -> Optional[float]:
    """Mel-cepstral distortion at 24 kHz, frame by frame, if both have that band."""
    if min(reference[1], copy[1]) < FULL_FS:
        return None
    a, b = (resample(wave, rate, FULL_FS) for wave, rate in (reference, copy))
    a, b = in_time(a, b, round(offset * FULL_FS))
    return compare_acoustics(a, b, FULL_FS, warp=False).mcd


def settings() -> Dict[str, Any]:
    """All that measures depend on beside the audio."""
    return dict(versions(), pyworld=version("pyworld"), measures=_VERSION)


def _compare_files(item: Tuple[str, str, str, Optional[Path]]) -> CopyScores:
    name, reference, copy, kept = item
    pair = [read_audio(path, name)[:2] for path in (reference, copy)]
    try:
        scores = compare_copy(*pair)
    except ValueError as e:
        raise InputError(
            f"{name}: {copy}: {e}; for readings of the text use bin/score"
        ) from None
    if kept is not None:
        keep_result(kept, asdict(scores))
    return scores


def compare_files(
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    nj: int = 1,
    cache_dir: Union[None, str, Path] = None,
) -> Dict[str, Dict[str, CopyScores]]:
    """Measure the copies that systems made.

    Args:
        references: Audio file by utterance id.
        systems: By name, an audio file for each of the same utterances.
        nj: Number of processes.
        cache_dir: Where measures are kept; a pair of files whose content was compared
            by the same versions is not compared again. None keeps nothing.

    Returns:
        By system and utterance id.

    Raises:
        InputError: A file is missing, damaged, empty or silent, or no copy.
    """
    cache = ContentCache(cache_dir, settings()) if cache_dir else None
    found: Dict[str, Dict[str, CopyScores]] = {name: {} for name in systems}
    todo, items = [], []
    for name, copies in systems.items():
        for utt, reference in references.items():
            for path in (reference, copies[utt]):
                if not Path(path).is_file():
                    raise InputError(f"{utt}: no audio file {path}; correct wav.scp")
            kept = cache.path(reference, copies[utt]) if cache else None
            known = read_result(kept) if kept else None
            if known is None:
                todo.append((name, utt))
                items.append((f"{name} {utt}", reference, copies[utt], kept))
            else:
                found[name][utt] = CopyScores(**known)
    for (name, utt), scores in zip(
        todo, parallel_map(_compare_files, items, nj, "compare")
    ):
        found[name][utt] = scores
    return {name: {u: scores[u] for u in references} for name, scores in found.items()}
