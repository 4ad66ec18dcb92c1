"""Texts from files to waves in files: what was made once is kept, nothing is half."""

import hashlib
import json
import math
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import (
    IO,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from espnet_fsqdiff.errors import InputError

# Of one line, so that a batch of lines fits into memory; about ten minutes of speech.
MAX_LINE_CHARS = 10_000
# Of one batch, unless it is a single line.
MAX_BATCH_CHARS = 4_000
# After so many lines in a row that could not be spoken, the fault is not theirs.
MAX_FAULTS_IN_A_ROW = 20
_BLOCK_CHARS = 1 << 16


class Line(NamedTuple):
    """A line to be spoken.

    Attributes:
        number: Its place in the text, from 1; empty lines count too.
        text: What to say.
    """

    number: int
    text: str

    @property
    def file_name(self) -> str:
        """Name of its wave."""
        return f"{self.number:06d}.wav"


@contextmanager
def _open_text(path: Union[str, Path]) -> Iterator[IO[str]]:
    """A UTF-8 file, or standard input for `-`; faults become InputError."""
    name = "standard input" if str(path) == "-" else str(path)
    try:
        source = sys.stdin.fileno() if str(path) == "-" else path
        with open(
            source, encoding="utf-8-sig", closefd=not isinstance(source, int)
        ) as f:
            yield f
    except UnicodeDecodeError as e:
        byte = e.object[e.start]
        raise InputError(
            f"{name}: byte 0x{byte:02x} is not UTF-8; save the text as UTF-8"
        ) from None
    except OSError as e:
        raise InputError(
            f"{name}: {e.strerror or e}; give a text file that can be read"
        ) from None


def read_blocks(path: Union[str, Path]) -> Iterator[str]:
    """A text in blocks of bounded size.

    Args:
        path: A UTF-8 file, or `-` for standard input.

    Raises:
        InputError: It cannot be read or is not UTF-8.
    """
    with _open_text(path) as f:
        while block := f.read(_BLOCK_CHARS):
            yield block


def read_lines(path: Union[str, Path]) -> Iterator[Line]:
    """The lines of a text that are not empty, one at a time.

    Of a line that is too long to be spoken (`MAX_LINE_CHARS`) only the beginning is
    kept.

    Args:
        path: A UTF-8 file, or `-` for standard input.

    Raises:
        InputError: It cannot be read or is not UTF-8.
    """

    def texts() -> Iterator[str]:
        with _open_text(path) as f:
            while text := f.readline(MAX_LINE_CHARS + 1):
                rest = text
                while rest and not rest.endswith("\n"):
                    rest = f.readline(_BLOCK_CHARS)
                yield text

    return number_lines(texts())


def number_lines(texts: Iterable[str]) -> Iterator[Line]:
    """Texts with their numbers, empty ones left out.

    What is longer than `MAX_LINE_CHARS` keeps its blanks: cut, it must not look short.
    """
    for number, text in enumerate(texts, 1):
        if len(text) > MAX_LINE_CHARS:
            yield Line(number, text)
        elif text.strip():
            yield Line(number, text.strip())


def batches(lines: Iterable[Line], batch_size: int) -> Iterator[List[Line]]:
    """Lines in groups of at most `batch_size` and `MAX_BATCH_CHARS` characters."""
    batch: List[Line] = []
    chars = 0
    for line in lines:
        full = len(batch) >= batch_size or chars + len(line.text) > MAX_BATCH_CHARS
        if batch and full:
            yield batch
            batch, chars = [], 0
        batch.append(line)
        chars += len(line.text)
    if batch:
        yield batch


class SpeechFolder:
    """A folder of waves, `000001.wav` for line 1, and `speech.jsonl` about them.

    A wave that was made from the same text with the same settings is not made
    again, so that a run that was killed goes on where it was.

    Args:
        folder: Where; made if missing.
        settings: All that decides how a text sounds, as JSON can hold it.

    Raises:
        InputError: The folder cannot be written to.
    """

    def __init__(self, folder: Union[str, Path], settings: Mapping[str, Any]):
        self.folder = Path(folder)
        self._settings = json.dumps(settings, sort_keys=True)
        self._log = self.folder / "speech.jsonl"
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._made = dict(self._read())

    def __contains__(self, line: Line) -> bool:
        return (
            self._made.get(line.number) == self._key(line.text)
            and (self.folder / line.file_name).is_file()
        )

    def add(self, line: Line, spoken: Mapping[str, Any]) -> None:
        """Write a wave, then a line about it.

        Args:
            line: What was spoken.
            spoken: What `Text2Speech` gave for it: `wav`, `fs`, and as far as they
                are there `sentences`, `scores`, `complete`.

        Raises:
            InputError: The wave is empty, silent or not finite, or the folder cannot
                be written to.
        """
        from espnet_fsqdiff.wav_io import write_wave

        with writing(self.folder):
            path = self.folder / line.file_name
            if line.number in self._made:
                # Should the log of the new wave fail, the old one's does not count.
                self._append({"line": line.number, "key": ""})
            write_wave(path, spoken["wav"], spoken["fs"], f"line {line.number}")
            record = {
                "line": line.number,
                "wav": line.file_name,
                "text": line.text,
                "seconds": round(len(spoken["wav"]) / spoken["fs"], 3),
                "complete": bool(spoken.get("complete", True)),
                "sentences": spoken.get("sentences", []),
                "key": self._key(line.text),
            }
            if spoken.get("scores") is not None:
                record["scores"] = json_scores(spoken["scores"])
            self._append(record)
        self._made[line.number] = record["key"]

    def _append(self, record: Dict[str, Any]) -> None:
        with open(self._log, "a", encoding="utf-8") as f:
            f.write(json.dumps(record, ensure_ascii=False) + "\n")

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self._settings}\n{text}".encode()).hexdigest()[:32]

    def _read(self) -> Iterator[Tuple[int, str]]:
        """Numbers and keys; the last line may be torn."""
        if not self._log.exists():
            return
        whole = True
        with open(self._log, encoding="utf-8", errors="replace") as f:
            for text in f:
                whole = text.endswith("\n")
                try:
                    record = json.loads(text)
                    yield int(record["line"]), str(record["key"])
                except (ValueError, TypeError, KeyError):
                    continue
        if not whole:
            with open(self._log, "a", encoding="utf-8") as f:
                f.write("\n")


