"""Stage 4: what the frequencies of real tokens change."""

import torch

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.theory.accuracy import optimal_accuracy
from espnet_fsqdiff.theory.distance import nearest_neighbour_distance
from espnet_fsqdiff.theory.experiments.common import Work, parallel, write_table
from espnet_fsqdiff.theory.points import grid_points
from espnet_fsqdiff.theory.priors import ascend_accuracy, frequent_outside, read_counts

LEVELS = (3,) * 8
R = (1.0, 2.0, 3.0, 4.0, 6.0)
ASCENT_R = 3.0


def codebooks_for(prior: torch.Tensor, steps: int) -> dict:
    """The codebooks compared, by name, each (K, n)."""
    grid = grid_points(LEVELS)
    sorted_points = frequent_outside(prior, LEVELS)
    return {
        "fsq": grid,
        "perturbed": build_codebook("perturbed", levels=LEVELS).points.double(),
        "permuted": build_codebook("permuted", levels=LEVELS).points.double(),
        "random": build_codebook("random", levels=LEVELS).points.double(),
        "e8": build_codebook("e8", levels=LEVELS).points.double(),
        "frequent outside": sorted_points,
        "ascended from fsq": ascend_accuracy(grid, ASCENT_R, prior, steps),
        "ascended from frequent outside": ascend_accuracy(
            sorted_points, ASCENT_R, prior, steps
        ),
    }


def run(work: Work) -> None:
    """Write the table `priors`."""
    counts = read_counts(work.counts, 3**8)
    prior = counts.double() / counts.sum()
    torch.set_num_threads(work.nj)
    books = codebooks_for(prior, work.budget.large_ascent_steps)
    samples = work.budget.large_samples
    keys = [(name, r, p) for name in books for r in R for p in ("real", "equal")]
    arguments = [
        (books[name], r, samples, 3, prior if p == "real" else None)
        for name, r, p in keys
    ]
    found = parallel(optimal_accuracy, arguments, work.nj, "accuracy")
    by_key = dict(zip(keys, found))
    rows = []
    for name, points in books.items():
        distance = nearest_neighbour_distance(points)
        for r in R:
            real, error = by_key[name, r, "real"]
            equal, equal_error = by_key[name, r, "equal"]
            rows.append(
                {
                    "codebook": name,
                    "D": float(distance.mean()),
                    "D, real prior": float((prior * distance).sum()),
                    "r": r,
                    "A, real prior": real,
                    "Bayes error": 1 - real,
                    "standard error": error,
                    "A, equal priors": equal,
                    "its standard error": equal_error,
                    "A knowing only the prior": float(prior.max()),
                }
            )
    number = "{:.4f}"
    forms = {"codebook": "{}", "D": number, "D, real prior": number, "r": "{:g}"}
    forms |= {"A, real prior": number, "Bayes error": number}
    forms |= {"standard error": number, "A, equal priors": number}
    forms |= {"its standard error": number, "A knowing only the prior": number}
    write_table(work, "priors", forms, rows)
