"""Masks for padded batches: True on real frames."""

from typing import Optional

import torch


def length_mask(lengths: torch.Tensor, max_length: Optional[int] = None):
    """Mask (B, T) that is True where the frame number is below `lengths` (B,)."""
    if max_length is None:
        max_length = int(lengths.max())
    frames = torch.arange(max_length, device=lengths.device)
    return frames < lengths.unsqueeze(1)


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the real frames of each utterance, (B, T) -> (B,)."""
    mask = mask.to(x.dtype)
    return (x * mask).sum(1) / mask.sum(1).clamp(min=1)