@contextmanager
def writing(path: Union[str, Path]) -> Iterator[None]:
    """Make a fault of the file system, such as a full disk, an InputError."""
    import soundfile

    try:
        yield
    except soundfile.LibsndfileError as e:
        raise InputError(f"{path}: {e.error_string}; write somewhere else") from None
    except OSError as e:
        raise InputError(
            f"{e.filename or path}: {e.strerror or e}; write somewhere else"
        ) from None


def json_scores(scores: Iterable[Sequence[float]]) -> List[List[Optional[float]]]:
    """Scores of takes as JSON can hold them: null for a take that cannot be the text.

    Args:
        scores: Those of the takes of each sentence; -inf where the tokens are fewer
            than the symbols.
    """
    return [[s if math.isfinite(s) else None for s in takes] for takes in scores]


def speak_lines(
    tts: Any, lines: Iterable[Line], batch_size: int, options: Mapping[str, Any]
) -> Iterator[Tuple[Line, Union[Dict[str, Any], InputError]]]:
    """Speak lines in batches; a line that cannot be spoken costs no other line.

    Args:
        tts: A `Text2Speech`.
        lines: What to say.
        batch_size: Lines at once.
        options: Of `Text2Speech.batch`.

    Yields:
        Each line, in order, with what `Text2Speech` gives for it or with its fault.

    Raises:
        InputError: `MAX_FAULTS_IN_A_ROW` lines could not be spoken.
    """
    faults = 0
    for batch in batches(lines, batch_size):
        for line, spoken in _speak(tts, batch, options):
            yield line, spoken
            faults = faults + 1 if isinstance(spoken, InputError) else 0
            if faults >= MAX_FAULTS_IN_A_ROW:
                raise InputError(f"{faults} lines in a row cannot be spoken: {spoken}")


def _speak(
    tts: Any, batch: Sequence[Line], options: Mapping[str, Any]
) -> Iterator[Tuple[Line, Union[Dict[str, Any], InputError]]]:
    if len(batch) == 1 and len(batch[0].text) >= MAX_LINE_CHARS:
        yield batch[0], InputError(
            f"line {batch[0].number} has {MAX_LINE_CHARS} characters or more; cut it, "
            "or make one file of the whole text (-o)"
        )
        return
    try:
        spoken = tts.batch([line.text for line in batch], **options)
    except InputError as e:
        if len(batch) == 1:
            # The voice knows it as the first text of a batch.
            rest = re.sub("^text 0(?=[:,])|^", "", str(e), count=1)
            sep = "" if rest[:1] in ":," else ": "
            yield batch[0], InputError(f"line {batch[0].number}{sep}{rest}")
            return
        for line in batch:
            yield from _speak(tts, [line], options)
    else:
        yield from zip(batch, spoken, strict=True)


def digest(path: Union[str, Path]) -> str:
    """SHA-256 of a file, or of the names, sizes and times of a folder's files.

    Raises:
        InputError: It cannot be read.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            with open(path, "rb") as f:
                return hashlib.file_digest(f, "sha256").hexdigest()
        found = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            stat = file.stat()
            entry = (os.fspath(file.relative_to(path)), stat.st_size, stat.st_mtime_ns)
            found.update(repr(entry).encode())
        return found.hexdigest()
    except OSError as e:
        raise InputError(
            f"{path}: {e.strerror}; give a file that can be read"
        ) from None
