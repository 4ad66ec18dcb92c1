"""Where each of K tokens lives in R^n."""

from typing import Sequence, Union

from espnet_fsqdiff.codebook.base import Codebook, FSQCodebook
from espnet_fsqdiff.codebook.tables import (
    E8Codebook,
    PermutedCodebook,
    PerturbedCodebook,
    RandomCodebook,
    TableCodebook,
)

CODEBOOKS = {
    "fsq": FSQCodebook,
    "perturbed": PerturbedCodebook,
    "permuted": PermutedCodebook,
    "random": RandomCodebook,
    "e8": E8Codebook,
}


def build_codebook(name: str, **conf: Union[int, float, Sequence[int]]) -> Codebook:
    """Make a codebook by name, one of `CODEBOOKS`."""
    return CODEBOOKS[name](**conf)


__all__ = [
    "CODEBOOKS",
    "Codebook",
    "E8Codebook",
    "FSQCodebook",
    "PermutedCodebook",
    "PerturbedCodebook",
    "RandomCodebook",
    "TableCodebook",
    "build_codebook",
]
