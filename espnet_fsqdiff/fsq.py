"""Finite scalar quantization (Mentzer et al., 2024, arXiv 2309.15505).

Every latent dimension i is bounded and rounded to one of `levels[i]` equally
spaced points in [-1, 1]; a code is the tuple of points, its index the number
that the tuple's digits spell, least significant dimension first:

    z_i   = tanh(x_i)
    d_i   = round((z_i + 1) / 2 * (L_i - 1))        digit, 0 .. L_i - 1
    v_i   = 2 d_i / (L_i - 1) - 1                   code value
    index = sum_i d_i * prod_{j < i} L_j

Odd and even numbers of levels are alike; with 3 levels the points are -1, 0, 1
and `index = sum_i (v_i + 1) 3^i`, the numbering of arXiv 2606.09962.
"""

from typing import Dict, Sequence, Tuple

import torch
from torch import nn

from espnet_fsqdiff.errors import InputError


class FSQ(nn.Module):
    """Quantizer on a fixed grid; it has no parameters and no saved buffers.

    Args:
        levels: Number of points per dimension, each at least 2.

    Raises:
        InputError: If a level is below 2, or the codes cannot be counted in int64.
    """

    def __init__(self, levels: Sequence[int] = (3,) * 8):
        super().__init__()
        levels = [int(level) for level in levels]
        if not levels or min(levels) < 2:
            raise InputError(f"FSQ levels {levels}: give at least 2 per dimension")
        self.levels = tuple(levels)
        basis = [1]
        for level in levels[:-1]:
            basis.append(basis[-1] * level)
        self.num_codes = basis[-1] * levels[-1]
        if self.num_codes >= 2**63:
            raise InputError(f"FSQ levels {levels}: more than 2^63 codes")
        # Non-persistent: averaging checkpoints would add up integer buffers.
        self.register_buffer("_levels", torch.tensor(levels), persistent=False)
        self.register_buffer("_basis", torch.tensor(basis), persistent=False)

    @property
    def dim(self) -> int:
        """Number of latent dimensions n."""
        return len(self.levels)

    def extra_repr(self) -> str:
        return f"levels={list(self.levels)}, num_codes={self.num_codes}"

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Quantize, passing gradients straight through the rounding.

        Args:
            x: Unbounded latents (..., n), any float type.

        Returns:
            codes: Grid points (..., n), float32, in [-1, 1].
            indices: Their numbers (...,), int64.
        """
        with torch.autocast(x.device.type, enabled=False):
            z = torch.tanh(x.float())
            digits = self._round(z)
            codes = z + (self.digits_to_codes(digits) - z).detach()
        return codes, self.digits_to_indices(digits)

    def penalty(
        self, latents: torch.Tensor, codes: torch.Tensor
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        """Loss of its own and its parts: 0 and none, as the grid learns nothing."""
        return latents.new_zeros(()), {}

    def quantize(self, z: torch.Tensor) -> torch.Tensor:
        """Numbers (...,) int64 of the grid points nearest to z (..., n)."""
        return self.digits_to_indices(self._round(z.float().clamp(-1, 1)))

    def _round(self, z: torch.Tensor) -> torch.Tensor:
        return torch.round((z + 1) / 2 * (self._levels - 1)).long()

    def digits_to_codes(self, digits: torch.Tensor) -> torch.Tensor:
        """Digits (..., n) int64 to grid points (..., n) float32."""
        return 2 * digits.float() / (self._levels - 1) - 1

    def digits_to_indices(self, digits: torch.Tensor) -> torch.Tensor:
        """Digits (..., n) int64 to indices (...,) int64."""
        return (digits * self._basis).sum(-1)

    def indices_to_digits(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (...,) to digits (..., n) int64.

        Raises:
            InputError: If an index lies outside 0 .. K - 1.
        """
        indices = indices.long()
        check_indices(indices, self.num_codes)
        return indices.unsqueeze(-1) // self._basis % self._levels

    def indices_to_codes(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (...,) to grid points (..., n) float32; inverse of the next."""
        return self.digits_to_codes(self.indices_to_digits(indices))

    def codes_to_indices(self, codes: torch.Tensor) -> torch.Tensor:
        """Grid points (..., n) to indices (...,) int64."""
        return self.quantize(codes)


def check_indices(indices: torch.Tensor, num_codes: int) -> None:
    """Refuse indices (...,) outside 0 .. K - 1.

    Raises:
        InputError: Naming one.
    """
    if indices.numel():
        low, high = indices.min().item(), indices.max().item()
        if low < 0 or high >= num_codes:
            bad = low if low < 0 else high
            raise InputError(
                f"token {bad} is outside the codebook 0..{num_codes - 1}; "
                "use tokens of this tokenizer"
            )


def code_usage(indices: torch.Tensor, num_codes: int) -> Dict[str, float]:
    """How much of the codebook a set of tokens uses.

    Args:
        indices: Tokens of any shape, int64.
        num_codes: Codebook size K.

    Returns:
        `used_codes` (count), `utilisation` (used / K) and `perplexity`
        exp(-sum_k p_k log p_k) of the empirical code frequencies p, in 1 .. K.
    """
    counts = torch.bincount(indices.flatten(), minlength=num_codes).double()
    p = counts[counts > 0] / counts.sum()
    return {
        "used_codes": int((counts > 0).sum()),
        "utilisation": float((counts > 0).double().mean()),
        "perplexity": float(torch.exp(-(p * p.log()).sum())),
    }
