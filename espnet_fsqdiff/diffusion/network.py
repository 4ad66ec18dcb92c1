"""The network of CDCD: text encoder, backbone and head."""

from typing import Optional

import torch
from torch import nn

from espnet_fsqdiff.codebook import Codebook


class CDCDNetwork(nn.Module):
    """Logits over codes from noisy latents and text, its parts injected.

    Args:
        text_encoder: Text to one vector per frame.
        backbone: Latents and text vectors to features.
        head: Features to logits; it owns the codebook.

    Attributes:
        only_float32: Whether it knows no other precision.
        compiled: Whether its backbone is; see `compile_backbone`.
    """

    only_float32 = False
    compiled = False

    def __init__(self, text_encoder: nn.Module, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.text_encoder = text_encoder
        self.backbone = backbone
        self.head = head

    def encode_text(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        mask: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
        drop: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """See `TextEncoder.forward`; once per utterance, not once per step."""
        return self.text_encoder(text, text_lengths, mask, durations, drop)

    @property
    def codebook(self) -> Codebook:
        """Where the tokens live, for this copy of the weights."""
        return self.head.codebook

    @property
    def self_conditioning(self) -> bool:
        """Whether the network takes an earlier clean estimate."""
        return self.backbone.self_conditioning

    @property
    def sees_padding(self) -> bool:
        """Whether padding behind an utterance changes what it gets."""
        return self.text_encoder.sees_padding or self.backbone.sees_padding

    @property
    def max_frames(self) -> int:
        """Most frames that it takes."""
        return self.backbone.max_frames

    def compile_backbone(self) -> None:
        """Compile what runs at every step (`torch.compile`)."""
        self.backbone.forward = torch.compile(self.backbone.forward, dynamic=True)
        self.compiled = True

    def features(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        prompt: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor,
        estimate: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """What the head makes logits of; arguments as in `DiT.forward`."""
        return self.backbone(x, t, prompt, text, mask, estimate)

    def posterior_mean(
        self, features: torch.Tensor, temperature: float = 1.0
    ) -> torch.Tensor:
        """Features of frames (R, dim) to mean points (R, n) of the head's distribution.

        Logits are divided by `temperature`; what follows them is float32.
        """
        logits = self.head(features.unsqueeze(0)).float()
        with torch.autocast(features.device.type, enabled=False):
            return self.head.expectation(logits, temperature)[0]

    def forward(self, *args, **kwargs) -> torch.Tensor:
        """Logits of the head; arguments as in `DiT.forward`."""
        return self.head(self.features(*args, **kwargs))
