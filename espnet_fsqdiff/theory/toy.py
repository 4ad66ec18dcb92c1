"""Toy generation: a small CDCD model on token sequences whose law is known.

Every digit of a token (its coordinate on the FSQ grid) is a stationary Markov
chain of its own, so that near grid points follow each other and the law of tokens
and of neighbouring pairs is a product. `renamed` gives the tokens random new
numbers: the same entropies, but near points have nothing in common any more.
"""

import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from torch import nn

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.ema import EMA
from espnet_fsqdiff.diffusion.generate import GuidedDenoiser, Sampling
from espnet_fsqdiff.diffusion.loss import CDCDLoss
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import LinearSchedule
from espnet_fsqdiff.diffusion.times import uniform_times
from espnet_fsqdiff.fsq import FSQ
from espnet_fsqdiff.nets.dit import TimeEmbedding, modulate
from espnet_fsqdiff.nets.heads import JointHead
from espnet_fsqdiff.theory.divergence import counts_of, plug_in_kl
from espnet_fsqdiff.theory.points import seeded


class TokenChain:
    """The law of the toy's sequences.

    Digit i has a stationary law pi_i, softmax of normal draws, and keeps its value
    from one frame to the next with probability `stay`, else is drawn from pi_i.

    Args:
        levels: Points per dimension of the grid.
        stay: Probability that a digit stays, 0 (frames independent) to 1.
        renamed: Give the tokens new numbers at random.
        seed: Of the laws and the numbers.
    """

    def __init__(
        self,
        levels: Sequence[int],
        stay: float = 0.7,
        renamed: bool = False,
        seed: int = 0,
    ):
        generator = seeded(seed)
        self.fsq = FSQ(levels)
        self.stay = stay
        self.laws = [
            torch.randn(level, generator=generator, dtype=torch.float64).softmax(0)
            for level in levels
        ]
        size = self.fsq.num_codes
        order = torch.randperm(size, generator=generator)
        self.names = order if renamed else torch.arange(size)

    def token_law(self) -> torch.Tensor:
        """Probability (K,) of every token, float64."""
        digits = self.fsq.indices_to_digits(torch.arange(self.fsq.num_codes))
        law = torch.ones(len(digits), dtype=torch.float64)
        for i, p in enumerate(self.laws):
            law = law * p[digits[:, i]]
        return torch.zeros_like(law).index_put((self.names,), law)

    def pair_law(self) -> torch.Tensor:
        """Probability (K, K) of two tokens in neighbouring frames, float64."""
        digits = self.fsq.indices_to_digits(torch.arange(self.fsq.num_codes))
        law = torch.ones(len(digits), len(digits), dtype=torch.float64)
        for i, p in enumerate(self.laws):
            step = self.stay * torch.eye(len(p)) + (1 - self.stay) * p
            law = law * (p.unsqueeze(1) * step)[digits[:, i]][:, digits[:, i]]
        named = torch.zeros_like(law)
        named[self.names.unsqueeze(1), self.names] = law
        return named

    def sample(self, size: int, frames: int, generator: torch.Generator):
        """Sequences (size, frames) of tokens, int64."""
        digits = torch.empty(size, frames, len(self.laws), dtype=torch.int64)
        for i, p in enumerate(self.laws):
            fresh = torch.multinomial(
                p, size * frames, replacement=True, generator=generator
            ).view(size, frames)
            keep = torch.rand(size, frames, generator=generator) < self.stay
            digits[:, 0, i] = fresh[:, 0]
            for t in range(1, frames):
                digits[:, t, i] = torch.where(
                    keep[:, t], digits[:, t - 1, i], fresh[:, t]
                )
        return self.names[self.fsq.digits_to_indices(digits)]

    def floors(
        self, size: int, frames: int, pairs: bool = False, draws: int = 100
    ) -> Tuple[float, Optional[float]]:
        """Mean plug-in KL of sequences of the law itself: what a perfect model gets.

        Args:
            size: Sequences in a sample.
            frames: Frames of each.
            pairs: Whether to count neighbouring pairs, too.
            draws: Samples.

        Returns:
            That of tokens and that of pairs, in nats; None without pairs.
        """
        laws = [self.token_law()] + ([self.pair_law().flatten()] if pairs else [])
        found: List[List[torch.Tensor]] = [[] for _ in laws]
        for seed in range(draws):
            x = self.sample(size, frames, seeded(seed))
            cells = [x, pairs_of(x, self.fsq.num_codes)]
            for values, law, seen in zip(found, laws, cells):
                values.append(plug_in_kl(counts_of(seen, len(law)), law))
        means = [float(torch.stack(values).mean()) for values in found]
        return means[0], means[1] if pairs else None


