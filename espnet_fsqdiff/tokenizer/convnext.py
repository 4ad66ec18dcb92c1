"""The tokenizer's own encoder and mel decoder: ConvNeXt at the token rate."""

from typing import Optional, Tuple

import torch
from torch import nn

from espnet_fsqdiff.nets.convnext import ConvNeXtStack
from espnet_fsqdiff.nets.masks import length_mask


class ConvNeXtEncoder(nn.Module):
    """Encoder with the call signature of ESPnet's ASR encoders.

    Args:
        input_size: Size of the input frames.
        output_size: Channels D.
        num_blocks: ConvNeXt blocks.
        mult: Width of a block's inside, as a multiple of D.
        kernel_size: Frames a block sees.
        dropout: Rate inside the blocks.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int = 192,
        num_blocks: int = 4,
        mult: int = 4,
        kernel_size: int = 7,
        dropout: float = 0.0,
    ):
        super().__init__()
        self._output_size = output_size
        self.input = nn.Linear(input_size, output_size)
        self.stack = ConvNeXtStack(output_size, num_blocks, mult, kernel_size, dropout)

    def output_size(self) -> int:
        return self._output_size

    def forward(
        self, xs_pad: torch.Tensor, ilens: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor, Optional[torch.Tensor]]:
        """Frames (B, T, input_size) of lengths (B,) to (B, T, D), same lengths."""
        mask = length_mask(ilens, xs_pad.size(1))
        return self.stack(self.input(xs_pad), mask), ilens, None


class ConvNeXtDecoder(nn.Module):
    """From code vectors to stacked mel frames, or to any other output.

    Args:
        input_size: Size of a code vector, n.
        output_size: Size of an output frame.
        hidden_size: Channels.
        num_blocks: ConvNeXt blocks.
        mult: Width of a block's inside, as a multiple of `hidden_size`.
        kernel_size: Frames a block sees.
        dropout: Rate inside the blocks.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int = 192,
        num_blocks: int = 6,
        mult: int = 4,
        kernel_size: int = 7,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.input = nn.Linear(input_size, hidden_size)
        self.stack = ConvNeXtStack(hidden_size, num_blocks, mult, kernel_size, dropout)
        self.output = nn.Linear(hidden_size, output_size)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Codes (B, T, input_size) of lengths (B,) to (B, T, output_size)."""
        mask = length_mask(lengths, x.size(1))
        return self.output(self.stack(self.input(x), mask))
