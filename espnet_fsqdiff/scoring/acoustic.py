"""Acoustic distance of two readings of one text, after alignment in time."""

import math
import warnings
from dataclasses import dataclass
from typing import Dict, Iterable, Optional, Tuple

import numpy as np

# Everything is compared at one rate, or figures of two recipes would differ by
# the band alone.
FS = 16000
FRAME_SHIFT_MS = 5.0
# By sampling rate, c0 among them: orders 24 and 34, the usual ones at 16 and 24 kHz.
NUM_CEPSTRA = {FS: 25, 24000: 35}

# Mel-cepstra (T, C) and F0 (T,) of an utterance.
Features = Tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class AcousticComparison:
    """What :func:`compare_acoustics` finds.

    Attributes:
        mcd: Mel-cepstral distortion in dB.
        squared_log_f0: Sum of the squared differences of log F0.
        num_voiced: Number of frames in that sum, those voiced on both sides.
        reference_seconds: Length of the reference.
        seconds: Length of the other.
        voicing_errors: Number of pairs of frames of which one is voiced alone.
        num_frames: Number of pairs of frames.
    """

    mcd: float
    squared_log_f0: float
    num_voiced: int
    reference_seconds: float
    seconds: float
    voicing_errors: int
    num_frames: int

    @property
    def log_f0_rmse(self) -> Optional[float]:
        """Root mean square error of log F0 in nats; None if nothing is voiced."""
        if self.num_voiced == 0:
            return None
        return math.sqrt(self.squared_log_f0 / self.num_voiced)

    @property
    def voicing_error(self) -> float:
        """Share of pairs of which one frame is voiced alone, 0 to 1."""
        return self.voicing_errors / self.num_frames


