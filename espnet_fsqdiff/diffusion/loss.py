"""Training loss of CDCD; it owns the distribution of times, noise and prompts."""

import zlib
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import torch

from espnet_fsqdiff.checks import check_prompt_fraction, check_shares
from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.schedule import Schedule
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.heads import in_chunks
from espnet_fsqdiff.nets.masks import length_mask, masked_mean


class Draw(NamedTuple):
    """What is random in one training example.

    Attributes:
        t: Times (B,).
        noise: Standard normal (B, T, n).
        prompt_lengths: Frames of the clean prefix (B,), 0 for none.
        drop: True where the text is withheld (B,).
        self_condition: True where the network is given its own estimate (B,).
    """

    t: torch.Tensor
    noise: torch.Tensor
    prompt_lengths: torch.Tensor
    drop: torch.Tensor
    self_condition: torch.Tensor


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
        self_conditioning: Share of utterances that are given the network's own
            first estimate (no gradient through it).
        time_sampling: `uniform`, or `information`: by the warp of an
            `InformationCurve`.
        max_logits: Most logits that exist at once; larger batches are worked
            off in chunks.

    Raises:
        InputError: If a share is out of range or the time sampling is unknown.
    """

    def __init__(
        self,
        schedule: Schedule,
        text_dropout: float = 0.1,
        prompt_prob: float = 1.0,
        prompt_fraction: Tuple[float, float] = (0.05, 0.3),
        self_conditioning: float = 0.0,
        time_sampling: str = "uniform",
        max_logits: int = 2**27,
    ):
        check_shares(
            "loss_conf",
            text_dropout=text_dropout,
            prompt_prob=prompt_prob,
            self_conditioning=self_conditioning,
        )
        check_prompt_fraction(prompt_fraction)
        if time_sampling not in ("uniform", "information"):
            raise InputError(
                f"loss_conf: time_sampling {time_sampling!r} is unknown; "
                "choose uniform or information"
            )
        self.schedule = schedule
        self.self_conditioning = self_conditioning
        self.time_sampling = time_sampling
        self.max_logits = max_logits
        self.text_dropout = text_dropout
        self.prompt_prob = prompt_prob
        self.prompt_fraction = prompt_fraction

    def draw(
        self,
        lengths: torch.Tensor,
        frames: int,
        dim: int,
        warp: Optional[Callable[[torch.Tensor], torch.Tensor]] = None,
    ) -> Draw:
        """Draw for training, from the global generator.

        Times are uniform on [0, 1], then warped; those of a batch are spread
        evenly (u_i = (u + i / B) mod 1), which leaves their distribution and
        lowers the variance of the gradient.

        Args:
            lengths: Frames of each utterance (B,).
            frames: T.
            dim: n.
            warp: From uniform to the wanted times, for `information`.
        """
        size, device = lengths.numel(), lengths.device
        u = torch.rand(5, size, device=device)
        t = (u[0, 0] + torch.randperm(size, device=device) / size) % 1
        if warp is not None:
            t = warp(t)
        noise = torch.randn(size, frames, dim, device=device)
        low, high = self.prompt_fraction
        share = (low + (high - low) * u[1]) * (u[2] < self.prompt_prob)
        drop = u[3] < self.text_dropout
        estimate = u[4] < self.self_conditioning
        return Draw(t, noise, (share * lengths).long(), drop, estimate)

    def fixed_draw(
        self,
        utt_ids: Sequence[str],
        lengths: torch.Tensor,
        frames: int,
        dim: int,
        time: Optional[float] = None,
    ) -> Draw:
        """Draw for validation: the same for an utterance in every epoch and batch.

        Args:
            utt_ids: Names, which seed the draw.
            lengths, frames, dim: As in `draw`.
            time: t of all; None for one of its own for each utterance.
        """
        size, device = lengths.numel(), lengths.device
        noise = torch.zeros(size, frames, dim)
        t = torch.zeros(size)
        share = torch.zeros(size)
        low, high = self.prompt_fraction
        for i, (utt_id, length) in enumerate(zip(utt_ids, lengths.tolist())):
            generator = torch.Generator().manual_seed(zlib.crc32(utt_id.encode()))
            u = torch.rand(3, generator=generator)
            t[i] = u[0] if time is None else time
            share[i] = (low + (high - low) * u[1]) * (u[2] < self.prompt_prob)
            noise[i, :length] = torch.randn(length, dim, generator=generator)
        prompt_lengths = (share.to(device) * lengths).long()
        no = torch.zeros(size, dtype=torch.bool, device=device)
        estimate = ~no if self.self_conditioning > 0 else no
        return Draw(t.to(device), noise.to(device), prompt_lengths, no, estimate)

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
        given = length_mask(draw.prompt_lengths, tokens.size(1)).unsqueeze(-1)
        prompt = x0 * given
        vectors = network.encode_text(text, text_lengths, mask, durations, draw.drop)
        inputs = (x, draw.t, prompt, vectors, mask)
        estimate = None
        if draw.self_condition.any():
            estimate = self._estimate(network, codebook, draw.self_condition, inputs)
            # As in sampling, where a first call has zeros, prompt included.
            known = given & draw.self_condition.view(-1, 1, 1)
            estimate = torch.where(known, prompt, estimate)
        features = network.features(*inputs, estimate)

        def score(features: torch.Tensor, tokens: torch.Tensor):
            logits = network.head(features)
            with torch.no_grad():
                right = (network.head.predict(logits) == tokens).float()
            return network.head.cross_entropy(logits, tokens), right

        num_rows = max(1, self.max_logits // codebook.num_codes)
        loss, right = in_chunks(score, num_rows, features, tokens)
        return masked_mean(loss, mask), {"accuracy": masked_mean(right, mask)}

    @torch.no_grad()
    def _estimate(self, network, codebook, chosen, inputs) -> torch.Tensor:
        """First estimates x0_hat (B, T, n) of the chosen, zeros of the others."""

        def mean(features: torch.Tensor):
            return (network.head.expectation(network.head(features)),)

        features = network.features(*(value[chosen] for value in inputs))
        num_rows = max(1, self.max_logits // codebook.num_codes)
        estimate = torch.zeros_like(inputs[0])
        estimate[chosen] = in_chunks(mean, num_rows, features)[0]
        return estimate
