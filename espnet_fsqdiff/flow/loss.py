"""Training loss of flow matching; it owns times, noise, prompts and what is dropped."""

import zlib
from typing import NamedTuple, Optional, Sequence, Tuple

import torch

from espnet_fsqdiff.checks import check_choice, check_prompt_fraction, check_shares
from espnet_fsqdiff.flow.network import VelocityNetwork
from espnet_fsqdiff.flow.path import TIME_WARPS, point, velocity
from espnet_fsqdiff.nets.masks import length_mask, masked_mean


class FlowDraw(NamedTuple):
    """What is random in one training example.

    Attributes:
        t: Times (B,).
        noise: Standard normal (B, F, n_mels).
        prompt_lengths: Mel frames of the clean prefix (B,), 0 for none.
        drop: True where tokens, speaker and prompt are withheld (B,).
    """

    t: torch.Tensor
    noise: torch.Tensor
    prompt_lengths: torch.Tensor
    drop: torch.Tensor


class FlowMatchingLoss:
    """Conditional flow matching on straight paths (Lipman et al., 2023).

        loss = mean over utterances, frames and bins of (v(x_t, t | c) - u)^2

    with x_t and u of `flow.path`, over the frames that are not given as a prompt.

    Args:
        sigma_min: Noise left at the end of the path.
        time_warp: Distribution of t: `uniform`, or `cosine` of uniform u.
        condition_dropout: Share of utterances that are trained without tokens,
            speaker and prompt, for guidance.
        prompt_prob: Share of utterances that are given a clean prefix.
        prompt_fraction: Shortest and longest prefix, as shares of the utterance.

    Raises:
        InputError: If a figure is out of range or the warp is unknown.
    """

    def __init__(
        self,
        sigma_min: float = 1e-4,
        time_warp: str = "cosine",
        condition_dropout: float = 0.2,
        prompt_prob: float = 0.0,
        prompt_fraction: Tuple[float, float] = (0.05, 0.3),
    ):
        check_shares(
            "loss_conf",
            sigma_min=sigma_min,
            condition_dropout=condition_dropout,
            prompt_prob=prompt_prob,
        )
        check_prompt_fraction(prompt_fraction)
        check_choice("loss_conf: time_warp", time_warp, TIME_WARPS)
        self.sigma_min = sigma_min
        self.time_warp = time_warp
        self.condition_dropout = condition_dropout
        self.prompt_prob = prompt_prob
        self.prompt_fraction = prompt_fraction

    def draw(self, lengths: torch.Tensor, frames: int, n_mels: int) -> FlowDraw:
        """Draw for training, from the global generator.

        The times of a batch are spread evenly before they are warped
        (u_i = (u + i / B) mod 1), which leaves their distribution and lowers the
        variance of the gradient.

        Args:
            lengths: Mel frames of each utterance (B,).
            frames: F.
            n_mels: Mel bins.
        """
        size, device = lengths.numel(), lengths.device
        u = torch.rand(4, size, device=device)
        t = (u[0, 0] + torch.randperm(size, device=device) / size) % 1
        noise = torch.randn(size, frames, n_mels, device=device)
        prompt_lengths = self._prompt_lengths(u[1], u[2], lengths)
        drop = u[3] < self.condition_dropout
        return FlowDraw(TIME_WARPS[self.time_warp](t), noise, prompt_lengths, drop)

    def fixed_draw(
        self,
        utt_ids: Sequence[str],
        lengths: torch.Tensor,
        frames: int,
        n_mels: int,
        part: int,
        parts: int,
    ) -> FlowDraw:
        """Draw for validation: the same for an utterance in every epoch and batch.

        Over all parts an utterance is seen once in each of `parts` equal shares of
        the times' distribution, at a place of its own: t = warp((part + u) / parts).

        Args:
            utt_ids: Names, which seed the draw.
            lengths, frames, n_mels: As in `draw`.
            part: Which share, from 0.
            parts: How many.
        """
        size, device = lengths.numel(), lengths.device
        noise = torch.zeros(size, frames, n_mels)
        u = torch.zeros(3, size)
        for i, (utt_id, length) in enumerate(zip(utt_ids, lengths.tolist())):
            generator = torch.Generator().manual_seed(zlib.crc32(utt_id.encode()))
            u[:, i] = torch.rand(3, generator=generator)
            generator.manual_seed(zlib.crc32(f"{part} {utt_id}".encode()))
            noise[i, :length] = torch.randn(length, n_mels, generator=generator)
        t = TIME_WARPS[self.time_warp]((part + u[0]) / parts)
        prompt_lengths = self._prompt_lengths(*u[1:].to(device), lengths)
        drop = torch.zeros(size, dtype=torch.bool, device=device)
        return FlowDraw(t.to(device), noise.to(device), prompt_lengths, drop)

    def _prompt_lengths(self, place, chance, lengths) -> torch.Tensor:
        low, high = self.prompt_fraction
        share = (low + (high - low) * place) * (chance < self.prompt_prob)
        return (share * lengths).long()

    def __call__(
        self,
        network: VelocityNetwork,
        mel: torch.Tensor,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        spk_embed: Optional[torch.Tensor],
        draw: FlowDraw,
    ) -> torch.Tensor:
        """Loss of each utterance (B,).

        Args:
            network: Gives the velocity.
            mel: Standardised log-mel (B, F, n_mels), F = T * frames_per_token.
            tokens: (B, T), int64, 0 in the padding.
            lengths: Tokens of each (B,).
            spk_embed: Speaker embeddings (B, D), for a network with them.
            draw: Times, noise, prompts, what is withheld.
        """
        frames = mel.size(1)
        mask = length_mask(lengths * network.frames_per_token, frames)
        given = length_mask(draw.prompt_lengths, frames)
        prompt = mel * given.unsqueeze(-1)
        condition = network.condition(tokens, lengths, spk_embed, prompt, draw.drop)
        t = draw.t.view(-1, 1, 1)
        x = point(draw.noise, mel, t, self.sigma_min)
        u = velocity(draw.noise, mel, self.sigma_min)
        error = (network(x, draw.t, condition) - u).square().mean(-1)
        # A prompt that was withheld has to be made like the rest.
        return masked_mean(error, mask & ~(given & ~draw.drop.unsqueeze(1)))
