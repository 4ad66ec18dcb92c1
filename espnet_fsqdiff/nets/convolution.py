"""Convolution over frames whose channels come last."""

import torch
from torch import nn
from torch.nn import functional as F


def convolve(conv: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """A convolution over the frames of x (B, T, dim), without transposing."""
    # As an image of one line whose channels come last in memory.
    y = F.conv2d(
        x.transpose(1, 2).unsqueeze(2),
        conv.weight.unsqueeze(2),
        conv.bias,
        padding=(0, conv.padding[0]),
        groups=conv.groups,
    )
    return y.squeeze(2).transpose(1, 2)
