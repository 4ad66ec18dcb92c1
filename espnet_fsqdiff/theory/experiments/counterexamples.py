"""Stage 5: codebooks that beat the grid, by distance or by accuracy."""

from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np
import torch

from espnet_fsqdiff.codebook.lattices import shifted_cosets
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.theory.accuracy import (
    grid_accuracy,
    optimal_accuracy,
    plane_accuracy,
)
from espnet_fsqdiff.theory.distance import nearest_neighbour_distance
from espnet_fsqdiff.theory.experiments.common import (
    Work,
    parallel,
    require,
    write_table,
)
from espnet_fsqdiff.theory.lattices import deal, rivals
from espnet_fsqdiff.theory.points import grid_points
from espnet_fsqdiff.theory.search import (
    accuracy_objective,
    ascend,
    distance_objective,
    mixed_objective,
    starts,
)

E8_R = (0.3, 1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, 6.25, 6.5, 6.75, 7.0, 7.5, 8.0, 9.0)
SEARCHES = [(2, 2), (2, 3), (2, 5), (3, 2), (3, 3), (4, 2)]
SEARCH_R = (0.3, 1.0, 3.0, 6.0)


def split_edge() -> torch.Tensor:
    """Nine points in the plane without the grid's centre, one edge cut in three.

    Corners, the middles of three edges, and two points on the fourth edge, at
    +-1/3. Replacing the centre costs O(r^4) of A, the closer spacing of the edge
    gains O(r^3): for small r it beats the grid.
    """
    points = grid_points([3, 3])
    third = 1 / 3
    points[4] = torch.tensor([1.0, third])
    points[5] = torch.tensor([1.0, -third])
    return points


def last_sign_change(r: np.ndarray, difference: np.ndarray) -> Optional[int]:
    """The last i such that the function is below 0 at r[i] and not at r[i + 1]."""
    signs = np.flatnonzero((difference[:-1] < 0) & (difference[1:] >= 0))
    return int(signs[-1]) if len(signs) else None


def fitted_root(
    r: np.ndarray, values: np.ndarray, errors: np.ndarray, seed: int = 0
) -> Tuple[float, float]:
    """Where a parabola through noisy values rises through 0, and its error.

    Args:
        r: Places, rising.
        values: Of the function there.
        errors: Standard errors of the values, > 0.
        seed: Of the 200 noisy copies that give the error.

    Returns:
        The root within the places and its standard error; NaN if there is none.
    """

    def root(y: np.ndarray) -> float:
        fit = np.polynomial.Polynomial.fit(r, y, 2, w=1 / errors)
        found = [
            float(x.real)
            for x in fit.roots()
            if abs(x.imag) < 1e-9 and r[0] <= x.real <= r[-1] and fit.deriv()(x) > 0
        ]
        return found[0] if found else np.nan

    found = root(values)
    if not np.isfinite(found):
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    copies = [root(values + errors * rng.standard_normal(len(r))) for _ in range(200)]
    return found, float(np.nanstd([*copies, found]))


class Crossing(NamedTuple):
    """Where a codebook becomes the more accurate one; None if nowhere.

    Attributes:
        r: alpha / sigma.
        error: Its standard error.
        accuracy: A of the grid there.
    """

    r: Optional[float]
    error: Optional[float]
    accuracy: Optional[float]


def crossing(
    points: torch.Tensor, levels: Tuple[int, ...], num_samples: int
) -> Crossing:
    """The r from which on `points` have more accuracy than the grid.

    Looked for where the grid's accuracy is 0.6 to 0.999: a coarse search, then a
    parabola through seven more precise values around the last change of sign.

    Args:
        points: Codebook (P, n).
        levels: Of the grid, whose accuracy is known in closed form.
        num_samples: Draws for each of 14 values of r; four times as many for the
            seven.
    """

    def difference(r: float, number: int) -> Tuple[float, float]:
        value, error = optimal_accuracy(points, r, number, seed=7)
        return value - float(grid_accuracy(levels, r)), max(error, 1e-9)

    r = np.geomspace(0.5, 60, 400)
    exact = grid_accuracy(levels, torch.from_numpy(r)).numpy()
    r = r[(exact > 0.6) & (exact < 0.999)]
    r = r[np.linspace(0, len(r) - 1, 14).astype(int)]
    coarse = np.array([difference(float(x), num_samples)[0] for x in r])
    i = last_sign_change(r, coarse)
    if i is None:
        return Crossing(None, None, None)
    fine = np.linspace(r[max(0, i - 1)], r[min(len(r) - 1, i + 2)], 7)
    values = np.array([difference(float(x), 4 * num_samples) for x in fine])
    found, error = fitted_root(fine, values[:, 0], values[:, 1])
    if not np.isfinite(found):
        return Crossing(None, None, None)
    return Crossing(found, error, float(grid_accuracy(levels, found)))


