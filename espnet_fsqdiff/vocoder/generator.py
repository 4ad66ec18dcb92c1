"""What the generators have in common."""

from typing import List, Sequence

import torch
from torch import nn

from espnet_fsqdiff.errors import InputError

# Log-mels of speech (base 10) lie between -5 and 1, most between -3 and -1. They are
# scaled by two fixed numbers and not by statistics of a training set: the networks
# normalise or learn the rest, there is no statistics stage, and a vocoder that is
# trained on, or used for, other voices sees what it saw before.
MEL_CENTRE, MEL_SPREAD = -2.0, 1.0


class Generator(nn.Module):
    """Log-mel to wave; frame f is heard in samples f * hop to (f + 1) * hop.

    ESPnet's frame f is centred on sample f * hop.

    Args:
        n_mels: Mel bins.
        hop: Samples of the wave in one frame.
    """

    def __init__(self, n_mels: int, hop: int):
        super().__init__()
        self.n_mels = n_mels
        self.hop = hop

    @staticmethod
    def scaled(mel: torch.Tensor) -> torch.Tensor:
        """Log-mels, base 10, near mean 0 and variance 1."""
        return (mel - MEL_CENTRE) / MEL_SPREAD

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mels (B, F, n_mels), all frames real, to waves (B, F * hop)."""
        raise NotImplementedError

    def waves(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """Log-mels (F, n_mels) to waves (F * hop,), each as alone."""
        return [self(mel[None])[0] for mel in mels]

    def fold(self) -> None:
        """Put into one what is two only in training; once, before inference."""


def whole_ratio(hop: int, parts: int, what: str) -> int:
    """`hop` divided by `parts`.

    Raises:
        InputError: Naming the option `what` if it is no whole number.
    """
    if parts < 1 or hop % parts:
        raise InputError(f"{what} {parts} does not divide the mel's hop of {hop}")
    return hop // parts
