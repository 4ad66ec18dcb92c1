"""Where each of K tokens lives in R^n."""

from typing import Any

from espnet_fsqdiff.checks import check_choice
from espnet_fsqdiff.codebook.base import Codebook, FSQCodebook
from espnet_fsqdiff.codebook.learned import LearnedCodebook
from espnet_fsqdiff.codebook.rvq import RVQCodebook
from espnet_fsqdiff.codebook.tables import (
    E8Codebook,
    OneHotCodebook,
    PermutedCodebook,
    PerturbedCodebook,
    RandomCodebook,
    TableCodebook,
)
from espnet_fsqdiff.option_types import check_options

CODEBOOKS = {
    "fsq": FSQCodebook,
    "perturbed": PerturbedCodebook,
    "permuted": PermutedCodebook,
    "random": RandomCodebook,
    "e8": E8Codebook,
    "onehot": OneHotCodebook,
    "learned": LearnedCodebook,
    "rvq": RVQCodebook,
}


def build_codebook(name: str, **conf: Any) -> Codebook:
    """Make a codebook by name, one of `CODEBOOKS`.

    `levels`, which the recipes' configurations give, mean nothing to `rvq` and are
    left out there, so that `--codebook rvq` goes with any of them.

    Raises:
        InputError: There is none of that name, or it has no such option.
    """
    check_choice("codebook", name, CODEBOOKS)
    if name == "rvq":
        conf.pop("levels", None)
    return CODEBOOKS[name](**check_options("codebook_conf", CODEBOOKS[name], conf))


__all__ = [
    "CODEBOOKS",
    "Codebook",
    "E8Codebook",
    "FSQCodebook",
    "LearnedCodebook",
    "OneHotCodebook",
    "PermutedCodebook",
    "PerturbedCodebook",
    "RVQCodebook",
    "RandomCodebook",
    "TableCodebook",
    "build_codebook",
]
