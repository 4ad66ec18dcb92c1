"""Dense lattices against the grid: when more distance fits into the same box."""

from typing import List, NamedTuple

import torch

from espnet_fsqdiff.codebook.lattices import checkerboard, shifted_cosets


class Rival(NamedTuple):
    """A piece of a lattice with at least as many points as a grid.

    Attributes:
        family: `cosets` (two cosets of D_n) or `checkerboard` (D_n).
        levels: L of the grid it stands against.
        dim: n.
        num_points: Points it has; the grid has L^n.
        ratio: Its distance to the nearest neighbour over the grid's 2 / (L - 1).
    """

    family: str
    levels: int
    dim: int
    num_points: int
    ratio: float

    def points(self) -> torch.Tensor:
        """The points (num_points, n), float64."""
        if self.family == "cosets":
            return shifted_cosets(self.levels, self.dim)
        return checkerboard(self.levels + 1, self.dim)


def coset_rival(levels: int, dim: int) -> Rival:
    """`shifted_cosets`: ratio min(sqrt 2, sqrt(n) / 2) (L - 1) / (L - 1/2)."""
    ratio = min(2**0.5, dim**0.5 / 2) * (levels - 1) / (levels - 0.5)
    return Rival("cosets", levels, dim, levels**dim + levels % 2, ratio)


def checkerboard_rival(levels: int, dim: int) -> Rival:
    """`checkerboard` of L + 1 levels: ratio sqrt(2) (L - 1) / L."""
    count = -(-((levels + 1) ** dim) // 2)
    return Rival("checkerboard", levels, dim, count, 2**0.5 * (levels - 1) / levels)


def rivals(max_levels: int = 6, max_dim: int = 8) -> List[Rival]:
    """Those that have the points and the distance to beat the grid, by n and L."""
    found = [
        make(levels, dim)
        for dim in range(2, max_dim + 1)
        for levels in range(2, max_levels + 1)
        for make in (coset_rival, checkerboard_rival)
    ]
    return [
        rival
        for rival in found
        if rival.num_points >= rival.levels**rival.dim and rival.ratio > 1 + 1e-9
    ]


def deal(points: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Give every grid point one of the points, near it.

    The assignment of least total squared distance, so that what the tokens of
    near grid points have in common stays near.

    Args:
        points: At least K points (P, n).
        grid: (K, n).

    Returns:
        (K, n), row k the point of grid point k.
    """
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(grid.double(), points.double()).square()
    _, columns = linear_sum_assignment(cost.numpy())
    return points[torch.from_numpy(columns)]
