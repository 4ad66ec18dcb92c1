"""Speech tokens on disk: ark/scp, text, counts and statistics."""

import math
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np

from espnet_fsqdiff.arks import ArkReader
from espnet_fsqdiff.data.datadir import read_table, write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

PathLike = Union[str, Path]


def check_tokens(tokens: np.ndarray, num_codes: int, utt: str) -> None:
    """Raise InputError if a token of `utt` is outside `0 .. num_codes - 1`."""
    bad = tokens[(tokens < 0) | (tokens >= num_codes)]
    if len(bad) > 0:
        raise InputError(
            f"{utt}: token {bad[0]} is outside the codebook of {num_codes} codes; "
            "extract the tokens with the tokenizer in use (stage 7)"
        )


def read_tokens(
    path: PathLike, num_codes: Optional[int] = None
) -> Dict[str, np.ndarray]:
    """Read the tokens of a set.

    Args:
        path: `tokens.scp`, or the text form `utt 12 5 6560 ...` in any other file.
        num_codes: Codebook size to check the tokens against.

    Returns:
        Tokens (T,), int64, by utterance id.

    Raises:
        InputError: The file or an archive it names is missing or damaged, or a
            token is outside the codebook.
    """
    path = Path(path)
    if path.suffix == ".scp":
        tokens = dict(read_entries(read_table(path), path))
    else:
        tokens = read_int_table(path)
    if num_codes is not None:
        for utt, array in tokens.items():
            check_tokens(array, num_codes, utt)
    return tokens


def read_entries(
    entries: Mapping[str, str], path: PathLike
) -> Iterator[Tuple[str, np.ndarray]]:
    """Read tokens one utterance after the other.

    Args:
        entries: `<archive>:<offset>` by utterance id.
        path: The scp file that they are of, for messages.

    Yields:
        Utterance ids and tokens (T,), int64.

    Raises:
        InputError: An archive is missing or damaged.
    """
    with ArkReader() as archives:
        for utt, entry in entries.items():
            try:
                array = archives.read(entry)
                if array.dtype != np.int32 or array.ndim != 1:
                    raise ValueError("no int32 vector is there")
            except FileNotFoundError:
                raise InputError(
                    f"{path}: {utt}: no archive {entry}; extract the tokens again "
                    "(stage 7)"
                ) from None
            except (OSError, ValueError) as e:
                raise InputError(
                    f"{path}: {utt}: {entry} is damaged ({e}); extract the tokens "
                    "again (stage 7)"
                ) from e
            yield utt, array.astype(np.int64)


def read_int_table(path: PathLike) -> Dict[str, np.ndarray]:
    """Read `utt 12 5 ...` lines into int64 arrays (T,) by utterance id."""
    table = {}
    for utt, line in read_table(path).items():
        try:
            table[utt] = np.array([int(x) for x in line.split()], dtype=np.int64)
        except (ValueError, OverflowError):
            raise InputError(
                f"{path}: {utt}: not a row of whole numbers; make the file again"
            ) from None
    return table


def write_int_table(path: PathLike, table: Mapping[str, np.ndarray]) -> None:
    """Write int arrays as `utt 12 5 ...` lines, sorted, whole or not at all."""
    write_table(path, {utt: format_row(x) for utt, x in table.items()})


def format_row(values: Iterable[int]) -> str:
    """`12 5 ...`: what stands behind an utterance id in a table of ints."""
    return " ".join(map(str, np.asarray(values).tolist()))


def count_codes(tokens: Iterable[np.ndarray], num_codes: int) -> np.ndarray:
    """How often every code is used (num_codes,), int64."""
    counts = np.zeros(num_codes, dtype=np.int64)
    for array in tokens:
        counts += np.bincount(array, minlength=num_codes)
    return counts


def write_counts(path: PathLike, counts: np.ndarray) -> None:
    """Write `code count` lines of all codes in order, whole or not at all."""
    with atomic_path(path) as aside, open(aside, "w", encoding="utf-8") as f:
        f.writelines(f"{code} {n}\n" for code, n in enumerate(counts.tolist()))


def read_counts(path: PathLike) -> np.ndarray:
    """The reverse of `write_counts` (num_codes,), int64."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; extract the tokens (stage 7)")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows: List[List[str]] = [line.split() for line in lines]
        table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        table = np.full((1, 2), -1)
    if (table[:, 0] != np.arange(len(table))).any() or (table[:, 1] < 0).any():
        raise InputError(
            f"{path}: not lines of `code count` in order; extract the tokens again "
            "(stage 7)"
        )
    return table[:, 1]


def token_stats(counts: np.ndarray, num_utts: int, rate_hz: float) -> Dict:
    """How the codebook is used.

    Args:
        counts: Count of every code (K,).
        num_utts: Utterances counted.
        rate_hz: Tokens a second.

    Returns:
        num_utts, num_tokens, used_codes, codebook_size, utilisation (used codes
        as a fraction), perplexity (of the code frequencies, 1 .. K), rate_hz,
        bits_per_second (rate times log2 K) and entropy_bits_per_second (rate
        times the entropy of the frequencies).
    """
    num_tokens, num_codes = int(counts.sum()), len(counts)
    used = counts[counts > 0]
    p = used / max(num_tokens, 1)
    entropy = abs(float((p * np.log2(p)).sum()))  # in bits
    return {
        "num_utts": int(num_utts),
        "num_tokens": num_tokens,
        "used_codes": len(used),
        "codebook_size": num_codes,
        "utilisation": len(used) / num_codes,
        "perplexity": 2.0**entropy,
        "rate_hz": float(rate_hz),
        "bits_per_second": rate_hz * math.log2(num_codes),
        "entropy_bits_per_second": rate_hz * entropy,
    }
