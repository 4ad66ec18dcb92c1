"""Mel to wave."""

from functools import cached_property
from typing import Any, Dict, Optional, Protocol

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.fast_griffin_lim import fast_griffin_lim

# Of a spectrogram, as ESPnet's inversion has it.
FLOOR = 1e-10


class Vocoder(Protocol):
    """What turns a log-mel into a wave.

    Attributes:
        fs: Sampling rate of its output in Hz.
    """

    fs: int

    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), as the tokenizer decodes it, to a wave (L,)."""


class GriffinLim:
    """Fast Griffin-Lim on a mel inverted to a spectrogram.

    The inversion is that of ESPnet's `logmel2linear`.

    Args:
        fs: Sampling rate in Hz.
        n_fft: Length of the Fourier transform.
        n_shift: Hop in samples.
        n_mels: Mel bins.
        win_length: Window length in samples, `n_fft` if None.
        window: Window function.
        fmin: Lowest mel frequency in Hz.
        fmax: Highest mel frequency in Hz.
        num_iters: Iterations.
        seed: Of the initial phases.
    """

    def __init__(
        self,
        fs: int,
        n_fft: int,
        n_shift: int,
        n_mels: int,
        win_length: Optional[int] = None,
        window: str = "hann",
        fmin: Optional[int] = None,
        fmax: Optional[int] = None,
        num_iters: int = 32,
        seed: int = 0,
    ):
        self.fs = fs
        self.num_iters = num_iters
        self.seed = seed
        self._mel = dict(fs=fs, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
        self._hop = n_shift
        # As ESPnet's STFT finds it.
        self._window = getattr(torch, f"{window}_window")(win_length or n_fft)

    @cached_property
    def _inverse(self) -> torch.Tensor:
        """Mel to linear frequency, (n_mels, n_fft / 2 + 1)."""
        import librosa

        known = {key: x for key, x in self._mel.items() if x is not None}
        basis = librosa.filters.mel(sr=known.pop("fs"), **known)
        return torch.from_numpy(np.ascontiguousarray(np.linalg.pinv(basis).T))

    @torch.no_grad()
    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (L,), float32."""
        linear = torch.pow(10.0, mel.cpu().float()) @ self._inverse
        return fast_griffin_lim(
            linear.clamp_min(FLOOR),
            self._window,
            self._hop,
            self.num_iters,
            seed=self.seed,
        )


VOCODERS = {"griffin_lim": GriffinLim}


def build_vocoder(
    name: str, mel_parameters: Dict[str, Any], conf: Optional[Dict[str, Any]] = None
) -> Vocoder:
    """Make a vocoder by name.

    Args:
        name: One of `VOCODERS`.
        mel_parameters: What the mels are (`LogMelFbank.get_parameters()`).
        conf: Its own options.
    """
    if name not in VOCODERS:
        raise InputError(f"vocoder {name!r} is unknown; choose one of {list(VOCODERS)}")
    return VOCODERS[name](**mel_parameters, **(conf or {}))
