"""How often the best predictor names the right token: A(E, t) of arXiv 2606.09962.

With r = alpha / sigma the latent of token k is y = x_t / sigma = r E_k + eps, whose
density is phi(y) exp(r y.E_k - r^2 |E_k|^2 / 2), phi that of N(0, I). The best
predictor names the token of the largest p_k times that, p the prior, so

    A(E, r) = Integral phi(y) max_k p_k exp(r y.E_k - r^2 |E_k|^2 / 2) dy
            = E_y max_k p(k | y),    y from the mixture sum_k p_k N(r E_k, I).

1 - A is the Bayes error. The soft version is the mean posterior of the right token,
E_y sum_k p(k | y)^2. Times t enter through r alone.
"""

import math
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.theory.points import CHUNK_ENTRIES, as_points, seeded

# In rad, without meaning: far from any direction of symmetry.
ANGLE = 0.5

METHODS = ("mixture", "decode", "noise")


def normal_cdf(x: torch.Tensor) -> torch.Tensor:
    """Phi(x), float64."""
    return torch.special.ndtr(torch.as_tensor(x, dtype=torch.float64))


def grid_accuracy(levels: Sequence[int], r) -> torch.Tensor:
    """Optimal accuracy on the FSQ grid, equal priors.

        A = prod_i [(2 L_i - 2) Phi(r / (L_i - 1)) - (L_i - 2)] / L_i

    Dimensions are independent; in one of L levels the boundaries lie halfway,
    1 / (L - 1) from the points, of which two have one and L - 2 have two. Two
    levels give Phi(r), three (4 Phi(r / 2) - 1) / 3. (arXiv 2606.09962 prints
    38.18 % for two levels in two dimensions: r = 0.3.)

    Args:
        levels: Points per dimension, each at least 2.
        r: alpha / sigma, at least 0, a number or a tensor (...,).

    Returns:
        A in (0, 1], of r's shape, float64.
    """
    r = torch.as_tensor(r, dtype=torch.float64)
    total = torch.ones_like(r)
    for count in levels:
        cdf = normal_cdf(r / (count - 1))
        total = total * ((2 * count - 2) * cdf - (count - 2)) / count
    return total


def line_accuracy(positions: torch.Tensor, r: float) -> torch.Tensor:
    """Optimal accuracy of points on a line, equal priors.

        A = 1/K [1 + sum_i (2 Phi(r d_i / 2) - 1)],   d_i the gaps

    It is concave in the gaps, whose sum the box bounds by 2, and symmetric in
    them: equal gaps, the grid, are the one maximum at every r > 0. This proves
    the paper's hypothesis in one dimension.

    Args:
        positions: Points (..., K) on the line.
        r: alpha / sigma.

    Returns:
        A (...,), float64.
    """
    positions = positions.double().sort(-1).values
    gains = 2 * normal_cdf(r * positions.diff(dim=-1) / 2) - 1
    return (1 + gains.sum(-1)) / positions.size(-1)


def plane_accuracy(
    points: torch.Tensor, r: float, num_nodes: int = 1001, reach: float = 7.0
) -> torch.Tensor:
    """Optimal accuracy of points in the plane, equal priors, by quadrature.

    For given y_1 the best token as a function of y_2 is the upper envelope of K
    lines, between whose corners the integral over y_2 is a difference of Phi;
    the integral over y_1 is the trapezoidal rule. Points are rotated first, which
    leaves A: no boundary of a grid then runs along y_2, where the inner integral
    has a kink. Exact to about 1e-7 with the default nodes for r <= 10; it has a
    gradient.

    Args:
        points: (..., K, 2) in the box.
        r: alpha / sigma, > 0.
        num_nodes: Nodes of the rule.
        reach: Standard deviations beyond the outermost points.

    Returns:
        A (...,), float64.
    """
    points = points.double()
    size = points.size(-2)
    turn = torch.tensor([[math.cos(ANGLE), math.sin(ANGLE)]], dtype=torch.float64)
    turn = torch.cat([turn, turn.flip(1) * torch.tensor([[-1.0, 1.0]])])
    a, b = (points @ turn).unbind(-1)
    edge = r * math.sqrt(2) + reach
    y = torch.linspace(-edge, edge, num_nodes, dtype=torch.float64)
    weight = torch.exp(-y.square() / 2) * (2 * edge / (num_nodes - 1))
    weight = weight / math.sqrt(2 * math.pi)
    # Token k scores slope_k y_2 + height_k: heights (..., nodes, K).
    slope = r * b
    height = r * a.unsqueeze(-2) * y.unsqueeze(-1)
    height = height - (r**2 / 2) * points.square().sum(-1).unsqueeze(-2)
    rise = slope.unsqueeze(-1) - slope.unsqueeze(-2)  # (..., k, j): slope_k - slope_j
    lead = height.unsqueeze(-2) - height.unsqueeze(-1)  # (.., nodes, k, j): h_j - h_k
    rise = rise.unsqueeze(-3)
    flat = rise.abs() < 1e-12
    corner = lead / torch.where(flat, 1.0, rise)
    low = torch.where(~flat & (rise > 0), corner, -torch.inf).amax(-1)
    high = torch.where(~flat & (rise < 0), corner, torch.inf).amin(-1)
    # Of parallel lines the highest counts, of equal ones the first.
    earlier = torch.ones(size, size).tril(-1).bool()
    beaten = flat & ((lead > 0) | ((lead == 0) & earlier))
    alive = (low < high) & ~beaten.any(-1)
    slope = slope.unsqueeze(-2)
    low = torch.where(alive, low, 0.0).clamp(-1e6, 1e6)
    high = torch.where(alive, high, 0.0).clamp(-1e6, 1e6)
    mass = normal_cdf(high - slope) - normal_cdf(low - slope)
    inner = torch.exp(torch.where(alive, height + slope.square() / 2, 0.0)) * mass
    return (inner.sum(-1) * weight).sum(-1) / size