def pairs_of(x: torch.Tensor, num_codes: int) -> torch.Tensor:
    """Tokens (N, T) to neighbouring pairs (N, T - 1), numbered as in `pair_law`."""
    return x[:, :-1] * num_codes + x[:, 1:]


class NoText(nn.Module):
    """A text encoder for models without text: one zero per frame."""

    dim = 1

    def forward(self, text, text_lengths, mask, durations=None, drop=None):
        """Mask (B, T) to zeros (B, T, 1)."""
        return torch.zeros(*mask.shape, 1)


class ShortBackbone(nn.Module):
    """The DiT's stand-in for sequences of a few frames: an MLP over all of them.

    Time enters through adaptive LayerNorm with gates, as in the DiT; attention and
    convolutions over four frames would cost ten times as much.

    Args:
        latent_dim: Latent dimensions n.
        frames: Frames T of every sequence.
        width: Width of the MLP.
        depth: Residual blocks.
        output_dim: Size of the features of a frame.
    """

    self_conditioning = False

    def __init__(
        self, latent_dim: int, frames: int, width: int, depth: int, output_dim: int
    ):
        super().__init__()
        self.frames = frames
        self.time_embed = TimeEmbedding(width)
        self.proj = nn.Linear(frames * latent_dim, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulations = nn.ModuleList(
            nn.Linear(width, 3 * width) for _ in range(depth)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            for _ in range(depth)
        )
        self.out = nn.Linear(width, frames * output_dim)
        for modulation in self.modulations:
            nn.init.zeros_(modulation.weight)
            nn.init.zeros_(modulation.bias)

    def forward(self, x, t, prompt, text, mask, estimate=None):
        """Latents (B, T, n) at times (B,) to features (B, T, output_dim).

        The other arguments belong to the interface and are not used: the toy has
        no prompt, text or self-conditioning, and all its frames are real.
        """
        h = self.proj(x.flatten(1)).unsqueeze(1)
        time = nn.functional.silu(self.time_embed(t))
        for modulation, block in zip(self.modulations, self.blocks):
            shift, scale, gate = modulation(time).chunk(3, dim=-1)
            h = h + gate.unsqueeze(1) * block(modulate(self.norm(h), shift, scale))
        return self.out(self.norm(h)).view(len(x), self.frames, -1)


@dataclass
class ToyConfig:
    """Size of a toy training.

    Attributes:
        frames: Frames of a sequence.
        width: Width of the backbone.
        depth: Its blocks.
        feature_dim: Size of its output for a frame.
        num_updates: Updates of AdamW.
        batch_size: Sequences in a batch.
        rate: Learning rate, falling to 0 as a cosine.
        num_samples: Sequences sampled for each number of steps.
        sampling_steps: Numbers of sampling steps.
        stay: See `TokenChain`.
    """

    frames: int = 4
    width: int = 128
    depth: int = 2
    feature_dim: int = 64
    num_updates: int = 1000
    batch_size: int = 128
    rate: float = 2e-3
    num_samples: int = 10000
    sampling_steps: Tuple[int, ...] = (5, 8, 12, 25)
    stay: float = 0.7


@dataclass
class ToyResult:
    """What a toy training ended with.

    Attributes:
        cross_entropy: Nats per token on new sequences, all times alike.
        accuracy: Share of right tokens there.
        samples: Sampled sequences (N, T) by number of steps.
        seconds: Of the training.
    """

    cross_entropy: float
    accuracy: float
    seconds: float
    samples: Dict[int, torch.Tensor] = field(default_factory=dict)


def build_network(codebook: Codebook, config: ToyConfig) -> CDCDNetwork:
    """`ShortBackbone` under the package's joint head."""
    backbone = ShortBackbone(
        codebook.dim, config.frames, config.width, config.depth, config.feature_dim
    )
    return CDCDNetwork(NoText(), backbone, JointHead(config.feature_dim, codebook))


def _loss_of(loss, network, codebook, tokens):
    lengths = torch.full((len(tokens),), tokens.size(1))
    draw = loss.draw(lengths, tokens.size(1), codebook.dim)
    text = torch.zeros(len(tokens), 1, dtype=torch.int64)
    return loss(network, codebook, tokens, lengths, text, lengths, None, draw)


def train_toy(
    chain: TokenChain, codebook: Codebook, config: ToyConfig, seed: int
) -> ToyResult:
    """Train on sequences of `chain`, then sample.

    The paper's linear schedule, cross-entropy at t ~ U(0, 1), EMA and uniform
    DDIM steps from N(0, I); no text, no prompt, no guidance.

    Args:
        chain: The law to learn.
        codebook: Where its tokens live.
        config: Sizes.
        seed: Of weights, data, noise and samples. The global generator is left
            as it was found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(codebook, config)
        ema = EMA(network, decay=0.99)
        loss = CDCDLoss(LinearSchedule(), text_dropout=0.0, prompt_prob=0.0)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, config.num_updates
        )
        generator = seeded(seed + 1)
        started = time.perf_counter()
        for _ in range(config.num_updates):
            tokens = chain.sample(config.batch_size, config.frames, generator)
            value, _ = _loss_of(loss, network, codebook, tokens)
            optimizer.zero_grad()
            value.mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            ema.update(network)
        seconds = time.perf_counter() - started
        trained = ema.network.eval()
        values, rights = [], []
        with torch.no_grad():
            for _ in range(16):
                tokens = chain.sample(config.batch_size, config.frames, generator)
                value, stats = _loss_of(loss, trained, codebook, tokens)
                values.append(value.mean())
                rights.append(stats["accuracy"].mean())
        result = ToyResult(
            float(torch.stack(values).mean()),
            float(torch.stack(rights).mean()),
            seconds,
        )
        for steps in config.sampling_steps:
            result.samples[steps] = sample_toy(trained, codebook, config, steps, seed)
    return result


@torch.no_grad()
def sample_toy(
    network: CDCDNetwork, codebook: Codebook, config: ToyConfig, steps: int, seed: int
) -> torch.Tensor:
    """Sequences (num_samples, frames) of tokens by `steps` DDIM steps, int64."""
    generator = seeded(seed + 2)
    size = max(1, 2**23 // (config.frames * codebook.num_codes))
    size = min(size, 2048)
    found: List[torch.Tensor] = []
    for first in range(0, config.num_samples, size):
        count = min(size, config.num_samples - first)
        x = torch.randn(count, config.frames, codebook.dim, generator=generator)
        mask = torch.ones(count, config.frames, dtype=torch.bool)
        text = NoText()(None, None, mask)
        denoiser = GuidedDenoiser(
            network, text, None, mask, 0 * x, ~mask, Sampling(guidance_scale=0.0)
        )
        x = ddim(denoiser, x, uniform_times(steps), LinearSchedule())
        found.append(codebook.nearest(x))
    return torch.cat(found)


def exact_denoiser(points: torch.Tensor, law: torch.Tensor):
    """The best denoiser of single tokens: their posterior mean.

        x0_hat = sum_k p(k | x_t) E_k,
        p(k | x_t) ~ p_k exp((alpha x.E_k - alpha^2 |E_k|^2 / 2) / sigma^2)

    Args:
        points: E (K, n).
        law: p (K,).

    Returns:
        A denoiser for `ddim`: x (..., n) at time t to x0_hat.
    """
    schedule = LinearSchedule()
    half_square = points.square().sum(-1) / 2

    def denoiser(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha = schedule.alpha(t)
        variance = schedule.sigma(t).square()
        score = (alpha * (x @ points.T) - alpha**2 * half_square) / variance
        return (score + law.log()).softmax(-1) @ points

    return denoiser
