"""Looking for codebooks better than the grid: random ones, and gradient ascent."""

from typing import Callable, NamedTuple, Optional

import torch

from espnet_fsqdiff.theory.accuracy import log_prior_of
from espnet_fsqdiff.theory.points import seeded, uniform_points

# Points (B, K, n) and progress in 0 .. 1 to values (B,), to be raised.
Objective = Callable[[torch.Tensor, float], torch.Tensor]


def soft_distance(points: torch.Tensor, sharpness: float) -> torch.Tensor:
    """A smooth lower bound of D(E), which it nears as `sharpness` grows.

        1/K sum_k -1/s log sum_{j != k} exp(-s |E_k - E_j|)

    Args:
        points: (B, K, n).
        sharpness: s.

    Returns:
        (B,), float64.
    """
    square = (points.unsqueeze(-2) - points.unsqueeze(-3)).square().sum(-1)
    distance = (square + 1e-12).sqrt()
    own = torch.eye(points.size(-2), dtype=torch.bool)
    score = (-sharpness * distance).masked_fill(own, -torch.inf)
    return (-score.logsumexp(-1) / sharpness).mean(-1)


def distance_objective(first: float = 5.0, last: float = 500.0) -> Objective:
    """`soft_distance`, its sharpness rising from `first` to `last`."""
    return lambda points, done: soft_distance(points, first * (last / first) ** done)


def accuracy_objective(
    r: float,
    num_samples: int = 2048,
    seed: int = 0,
    prior: Optional[torch.Tensor] = None,
) -> Objective:
    """A(E, r) by Monte Carlo, noise drawn anew at every call.

    With y = r E_k + eps the largest posterior is continuous in E for fixed eps,
    so that its gradient is an unbiased estimate of A's.

    Args:
        r: alpha / sigma.
        num_samples: Draws of (k, eps) in a call, shared by the B codebooks.
        seed: Of the draws.
        prior: Weights (K,) of the tokens, equal by default.
    """
    generator = seeded(seed)

    def objective(points: torch.Tensor, done: float) -> torch.Tensor:
        size, dim = points.shape[-2:]
        log_prior = log_prior_of(prior, size).to(points)
        weights = log_prior.exp()
        tokens = torch.multinomial(
            weights, num_samples, replacement=True, generator=generator
        )
        noise = torch.randn(num_samples, dim, generator=generator, dtype=points.dtype)
        y = r * points[:, tokens] + noise
        offset = log_prior - r**2 / 2 * points.square().sum(-1)
        logits = r * y @ points.mT + offset.unsqueeze(-2)
        best = logits.amax(-1) - logits.logsumexp(-1)
        return best.exp().mean(-1)

    return objective


def mixed_objective(parts: Objective, others: Objective, share: float) -> Objective:
    """(1 - share) of one objective plus `share` of another."""
    return lambda points, done: (1 - share) * parts(points, done) + share * others(
        points, done
    )


def ascend(
    start: torch.Tensor,
    objective: Objective,
    num_steps: int = 1000,
    rate: float = 0.02,
) -> torch.Tensor:
    """Adam on the points, put back into the box |x_i| <= 1 after every step.

    Args:
        start: Codebooks (B, K, n).
        objective: What to raise.
        num_steps: Steps; the rate falls linearly to 0.
        rate: First rate.

    Returns:
        Codebooks (B, K, n).
    """
    points = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], lr=rate)
    for step in range(num_steps):
        done = step / num_steps
        optimizer.param_groups[0]["lr"] = rate * (1 - done)
        optimizer.zero_grad()
        objective(points, done).sum().neg().backward()
        optimizer.step()
        with torch.no_grad():
            points.clamp_(-1, 1)
    return points.detach()


class Starts(NamedTuple):
    """Where ascents begin.

    Attributes:
        random: Uniform in the box (B, K, n).
        near: The grid, moved a little (B, K, n).
    """

    random: torch.Tensor
    near: torch.Tensor


def starts(grid: torch.Tensor, number: int, noise: float, seed: int = 0) -> Starts:
    """`number` starts of each kind; `near` ones moved by up to `noise`."""
    generator = seeded(seed)
    size = (number, *grid.shape)
    return Starts(
        uniform_points(size, generator),
        (grid + noise * uniform_points(size, generator)).clamp(-1, 1),
    )
