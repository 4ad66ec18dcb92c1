"""Distances to the nearest other token: D(E) of arXiv 2606.09962, Theorem 4.3."""

from typing import Tuple, Union

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.theory.points import CHUNK_ENTRIES, as_points


@torch.no_grad()
def nearest_neighbours(codebook: Union[torch.Tensor, Codebook]) -> torch.Tensor:
    """Number (K,), int64, of the nearest other point of each point.

    Args:
        codebook: Points (K, n), K >= 2, or a codebook. Chunked: 6561 points in
            R^8 take about a second.

    Raises:
        ValueError: If there is only one point.
    """
    points = as_points(codebook)
    size = len(points)
    if size < 2:
        raise ValueError("one point has no neighbour; give a codebook of two or more")
    half_square = points.square().sum(-1) / 2
    rows = max(1, CHUNK_ENTRIES // size)
    found = []
    for first in range(0, size, rows):
        # Nearest where x.p - |p|^2 / 2 is largest.
        score = points[first : first + rows] @ points.T - half_square
        own = torch.arange(len(score))
        score[own, first + own] = -torch.inf
        found.append(score.argmax(-1))
    return torch.cat(found)


def nearest_neighbour_distance(
    codebook: Union[torch.Tensor, Codebook],
) -> torch.Tensor:
    """Distance of each token to its nearest other token.

        D_k = min_{j != k} |E_k - E_j|

    Their mean is the D(E) that Theorem 4.3 of arXiv 2606.09962 is about; there
    the points are bound by |E_ki| <= 1.

    Args:
        codebook: Points (K, n) or a codebook; a tensor's gradient passes.

    Returns:
        Distances (K,), float64, in the unit of the points.
    """
    points = as_points(codebook)
    neighbours = points[nearest_neighbours(points)]
    return torch.linalg.vector_norm(points - neighbours, dim=-1)


def steepest_rise(
    codebook: Union[torch.Tensor, Codebook], tolerance: float = 1e-9
) -> Tuple[float, torch.Tensor]:
    """Fastest first-order rise of D(E) inside the box, by linear programming.

    For velocities v of the points, N_k the nearest neighbours of point k (ties are
    kept) and u_kj the unit vector from j to k,

        dD(E) / dv = 1/K sum_k min_{j in N_k} u_kj . (v_k - v_j),

    maximised over |v_ki| <= 1, v_ki <= 0 where E_ki = 1, v_ki >= 0 where E_ki = -1.
    0 says that no direction raises D at first order, which a local maximum has to
    fulfil; second order is not looked at.

    Args:
        codebook: Points (K, n) in the box, K a thousand at most.
        tolerance: Distances and bounds are equal within it.

    Returns:
        The rate, at least 0 (v = 0 is allowed), and v (K, n).
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    points = as_points(codebook)
    size, dim = points.shape
    distance = torch.cdist(
        points, points, compute_mode="donot_use_mm_for_euclid_dist"
    ).fill_diagonal_(torch.inf)
    nearest = distance <= distance.amin(-1, keepdim=True) + tolerance
    k, j = nearest.nonzero().T
    unit = (points[k] - points[j]) / distance[k, j].unsqueeze(-1)
    # Unknowns: v, then s_k; rows: s_k - u_kj . (v_k - v_j) <= 0.
    row = torch.arange(len(k)).repeat_interleave(dim)
    axis = torch.arange(dim).repeat(len(k))
    rows = torch.cat([row, row, torch.arange(len(k))])
    columns = torch.cat(
        [
            k.repeat_interleave(dim) * dim + axis,
            j.repeat_interleave(dim) * dim + axis,
            size * dim + k,
        ]
    )
    ones = torch.ones(len(k), dtype=torch.float64)
    values = torch.cat([-unit.flatten(), unit.flatten(), ones])
    unknowns = size * (dim + 1)
    matrix = coo_array(
        (values.numpy(), (rows.numpy(), columns.numpy())), shape=(len(k), unknowns)
    ).tocsr()
    flat = points.flatten()
    low = torch.where(flat <= -1 + tolerance, 0.0, -1.0)
    high = torch.where(flat >= 1 - tolerance, 0.0, 1.0)
    bounds = [*zip(low.tolist(), high.tolist()), *[(None, None)] * size]
    cost = torch.cat([torch.zeros(size * dim), torch.full((size,), -1.0)])
    solution = linprog(
        cost.numpy(), A_ub=matrix, b_ub=[0.0] * len(k), bounds=bounds, method="highs"
    )
    if not solution.success:
        raise RuntimeError(f"linear programme: {solution.message}")
    velocity = torch.from_numpy(solution.x[: size * dim]).view(size, dim)
    return max(0.0, -solution.fun / size), velocity
