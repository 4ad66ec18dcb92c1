"""ConvNeXt that knows the time of a flow: a DiT's counterpart without attention."""

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.nets.convolution import convolve
from espnet_fsqdiff.nets.dit import TimeEmbedding, check_frames, modulate


class AdaptiveConvNeXtBlock(nn.Module):
    """Depthwise convolution, then an MLP with adaptive LayerNorm and a gate.

    The gate is zero at first, so that the block does nothing (adaLN-zero; Peebles
    and Xie, 2023).
    """

    def __init__(self, dim: int, mult: int = 4, kernel_size: int = 7, dropout=0.0):
        super().__init__()
        self.dwconv = nn.Conv1d(
            dim, dim, kernel_size, padding=kernel_size // 2, groups=dim
        )
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(dim, 3 * dim)
        self.ff = nn.Sequential(
            nn.Linear(dim, dim * mult),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(dim * mult, dim),
        )
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(B, T, dim), zero on padded frames, and time (B, dim) to the same."""
        shift, scale, gate = self.modulation(time).chunk(3, dim=-1)
        y = self.norm(convolve(self.dwconv, x))
        y = self.ff(modulate(y, shift, scale))
        return (x + gate.unsqueeze(1) * y) * mask.unsqueeze(-1)


class AdaptiveConvNeXt(nn.Module):
    """Backbone with the call signature of `DiT`, for processors without a GPU.

    What a frame hears of its neighbours ends depth * (kernel_size // 2) frames away.

    Args:
        latent_dim: Size of a noisy frame n.
        text_dim: Size of the conditioning vectors.
        dim: Width.
        depth: Blocks.
        mult: Width of the MLP, as a multiple of `dim`.
        kernel_size: Frames a block sees, odd.
        dropout: Rate inside the blocks.
        max_frames: Longest sequence.
    """

    def __init__(
        self,
        latent_dim: int,
        text_dim: int,
        dim: int = 256,
        depth: int = 8,
        mult: int = 4,
        kernel_size: int = 7,
        dropout: float = 0.0,
        max_frames: int = 4096,
    ):
        super().__init__()
        self.dim = dim
        self.max_frames = max_frames
        self.time_embed = TimeEmbedding(dim)
        self.proj = nn.Linear(2 * latent_dim + text_dim, dim)
        self.blocks = nn.ModuleList(
            AdaptiveConvNeXtBlock(dim, mult, kernel_size, dropout) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.modulation_out = nn.Linear(dim, 2 * dim)
        nn.init.zeros_(self.modulation_out.weight)
        nn.init.zeros_(self.modulation_out.bias)

    def output_size(self) -> int:
        """Size of the features."""
        return self.dim

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        prompt: torch.Tensor,
        text: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Features (B, T, dim); arguments as of `DiT.forward`.

        Raises:
            InputError: If there are more than `max_frames` frames.
        """
        check_frames(x.size(1), self.max_frames)
        x = self.proj(torch.cat([x, prompt, text], dim=-1)) * mask.unsqueeze(-1)
        time = F.silu(self.time_embed(t))
        for block in self.blocks:
            x = block(x, time, mask)
        scale, shift = self.modulation_out(time).chunk(2, dim=-1)
        return modulate(self.norm_out(x), shift, scale)
