"""Speaker embeddings of a set, for mel makers of several speakers."""

from pathlib import Path
from typing import Dict, Iterable, Union

import numpy as np
import torch

from espnet_fsqdiff.arks import read_ark_entry
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.errors import InputError


def read_embeddings(
    path: Union[str, Path], utts: Iterable[str]
) -> Dict[str, torch.Tensor]:
    """Read the speaker embeddings of utterances.

    Args:
        path: Kaldi scp of one vector (D,) an utterance, such as the `xvector.scp` that
            ESPnet's `extract_spk_embed.py` writes.
        utts: Utterance ids; others in the file are passed over.

    Returns:
        Embeddings (D,), float32, by utterance id.

    Raises:
        InputError: The file is missing, has none of an utterance, or holds something
            else; the message names the utterance.
    """
    entries = read_table(path)
    found: Dict[str, torch.Tensor] = {}
    size = None
    for utt in utts:
        entry = entries.get(utt)
        if entry is None:
            raise InputError(f"{path}: utterance {utt} is missing; extract it again")
        try:
            vector = read_ark_entry(entry)
        except (OSError, ValueError) as e:
            raise InputError(
                f"{path}: {utt}: {entry} cannot be read ({e}); extract it again"
            ) from e
        is_vector = vector.ndim == 1 and vector.dtype.kind == "f"
        if not is_vector or not np.isfinite(vector).all():
            raise InputError(
                f"{path}: {utt}: {entry} is no vector of finite numbers; extract it "
                "again"
            )
        size = len(vector) if size is None else size
        if len(vector) != size or size == 0:
            raise InputError(
                f"{path}: {utt}: {entry} has {len(vector)} numbers, not {size} as "
                "those before it; extract it again"
            )
        found[utt] = torch.from_numpy(vector.astype(np.float32))
    return found
