"""How many speech frames (tokens) every text symbol takes: statistics, no network.

Two kinds, one interface and one file format. `DurationTable` is the paper's: a
mean per symbol. `ContextDuration` sees the neighbours of a symbol too; it is
fitted on an alignment.
"""

import os
from pathlib import Path
from typing import Optional, Sequence, Union

from espnet_fsqdiff.duration.base import (
    FORMAT_VERSION,
    KAPPA_RANGE,
    AbsDuration,
    boundary_error,
    length_error,
)
from espnet_fsqdiff.duration.context import ContextDuration
from espnet_fsqdiff.duration.frames import to_frames
from espnet_fsqdiff.duration.table import DurationTable
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.yaml_files import read_yaml

__all__ = [
    "KAPPA_RANGE",
    "AbsDuration",
    "ContextDuration",
    "DurationTable",
    "boundary_error",
    "duration_kinds",
    "length_error",
    "load_duration",
    "to_frames",
]

duration_kinds = {kind.kind: kind for kind in (DurationTable, ContextDuration)}


def load_duration(
    path: Union[str, Path], token_list: Optional[Sequence[str]] = None
) -> AbsDuration:
    """Load the yaml file of either kind.

    Args:
        path: What `AbsDuration.save` wrote.
        token_list: The text symbols in use. Ids are positions in this list,
            and all its symbols must be in the file.

    Raises:
        InputError: The file is missing, is no duration file, or lacks a symbol
            of `token_list`.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; fit_duration (stage 8) makes it")
    try:
        data = read_yaml(path)
        if data["version"] != FORMAT_VERSION:
            raise ValueError(f"version {data['version']}, not {FORMAT_VERSION}")
        own = [str(s) for s in data["token_list"]]
        model = duration_kinds[data["kind"]].from_dict(data, own)
    # What odd values lead to, such as a list in place of a number.
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        raise InputError(
            f"{path}: not a duration file ({reason}); make it again with fit_duration"
        ) from e
    if token_list is None or list(token_list) == own:
        return model
    missing = sorted(set(token_list) - set(own))
    if missing:
        raise InputError(
            f"{path}: has no symbol {missing[0]!r} of the token list; fit it again "
            "with this token list (stage 8)"
        )
    raise InputError(
        f"{path}: was fitted with another order or number of symbols than the token "
        "list; fit it again with this token list (stage 8)"
    )
