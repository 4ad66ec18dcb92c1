"""Kaldi data directories: `wav.scp text utt2spk spk2utt`, checked and sorted.

Two more files may be there, both or neither: `prompt_wav.scp` names for each utterance
the recording whose voice is to be taken, `prompt_text` says what is spoken in it.
"""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, Iterator, Mapping, Optional, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

PROMPT_WAV, PROMPT_TEXT = "prompt_wav.scp", "prompt_text"
# File systems take names of 255 bytes; suffixes are put behind ids.
MAX_ID_BYTES = 200


def read_table(path: Union[str, Path]) -> Dict[str, str]:
    """Read a Kaldi table, one `key value` a line.

    Args:
        path: The file: UTF-8, sorted as `LC_ALL=C sort` does.

    Returns:
        Values by key in the order of the file; the value of a line that holds a
        key alone is "".

    Raises:
        InputError: The file is missing, is not UTF-8, has an empty line, a key
            twice or of characters that cannot be shown, or is not sorted.
    """
    path = Path(path)
    table: Dict[str, str] = {}
    last = None
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; run the stage that makes it (1: data, 2: audio)"
        ) from None
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); mend it") from None
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 (byte {e.start}); convert it") from None
    if lines[0].startswith("\ufeff"):
        raise InputError(f"{path}: begins with a byte order mark; remove these 3 bytes")
    if lines and lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        fields = line.split(maxsplit=1)
        if not fields:
            raise InputError(f"{path}:{number}: empty line; remove it")
        key = fields[0]
        if not key.isprintable():
            raise InputError(f"{path}:{number}: {key!r} is no utterance id; correct it")
        if key in table:
            raise InputError(
                f"{path}:{number}: utterance {key} is there twice; keep one line of it"
            )
        # Code points compare as their UTF-8 bytes do, which is the C locale.
        if last is not None and key < last:
            raise InputError(
                f"{path}:{number}: {key} comes after {last}: not sorted; "
                f"sort it: LC_ALL=C sort -o {path} {path}"
            )
        table[key] = fields[1].strip() if len(fields) > 1 else ""
        last = key
    return table


def write_table(path: Union[str, Path], table: Mapping[str, object]) -> None:
    """Write `key value` lines sorted in the C locale, whole or not at all."""
    with atomic_path(path) as aside:
        with open(aside, "w", encoding="utf-8") as f:
            for key in sorted(table):
                f.write(f"{key} {table[key]}\n")


def _same_keys(
    path_a: Path, keys_a: Iterable[str], path_b: Path, keys_b: Iterable[str]
) -> None:
    a, b = set(keys_a), set(keys_b)
    if a != b:
        lacking, key = (path_b, min(a - b)) if a - b else (path_a, min(b - a))
        raise InputError(
            f"{lacking}: utterance {key} is missing ({len(a ^ b)} differ between "
            f"{path_a.name} and {path_b.name}); give both files the same utterances"
        )


def read_prompts(
    path: Union[str, Path], utts: Iterable[str], check_audio: bool = True
) -> Tuple[Dict[str, str], Dict[str, str]]:
    """Read and validate the prompts of a set.

    Args:
        path: The data directory.
        utts: Its utterances, those of its file `text`.
        check_audio: Look whether every audio file is there.

    Returns:
        Audio file of the prompt, and what is said in it, by utterance id; both empty
        where the directory has neither file.

    Raises:
        InputError: One of the files is missing, an utterance has no prompt, a text is
            empty, or an audio file is not there; the message names it.
    """
    path, utts = Path(path), list(utts)
    files = [path / PROMPT_WAV, path / PROMPT_TEXT]
    if not any(file.exists() for file in files):
        return {}, {}
    for file, other in (files, files[::-1]):
        if not file.exists():
            raise InputError(
                f"{file}: no such file, but {other.name} is there; give both or neither"
            )
    wav, text = (read_table(file) for file in files)
    for file, table in zip(files, (wav, text)):
        _same_keys(path / "text", utts, file, table)
    _check_texts(files[1], text)
    for utt, name in wav.items():
        _check_audio_name(files[0], utt, name, check_audio)
    return wav, text


