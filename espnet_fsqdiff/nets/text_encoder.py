"""Text at the speech rate: symbols laid over the frames, then convolved.

With `durations` every frame sees the symbol that it belongs to; without them the
text stands at the first frames and filler fills the rest, as in F5-TTS and arXiv
2606.09962, and the network has to find the alignment by itself.
"""

from typing import Optional

import torch
from torch import nn

from espnet_fsqdiff.alignment import expand_durations
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.convnext import ConvNeXtBlock
from espnet_fsqdiff.nets.masks import length_mask

FILLER = 0


def sinusoidal_positions(num_frames: int, dim: int, device=None) -> torch.Tensor:
    """[cos(p w), sin(p w)] for p = 0 .. num_frames - 1, (num_frames, dim), with

    w_i = theta^(-2 i / dim), theta = 10000, i = 0 .. dim / 2 - 1.
    """
    # The released network writes theta as 10000 * 1 ** (d / (d - 2)).
    w = 10000.0 ** (-torch.arange(0, dim, 2, device=device).float() / dim)
    angle = torch.outer(torch.arange(num_frames, device=device).float(), w)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class TextEncoder(nn.Module):
    """Symbols to one vector per speech frame.

    Args:
        vocab_size: Symbols V; row 0 of the embedding is the filler, row i + 1
            symbol i.
        dim: Channels, an even number if there are positions.
        num_layers: ConvNeXt-V2 blocks over the frames.
        num_symbol_layers: ConvNeXt-V2 blocks over the symbols, before they are
            laid over the frames; they need durations.
        mult: Width of a block's inside, as a multiple of `dim`.
        dropout: Rate inside the blocks.
        positions: Whether frames carry their absolute position; needed where
            there are no durations.
        place: Whether frames carry their place in their symbol (how far through
            it, and its length); needs durations.
        mask_grn: False lets the response normalisation see the padding of a
            batch, as the released network of arXiv 2606.09962 does; texts then
            depend on their batch.

    Raises:
        InputError: If there are positions and `dim` is odd.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int = 256,
        num_layers: int = 4,
        num_symbol_layers: int = 0,
        mult: int = 2,
        dropout: float = 0.0,
        positions: bool = True,
        place: bool = False,
        mask_grn: bool = True,
    ):
        super().__init__()
        if positions and dim % 2:
            raise InputError(
                f"text encoder: dim {dim} is odd; give an even one, or positions: false"
            )
        self.vocab_size = vocab_size
        self.dim = dim
        self.positions = positions
        self.text_embed = nn.Embedding(vocab_size + 1, dim)

        def blocks(number: int) -> nn.ModuleList:
            return nn.ModuleList(
                ConvNeXtBlock(
                    dim, dim * mult, grn=True, dropout=dropout, mask_grn=mask_grn
                )
                for _ in range(number)
            )

        self.symbol_blocks = blocks(num_symbol_layers)
        self.place = nn.Linear(3, dim) if place else None
        self.text_blocks = blocks(num_layers)
        # Whether padding changes what it computes.
        self.sees_padding = not mask_grn

    @property
    def needs_durations(self) -> bool:
        """Whether it cannot do without durations."""
        return self.place is not None or len(self.symbol_blocks) > 0

    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        mask: torch.Tensor,
        durations: Optional[torch.Tensor] = None,
        drop: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Lay text over the frames.

        Args:
            text: Symbol ids from 0 (B, S), any padding.
            text_lengths: Symbols of each utterance (B,).
            mask: True on real frames (B, T).
            durations: Frames of each symbol (B, S), int64, 0 in the padding.
            drop: True where an utterance's text is withheld, (B,): it becomes
                filler at the same positions.

        Returns:
            Vectors (B, T, dim), zero on padded frames.

        Raises:
            InputError: If the network needs durations and there are none, or a
                text without durations is longer than its speech.
        """
        real = length_mask(text_lengths, text.size(1))
        ids = torch.where(real, text + 1, FILLER)
        if drop is not None:
            ids = ids.masked_fill(drop.unsqueeze(1), FILLER)
        if durations is None:
            x = self._fill(ids, text_lengths, mask)
        else:
            x = self._lay(ids, real, durations, mask.size(1), drop)
        if self.positions:
            x = x + sinusoidal_positions(x.size(1), self.dim, x.device)
        x = x * mask.unsqueeze(-1)
        for block in self.text_blocks:
            x = block(x, mask)
        return x

    def _fill(self, ids, text_lengths, mask) -> torch.Tensor:
        if self.needs_durations:
            raise InputError("this model lays text by durations; give durations")
        if (text_lengths > mask.sum(1)).any():
            raise InputError(
                "a text is longer than its frames can hold; give more frames "
                "(a lower speed) or less text"
            )
        frames = mask.size(1)
        # Enough for any text, by no rule that depends on the sizes: exporters trace.
        ids = nn.functional.pad(ids, (0, frames), value=FILLER)
        return self.text_embed(ids[:, :frames])

    def _lay(self, ids, real, durations, frames, drop) -> torch.Tensor:
        x = self.text_embed(ids)
        x = x * real.unsqueeze(-1)
        for block in self.symbol_blocks:
            x = block(x, real)
        index, fraction = expand_durations(durations, frames)
        x = x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        if self.place is not None:
            length = durations.gather(1, index).clamp(min=1).float().log()
            place = torch.stack(
                [fraction, (1 - fraction), length], dim=-1
            )  # both ends, so that a linear layer can see either edge
            if drop is not None:
                place = place.masked_fill(drop.view(-1, 1, 1), 0.0)
            x = x + self.place(place)
        return x
