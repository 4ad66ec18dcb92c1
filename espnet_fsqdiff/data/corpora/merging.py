"""Sorted tables merged line by line: memory does not grow with their length."""

import heapq
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Iterable, Iterator, List, Sequence, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, parts_beside

# Files that are open at once; the system's limit is often 1024.
MAX_OPEN = 128

Line = Tuple[bytes, bytes]  # key, and the rest of the line


def merge_tables(sources: Sequence[Path], target: Union[str, Path]) -> int:
    """Merge sorted tables without a key in common into one.

    Args:
        sources: Kaldi tables, `key value` a line, sorted in the C locale.
        target: The table to write, whole or not at all.

    Returns:
        How many lines it has.

    Raises:
        InputError: A key is there twice, or a source is not sorted.
    """
    return _merge(sources, Path(target), _once)


def merge_speakers(sources: Sequence[Path], target: Union[str, Path]) -> int:
    """Merge `spk2utt` tables; a speaker may be in several of them.

    Args and returns: See :func:`merge_tables`; lines are speakers. One speaker's
    utterances are in memory at once.
    """
    return _merge(sources, Path(target), _joined)


def _merge(sources: Sequence[Path], target: Path, reduce) -> int:
    with atomic_path(target) as aside, parts_beside(aside) as folder:
        sources = list(sources)
        while len(sources) > MAX_OPEN:
            part = folder / f"{len(sources)}"
            _write(part, reduce(sources[:MAX_OPEN], part))
            sources = [*sources[MAX_OPEN:], part]
        return _write(aside, reduce(sources, target))


def _write(path: Path, lines: Iterable[Line]) -> int:
    number = 0
    with open(path, "wb") as f:
        for key, value in lines:
            f.write(key + b" " + value + b"\n")
            number += 1
    return number


def _lines(path: Path, stack: ExitStack) -> Iterator[Line]:
    last = b""
    for line in stack.enter_context(open(path, "rb")):
        key, _, value = line.rstrip(b"\n").partition(b" ")
        if key < last:
            raise InputError(
                f"{path}: {key.decode()} comes after {last.decode()}: not sorted; make "
                "it again"
            )
        last = key
        yield key, value


def _all_lines(sources: List[Path]) -> Iterator[Line]:
    with ExitStack() as stack:
        yield from heapq.merge(*(_lines(path, stack) for path in sources))


def _once(sources: List[Path], target: Path) -> Iterator[Line]:
    last = None
    for key, value in _all_lines(sources):
        if key == last:
            raise InputError(
                f"{target}: {key.decode()} would be there twice; it is in two shards: "
                "remove one of them"
            )
        last = key
        yield key, value


def _joined(sources: List[Path], target: Path) -> Iterator[Line]:
    for key, lines in groupby(_all_lines(sources), key=lambda line: line[0]):
        yield key, b" ".join(sorted(b" ".join(v for _, v in lines).split()))
