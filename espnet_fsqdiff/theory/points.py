"""Codebooks as the theory takes them."""

from typing import Union

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.fsq import FSQ

# Entries of a table of scores that is held at once: 32 MB in float64.
CHUNK_ENTRIES = 2**22


def as_points(codebook: Union[torch.Tensor, Codebook]) -> torch.Tensor:
    """The table (K, n) of a codebook, float64.

    Raises:
        ValueError: If a tensor is not of two dimensions.
    """
    points = codebook.points.detach() if isinstance(codebook, Codebook) else codebook
    points = torch.as_tensor(points)
    if points.dim() != 2:
        raise ValueError(f"a codebook is a table (K, n), not {tuple(points.shape)}")
    return points.double()


def grid_points(levels) -> torch.Tensor:
    """The FSQ grid (prod_i L_i, n), float64, exact where L_i - 1 is a power of 2."""
    fsq = FSQ(levels)
    digits = fsq.indices_to_digits(torch.arange(fsq.num_codes))
    return 2 * digits.double() / (torch.tensor(fsq.levels) - 1) - 1


def uniform_points(size, generator: torch.Generator) -> torch.Tensor:
    """Points (...) uniform in [-1, 1], float64."""
    return 2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1


def seeded(seed: int) -> torch.Generator:
    """A generator of its own on the CPU."""
    return torch.Generator().manual_seed(seed)
