"""Mel to wave."""

from functools import cached_property
from typing import List, Optional, Protocol, Sequence

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import in_range
from espnet_fsqdiff.token2wav.fast_griffin_lim import fast_griffin_lim
from espnet_fsqdiff.token2wav.mel import MelParameters

# Of a spectrogram, as ESPnet's inversion has it.
FLOOR = 1e-10
MAX_ITERS = 1000
# numpy's.
MAX_SEED = 2**32 - 1


class Vocoder(Protocol):
    """What turns a log-mel into a wave.

    Attributes:
        fs: Sampling rate of its output in Hz.
        mel: What the mels are that it was made for, see `token2wav.mel`.
    """

    fs: int
    mel: MelParameters

    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (L,), float32, on the CPU."""

    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """Several mels at once; each gets the wave it would get alone."""


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
        htk: Whether the bins lie on HTK's scale, which it cannot invert.
        num_iters: Iterations.
        seed: Of the initial phases.

    Raises:
        InputError: If the mels are of HTK's scale, or `num_iters` or `seed` is out of
            range.
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
        htk: bool = False,
        num_iters: int = 32,
        seed: int = 0,
    ):
        in_range("griffin_lim", "num_iters", num_iters, 0, MAX_ITERS)
        in_range("griffin_lim", "seed", seed, 0, MAX_SEED)
        if htk:
            raise InputError("griffin_lim: mels of HTK's scale are not for it")
        self.fs = fs
        self.num_iters = num_iters
        self.seed = seed
        top = fs // 2 if fmax is None else fmax
        self._hop = n_shift
        # As ESPnet's STFT finds it.
        self._window = getattr(torch, f"{window}_window")(win_length or n_fft)
        self._mel = dict(fs=fs, n_fft=n_fft, n_mels=n_mels, fmin=fmin or 0, fmax=top)
        self.mel: MelParameters = dict(
            **self._mel, n_shift=n_shift, win_length=win_length, window=window
        )

    @cached_property
    def _inverse(self) -> torch.Tensor:
        """Mel to linear frequency, (n_mels, n_fft / 2 + 1)."""
        import librosa

        others = {name: x for name, x in self._mel.items() if name != "fs"}
        basis = librosa.filters.mel(sr=self.fs, **others)
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

    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """Mels one after the other."""
        return [self(mel) for mel in mels]


def griffin_lim(
    mel: MelParameters, device: str = "cpu", num_iters: int = 32, seed: int = 0
) -> GriffinLim:
    """Griffin-Lim for mels; it runs on the CPU, whatever the device."""
    return GriffinLim(**mel, num_iters=num_iters, seed=seed)
