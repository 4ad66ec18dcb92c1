"""The small constant offset between a recording and its copy.

A vocoder or a filter may delay all of an utterance by a few milliseconds, which no ear
minds but which measures that compare sample by sample or frame by frame do.
"""

from typing import Tuple

import numpy as np

MAX_SECONDS = 0.02
_NUM_BANDS = 16
_WINDOW_SECONDS = 0.01
_STEP_SECONDS = 0.0005


def find_offset(reference: np.ndarray, wave: np.ndarray, fs: int) -> int:
    """Find by how much a copy is late.

    The offset at which the envelopes of 16 bands correlate best over what both have:
    cross-correlation, but of envelopes and not of samples. Most vocoders make phases
    anew, and samples then correlate as well a pitch period beside the right place.
    For a copy that smears time, as Griffin-Lim does, it is right to about a
    millisecond. It is a constant offset; time has to run at the same rate.

    Args:
        reference: Samples `(n,)`.
        wave: Samples `(m,)` of the copy.
        fs: Sampling rate of both in Hz.

    Returns:
        Samples by which `wave` is later than `reference`, between -20 and 20 ms, in
        steps of 0.5 ms; 0 if nothing moves or there is too little.
    """
    step = max(1, round(_STEP_SECONDS * fs))
    a, b = _envelopes(reference, fs, step), _envelopes(wave, fs, step)
    most = min(round(MAX_SECONDS * fs / step), len(a) - 2, len(b) - 2)
    # Small offsets first: of equals the smallest wins.
    best, found = -np.inf, 0
    for lag in sorted(range(-most, most + 1), key=abs):
        x, y = a[max(0, -lag) :], b[max(0, lag) :]
        length = min(len(x), len(y))
        likeness = _correlation(x[:length], y[:length])
        if likeness > best + 1e-9:
            best, found = likeness, lag * step
    return found


def _envelopes(wave: np.ndarray, fs: int, step: int) -> np.ndarray:
    """Compressed envelopes (T, bands), a frame every `step` samples; T may be 0."""
    from scipy.signal import get_window

    size = 2 * round(_WINDOW_SECONDS * fs / 2)
    if len(wave) < size:
        return np.empty((0, _NUM_BANDS))
    # Whole windows alone: the edge of a cut is a click in every band.
    wave = np.asarray(wave, dtype=np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::step]
    power = np.square(np.abs(np.fft.rfft(frames * get_window("hann", size))))
    # Equal parts of the spectrum up to 8 kHz.
    edges = np.linspace(0, min(8000, fs / 2) * size / fs, _NUM_BANDS + 1)
    *places, end = np.unique(edges.round().astype(int))
    # The cube root: as loudness, it lets quiet sounds count beside loud ones.
    return np.cbrt(np.add.reduceat(power[:, :end], places, axis=1))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation over time of (T, bands), pooled; 0 where nothing moves."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-12 else 0.0


def in_time(
    reference: np.ndarray, wave: np.ndarray, offset: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Cut both to what they have in common.

    Args:
        reference: Samples `(n,)`.
        wave: Samples `(m,)`, late by `offset` samples.
        offset: See :func:`find_offset`.

    Returns:
        Parts of both `(k,)` that belong together.
    """
    a, b = reference[max(0, -offset) :], wave[max(0, offset) :]
    length = min(len(a), len(b))
    return a[:length], b[:length]
