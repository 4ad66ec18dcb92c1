"""More of little speech: what training changes in the mels of an utterance."""

from typing import Optional, Tuple

import torch
from torch import nn

from espnet_fsqdiff.nets.masks import length_mask


class MelAugment(nn.Module):
    """Random start, random tempo, and masks over what the encoder sees.

    `warp` changes the utterance itself, so that input and target of the
    tokenizer stay the same mels; `mask` hides a part of the input only, and the
    decoder has to know it from the rest.

    Args:
        shift: Up to this many mel frames are left out at the start. With one less
            than a token's frames, every position of the tokens' grid is seen.
        stretch: Tempo is drawn evenly from [1 - stretch, 1 + stretch].
        specaug: Masks (B, F, n_mels), lengths -> the same (ESPnet's `SpecAug`);
            None for no masks.
    """

    def __init__(
        self, shift: int = 0, stretch: float = 0.0, specaug: Optional[nn.Module] = None
    ):
        super().__init__()
        self.shift = shift
        self.stretch = stretch
        self.specaug = specaug

    def warp(
        self, mel: torch.Tensor, lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Mels (B, F, n_mels) of lengths (B,) to warped ones, (B, F', n_mels), (B,).

        Frame j is read at position shift_b + j tempo_b, between its neighbours.
        """
        u = torch.rand(2, lengths.numel(), device=mel.device)
        shift = (u[0] * (self.shift + 1)).floor().clamp(max=self.shift)
        shift = torch.minimum(shift, (lengths - 1).to(shift))
        tempo = 1 + self.stretch * (2 * u[1] - 1)
        warped = ((lengths - shift) / tempo).round().long().clamp(min=1)
        frames = torch.arange(int(warped.max()), device=mel.device)
        last = (lengths - 1).unsqueeze(1)
        position = shift.unsqueeze(1) + frames * tempo.unsqueeze(1)
        position = torch.minimum(position, last.to(position))
        before = position.floor().long()
        after = torch.minimum(before + 1, last)
        share = (position - before).unsqueeze(-1)
        rows = torch.arange(mel.size(0), device=mel.device).unsqueeze(1)
        out = torch.lerp(mel[rows, before], mel[rows, after], share)
        return out * length_mask(warped).unsqueeze(-1), warped

    def mask(self, mel: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Mels (B, F, n_mels) of lengths (B,) with bands and stretches hidden."""
        if self.specaug is None:
            return mel
        # SpecAug masks in place.
        return self.specaug(mel.clone(), lengths)[0]
