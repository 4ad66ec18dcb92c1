"""Speaker embeddings of a set, for mel makers of several speakers."""

from pathlib import Path
from typing import Dict, Iterable, Union

import numpy as np
import torch

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
    import kaldiio

    entries = read_table(path)
    found: Dict[str, torch.Tensor] = {}
    size = None
    for utt in utts:
        entry = entries.get(utt)
        if entry is None:
            raise InputError(f"{path}: utterance {utt} is missing; extract it again")
        if entry.endswith("|"):
            raise InputError(
                f"{path}: utterance {utt} is a command ({entry}); run it and name the "
                "archive it makes"
            )
        try:
            _check_kind(entry)
            vector = kaldiio.load_mat(entry)
        except Exception as e:  # kaldiio raises whatever the bytes lead it to
            reason = " ".join(str(e).split()) or type(e).__name__
            raise InputError(
                f"{path}: {utt}: {entry} cannot be read ({reason}); extract it again"
            ) from e
        vector = np.asarray(vector)
        is_vector = vector.ndim == 1 and vector.dtype.kind == "f"
        if not is_vector or not np.isfinite(vector).all():
            raise InputError(
                f"{path}: {utt}: {entry} is no vector of finite numbers; extract it "
                "again"
            )
        # An archive that is cut short is read as a shorter vector.
        size = len(vector) if size is None else size
        if len(vector) != size or size == 0:
            raise InputError(
                f"{path}: {utt}: {entry} has {len(vector)} numbers, not {size} as "
                "those before it; extract it again"
            )
        found[utt] = torch.from_numpy(vector.astype(np.float32))
    return found


def _check_kind(entry: str) -> None:
    """Refuse what is no binary Kaldi vector; kaldiio would also unpickle.

    Raises:
        OSError: There is no such archive.
        ValueError: It holds something else at this place.
    """
    archive, _, offset = entry.rpartition(":")
    if not archive or not offset.isdecimal():
        raise ValueError("no archive and offset")
    with open(archive, "rb") as f:
        f.seek(int(offset))
        if f.read(4) not in (b"\0BFV", b"\0BDV"):
            raise ValueError("no binary vector of Kaldi's is there")
