"""What every codebook does, and the FSQ grid."""

from typing import Optional, Sequence

import torch
from torch import nn

from espnet_fsqdiff.fsq import FSQ

# Rows of latents compared with all points at once: 2048 x 6561 scores are 54 MB.
CHUNK = 2048


class Codebook(nn.Module):
    """K points in R^n, one for each token.

    The output head owns it, so that it is trained, averaged, saved and moved to a
    device with the network; everyone else asks the head for it
    (`CDCDNetwork.codebook`) and for its `points` when they are needed, which for a
    trained codebook are others after every step.

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
        with torch.autocast(x.device.type, enabled=False):
            # argmin |x - p|^2 = argmax x.p - |p|^2 / 2
            offset = points.square().sum(-1) / 2
            rows = x.float().reshape(-1, x.size(-1)).split(CHUNK)
            best = [(row @ points.T - offset).argmax(-1) for row in rows]
        return torch.cat(best).view(x.shape[:-1])


class FSQCodebook(Codebook):
    """The grid of finite scalar quantization: token k is its own grid point.

    Args:
        levels: Points per dimension.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8):
        super().__init__()
        self.fsq = FSQ(levels)
        self.num_codes, self.dim = self.fsq.num_codes, self.fsq.dim
        # Made when it is asked for: a factorized head needs no table of a large grid.
        self._grid: Optional[torch.Tensor] = None

    @property
    def levels(self) -> Sequence[int]:
        """Points per dimension."""
        return self.fsq.levels

    @property
    def points(self) -> torch.Tensor:
        device = self.fsq._levels.device
        if self._grid is None or self._grid.device != device:
            tokens = torch.arange(self.num_codes, device=device)
            self._grid = self.fsq.indices_to_codes(tokens)
        return self._grid

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fsq.indices_to_codes(tokens)

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        return self.fsq.quantize(x)
