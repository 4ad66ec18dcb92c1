"""ESPnet's HiFi-GAN generator (Kong et al., 2020, arXiv 2010.05646)."""

import math
from typing import Optional, Sequence

import torch
from torch.nn.utils import parametrizations, parametrize

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.generator import Generator


class HiFiGANGenerator(Generator):
    """Transposed convolutions up to the sampling rate, residual blocks between.

    Args:
        n_mels: Mel bins.
        hop: Samples in a mel frame.
        channels: Channels at the frame rate; halved at every step.
        upsample_scales: Factors of the steps; their product is `hop`.
        upsample_kernel_sizes: Kernels of the steps, twice the factors by default.
        kwargs: As of ESPnet's generator: kernel_size, resblock_kernel_sizes,
            resblock_dilations, use_additional_convs, ...

    Raises:
        InputError: If the factors do not give the hop.
    """

    def __init__(
        self,
        n_mels: int,
        hop: int,
        channels: int = 512,
        upsample_scales: Sequence[int] = (8, 8, 2, 2),
        upsample_kernel_sizes: Optional[Sequence[int]] = None,
        **kwargs,
    ):
        from espnet2.gan_tts.hifigan.hifigan import HiFiGANGenerator as ESPnetGenerator

        super().__init__(n_mels, hop)
        scales = list(upsample_scales)
        if math.prod(scales) != hop:
            raise InputError(
                f"generator_conf: upsample_scales {scales} multiply to "
                f"{math.prod(scales)}, but the mel's hop is {hop}"
            )
        self.net = ESPnetGenerator(
            in_channels=n_mels,
            channels=channels,
            upsample_scales=scales,
            upsample_kernel_sizes=upsample_kernel_sizes or [2 * s for s in scales],
            # ESPnet's weight normalisation cannot be copied for the average, and
            # undoes the initialisation.
            use_weight_norm=False,
            **kwargs,
        )
        for module in self._convolutions():
            parametrizations.weight_norm(module)

    def _convolutions(self):
        kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d)
        return [m for m in self.net.modules() if isinstance(m, kinds)]

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.net(self.scaled(mel).transpose(1, 2)).squeeze(1).float()

    def fold(self) -> None:
        for module in self._convolutions():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
