"""Where a model learns: cross-entropy against t, time grids and times from it.

CDCD (Dieleman et al., 2022, sec. 3.4) draws training times where the
cross-entropy changes, so that every stretch of the diffusion carries the same
share of the information; the few steps of sampling are best placed likewise.
"""

import torch
from torch import nn

from espnet_fsqdiff.errors import InputError


def uniform_times(num_steps: int) -> torch.Tensor:
    """Time grid (num_steps + 1,) from 1 to 0 in equal steps."""
    if num_steps < 1:
        raise InputError(f"num_steps is {num_steps}; give at least 1")
    return torch.linspace(1, 0, num_steps + 1)


class InformationCurve(nn.Module):
    """Cross-entropy L(t) of a model as it trains, and the warp F that it makes.

    Training losses fall into `num_bins` equal bins of t, each a running mean

        total_b = d^m_b total_b + sum of losses,   weight_b = d^m_b weight_b + m_b

    over the m_b utterances of a batch that fall into bin b, so that L_b = total_b /
    weight_b is a mean over about 1 / (1 - d) utterances. L is made monotone (isotonic
    regression, weights weight_b) and its increase over t is the density of the
    information,

        F(t) = (1 - u) (L(t) - L(0)) / (L(1) - L(0)) + u t,

    with a share u left uniform so that no time is forgotten.

    Args:
        num_bins: Bins of t on [0, 1].
        decay: d, for every utterance.
        uniform_share: u.
    """

    def __init__(
        self, num_bins: int = 50, decay: float = 0.995, uniform_share: float = 0.2
    ):
        super().__init__()
        self.decay = decay
        self.uniform_share = uniform_share
        # Float buffers: averaged checkpoints stay what they mean.
        self.register_buffer("total", torch.zeros(num_bins, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(num_bins, dtype=torch.float64))

    @property
    def num_bins(self) -> int:
        """Bins of t."""
        return self.total.numel()

    def known(self) -> bool:
        """Whether enough losses have been seen to draw times by them."""
        return bool(self.weight.sum() >= 10 * self.num_bins)

    @torch.no_grad()
    def update(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Count the losses (B,), in nats per token, of utterances at times t (B,)."""
        index = (t * self.num_bins).long().clamp(0, self.num_bins - 1)
        losses = losses.to(self.total)  # ESPnet casts the buffers with the model
        count = torch.zeros_like(self.weight)
        count.index_add_(0, index, torch.ones_like(losses))
        kept = self.decay**count
        self.total.mul_(kept).index_add_(0, index, losses)
        self.weight.mul_(kept).add_(count)

    def cross_entropy(self) -> torch.Tensor:
        """Monotone L at the middle of every bin (num_bins,), float64, on the CPU.

        Bins that no loss has fallen into lie on a line between their neighbours.

        Raises:
            InputError: If fewer than two bins have been seen.
        """
        weight = self.weight.double().cpu()
        seen = weight > 0
        if seen.sum() < 2:
            raise InputError(
                "the model has seen too little training to know its cross-entropy "
                "against t; use time_grid: uniform"
            )
        mean = isotonic(self.total.double().cpu()[seen] / weight[seen], weight[seen])
        centre = (torch.arange(self.num_bins, dtype=torch.float64) + 0.5) / len(seen)
        return _interpolate(centre, centre[seen], mean)

    def cdf(self) -> torch.Tensor:
        """F at the edges of the bins (num_bins + 1,), from 0 to 1, float64."""
        middle = self.cross_entropy()
        edges = torch.linspace(0, 1, self.num_bins + 1, dtype=torch.float64)
        inner = (middle[1:] + middle[:-1]) / 2
        curve = torch.cat([middle[:1], inner, middle[-1:]])
        rise = curve[-1] - curve[0]
        if rise <= 0:
            return edges
        share = (curve - curve[0]) / rise
        return (1 - self.uniform_share) * share + self.uniform_share * edges

    def warp(self, u: torch.Tensor) -> torch.Tensor:
        """Times t = F^-1(u) for u in [0, 1], any shape; 0 and 1 are kept."""
        cdf = self.cdf()
        edges = torch.linspace(0, 1, self.num_bins + 1, dtype=torch.float64)
        t = _interpolate(u.detach().double().cpu().flatten(), cdf, edges)
        return t.view_as(u).to(u)

    def times(self, num_steps: int) -> torch.Tensor:
        """Time grid (num_steps + 1,) from 1 to 0, equal in information."""
        return self.warp(uniform_times(num_steps))


def isotonic(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Nearest non-decreasing sequence in weighted least squares.

    Pool adjacent violators: neighbours in the wrong order become their mean.

    Args:
        values: (N,).
        weights: (N,), > 0.

    Returns:
        (N,), float64.
    """
    means, sizes, counts = [], [], []
    for value, weight in zip(values.tolist(), weights.tolist()):
        means.append(value)
        sizes.append(weight)
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            size = sizes[-2] + sizes[-1]
            mean = (means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size
            means[-2:], sizes[-2:] = [mean], [size]
            counts[-2:] = [counts[-2] + counts[-1]]
    pooled = torch.tensor(means, dtype=torch.float64)
    return pooled.repeat_interleave(torch.tensor(counts))


def _interpolate(x: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Piecewise linear through (xs, ys), xs increasing; constant outside."""
    right = torch.searchsorted(xs, x).clamp(1, len(xs) - 1)
    left = right - 1
    share = (x - xs[left]) / (xs[right] - xs[left]).clamp(min=1e-300)
    return torch.lerp(ys[left], ys[right], share.clamp(0, 1))
