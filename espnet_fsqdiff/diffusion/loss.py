"""Training loss of CDCD; it owns the distribution of times, noise and prompts."""

import zlib
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.schedule import Schedule
from espnet_fsqdiff.nets.masks import length_mask, masked_mean


class Draw(NamedTuple):
    """What is random in one training example.

    Attributes:
        t: Times (B,).
        noise: Standard normal (B, T, n).
        prompt_lengths: Frames of the clean prefix (B,), 0 for none.
        drop: True where the text is withheld (B,).
    """

    t: torch.Tensor
    noise: torch.Tensor
    prompt_lengths: torch.Tensor
    drop: torch.Tensor


class CDCDLoss:
    """Cross-entropy of the clean tokens given noisy latents.

        x_t = alpha(t) E[token] + sigma(t) eps
        loss = mean over utterances of mean over real frames of -log p(token | x_t)

    Args:
        schedule: alpha and sigma.
        text_dropout: Share of utterances that are trained without text, for
            guidance.
        prompt_prob: Share of utterances that are given a clean prefix.
        prompt_fraction: Shortest and longest prefix, as shares of the utterance.
    """

    def __init__(
        self,
        schedule: Schedule,
        text_dropout: float = 0.1,
        prompt_prob: float = 1.0,
        prompt_fraction: Tuple[float, float] = (0.05, 0.3),
    ):
        self.schedule = schedule
        self.text_dropout = text_dropout
        self.prompt_prob = prompt_prob
        self.prompt_fraction = prompt_fraction

    def draw(self, lengths: torch.Tensor, frames: int, dim: int) -> Draw:
        """Draw for training, from the global generator.

        Times are uniform on [0, 1]; those of a batch are spread evenly
        (t_i = (u + i / B) mod 1), which leaves their distribution and lowers the
        variance of the gradient.
        """
        size, device = lengths.numel(), lengths.device
        u = torch.rand(4, size, device=device)
        t = (u[0, 0] + torch.randperm(size, device=device) / size) % 1
        noise = torch.randn(size, frames, dim, device=device)
        low, high = self.prompt_fraction
        share = (low + (high - low) * u[1]) * (u[2] < self.prompt_prob)
        drop = u[3] < self.text_dropout
        return Draw(t, noise, (share * lengths).long(), drop)

    def fixed_draw(
        self, utt_ids: Sequence[str], lengths: torch.Tensor, frames: int, dim: int
    ) -> Draw:
        """Draw for validation: the same for an utterance in every epoch and batch."""
        size, device = lengths.numel(), lengths.device
        noise = torch.zeros(size, frames, dim)
        t = torch.zeros(size)
        share = torch.zeros(size)
        low, high = self.prompt_fraction
        for i, (utt_id, length) in enumerate(zip(utt_ids, lengths.tolist())):
            generator = torch.Generator().manual_seed(zlib.crc32(utt_id.encode()))
            u = torch.rand(3, generator=generator)
            t[i] = u[0]
            share[i] = (low + (high - low) * u[1]) * (u[2] < self.prompt_prob)
            noise[i, :length] = torch.randn(length, dim, generator=generator)
        prompt_lengths = (share.to(device) * lengths).long()
        drop = torch.zeros(size, dtype=torch.bool, device=device)
        return Draw(t.to(device), noise.to(device), prompt_lengths, drop)

    def __call__(
        self,
        network: CDCDNetwork,
        codebook: Codebook,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        durations: Optional[torch.Tensor],
        draw: Draw,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """Loss of a batch.

        Args:
            network: Gives the logits.
            codebook: Where the tokens live.
            tokens: Clean tokens (B, T), int64, 0 in the padding.
            lengths: Tokens of each utterance (B,).
            text: Symbol ids (B, S).
            text_lengths: Symbols of each utterance (B,).
            durations: Frames of each symbol (B, S) or None.
            draw: Times, noise, prompts.

        Returns:
            Nats per token of each utterance (B,), and `accuracy` (B,), the share
            of tokens that are the most likely ones.
        """
        mask = length_mask(lengths, tokens.size(1))
        x0 = codebook.embed(tokens) * mask.unsqueeze(-1)
        t = draw.t.view(-1, 1, 1)
        x = self.schedule.alpha(t) * x0 + self.schedule.sigma(t) * draw.noise
        prompt = x0 * length_mask(draw.prompt_lengths, tokens.size(1)).unsqueeze(-1)
        vectors = network.encode_text(text, text_lengths, mask, durations, draw.drop)
        logits = network(x, draw.t, prompt, vectors, mask)
        loss = masked_mean(network.head.cross_entropy(logits, tokens), mask)
        with torch.no_grad():
            right = (network.head.predict(logits) == tokens).float()
        return loss, {"accuracy": masked_mean(right, mask)}