def search(
    base: int, dim: int, goal: str, r: float, number: int, steps: int, samples: int
) -> dict:
    """Best codebook of one objective, from random starts and from near the grid."""
    grid = grid_points([base] * dim)
    begin = torch.cat(list(starts(grid, number, 0.2 / (base - 1), seed=dim)))
    if dim == 2:
        begin = torch.cat([begin, split_edge()[None]]) if base == 3 else begin

        def accuracy(points: torch.Tensor, done: float) -> torch.Tensor:
            return plane_accuracy(points, r, 151)

    else:
        accuracy = accuracy_objective(r, num_samples=1024, seed=dim)
    objective: Callable = accuracy
    if goal == "mixed":
        # Both relative to the grid's value.
        share, spacing = 0.5, 2 / (base - 1)
        scale = float(grid_accuracy([base] * dim, r))
        objective = mixed_objective(
            lambda p, done: accuracy(p, done) / scale,
            lambda p, done: distance_objective()(p, done) / spacing,
            share,
        )
    ends = ascend(begin, objective, steps)
    exact = float(grid_accuracy([base] * dim, r))
    if dim == 2:
        values = plane_accuracy(ends, r)
        error = 0.0
        best = ends[values.argmax()]
        reached = float(values.max())
    else:
        # Chosen on some draws, judged on others.
        chosen = [optimal_accuracy(p, r, samples // 10, seed=1)[0] for p in ends]
        best = ends[int(np.argmax(chosen))]
        reached, error = optimal_accuracy(best, r, samples, seed=2)
    gain = reached - exact
    return {
        "base": base,
        "n": dim,
        "objective": goal,
        "r": r,
        "A of the grid": exact,
        "best A found": reached,
        "gain": gain,
        "standard error": error,
        "D found": float(nearest_neighbour_distance(best).mean()),
        "D of the grid": 2 / (base - 1),
        # 1e-7 is the precision of the quadrature in the plane.
        "beats the grid": "yes" if gain > 4 * error + 1e-7 else "no",
    }


def _write_e8(work: Work) -> None:
    points = shifted_cosets(3, 8)
    exact = {r: float(grid_accuracy([3] * 8, r)) for r in E8_R}
    arguments = [(points, r, 4 * work.budget.large_samples, 1) for r in E8_R]
    found = parallel(optimal_accuracy, arguments, work.nj, "accuracy of E8")
    rows = [
        {
            "r": r,
            "A of the grid": exact[r],
            "A of E8": value,
            "standard error": error,
            "difference": value - exact[r],
        }
        for r, (value, error) in zip(E8_R, found)
    ]
    forms = {"r": "{:g}", "A of the grid": "{:.5f}", "A of E8": "{:.5f}"}
    forms |= {"standard error": "{:.5f}", "difference": "{:+.5f}"}
    write_table(work, "e8", forms, rows)


def _write_crossings(work: Work) -> None:
    path = require(work, work.data("distance_ascent.npz"), "distance_ascent")
    with np.load(path) as data:
        ascended = torch.from_numpy(data["2_5"])
    samples, large = work.budget.samples, work.budget.large_samples
    by_size = {(x.family, x.levels, x.dim): x for x in rivals()}
    d4 = by_size["checkerboard", 4, 4].points()
    candidates = [
        ("E8, 6562 points", shifted_cosets(3, 8), (3,) * 8, 2 * large),
        ("two cosets of D7", shifted_cosets(3, 7), (3,) * 7, 4 * large),
        ("D4, 256 of 313", deal(d4, grid_points([4] * 4)), (4,) * 4, samples),
        ("ascent on D", ascended, (2,) * 5, samples),
    ]
    found = parallel(crossing, [c[1:] for c in candidates], work.nj, "crossings")
    rows = []
    for (name, points, levels, _), cross in zip(candidates, found):
        distance = nearest_neighbour_distance(points)
        rows.append(
            {
                "codebook": name,
                "base": levels[0],
                "n": len(levels),
                "K": len(points),
                "D": float(distance.mean()),
                "smallest distance": float(distance.min()),
                "D of the grid": 2 / (levels[0] - 1),
                "more accurate from r": cross.r,
                "standard error": cross.error,
                "where A is": cross.accuracy,
            }
        )
    forms = {"codebook": "{}", "base": "{:g}", "n": "{:g}", "K": "{:g}", "D": "{:.4f}"}
    forms |= {"smallest distance": "{:.4f}", "D of the grid": "{:.4f}"}
    forms |= {"more accurate from r": "{:.2f}", "standard error": "{:.2f}"}
    forms |= {"where A is": "{:.4f}"}
    write_table(work, "crossings", forms, rows)


def _write_lattices(work: Work) -> None:
    rows = []
    for rival in rivals():
        measured = None
        if rival.num_points <= 20000:
            measured = nearest_neighbour_distance(rival.points())
            measured = float(measured.min()) * (rival.levels - 1) / 2
        rows.append(
            {
                "family": rival.family,
                "base": rival.levels,
                "n": rival.dim,
                "points of the grid": rival.levels**rival.dim,
                "points": rival.num_points,
                "distance / grid's": rival.ratio,
                "measured": measured,
                "path KL / grid's": rival.ratio**2,
            }
        )
    forms = {"family": "{}", "base": "{:g}", "n": "{:g}"}
    forms |= {"points of the grid": "{:g}", "points": "{:g}"}
    forms |= {"distance / grid's": "{:.4f}", "measured": "{:.4f}"}
    forms |= {"path KL / grid's": "{:.3f}"}
    write_table(work, "lattices", forms, rows)


def _write_small_noise(work: Work) -> None:
    rows = []
    for r in (0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 1.0):
        grid = float(grid_accuracy([3, 3], r))
        other = float(plane_accuracy(split_edge(), r, 4001))
        rows.append(
            {
                "r": r,
                "A of the grid": grid,
                "A of the split edge": other,
                "difference": other - grid,
                # Four copies side by side: 9^4 = 6561 tokens in R^8.
                "relative, n = 8": (other / grid) ** 4 - 1,
            }
        )
    forms = {"r": "{:g}", "A of the grid": "{:.8f}", "A of the split edge": "{:.8f}"}
    forms |= {"difference": "{:+.1e}", "relative, n = 8": "{:+.1e}"}
    write_table(work, "small_noise", forms, rows)


def _write_search(work: Work) -> None:
    budget = work.budget
    # Of each kind; these ascents cost most.
    starts_each = max(1, budget.starts // 2)
    arguments = [
        (base, dim, goal, r, starts_each, budget.ascent_steps // 2, budget.samples)
        for base, dim in SEARCHES
        for goal in ("accuracy", "mixed")
        for r in SEARCH_R
    ]
    rows = parallel(search, arguments, work.nj, "ascents on A")
    forms = {"base": "{:g}", "n": "{:g}", "objective": "{}", "r": "{:g}"}
    forms |= {"A of the grid": "{:.6f}", "best A found": "{:.6f}", "gain": "{:+.1e}"}
    forms |= {
        "standard error": "{:.1e}",
        "D found": "{:.4f}",
        "D of the grid": "{:.4f}",
    }
    forms |= {"beats the grid": "{}"}
    write_table(work, "search", forms, rows)


def run(work: Work) -> None:
    """Write `e8`, `crossings`, `lattices`, `small_noise` and `search`."""
    _write_lattices(work)
    _write_small_noise(work)
    _write_e8(work)
    _write_crossings(work)
    _write_search(work)
    with atomic_path(work.data("split_edge.npz")) as path:
        np.savez(path, points=split_edge())
