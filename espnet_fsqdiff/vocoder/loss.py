"""What a vocoder is trained for: mels at several resolutions, and discriminators."""

from typing import Dict, List, Optional, Sequence, Tuple

import torch
from espnet2.gan_tts.hifigan.loss import (
    DiscriminatorAdversarialLoss,
    FeatureMatchLoss,
    GeneratorAdversarialLoss,
    MelSpectrogramLoss,
)
from torch import nn

from espnet_fsqdiff.errors import InputError

Outputs = List[List[torch.Tensor]]


class VocoderLoss(nn.Module):
    """ESPnet's losses of HiFi-GAN, with the mel loss at several resolutions.

    Generator: a M + b F + c A with the mean M over windows of the L1 between log-mels
    (base 10), feature matching F and the adversarial loss A. Discriminator: its loss
    on recorded plus that on made waves.

    Args:
        fs: Sampling rate in Hz.
        windows: Windows of M in samples; their hops are a quarter.
        n_mels: Mel bins for each.
        mel_weight: a.
        feature_weight: b.
        adversarial_weight: c.
        adversarial: `mse` (least squares) or `hinge`.

    Raises:
        InputError: If an option does not fit.
    """

    def __init__(
        self,
        fs: int,
        windows: Sequence[int] = (256, 512, 1024, 2048),
        n_mels: Sequence[int] = (20, 40, 80, 160),
        mel_weight: float = 45.0,
        feature_weight: float = 2.0,
        adversarial_weight: float = 1.0,
        adversarial: str = "hinge",
    ):
        super().__init__()
        if len(windows) != len(n_mels) or not windows:
            raise InputError(
                f"criterion_conf: {len(windows)} windows but {len(n_mels)} n_mels"
            )
        if adversarial not in ("mse", "hinge"):
            raise InputError(
                f"criterion_conf: adversarial {adversarial!r} is not mse or hinge"
            )
        self.mels = nn.ModuleList(
            MelSpectrogramLoss(fs=fs, n_fft=w, hop_length=w // 4, n_mels=n, fmin=0)
            for w, n in zip(windows, n_mels)
        )
        self.mel_weight = mel_weight
        self.feature_weight = feature_weight
        self.adversarial_weight = adversarial_weight
        self.fool = GeneratorAdversarialLoss(loss_type=adversarial)
        self.tell = DiscriminatorAdversarialLoss(loss_type=adversarial)
        self.match = FeatureMatchLoss()

    def spectral(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """M of waves (B, L), a scalar; 1 is 20 dB."""
        with torch.autocast(made.device.type, enabled=False):
            losses = [mel(made.float(), real.float()) for mel in self.mels]
        return torch.stack(losses).mean()

    def generator(
        self, spectral: torch.Tensor, made: Optional[Outputs], real: Optional[Outputs]
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """The generator's loss and its parts.

        Args:
            spectral: M.
            made: What the discriminators say of its waves; None before they start.
            real: What they say of recorded ones.
        """
        loss, stats = self.mel_weight * spectral, {"spectral_loss": spectral.detach()}
        if made is not None:
            adversarial, feature = self.fool(made), self.match(made, real)
            loss = loss + self.adversarial_weight * adversarial
            loss = loss + self.feature_weight * feature
            stats["adversarial_loss"] = adversarial.detach()
            stats["feature_loss"] = feature.detach()
        return loss, {"generator_loss": loss.detach(), **stats}

    def discriminator(
        self, made: Outputs, real: Outputs
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """The discriminators' loss and its parts."""
        on_real, on_made = self.tell(made, real)
        loss = on_real + on_made
        stats = dict(discriminator_loss=loss, real_loss=on_real, made_loss=on_made)
        return loss, {key: value.detach() for key, value in stats.items()}
