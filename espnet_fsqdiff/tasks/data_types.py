"""ESPnet's readers of data files, made to say which file and utterance is at fault."""

from collections.abc import Mapping
from functools import wraps
from typing import Any, Callable, Iterator

import numpy as np
from espnet2.fileio.read_text import read_2columns_text
from espnet2.train import dataset, iterable_dataset

from espnet_fsqdiff.arks import read_ark_entry
from espnet_fsqdiff.errors import InputError

# What the recipes read by ESPnet's dataset.
TYPES = ("sound", "kaldi_ark", "text", "text_int")


class Named(Mapping):
    """A reader whose faults name its table, the utterance and what stands for it.

    Args:
        reader: Of ESPnet's dataset, by utterance.
        path: Its table.
    """

    def __init__(self, reader: Mapping, path: str):
        self.reader = reader
        self.path = path

    def __len__(self) -> int:
        return len(self.reader)

    def __iter__(self) -> Iterator:
        return iter(self.reader)

    def __contains__(self, utt: object) -> bool:
        return utt in self.reader

    def __getitem__(self, utt: str) -> Any:
        """What the table has for an utterance.

        Raises:
            InputError: It has none, or its file is missing or damaged.
        """
        try:
            return self.reader[utt]
        except Exception as e:  # as many kinds as there are formats
            entry = entry_of(self.path, utt)
            if entry is None:
                message = f"{utt} is not in {self.path}; make it again, with the others"
            else:
                message = f"{utt}: {unreadable(f'{entry} (of {self.path})', e)}"
            raise InputError(message) from e


class Archives(Mapping):
    """Arrays by utterance, as an scp file names them; opened for each, as workers fork.

    Args:
        path: The scp file.
    """

    def __init__(self, path: str):
        self.entries = read_2columns_text(path)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator:
        return iter(self.entries)

    def __getitem__(self, utt: str) -> np.ndarray:
        """int32, float32 or float64, a vector or matrix."""
        return read_ark_entry(self.entries[utt])


def load_archives(path: str, **options: Any) -> Archives:
    """The arrays of an scp file; what ESPnet tells kaldiio is passed over."""
    return Archives(path)


# In place of ESPnet's.
READERS = {"kaldi_ark": load_archives}
STREAMED = {"kaldi_ark": read_ark_entry}


def entry_of(path: str, utt: str) -> Any:
    """What stands beside an utterance in a table, None if it is not there."""
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            key, _, entry = line.partition(" ")
            if key.strip() == utt:
                return entry.strip()
    return None


def unreadable(what: str, error: Exception) -> str:
    """What to say of an entry that cannot be read, in one line."""
    reason = " ".join(str(error).split()).rstrip(". ") or type(error).__name__
    return f"{what} cannot be read ({reason}); run the stage that makes it again"


def name_faults() -> None:
    """Have ESPnet's datasets in this process name what is at fault.

    Archives are read by `espnet_fsqdiff.arks`, which neither runs nor unpickles what
    a file holds.
    """
    streamed = iterable_dataset.DATA_TYPES  # what statistics are collected from
    for kind in TYPES:
        entry = dataset.DATA_TYPES[kind]
        if not getattr(entry["func"], "names_faults", False):
            entry["func"] = _naming(READERS.get(kind, entry["func"]))
        if not getattr(streamed[kind], "names_faults", False):
            streamed[kind] = _naming_entry(STREAMED.get(kind, streamed[kind]))


def _naming(load: Callable) -> Callable:
    @wraps(load)
    def load_named(path: str, **options: Any) -> Named:
        try:
            return Named(load(path, **options), path)
        except Exception as e:  # again of many kinds
            raise InputError(unreadable(path, e)) from e

    load_named.names_faults = True
    return load_named


def _naming_entry(load: Callable[[str], Any]) -> Callable[[str], Any]:
    @wraps(load)
    def load_named(entry: str) -> Any:
        try:
            return load(entry)
        except Exception as e:
            raise InputError(unreadable(entry, e)) from e

    load_named.names_faults = True
    return load_named