def world_features(wave: np.ndarray, fs: int = FS) -> Features:
    """Analyse speech with WORLD.

    F0 is DIO's, refined by StoneMask (Harvest takes thirty times as long); the
    envelope is CheapTrick's.

    Args:
        wave: Samples `(n,)`.
        fs: Sampling rate in Hz, 16000 or 24000.

    Returns:
        Mel-cepstra `(T, C)` of the log amplitude, in the convention
        `log|H(w)| = c_0 + sum_k c_k cos(k w)` with `w` on the mel scale, C = 25 at
        16 kHz and 35 at 24 kHz, and F0 in Hz `(T,)`, 0 where unvoiced; a frame
        every 5 ms.

    Raises:
        ValueError: There is no number of cepstra for the sampling rate.
    """
    if fs not in NUM_CEPSTRA:
        raise ValueError(f"mel-cepstra at {fs} Hz; known: {sorted(NUM_CEPSTRA)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld imports pkg_resources
        import pyworld

    wave = np.ascontiguousarray(wave, dtype=np.float64)
    f0, times = pyworld.dio(wave, fs, frame_period=FRAME_SHIFT_MS)
    f0 = pyworld.stonemask(wave, f0, times, fs)
    envelope = pyworld.cheaptrick(wave, f0, times, fs)
    # WORLD's DCT is orthonormal over the log power: sqrt(2) times the above.
    coded = pyworld.code_spectral_envelope(envelope, fs, NUM_CEPSTRA[fs])
    return coded / math.sqrt(2.0), f0


def align(a: np.ndarray, b: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Align two sequences by dynamic time warping.

    The path from the first pair of frames to the last with the smallest sum of
    Euclidean distances, where each step goes on by a frame on either side or on
    both. The sums are found one antidiagonal at a time, as array operations.

    Args:
        a: Features `(T_a, n)`.
        b: Features `(T_b, n)`.

    Returns:
        Indices of frames in `a` and in `b`, both `(L,)`.
    """
    from scipy.spatial.distance import cdist

    rows, columns = len(a), len(b)
    mirrored = np.fliplr(cdist(a, b))
    # total[i] is the best sum that ends in (i, d - i), for the two last d.
    before = np.full(rows + 1, np.inf)
    last = np.full(rows + 1, np.inf)
    step = np.zeros((rows + columns - 1, rows), dtype=np.uint8)
    for d in range(rows + columns - 1):
        first, end = max(0, d - columns + 1), min(rows, d + 1)
        # Entry i + 1 belongs to row i; entry 0 stands outside.
        ways = np.stack([before[first:end], last[first:end], last[first + 1 : end + 1]])
        if d == 0:
            ways[0, 0] = 0.0
        choice = ways.argmin(axis=0)
        step[d, first:end] = choice
        total = np.full(rows + 1, np.inf)
        total[first + 1 : end + 1] = ways[choice, np.arange(end - first)]
        total[first + 1 : end + 1] += mirrored.diagonal(columns - 1 - d)
        before, last = last, total
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i or j:
        how = step[i + j, i]
        i, j = i - (how != 2), j - (how != 1)
        path.append((i, j))
    pairs = np.array(path[::-1])
    return pairs[:, 0], pairs[:, 1]


def compare_acoustics(
    reference: np.ndarray, wave: np.ndarray, fs: int = FS, warp: bool = True
) -> AcousticComparison:
    """Compare speech with a reference reading of the same text.

    Mel-cepstral distortion is the mean over the aligned pairs of frames of

        10 / ln 10 * sqrt(2 * sum_{k=1}^{C-1} (c_k - c'_k)^2)   in dB,

    without c_0, so that loudness does not count; C = 25 at 16 kHz and 35 at 24 kHz,
    whose figures are not to be compared. Log F0 is compared along the same
    alignment wherever both frames are voiced. Pauses and edges count as all else
    does.

    Args:
        reference: Samples `(n,)`.
        wave: Samples `(m,)`.
        fs: Sampling rate of both in Hz, 16000 or 24000.
        warp: Align by dynamic time warping. Otherwise frame t is compared with
            frame t, which is for copies in time with the reference (see
            :mod:`espnet_fsqdiff.scoring.offset`); the longer one's end is left out.

    Raises:
        ValueError: The sampling rate is another.
    """
    return compare_features(
        world_features(reference, fs),
        world_features(wave, fs),
        warp,
        (len(reference) / fs, len(wave) / fs),
    )


def compare_features(
    reference: Features,
    features: Features,
    warp: bool,
    seconds: Tuple[float, float],
) -> AcousticComparison:
    """Compare what `world_features` found; see :func:`compare_acoustics`.

    Args:
        reference: Features of the reference.
        features: Features of the other.
        warp: Whether to align by dynamic time warping.
        seconds: Lengths of both.
    """
    (cepstra_a, f0_a), (cepstra_b, f0_b) = reference, features
    if warp:
        i, j = align(cepstra_a[:, 1:], cepstra_b[:, 1:])
    else:
        i = j = np.arange(min(len(f0_a), len(f0_b)))
    difference = cepstra_a[i, 1:] - cepstra_b[j, 1:]
    distance = np.sqrt(2.0 * np.square(difference).sum(axis=1))
    voiced_a, voiced_b = f0_a[i] > 0, f0_b[j] > 0
    voiced = voiced_a & voiced_b
    log_ratio = np.log(f0_a[i][voiced] / f0_b[j][voiced])
    return AcousticComparison(
        mcd=float(10.0 / math.log(10.0) * distance.mean()),
        squared_log_f0=float(np.square(log_ratio).sum()),
        num_voiced=int(voiced.sum()),
        reference_seconds=seconds[0],
        seconds=seconds[1],
        voicing_errors=int((voiced_a != voiced_b).sum()),
        num_frames=len(i),
    )


def summarize(comparisons: Iterable[AcousticComparison]) -> Dict[str, float]:
    """Reduce the comparisons of a test set to its figures.

    Returns:
        `mcd` (mean over utterances, dB), `log_f0_rmse` (over the voiced frames of
        all utterances, nats; absent if there are none) and `duration_ratio` (total
        length over that of the references).
    """
    comparisons = list(comparisons)
    scores = {"mcd": float(np.mean([c.mcd for c in comparisons]))}
    num_voiced = sum(c.num_voiced for c in comparisons)
    if num_voiced:
        squared = sum(c.squared_log_f0 for c in comparisons)
        scores["log_f0_rmse"] = math.sqrt(squared / num_voiced)
    scores["duration_ratio"] = sum(c.seconds for c in comparisons) / sum(
        c.reference_seconds for c in comparisons
    )
    return scores
