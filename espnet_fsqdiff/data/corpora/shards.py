"""Shards of a large corpus, read in one pass: what they hold is never all in memory.

Two layouts are read. A tar shard (WebDataset) has, one after the other, the files of a
sample, `<key>.json` and `<key>.mp3`. A jsonl shard has one JSON object a line, whose
`wav` names the audio file, seen from the shard's folder.
"""

import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Union

from espnet_fsqdiff.errors import InputError

AUDIO_SUFFIXES = (".mp3", ".flac", ".wav")
MAX_FILE_BYTES = 64 * 2**20  # a minute of speech has one or two


class Sample(NamedTuple):
    """One utterance as a shard has it.

    Attributes:
        key: Its name in the shard.
        info: What is known of it; None if that is missing or no JSON object.
        audio: The content of its audio file, or where that is; None if missing.
        suffix: The audio file's, e.g. `.mp3`.
    """

    key: str
    info: Optional[Dict[str, Any]]
    audio: Union[None, bytes, Path]
    suffix: str = ""


def list_shards(folder: Path) -> List[Path]:
    """Return the shards in a folder: its `.tar` files, else its `.jsonl` files.

    Raises:
        InputError: There are none, or both kinds.
    """
    tars, lists = (sorted(folder.glob(f"*.{kind}")) for kind in ("tar", "jsonl"))
    if tars and lists:
        raise InputError(
            f"{folder}: tar and jsonl shards are mixed ({tars[0].name}, "
            f"{lists[0].name}); take one kind away"
        )
    if not tars and not lists:
        raise InputError(f"{folder}: neither .tar nor .jsonl shards in it")
    return tars or lists


def read_shard(path: Path) -> Iterator[Sample]:
    """Read the samples of a shard one by one.

    Raises:
        InputError: The shard itself is damaged. A damaged sample has None where
            something is missing.
    """
    return _read_tar(path) if path.suffix == ".tar" else _read_jsonl(path)


def _object(content: Union[None, bytes, str]) -> Optional[Dict[str, Any]]:
    try:
        info = json.loads(content or "")
    except (ValueError, RecursionError):  # UnicodeDecodeError among the first
        return None
    return info if isinstance(info, dict) else None


def _read_tar(path: Path) -> Iterator[Sample]:
    mend = "fetch the shard again"
    if not _ends_as_tar(path):
        raise InputError(f"{path}: cut short or no tar archive; {mend}")
    try:
        with tarfile.open(path, "r|") as tar:
            key, parts = None, {}
            for member in tar:
                if not member.isreg():
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise InputError(
                        f"{path}: {member.name} has {member.size} bytes, which is no "
                        f"utterance; {mend}"
                    )
                name = PurePosixPath(member.name).name
                stem, dot, suffix = name.partition(".")
                if key not in (None, stem):
                    yield _sample(key, parts)
                    parts = {}
                key = stem
                parts[dot + suffix] = _content(tar, member)
            if key is not None:
                yield _sample(key, parts)
    except (tarfile.TarError, OSError, EOFError) as e:
        raise InputError(f"{path}: damaged ({e}); {mend}") from None


def _ends_as_tar(path: Path) -> bool:
    """Tell whether a file ends with the two empty blocks that end a tar archive.

    tarfile takes an archive that is cut between two members for a whole one.
    """
    end = 2 * tarfile.BLOCKSIZE
    with open(path, "rb") as f:
        if f.seek(0, io.SEEK_END) < end:
            return False
        f.seek(-end, io.SEEK_END)
        return not any(f.read())


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with tar.extractfile(member) as f:
        return f.read()


def _sample(key: str, parts: Dict[str, bytes]) -> Sample:
    suffix = next((s for s in AUDIO_SUFFIXES if s in parts), "")
    return Sample(key, _object(parts.get(".json")), parts.get(suffix), suffix)


def _read_jsonl(path: Path) -> Iterator[Sample]:
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            if line.strip():
                yield _listed(path, number, line)


def _listed(path: Path, number: int, line: bytes) -> Sample:
    info = _object(line)
    key = str(info.get("id", "")) if info else ""
    name = info.get("wav") if info else None
    audio = path.parent / name if isinstance(name, str) and name else None
    if audio is not None and not audio.is_file():
        audio = None
    return Sample(key or f"line {number}", info, audio, audio.suffix if audio else "")


def open_audio(sample: Sample) -> Union[BinaryIO, str]:
    """Return what soundfile reads the sample's audio from."""
    if isinstance(sample.audio, bytes):
        return io.BytesIO(sample.audio)
    return str(sample.audio)
