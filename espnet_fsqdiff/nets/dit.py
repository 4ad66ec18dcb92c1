"""Diffusion transformer over frames (Peebles and Xie, 2023; F5-TTS's variant)."""

import math
from typing import Optional

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.convolution import convolve


class TimeEmbedding(nn.Module):
    """[sin(1000 t w), cos(1000 t w)], w_i = exp(-i log(10000) / (h - 1)), h = size/2,

    followed by Linear, SiLU, Linear.
    """

    def __init__(self, dim: int, size: int = 256):
        super().__init__()
        half = size // 2
        w = torch.exp(-torch.arange(half) * (math.log(10000) / (half - 1)))
        self.register_buffer("w", w, persistent=False)
        self.time_mlp = nn.Sequential(
            nn.Linear(size, dim), nn.SiLU(), nn.Linear(dim, dim)
        )

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Times (B,) in [0, 1] to (B, dim)."""
        angle = 1000 * t.float().unsqueeze(-1) * self.w
        return self.time_mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))


class ConvPositionEmbedding(nn.Module):
    """Two grouped convolutions with Mish; they tell frames where they stand.

    `mask_between` zeroes padded frames between the two, so that an utterance does
    not depend on its batch.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int = 31,
        groups: int = 16,
        mask_between: bool = True,
    ):
        super().__init__()
        self.mask_between = mask_between
        self.conv1d = nn.Sequential(
            nn.Conv1d(dim, dim, kernel_size, groups=groups, padding=kernel_size // 2),
            nn.Mish(),
            nn.Conv1d(dim, dim, kernel_size, groups=groups, padding=kernel_size // 2),
            nn.Mish(),
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, dim), zero on padded frames, to the same."""
        mask = mask.unsqueeze(-1)
        x = self.conv1d[1](convolve(self.conv1d[0], x))
        if self.mask_between:
            x = x * mask
        return self.conv1d[3](convolve(self.conv1d[2], x)) * mask


def rotary_table(num_frames: int, dim: int, device=None) -> torch.Tensor:
    """Rotations exp(i p w) as (num_frames, dim / 2, 2), w_i = 10000^(-2 i / dim)."""
    w = 10000.0 ** (-torch.arange(0, dim, 2, device=device).float() / dim)
    angle = torch.outer(torch.arange(num_frames, device=device).float(), w)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn neighbouring pairs of channels of x (B, H, T, d) by the table."""
    cos, sin = table.to(x.dtype).unbind(-1)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
    return turned.flatten(-2)


class Attention(nn.Module):
    """Multi-head self-attention over real frames, with rotary positions."""

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, table: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(B, T, dim), rotations (T, d / 2, 2), mask (B, T) to (B, T, dim)."""

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

        q, k = rotate(heads(self.to_q(x)), table), rotate(heads(self.to_k(x)), table)
        y = F.scaled_dot_product_attention(
            q, k, heads(self.to_v(x)), attn_mask=mask[:, None, None, :]
        )
        return self.dropout(self.to_out(y.transpose(1, 2).flatten(2)))


def modulate(x, shift, scale):
    """Scale and shift (B, dim) a sequence (B, T, dim)."""
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class DiTBlock(nn.Module):
    """Attention and MLP, each with adaptive LayerNorm and a gate (adaLN-zero)."""

    def __init__(self, dim: int, num_heads: int, mult: int = 4, dropout: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(dim, 6 * dim)
        self.attn = Attention(dim, num_heads, dropout)
        self.ff = nn.Sequential(
            nn.Linear(dim, dim * mult),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(dim * mult, dim),
        )
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x, time, table, mask):
        """(B, T, dim) with time (B, dim), already through SiLU, to (B, T, dim)."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(
            time
        ).chunk(6, dim=-1)
        y = self.attn(modulate(self.norm(x), shift_a, scale_a), table, mask)
        x = x + gate_a.unsqueeze(1) * y
        y = self.ff(modulate(self.norm(x), shift_m, scale_m))
        return (x + gate_m.unsqueeze(1) * y) * mask.unsqueeze(-1)


def check_frames(frames: int, most: int) -> None:
    """Refuse a sequence that is too long for a model."""
    if frames > most:
        raise InputError(
            f"{frames} frames are more than the model's {most}; split the text"
        )


class DiT(nn.Module):
    """From noisy latents, prompt and text to features, frame by frame.

    Args:
        latent_dim: Latent dimensions n.
        text_dim: Size of the text vectors.
        dim: Width, a multiple of 2 `num_heads` and of 16.
        depth: Blocks.
        num_heads: Attention heads.
        mult: Width of the MLP, as a multiple of `dim`.
        dropout: Rate in attention and MLP.
        max_frames: Longest sequence, prompt included.
        self_conditioning: Whether an earlier clean estimate is a third input.
        mask_conv: False lets the position convolutions see the padding of a
            batch, as the released network of arXiv 2606.09962 does.

    Raises:
        InputError: If the heads do not divide up `dim`.
    """

    def __init__(
        self,
        latent_dim: int,
        text_dim: int,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 8,
        mult: int = 4,
        dropout: float = 0.0,
        max_frames: int = 1024,
        self_conditioning: bool = False,
        mask_conv: bool = True,
    ):
        super().__init__()
        # Rotary positions turn pairs of channels.
        if dim % (2 * num_heads):
            raise InputError(
                f"DiT: {num_heads} heads do not divide up dim {dim} into even parts; "
                "change num_heads or dim"
            )
        self.dim = dim
        self.max_frames = max_frames
        self.head_dim = dim // num_heads
        self.time_embed = TimeEmbedding(dim)
        self.self_conditioning = self_conditioning
        latents = 3 if self_conditioning else 2
        self.proj = nn.Linear(latents * latent_dim + text_dim, dim)
        self.conv_pos_embed = ConvPositionEmbedding(dim, mask_between=mask_conv)
        self.blocks = nn.ModuleList(
            DiTBlock(dim, num_heads, mult, dropout) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.modulation_out = nn.Linear(dim, 2 * dim)
        nn.init.zeros_(self.modulation_out.weight)
        nn.init.zeros_(self.modulation_out.bias)

    @property
    def sees_padding(self) -> bool:
        """Whether padding changes what it computes."""
        return not self.conv_pos_embed.mask_between

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
        estimate: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Features of noisy latents.

        Args:
            x: Noisy latents (B, T, n).
            t: Times (B,) in [0, 1].
            prompt: Clean latents where they are given, else zeros (B, T, n).
            text: Text vectors (B, T, text_dim).
            mask: True on real frames (B, T).
            estimate: Earlier clean estimate (B, T, n), for self-conditioning
                (Chen et al., 2023); None where there is none yet.

        Returns:
            Features (B, T, dim).

        Raises:
            InputError: If there are more than `max_frames` frames.
        """
        frames = x.size(1)
        check_frames(frames, self.max_frames)
        parts = [x, prompt, text]
        if self.self_conditioning:
            parts.append(torch.zeros_like(x) if estimate is None else estimate)
        x = self.proj(torch.cat(parts, dim=-1)) * mask.unsqueeze(-1)
        x = x + self.conv_pos_embed(x, mask)
        time = F.silu(self.time_embed(t))
        table = rotary_table(frames, self.head_dim, x.device)
        for block in self.blocks:
            x = block(x, time, table, mask)
        scale, shift = self.modulation_out(time).chunk(2, dim=-1)
        return modulate(self.norm_out(x), shift, scale)