@dataclass
class DataDir:
    """One set of utterances.

    Attributes:
        wav: Audio file by utterance id.
        text: Text by utterance id.
        utt2spk: Speaker by utterance id.
        prompt_wav: Audio file of its prompt by utterance id; empty where there are
            none.
        prompt_text: What is said in the prompt; empty with `prompt_wav`.
    """

    wav: Dict[str, str]
    text: Dict[str, str]
    utt2spk: Dict[str, str]
    prompt_wav: Dict[str, str] = field(default_factory=dict)
    prompt_text: Dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.wav)

    def __iter__(self) -> Iterator[str]:
        return iter(self.wav)

    @classmethod
    def read(cls, path: Union[str, Path], check_audio: bool = True) -> "DataDir":
        """Read and validate a data directory.

        Args:
            path: The directory.
            check_audio: Look whether every audio file is there (its content is
                checked where it is read).

        Raises:
            InputError: Anything is missing, doubled, unsorted, empty or does
                not match; the message names file and utterance.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: no such data directory; run stage 1 (data)")
        if (path / "segments").exists():
            raise InputError(
                f"{path}/segments: parts of recordings are not read; cut them, so that "
                "wav.scp names a file for each utterance, and remove segments"
            )
        names = ["wav.scp", "text", "utt2spk", "spk2utt"]
        wav, text, utt2spk, spk2utt = (read_table(path / n) for n in names)
        if not wav:
            raise InputError(f"{path}/wav.scp: no utterance in it")
        _same_keys(path / "wav.scp", wav, path / "text", text)
        _same_keys(path / "wav.scp", wav, path / "utt2spk", utt2spk)
        _check_texts(path / "text", text)
        _check_speakers(path, utt2spk, spk2utt)
        for utt, name in wav.items():
            _check_audio_name(path / "wav.scp", utt, name, check_audio)
        return cls(wav, text, utt2spk, *read_prompts(path, text, check_audio))

    def write(self, path: Union[str, Path]) -> None:
        """Write the files; `wav.scp`, which stands for the set, last.

        That of an earlier set goes first, so that a kill leaves no mixture, and prompts
        that one left there are removed.
        """
        path = Path(path)
        (path / "wav.scp").unlink(missing_ok=True)
        spk2utt = defaultdict(list)
        for utt in sorted(self.utt2spk):
            spk2utt[self.utt2spk[utt]].append(utt)
        write_table(path / "text", self.text)
        write_table(path / "utt2spk", self.utt2spk)
        write_table(path / "spk2utt", {s: " ".join(u) for s, u in spk2utt.items()})
        for name, table in (
            (PROMPT_TEXT, self.prompt_text),
            (PROMPT_WAV, self.prompt_wav),
        ):
            if table:
                write_table(path / name, table)
            else:
                (path / name).unlink(missing_ok=True)
        write_table(path / "wav.scp", self.wav)

    def subset(self, utts: Iterable[str]) -> "DataDir":
        """Return the set with the utterances `utts` alone."""
        utts = sorted(utts)
        prompted = utts if self.prompt_wav else []
        return DataDir(
            {u: self.wav[u] for u in utts},
            {u: self.text[u] for u in utts},
            {u: self.utt2spk[u] for u in utts},
            {u: self.prompt_wav[u] for u in prompted},
            {u: self.prompt_text[u] for u in prompted},
        )


def _check_texts(file: Path, text: Mapping[str, str]) -> None:
    for utt, words in text.items():
        if not words:
            raise InputError(
                f"{file}: the text of utterance {utt} is empty; "
                "write it or remove the utterance from every file"
            )


def _check_speakers(
    path: Path, utt2spk: Mapping[str, str], spk2utt: Mapping[str, str]
) -> None:
    back = {}
    for speaker, utts in spk2utt.items():
        for utt in utts.split():
            back[utt] = speaker
    for utt, speaker in utt2spk.items():
        if not speaker:
            raise InputError(f"{path}/utt2spk: no speaker for utterance {utt}; name it")
        if back.get(utt) != speaker:
            raise InputError(
                f"{path}/spk2utt: utterance {utt} is not under speaker {speaker} as "
                "utt2spk says; make spk2utt from utt2spk"
            )
    extra = sorted(set(back) - set(utt2spk))
    if extra:
        raise InputError(
            f"{path}/spk2utt: utterance {extra[0]} is not in utt2spk; "
            "make spk2utt from utt2spk"
        )


def _check_audio_name(file: Path, utt: str, name: str, check_audio: bool) -> None:
    if len(utt.encode()) > MAX_ID_BYTES:
        raise InputError(
            f"{file}: utterance id {utt[:60]}... is longer than {MAX_ID_BYTES} "
            "bytes, but ids become file names; rename it"
        )
    if "/" in utt:
        raise InputError(
            f"{file}: utterance id {utt} has a slash, but ids become file "
            "names; rename it"
        )
    if not name:
        raise InputError(f"{file}: no audio file for utterance {utt}; name it")
    if name.endswith("|"):
        raise InputError(
            f"{file}: utterance {utt} is a command ({name}); run it and name "
            "the file it makes"
        )
    if check_audio:
        check_audio_file(file, utt, name)


def check_audio_file(file: Path, utt: str, name: str) -> None:
    """Raise InputError if the audio `name` that `file` names for `utt` is not there."""
    if not os.path.isfile(name):
        raise InputError(
            f"{file}: utterance {utt} names {name}, which does not exist; "
            "correct the path (relative paths start at the recipe directory)"
        )


def read_num_samples(path: Union[str, Path], wav: Optional[Mapping] = None) -> Dict:
    """Read `utt2num_samples` and check it against the utterances of `wav`."""
    path = Path(path)
    try:
        table = {utt: int(n) for utt, n in read_table(path).items()}
    except ValueError as e:
        if isinstance(e, InputError):
            raise
        raise InputError(f"{path}: {e}; run stage 2 (format audio) again") from None
    if wav is not None:
        _same_keys(path.parent / "wav.scp", wav, path, table)
    return table
