"""Mel to wave."""

from typing import Any, Dict, Optional, Protocol

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError


class Vocoder(Protocol):
    """What turns a log-mel into a wave.

    Attributes:
        fs: Sampling rate of its output in Hz.
    """

    fs: int

    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), as the tokenizer decodes it, to a wave (L,)."""


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
        self._stft = dict(
            n_fft=n_fft, hop_length=n_shift, win_length=win_length, window=window
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
