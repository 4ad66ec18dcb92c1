"""One-dimensional ConvNeXt blocks (Liu et al., 2022; V2: Woo et al., 2023)."""

from typing import Optional

import torch
from torch import nn


class GlobalResponseNorm(nn.Module):
    """GRN over time: x + gamma * x * N(x) + beta, with

        N(x)_c = |x_c| / (mean_c |x_c| + 1e-6),    |x_c| the L2 norm over frames.

    Padded frames count unless they are zero in the input.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        response = norm / (norm.mean(-1, keepdim=True) + 1e-6)
        return self.gamma * (x * response) + self.beta + x


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, LayerNorm, two linear layers, residual.

    Args:
        dim: Channels.
        hidden: Width between the linear layers.
        kernel_size: Of the depthwise convolution, odd.
        grn: Whether to normalise the response as ConvNeXt-V2 does.
        mask_grn: Whether that leaves out padded frames, so that an utterance does
            not depend on its batch.
        dropout: Rate after the activation.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        kernel_size: int = 7,
        grn: bool = False,
        dropout: float = 0.0,
        mask_grn: bool = True,
    ):
        super().__init__()
        self.mask_grn = mask_grn
        self.dwconv = nn.Conv1d(
            dim, dim, kernel_size, padding=kernel_size // 2, groups=dim
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, hidden)
        self.grn = GlobalResponseNorm(hidden) if grn else None
        self.dropout = nn.Dropout(dropout)
        self.pwconv2 = nn.Linear(hidden, dim)

    def forward(
        self, x: torch.Tensor, mask: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """Transform one sequence.

        Args:
            x: Input (B, T, dim), zero on padded frames.
            mask: True on real frames, (B, T); None if all are.

        Returns:
            Output (B, T, dim), zero on padded frames.
        """
        residual = x
        x = self.dwconv(x.transpose(1, 2)).transpose(1, 2)
        x = self.dropout(nn.functional.gelu(self.pwconv1(self.norm(x))))
        if self.grn is not None:
            if mask is not None and self.mask_grn:
                x = x * mask.unsqueeze(-1)
            x = self.grn(x)
        x = residual + self.pwconv2(x)
        return x if mask is None else x * mask.unsqueeze(-1)


class ConvNeXtStack(nn.Module):
    """Several ConvNeXt blocks of one width, ended by a LayerNorm."""

    def __init__(
        self,
        dim: int,
        num_layers: int,
        mult: int = 4,
        kernel_size: int = 7,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(dim, dim * mult, kernel_size, dropout=dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, dim) and mask (B, T) to (B, T, dim), zero on padded frames."""
        x = x * mask.unsqueeze(-1)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) * mask.unsqueeze(-1)
