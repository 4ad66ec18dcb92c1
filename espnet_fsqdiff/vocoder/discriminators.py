"""ESPnet's discriminators, side by side."""

from typing import Any, Dict, List, Optional

import torch
from torch import nn

from espnet_fsqdiff.errors import InputError


class Discriminators(nn.Module):
    """Any of three ways to tell a made wave from a recorded one.

    Each is given as keyword arguments that change its defaults, or null to leave it
    out. The defaults here are narrow ones, which a CPU can train.

    Args:
        period: HiFi-GAN's multi-period discriminator: every p-th sample side by
            side. `periods`, and what `HiFiGANPeriodDiscriminator` takes.
        scale: HiFi-GAN's multi-scale discriminator: the wave, pooled. `scales`, and
            what `HiFiGANScaleDiscriminator` takes.
        stft: EnCodec's multi-scale STFT discriminator: complex spectra. What
            `MultiScaleSTFTDiscriminator` takes, `filters` among it.

    Raises:
        InputError: If there is none.
    """

    def __init__(
        self,
        period: Optional[Dict[str, Any]] = dict(
            channels=8, max_downsample_channels=128
        ),
        scale: Optional[Dict[str, Any]] = None,
        stft: Optional[Dict[str, Any]] = dict(filters=8),
    ):
        super().__init__()
        parts = []
        if period is not None:
            from espnet2.gan_tts.hifigan.hifigan import HiFiGANMultiPeriodDiscriminator

            own = dict(period)
            periods = own.pop("periods", [2, 3, 5, 7, 11])
            parts.append(HiFiGANMultiPeriodDiscriminator(periods, own))
        if scale is not None:
            from espnet2.gan_tts.hifigan.hifigan import HiFiGANMultiScaleDiscriminator

            own = dict(scale)
            scales = own.pop("scales", 3)
            parts.append(
                HiFiGANMultiScaleDiscriminator(
                    scales, discriminator_params=own, follow_official_norm=True
                )
            )
        if stft is not None:
            from espnet2.gan_codec.shared.discriminator.msstft_discriminator import (
                MultiScaleSTFTDiscriminator,
            )

            parts.append(MultiScaleSTFTDiscriminator(**stft))
        if not parts:
            raise InputError(
                "discriminator_conf: period, scale and stft are all null; give one"
            )
        self.parts = nn.ModuleList(parts)

    def forward(self, wave: torch.Tensor) -> List[List[torch.Tensor]]:
        """Waves (B, L) to the layers' outputs of each, the last one its verdict."""
        wave = wave.unsqueeze(1)
        return [outputs for part in self.parts for outputs in part(wave)]
