"""Do a tokenizer's tokens and a codebook belong together?"""

from math import prod
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.rvq import ResidualVQ

DEFAULT_LEVELS = (3,) * 8


def fit_tokenizer(
    codebook: str,
    conf: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    tokenizer_file: Optional[Path],
) -> Dict[str, Any]:
    """Options of a codebook, checked against a tokenizer and completed by it.

    FSQ tokens need a codebook of the same levels; tokens of a residual quantizer
    the codebook `rvq`, which takes sizes and table from the tokenizer, or a table
    of as many points.

    Args:
        codebook: Its name.
        conf: Its options; they go before what the tokenizer would give.
        tokenizer: The tokenizer's training configuration.
        tokenizer_file: Its weights, which `rvq` reads, if `conf` names none.

    Raises:
        InputError: If the two do not fit.
    """
    theirs = tokenizer.get("quantizer_conf") or {}
    ours = list(conf.get("levels", DEFAULT_LEVELS))
    if tokenizer.get("quantizer", "fsq") != "rvq":
        if codebook == "rvq":
            raise InputError(
                "codebook rvq needs a tokenizer that was trained with quantizer: rvq"
            )
        levels = list(theirs.get("levels", DEFAULT_LEVELS))
        if levels != ours:
            raise InputError(
                f"the tokenizer's FSQ levels are {levels}, the model's {ours}; "
                "set codebook_conf: levels"
            )
        return dict(conf)
    if codebook == "fsq":
        raise InputError(
            "the tokenizer's tokens are those of a residual quantizer and no points of "
            "the FSQ grid; set codebook: rvq"
        )
    quantizer = ResidualVQ(**theirs)
    if codebook != "rvq":
        if prod(ours) != quantizer.num_codes:
            raise InputError(
                f"the tokenizer has {quantizer.num_codes} codes, the codebook "
                f"{prod(ours)}; set codebook_conf: levels to as many"
            )
        return dict(conf)
    sizes = {k: getattr(quantizer, k) for k in ("dim", "num_books", "book_size")}
    for name, size in sizes.items():
        if conf.get(name, size) != size:
            raise InputError(
                f"the tokenizer's quantizer has {name} {size}, the codebook "
                f"{conf[name]}; leave it out of codebook_conf"
            )
    return {"tokenizer_file": str(tokenizer_file), **conf, **sizes}
