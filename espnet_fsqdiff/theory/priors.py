"""Unequal priors: codebooks for tokens of given frequencies."""

from pathlib import Path
from typing import Union

import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.theory.points import grid_points
from espnet_fsqdiff.theory.search import accuracy_objective, ascend


def read_counts(path: Union[str, Path], num_codes: int) -> torch.Tensor:
    """Counts (K,) of a file of `code count` lines, int64.

    Args:
        path: As the token-extraction stage writes it (`counts.txt`).
        num_codes: K.

    Raises:
        InputError: If the file is missing or not K such lines in order.
    """
    from espnet_fsqdiff.token_io import read_counts as read

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file of token counts; give --counts")
    counts = torch.from_numpy(read(Path(path))).long()
    if len(counts) != num_codes:
        raise InputError(f"{path}: {len(counts)} codes, not {num_codes}")
    return counts


def frequent_outside(prior: torch.Tensor, levels) -> torch.Tensor:
    """The grid, its points dealt so that frequent tokens have the freest places.

    The accuracy of a place is a product over its coordinates, larger at the ends
    of an axis (one boundary) than between (two). Places are ranked by the number
    of coordinates at an end, tokens by their prior.

    Args:
        prior: Weights (K,) of the tokens.
        levels: Of the grid, prod_i L_i = K.

    Returns:
        Points (K, n), float64, row k the place of token k.
    """
    grid = grid_points(levels)
    ends = (grid.abs() == 1).sum(-1)
    places = ends.argsort(descending=True, stable=True)
    tokens = torch.as_tensor(prior).argsort(descending=True, stable=True)
    points = torch.empty_like(grid)
    points[tokens] = grid[places]
    return points


def ascend_accuracy(
    start: torch.Tensor,
    r: float,
    prior: torch.Tensor,
    num_steps: int,
    num_samples: int = 1024,
    rate: float = 0.005,
    seed: int = 0,
) -> torch.Tensor:
    """Gradient ascent on A(E, r) under a prior, in float32: for large codebooks.

    Args:
        start: Points (K, n) in the box.
        r: alpha / sigma.
        prior: Weights (K,).
        num_steps: Steps.
        num_samples: Draws in a step.
        rate: First learning rate.
        seed: Of the draws.

    Returns:
        Points (K, n), float64.
    """
    objective = accuracy_objective(r, num_samples, seed, prior)
    ends = ascend(start.float()[None], objective, num_steps, rate)
    return ends[0].double()
