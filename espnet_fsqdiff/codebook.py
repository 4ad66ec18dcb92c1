"""Where each of K tokens lives in R^n."""

from typing import Sequence, Union

import torch
from torch import nn

from espnet_fsqdiff.fsq import FSQ


class Codebook(nn.Module):
    """K points in R^n, one for each token.

    Attributes:
        num_codes: K.
        dim: n.
    """

    num_codes: int
    dim: int

    @property
    def points(self) -> torch.Tensor:
        """The table (K, n), float32."""
        raise NotImplementedError

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (...,) int64 to their points (..., n), float32."""
        return self.points[tokens]

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        """Latents (..., n) to the tokens (...,) int64 of the nearest points."""
        points = self.points
        # argmin |x - p|^2 = argmax x.p - |p|^2 / 2
        score = x.float() @ points.T - points.square().sum(-1) / 2
        return score.argmax(-1)


class FSQCodebook(Codebook):
    """The grid of finite scalar quantization: token k is its own grid point.

    Args:
        levels: Points per dimension.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8):
        super().__init__()
        self.fsq = FSQ(levels)
        self.num_codes, self.dim = self.fsq.num_codes, self.fsq.dim

    @property
    def levels(self) -> Sequence[int]:
        """Points per dimension."""
        return self.fsq.levels

    @property
    def points(self) -> torch.Tensor:
        device = self.fsq._levels.device
        return self.fsq.indices_to_codes(torch.arange(self.num_codes, device=device))

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fsq.indices_to_codes(tokens)

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        return self.fsq.quantize(x)


CODEBOOKS = {"fsq": FSQCodebook}


def build_codebook(name: str, **conf: Union[int, Sequence[int]]) -> Codebook:
    """Make a codebook by name, one of `CODEBOOKS`."""
    return CODEBOOKS[name](**conf)
