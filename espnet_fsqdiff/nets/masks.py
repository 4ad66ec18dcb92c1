"""Masks for padded batches: True on real frames."""

from typing import Optional, Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence


def length_mask(lengths: torch.Tensor, max_length: Optional[int] = None):
    """Mask (B, T) that is True where the frame number is below `lengths` (B,)."""
    if max_length is None:
        max_length = int(lengths.max())
    frames = torch.arange(max_length, device=lengths.device)
    return frames < lengths.unsqueeze(1)


def pad_batch(sequences: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    """Sequences (T, ...), T <= length, to a tensor (B, length, ...), zeros behind."""
    batch = pad_sequence(list(sequences), batch_first=True)
    behind = (0, 0) * (batch.dim() - 2) + (0, length - batch.size(1))
    return F.pad(batch, behind)


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the real frames of each utterance, (B, T) -> (B,)."""
    mask = mask.to(x.dtype)
    return (x * mask).sum(1) / mask.sum(1).clamp(min=1)
