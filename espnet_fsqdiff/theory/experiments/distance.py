"""Stage 2: D(E) of random codebooks, of the grid, and by gradient ascent."""

from typing import List, Tuple

import numpy as np
import torch

from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.theory.distance import nearest_neighbour_distance, steepest_rise
from espnet_fsqdiff.theory.experiments.common import Work, parallel, write_table
from espnet_fsqdiff.theory.points import grid_points, seeded, uniform_points
from espnet_fsqdiff.theory.search import ascend, distance_objective, starts

SIZES = [(base, n) for base in (2, 3) for n in (2, 3, 4, 8)]
ASCENTS = [(2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (3, 2), (3, 3), (4, 2), (5, 2)]
# Of codebooks larger than this, D is the mean over that many of their tokens.
LOOKED_AT = 512
# The largest codebooks are drawn in parts, or one process would work on alone.
PARTS = 8


def random_distances(base: int, dim: int, number: int, seed: int) -> np.ndarray:
    """D of random codebooks (number,), of base^dim points uniform in the box.

    Codebooks of more than `LOOKED_AT` points are judged by the distances of that
    many of their points to all others; with points drawn independently these are
    as good a sample as any, and the standard error of D is below 0.01.
    """
    size = base**dim
    generator = torch.Generator().manual_seed(seed)
    shown = min(size, LOOKED_AT)
    batch = max(1, min(number, 2**21 // (size * shown)))
    # Not a list of tensors: small ones kept between the large ones that come and go
    # would keep the allocator from ever using the same memory again.
    values = np.empty(number)
    for first in range(0, number, batch):
        count = min(batch, number - first)
        points = 2 * torch.rand(count, size, dim, generator=generator) - 1
        half_square = points.square().sum(-1) / 2
        score = points[:, :shown] @ points.mT - half_square.unsqueeze(1)
        own = torch.arange(shown)
        score[:, own, own] = -torch.inf
        near = score.argmax(-1)
        index = near.unsqueeze(-1).expand(-1, -1, dim)
        moved = points[:, :shown] - points.gather(1, index)
        mean = torch.linalg.vector_norm(moved, dim=-1).mean(-1)
        values[first : first + count] = mean.numpy()
    return values


def random_samples(work: Work) -> List[np.ndarray]:
    """D of random codebooks (number,), for each of `SIZES`."""
    jobs = []
    for base, n in SIZES:
        parts = PARTS if base**n > 1000 else 1
        shares = np.array_split(np.arange(work.budget.codebooks), parts)
        jobs += [
            (base, n, len(share), base * 10 + n + 100 * part)
            for part, share in enumerate(shares)
        ]
    # The long ones first.
    jobs.sort(key=lambda job: -(job[0] ** job[1]))
    found = parallel(random_distances, jobs, work.nj, "random codebooks")
    return [
        np.concatenate([d for job, d in zip(jobs, found) if job[:2] == size])
        for size in SIZES
    ]


def ascent(base: int, dim: int, number: int, steps: int) -> Tuple[dict, torch.Tensor]:
    """Best D reached from random starts and from near the grid, and its points."""
    grid = grid_points([base] * dim)
    begin = starts(grid, number, noise=0.1 / (base - 1), seed=base * 100 + dim)
    best = {}
    for name, points in begin._asdict().items():
        ends = ascend(points, distance_objective(), steps)
        values = torch.stack([nearest_neighbour_distance(p).mean() for p in ends])
        best[name] = (float(values.max()), ends[values.argmax()])
    # Downhill from the grid itself: the largest D among small random moves of it.
    generator = seeded(dim)
    moved = [
        nearest_neighbour_distance(
            (grid + 0.02 * uniform_points(grid.shape, generator)).clamp(-1, 1)
        ).mean()
        for _ in range(200)
    ]
    rate, _ = steepest_rise(grid)
    spacing = 2 / (base - 1)
    found, points = best["random"]
    row = {
        "base": base,
        "n": dim,
        "K": base**dim,
        "grid": spacing,
        "from random starts": found,
        "its smallest distance": float(nearest_neighbour_distance(points).min()),
        "from near the grid": best["near"][0],
        "best of 200 small moves": float(torch.stack(moved).max()),
        "steepest rise": rate,
        "beats the grid": "yes" if found > spacing * (1 + 1e-6) else "no",
    }
    return row, points


def run(work: Work) -> None:
    """Write `distance_random`, `distance_ascent` and `distance_samples.npz`."""
    budget = work.budget
    found = random_samples(work)
    rows = []
    for (base, n), values in zip(SIZES, found):
        grid = 2 / (base - 1)
        rows.append(
            {
                "base": base,
                "n": n,
                "K": base**n,
                "codebooks": len(values),
                "random, mean": values.mean(),
                "random, largest": values.max(),
                "grid": grid,
                "beat the grid": int((values > grid).sum()),
            }
        )
    number = "{:.4f}"
    forms = {
        "base": "{:g}",
        "n": "{:g}",
        "K": "{:g}",
        "codebooks": "{:g}",
        "random, mean": number,
        "random, largest": number,
        "grid": number,
        "beat the grid": "{:g}",
    }
    write_table(work, "distance_random", forms, rows)
    with atomic_path(work.data("distance_samples.npz")) as path:
        np.savez(path, **{f"{b}_{n}": v for (b, n), v in zip(SIZES, found)})

    arguments = [(b, n, budget.starts, budget.ascent_steps) for b, n in ASCENTS]
    ascents = parallel(ascent, arguments, work.nj, "ascents on D")
    forms = {
        "base": "{:g}",
        "n": "{:g}",
        "K": "{:g}",
        "grid": number,
        "from random starts": number,
        "its smallest distance": number,
        "from near the grid": number,
        "best of 200 small moves": number,
        "steepest rise": "{:.1e}",
        "beats the grid": "{}",
    }
    write_table(work, "distance_ascent", forms, [row for row, _ in ascents])
    with atomic_path(work.data("distance_ascent.npz")) as path:
        np.savez(path, **{f"{b}_{n}": p for (b, n), (_, p) in zip(ASCENTS, ascents)})
