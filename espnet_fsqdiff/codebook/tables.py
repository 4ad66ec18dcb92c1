"""Codebooks other than the grid: fixed tables, made from a seed.

They have the grid's size, K = prod_i L_i points, in R^n for n levels L_i if not said
otherwise, and lie in its box |x_i| <= 1, so that a model can be trained on the same
tokens with any.
"""

from typing import Sequence

import torch

from espnet_fsqdiff.codebook.base import Codebook
from espnet_fsqdiff.codebook.lattices import shifted_cosets
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ

# Averaging checkpoints may round the last bit of a table.
TOLERANCE = 1e-5


def _grid(levels: Sequence[int]) -> torch.Tensor:
    fsq = FSQ(levels)
    return fsq.indices_to_codes(torch.arange(fsq.num_codes))


def _generator(seed: int) -> torch.Generator:
    # On the CPU, so that the table is the same wherever the model is trained.
    return torch.Generator().manual_seed(seed)


class TableCodebook(Codebook):
    """A fixed table (K, n); checkpoints carry it and are checked against it.

    A configuration makes one table. A checkpoint whose table is another one was
    trained with another configuration and is refused.

    Args:
        table: Points (K, n), in the box |x_i| <= 1.
    """

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.num_codes, self.dim = table.shape
        self.register_buffer("table", table.float())

    @property
    def points(self) -> torch.Tensor:
        return self.table

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors
    ):
        saved = state_dict.get(f"{prefix}table")
        if saved is None:
            missing.append(f"{prefix}table")
        elif (
            saved.shape != self.table.shape
            or (saved.to(self.table) - self.table).abs().max() > TOLERANCE
        ):
            raise InputError(
                f"{prefix}table: the checkpoint's codebook is not the one that "
                "codebook and codebook_conf make; use those of its training"
            )


class PerturbedCodebook(TableCodebook):
    """The grid, every point moved at random inside the box.

    Coordinate i of token k is uniform on [E_ki - strength, E_ki + strength],
    cut off at -1 and 1.

    Args:
        levels: Points per dimension of the grid.
        strength: Largest move of a coordinate, 0 (the grid) to 2 (all of the box).
        seed: Of the moves.

    Raises:
        InputError: If `strength` is outside 0 .. 2.
    """

    def __init__(
        self, levels: Sequence[int] = (3,) * 8, strength: float = 0.5, seed: int = 0
    ):
        if not 0 <= strength <= 2:
            raise InputError(f"codebook_conf: strength {strength} is outside 0 .. 2")
        grid = _grid(levels)
        low, high = (grid - strength).clamp(min=-1), (grid + strength).clamp(max=1)
        u = torch.rand(grid.shape, generator=_generator(seed))
        super().__init__((low + (high - low) * u).clamp(-1, 1))


class PermutedCodebook(TableCodebook):
    """The points of the grid, dealt to the tokens at random.

    Args:
        levels: Points per dimension of the grid.
        seed: Of the permutation.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8, seed: int = 0):
        grid = _grid(levels)
        super().__init__(grid[torch.randperm(len(grid), generator=_generator(seed))])


class RandomCodebook(TableCodebook):
    """Points uniform in the box.

    Args:
        levels: Of the grid whose K and n it takes.
        seed: Of the points.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8, seed: int = 0):
        fsq = FSQ(levels)
        shape = (fsq.num_codes, fsq.dim)
        super().__init__(2 * torch.rand(shape, generator=_generator(seed)) - 1)


class OneHotCodebook(TableCodebook):
    """One-hot vectors of K tokens, projected to R^n.

        E = c P,    P (K, n) with orthonormal columns, c such that max |E_ki| = 1

    What there is without any idea of what tokens have in common: one-hot vectors
    are all sqrt(2) apart, and a random orthogonal projection keeps that as nearly as
    n dimensions allow (row k of P is the image of the k-th one-hot vector; the
    distances differ by about 1 / sqrt(2 n) of their size). For n = K no projection is
    needed and P is the identity, that is the one-hot vectors themselves.

    Args:
        levels: Of the grid whose K it takes.
        dim: n, 1 to K.
        seed: Of the projection.

    Raises:
        InputError: If `dim` is outside 1 .. K.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8, dim: int = 64, seed: int = 0):
        size = FSQ(levels).num_codes
        if not 1 <= dim <= size:
            raise InputError(
                f"codebook onehot: dim {dim} is outside 1 .. {size}, its codes"
            )
        if dim == size:
            table = torch.eye(size)
        else:
            noise = torch.randn(
                size, dim, generator=_generator(seed), dtype=torch.float64
            )
            table, upper = torch.linalg.qr(noise)
            # Signs that do not depend on the library's way of decomposing.
            table = table * upper.diagonal().sign()
        super().__init__((table / table.abs().max()).float())


class E8Codebook(TableCodebook):
    """Two cosets of the E8 lattice: 3^8 tokens 1.1314 apart where the grid's are 1.

    The first K points of `shifted_cosets`, whose order keeps token k within about
    one step of grid point k.

    Args:
        levels: The same number of points in each of 8 dimensions.

    Raises:
        InputError: If the levels are not 8 equal ones.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8):
        levels = [int(level) for level in levels]
        if len(levels) != 8 or len(set(levels)) != 1:
            raise InputError(f"codebook e8: levels {levels} are not 8 equal ones")
        points = shifted_cosets(levels[0], 8)
        super().__init__(points[: levels[0] ** 8])
