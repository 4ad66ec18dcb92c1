"""A codebook that is trained with the network."""

from typing import Optional, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.codebook.base import Codebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ

CONSTRAINTS = ("sphere", "box")


class LearnedCodebook(Codebook):
    """A trained table: weights W (K, n), of which the points are a function.

        sphere:  E_k = radius W_k / |W_k|
        box:     E_ki = tanh(W_ki)

    Why a constraint. The gradient reaches E through x_t = alpha E[token] + sigma eps,
    and the cross-entropy falls as points move apart: left free, they grow without
    bound until the noise hides nothing and there is nothing left to denoise at any
    t below 1. (CDCD, Dieleman et al., 2022, therefore normalises each to the norm
    sqrt(n).) A squared error on latents would err the other way, towards equal
    points; the cross-entropy does not, as equal points cannot be told apart. Weight
    decay alone is no cure: it only sets where growth and decay balance.

    `sphere` fixes the norm, so that the signal-to-noise ratio at t is the same for
    every token whatever is learnt, and directions alone are trained. The default
    radius is the root mean square norm of the grid, sqrt(sum_i (L_i + 1) /
    (3 (L_i - 1))), 2.31 for 3^8: signal and prior keep the scale that they have on
    the grid, though single coordinates may exceed 1. `radius: 2.828` (sqrt(n)) is
    CDCD's. `box` holds the points where those of all other codebooks are, |x_i| <= 1;
    its weights may drift into corners, where tanh has hardly a gradient left.

    The constraint is part of what is computed, not a step after the update: a
    moving average or a mean of checkpoints averages W, and its points obey the
    constraint as those in training do, which an average of points on a sphere does
    not. Points of tokens that never occur stay where the seed put them.

    Args:
        levels: Of the grid whose K, and n, it takes.
        dim: n, by default the number of levels.
        constraint: `sphere` or `box`.
        radius: Of the sphere.
        seed: Of the start: uniform directions, or points uniform in the box.

    Raises:
        InputError: If the constraint is unknown, or `radius` or `dim` not positive.
    """

    def __init__(
        self,
        levels: Sequence[int] = (3,) * 8,
        dim: Optional[int] = None,
        constraint: str = "sphere",
        radius: Optional[float] = None,
        seed: int = 0,
    ):
        super().__init__()
        if constraint not in CONSTRAINTS:
            raise InputError(
                f"codebook_conf: constraint {constraint!r} is unknown; choose one of "
                f"{', '.join(CONSTRAINTS)}"
            )
        fsq = FSQ(levels)
        self.num_codes, self.dim = fsq.num_codes, fsq.dim if dim is None else dim
        if self.dim < 1:
            raise InputError(f"codebook_conf: dim {dim}; give at least 1")
        if radius is None:
            radius = sum((k + 1) / (3 * (k - 1)) for k in fsq.levels) ** 0.5
        if not radius > 0:
            raise InputError(f"codebook_conf: radius {radius}; give more than 0")
        self.constraint = constraint
        self.radius = radius
        # On the CPU, so that the start is the same wherever the model is trained.
        generator = torch.Generator().manual_seed(seed)
        shape = (self.num_codes, self.dim)
        if constraint == "sphere":
            weight = torch.randn(shape, generator=generator)
        else:
            weight = (2 * torch.rand(shape, generator=generator) - 1).atanh()
            # -1 is drawn once in 2^24 times.
            weight = weight.clamp(min=-5)
        self.weight = nn.Parameter(weight)

    @property
    def points(self) -> torch.Tensor:
        """The table (K, n), float32, with its gradient."""
        weight = self.weight.float()
        if self.constraint == "box":
            return weight.tanh()
        return self.radius * F.normalize(weight, dim=-1)

    def extra_repr(self) -> str:
        return f"{self.num_codes}, {self.dim}, constraint={self.constraint}"
