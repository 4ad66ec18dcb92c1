"""Kaldi archives: written whole, read without running or unpickling anything.

kaldiio writes them. It is not used to read: it runs the commands that scp files may
name, unpickles what says it is a pickle, and takes what is cut short for less.
"""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from espnet_fsqdiff.files import atomic_path

# Kaldi writes the bytes of each number before it.
_INT_VECTOR = np.dtype([("width", "i1"), ("value", "<i4")])
# Vectors and matrices: numbers and axes.
_KINDS = {
    b"FV ": ("<f4", 1),
    b"DV ": ("<f8", 1),
    b"FM ": ("<f4", 2),
    b"DM ": ("<f8", 2),
}
# Of an offset; no archive has more bytes.
_DIGITS = re.compile("[0-9]{1,15}")


def write_ark(
    path: Union[str, Path], arrays: Mapping[str, np.ndarray], dtype: type = np.int32
) -> Dict[str, int]:
    """Write arrays as a Kaldi archive, whole or not at all.

    Args:
        path: The archive.
        arrays: By utterance id.
        dtype: What they become: `np.int32` for tokens, `np.float32` for mels.

    Returns:
        The byte offset of every utterance: `<path>:<offset>` is its scp entry.
    """
    import kaldiio

    with atomic_path(path) as aside:
        scp = aside.with_name(aside.name + ".scp")
        arrays = {utt: np.asarray(a, dtype=dtype) for utt, a in arrays.items()}
        try:
            kaldiio.save_ark(str(aside), arrays, scp=str(scp))
            lines = scp.read_text(encoding="utf-8").splitlines()
        finally:
            scp.unlink(missing_ok=True)
    entries = (line.split(maxsplit=1) for line in lines)
    return {utt: int(entry.rsplit(":", 1)[1]) for utt, entry in entries}


class ArkReader:
    """Reads entries of scp files; the archive that was read last stays open.

    A context manager, which closes it.
    """

    def __init__(self) -> None:
        self._last = ExitStack()
        self._name: Optional[str] = None
        self._file: Optional[BinaryIO] = None

    def __enter__(self) -> "ArkReader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive that is open."""
        self._last.close()
        self._name = None

    def read(self, entry: str) -> np.ndarray:
        """What an entry `<archive>:<offset>` names.

        Returns:
            A vector or matrix: int32, float32 or float64, as it was written.

        Raises:
            OSError: The archive cannot be opened or read.
            ValueError: It is no such entry, or there is no array, or not all of it.
        """
        archive, _, offset = entry.rpartition(":")
        if entry.endswith("|"):
            raise ValueError("a command; run it, and name the archive it makes")
        if not archive or not _DIGITS.fullmatch(offset):
            raise ValueError("no archive and offset")
        if archive != self._name:
            self.close()
            self._file = self._last.enter_context(open(archive, "rb"))
            self._name = archive
        return _read_array(self._file, int(offset))


def read_ark_entry(entry: str) -> np.ndarray:
    """What an entry of an scp file names; see `ArkReader.read`."""
    with ArkReader() as reader:
        return reader.read(entry)


def _read_array(file: BinaryIO, offset: int) -> np.ndarray:
    file.seek(offset)
    if file.read(2) != b"\0B":
        raise ValueError("no binary array of Kaldi's is there")
    kind = file.read(1)
    if kind == b"\4":
        file.seek(-1, os.SEEK_CUR)
        row = _read_numbers(file, _INT_VECTOR, _read_sizes(file, 1))
        if (row["width"] != 4).any():
            raise ValueError("no int32 vector is there")
        return row["value"].copy()
    kind += file.read(2)
    if kind not in _KINDS:
        raise ValueError(f"arrays of kind {kind!r} are not read; write float32 ones")
    dtype, axes = _KINDS[kind]
    return _read_numbers(file, np.dtype(dtype), _read_sizes(file, axes)).copy()


def _read_sizes(file: BinaryIO, axes: int) -> Tuple[int, ...]:
    head = file.read(_INT_VECTOR.itemsize * axes)
    if len(head) < _INT_VECTOR.itemsize * axes:
        raise ValueError("it ends there")
    sizes = np.frombuffer(head, _INT_VECTOR)
    if (sizes["width"] != 4).any():
        raise ValueError("its size is damaged")
    return tuple(sizes["value"].tolist())


def _read_numbers(
    file: BinaryIO, dtype: np.dtype, sizes: Tuple[int, ...]
) -> np.ndarray:
    wanted = 1
    for size in sizes:
        wanted *= size
    left = os.fstat(file.fileno()).st_size - file.tell()
    if min(sizes) < 0 or wanted * dtype.itemsize > left:
        raise ValueError(f"it says that {wanted} numbers follow, which are not there")
    return np.frombuffer(file.read(wanted * dtype.itemsize), dtype).reshape(sizes)