class AccuracySamples(NamedTuple):
    """What one batch of draws from the mixture says.

    Attributes:
        best: Largest posterior max_k p(k | y), (N,).
        right: Posterior of the right token, (N,).
        decoded: 1 where the largest is that of the right token, (N,).
    """

    best: torch.Tensor
    right: torch.Tensor
    decoded: torch.Tensor


def log_prior_of(prior: Optional[torch.Tensor], size: int) -> torch.Tensor:
    """log p (K,), float64; equal priors for None, -inf where p is 0.

    Raises:
        ValueError: If the prior is not K weights, all >= 0 and not all 0.
    """
    if prior is None:
        return torch.full((size,), -math.log(size), dtype=torch.float64)
    prior = torch.as_tensor(prior).double()
    if prior.shape != (size,) or (prior < 0).any() or not prior.sum() > 0:
        raise ValueError(f"a prior of {size} tokens is {size} weights >= 0")
    return (prior / prior.sum()).log()


def draw_mixture(
    points: torch.Tensor,
    r: float,
    num_samples: int,
    seed: int,
    prior: Optional[torch.Tensor] = None,
) -> Iterator[AccuracySamples]:
    """Draw y = r E_k + eps, k from the prior, and yield posteriors by chunks."""
    size, dim = points.shape
    generator = seeded(seed)
    log_prior = log_prior_of(prior, size)
    offset = log_prior - r**2 / 2 * points.square().sum(-1)
    rows = max(1, CHUNK_ENTRIES // size)
    cumulative = log_prior.exp().cumsum(0)
    for first in range(0, num_samples, rows):
        count = min(rows, num_samples - first)
        u = torch.rand(count, generator=generator, dtype=torch.float64)
        tokens = torch.searchsorted(cumulative, u * cumulative[-1], right=True)
        tokens = tokens.clamp(max=size - 1)
        noise = torch.randn(count, dim, generator=generator, dtype=torch.float64)
        y = r * points[tokens] + noise
        logits = torch.addmm(offset, y, points.T, alpha=r)
        own = logits.gather(1, tokens.unsqueeze(1)).squeeze(1)
        total = logits.logsumexp(-1)
        top, guess = logits.max(-1)
        yield AccuracySamples(
            (top - total).exp(), (own - total).exp(), (guess == tokens).double()
        )


def _mean_and_error(values: torch.Tensor) -> Tuple[float, float]:
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def optimal_accuracy(
    codebook: Union[torch.Tensor, Codebook],
    r: float,
    num_samples: int = 100000,
    seed: int = 0,
    prior: Optional[torch.Tensor] = None,
    method: str = "mixture",
) -> Tuple[float, float]:
    """Probability that the Bayes-optimal predictor names the right token.

    Monte Carlo, by one of three unbiased methods:
        mixture: mean of max_k p(k | y), y from the mixture (least variance).
        decode: share of right tokens among the named ones.
        noise: mean of max_k p_k exp(r y.E_k - r^2 |E_k|^2 / 2), y from N(0, I);
            1/K E_y[max_k ...] for equal priors. For small r |E_k| alone: its
            variance grows as exp(r^2 |E|^2).

    Args:
        codebook: Points (K, n) or a codebook.
        r: alpha / sigma, at least 0.
        num_samples: Draws.
        seed: Of the draws; the same seed draws the same noise for any codebook of
            the same shape.
        prior: Weights (K,) of the tokens, equal by default.
        method: One of `METHODS`.

    Returns:
        Estimate of A in [max_k p_k, 1] and its standard error.
    """
    points = as_points(codebook)
    if method == "noise":
        return _mean_and_error(_draw_noise(points, r, num_samples, seed, prior))
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown; one of {METHODS}")
    key = {"mixture": "best", "decode": "decoded"}[method]
    parts = draw_mixture(points, r, num_samples, seed, prior)
    return _mean_and_error(torch.cat([getattr(part, key) for part in parts]))


def _draw_noise(points, r, num_samples, seed, prior) -> torch.Tensor:
    size, dim = points.shape
    generator = seeded(seed)
    offset = log_prior_of(prior, size) - r**2 / 2 * points.square().sum(-1)
    rows = max(1, CHUNK_ENTRIES // size)
    values = []
    for first in range(0, num_samples, rows):
        shape = (min(rows, num_samples - first), dim)
        y = torch.randn(shape, generator=generator, dtype=torch.float64)
        values.append(torch.addmm(offset, y, points.T, alpha=r).amax(-1).exp())
    return torch.cat(values)


def soft_accuracy(
    codebook: Union[torch.Tensor, Codebook],
    r: float,
    num_samples: int = 100000,
    seed: int = 0,
    prior: Optional[torch.Tensor] = None,
) -> Tuple[float, float]:
    """Mean posterior of the right token, E_y sum_k p(k | y)^2.

    Arguments as in `optimal_accuracy`.

    Returns:
        Estimate in [sum_k p_k^2, A] and its standard error.
    """
    parts = draw_mixture(as_points(codebook), r, num_samples, seed, prior)
    return _mean_and_error(torch.cat([part.right for part in parts]))


def bayes_error(
    codebook: Union[torch.Tensor, Codebook],
    r: float,
    num_samples: int = 100000,
    seed: int = 0,
    prior: Optional[torch.Tensor] = None,
) -> Tuple[float, float]:
    """1 - A: how often even the best predictor is wrong, and its standard error.

    Arguments as in `optimal_accuracy`.
    """
    accuracy, error = optimal_accuracy(codebook, r, num_samples, seed, prior)
    return 1 - accuracy, error
