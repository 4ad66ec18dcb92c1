"""Inverse-STFT generator, after Vocos (Siuzdak, 2023, arXiv 2306.00814).

The network stays at the frame rate: it gives every frame's spectrum, magnitude and
phase, and the inverse STFT makes the wave of it.
"""

from typing import List, Optional, Sequence

import torch
from torch import nn

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.kernel_cache import rounded_length
from espnet_fsqdiff.nets.convnext import ConvNeXtStack
from espnet_fsqdiff.nets.masks import length_mask, pad_batch
from espnet_fsqdiff.vocoder.generator import Generator, whole_ratio

MAX_MAGNITUDE = 100.0


def spectrum_of(log_magnitude: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """The complex spectrum min(exp(m), 100) (cos p + i sin p), any real p."""
    magnitude = log_magnitude.exp().clamp(max=MAX_MAGNITUDE)
    return torch.complex(magnitude * phase.cos(), magnitude * phase.sin())


def inverse_stft(
    spectrum: torch.Tensor, hop: int, window: torch.Tensor
) -> torch.Tensor:
    """Spectra to waves of one hop a frame.

    The inverse of `torch.stft(..., center=True, normalized=True)`, exact for a wave
    whose samples the frames cover: frame t is centred on sample t * hop.

    Args:
        spectrum: Complex, (B, T, n_fft / 2 + 1).
        hop: Samples between frames, at most a third of a window.
        window: Window (n_fft,).

    Returns:
        Waves (B, T * hop).
    """
    return torch.istft(
        spectrum.transpose(1, 2),
        n_fft=window.numel(),
        hop_length=hop,
        window=window,
        center=True,
        normalized=True,
        length=spectrum.size(1) * hop,
    )


class ISTFTGenerator(Generator):
    """Conv1d, ConvNeXt blocks, LayerNorm, magnitude and phase, inverse STFT.

    Args:
        n_mels: Mel bins.
        hop: Samples in a mel frame.
        hidden_size: Channels.
        num_blocks: ConvNeXt blocks.
        mult: Width of a block's inside, as a multiple of `hidden_size`.
        kernel_size: Frames that a convolution sees, odd.
        frames_per_mel: STFT frames in a mel frame. Mels of 20 ms are slow for a
            phase that turns many times meanwhile; two frames of 10 ms cost twice.
        n_fft: Of the inverse STFT, even, at least three of its hops; by default four.

    Raises:
        InputError: If the frames do not fit into the hop or the window.
    """

    def __init__(
        self,
        n_mels: int,
        hop: int,
        hidden_size: int = 256,
        num_blocks: int = 8,
        mult: int = 3,
        kernel_size: int = 7,
        frames_per_mel: int = 1,
        n_fft: Optional[int] = None,
    ):
        super().__init__(n_mels, hop)
        self.frames_per_mel = frames_per_mel
        self.stft_hop = whole_ratio(hop, frames_per_mel, "frames_per_mel")
        n_fft = n_fft or 4 * self.stft_hop
        if n_fft % 2 or n_fft < 3 * self.stft_hop:
            raise InputError(
                f"generator_conf: n_fft {n_fft} is odd or below three hops of "
                f"{self.stft_hop}"
            )
        self.input = nn.Conv1d(
            n_mels, hidden_size, kernel_size, padding=kernel_size // 2
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.split = nn.Linear(hidden_size, hidden_size * frames_per_mel)
        self.stack = ConvNeXtStack(hidden_size, num_blocks, mult, kernel_size)
        self.head = nn.Linear(hidden_size, n_fft + 2)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self._initialise(num_blocks)

    def _initialise(self, num_blocks: int) -> None:
        """Small weights; every block adds its share of the sum, as in Vocos."""
        for module in self.modules():
            if isinstance(module, (nn.Conv1d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for block in self.stack.blocks:
            block.pwconv2.weight.data.div_(num_blocks)

    def spectrum(self, mel: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Log-mels to spectra.

        Args:
            mel: Log-mels (B, F, n_mels), base 10.
            mask: True on real frames (B, F).

        Returns:
            Complex spectra (B, F * frames_per_mel, n_fft / 2 + 1).
        """
        x = self.scaled(mel) * mask.unsqueeze(-1)
        x = self.norm(self.input(x.transpose(1, 2)).transpose(1, 2))
        x = self.split(x).unflatten(-1, (self.frames_per_mel, -1)).flatten(1, 2)
        x = self.stack(x, mask.repeat_interleave(self.frames_per_mel, dim=1))
        # Half precision can neither hold a spectrum nor transform it.
        return spectrum_of(*self.head(x).float().chunk(2, dim=-1))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(mel.shape[:2], dtype=torch.bool, device=mel.device)
        return inverse_stft(self.spectrum(mel, mask), self.stft_hop, self.window)

    def waves(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        frames = torch.tensor([len(mel) for mel in mels], device=mels[0].device)
        longest = max(len(mel) for mel in mels)
        if mels[0].device.type == "cpu":
            longest = rounded_length(longest)  # few lengths, see `kernel_cache`
        padded = pad_batch(mels, longest)
        spectra = self.spectrum(padded, length_mask(frames, padded.size(1)))
        # One at a time: frames after the end would be overlapped and added.
        return [
            inverse_stft(
                s[None, : n * self.frames_per_mel], self.stft_hop, self.window
            ).squeeze(0)
            for s, n in zip(spectra, frames.tolist())
        ]
