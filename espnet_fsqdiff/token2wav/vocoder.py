"""Mel to wave."""

from typing import List, Optional, Protocol, Sequence

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.mel import MelParameters


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
    """Fast Griffin-Lim (Perraudin et al., 2013) on a mel inverted to a spectrogram.

    The inversion is ESPnet's, the iteration librosa's.

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
        InputError: If the mels are of HTK's scale.
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
        if htk:
            raise InputError("griffin_lim: mels of HTK's scale are not for it")
        self.fs = fs
        self.num_iters = num_iters
        self.seed = seed
        # ESPnet's inversion takes whole Hz alone, also where it finds them itself.
        top = fs // 2 if fmax is None else fmax
        self._mel = dict(fs=fs, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=top)
        self._stft = dict(
            n_fft=n_fft, hop_length=n_shift, win_length=win_length, window=window
        )
        self.mel: MelParameters = dict(
            **self._mel, n_shift=n_shift, win_length=win_length, window=window
        )

    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (L,), float32."""
        import librosa
        from espnet2.utils.griffin_lim import logmel2linear

        linear = logmel2linear(mel.detach().cpu().numpy(), **self._mel)
        wav = librosa.griffinlim(
            np.abs(linear.T),
            n_iter=self.num_iters,
            random_state=self.seed,
            **self._stft,
        )
        return torch.from_numpy(np.ascontiguousarray(wav, dtype=np.float32))

    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """Mels one after the other."""
        return [self(mel) for mel in mels]


def griffin_lim(
    mel: MelParameters, device: str = "cpu", num_iters: int = 32, seed: int = 0
) -> GriffinLim:
    """Griffin-Lim for mels; it runs on the CPU, whatever the device."""
    return GriffinLim(**mel, num_iters=num_iters, seed=seed)
