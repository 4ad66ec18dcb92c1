"""A log-mel of one kind turned into one of another, as far as it can be.

The mel is inverted to a magnitude spectrum (least squares, as Griffin-Lim does), that
is read at the other's frequencies and times, and other bins are laid over it. What the
first mel does not hold, such as what lies above its highest bin, stays silent. Where
windows and bins are like each other the error is some decibels; a vocoder that was
trained on the very mels is better.
"""

from typing import Any, Dict

import librosa
import numpy as np
import torch

from espnet_fsqdiff.token2wav.mel import MelParameters, completed

EPS = 1e-10  # ESPnet's floor of a mel


def filters(mel: MelParameters, norm: Any = "slaney") -> np.ndarray:
    """Weights of the bins (n_mels, n_fft / 2 + 1).

    Args:
        mel: Its parameters.
        norm: How bins are normalised: `slaney` (ESPnet, by area) or None (by height).
    """
    m = completed(mel)
    options: Dict[str, Any] = {k: m[k] for k in ("n_fft", "n_mels", "fmin", "fmax")}
    return librosa.filters.mel(sr=m["fs"], htk=m["htk"], norm=norm, **options)


class MelConverter:
    """Base-10 log-mels of ESPnet's kind to log-mels of another kind.

    Args:
        source: What they are.
        target: What they become; centred frames as well.
        norm: How the target's bins are normalised, see `filters`.
    """

    def __init__(self, source: MelParameters, target: MelParameters, norm: Any):
        ours, theirs = completed(source), completed(target)
        self.inverse = np.linalg.pinv(filters(source))
        self.filters = filters(target, norm)
        # Frequencies and times of the target, in places of the source's grid.
        hertz = np.arange(theirs["n_fft"] // 2 + 1) * theirs["fs"] / theirs["n_fft"]
        self.places = hertz * ours["n_fft"] / ours["fs"]
        # A sinusoid has the same sum over frequencies, in Hz, per window of a second.
        self.gain = theirs["fs"] / ours["fs"]
        self.step = (theirs["n_shift"] / theirs["fs"]) / (ours["n_shift"] / ours["fs"])

    def __call__(self, mel: torch.Tensor) -> np.ndarray:
        """Log-mel (F, n), base 10, to mels (F', m) on a linear scale."""
        inverted = self.inverse @ np.power(10.0, mel.cpu().numpy().T)
        log = np.log(np.maximum(inverted, EPS))  # (bins, F)
        bins, frames = log.shape
        # Whole frames of the target within the time of the source.
        times = np.arange(max(1, round(frames / self.step))) * self.step
        log = _read(log.T, np.minimum(times, frames - 1)).T
        found = np.full((len(self.places), len(times)), np.log(EPS))
        inside = self.places <= bins - 1
        found[inside] = _read(log, self.places[inside])
        return (self.filters @ (self.gain * np.exp(found))).T


def _read(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows (N, D) at places (M,) from 0 to N - 1, between two by straight lines."""
    low = places.astype(int)
    high = np.minimum(low + 1, len(rows) - 1)
    part = (places - low)[:, None]
    return rows[low] * (1 - part) + rows[high] * part
