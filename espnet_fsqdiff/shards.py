"""Work in parallel jobs that can be killed and started again.

A job writes its utterances in chunks. A chunk is an archive and then a note (json)
beside it, each renamed into place, so that a chunk with a note is whole. The note holds
a key of all that the content depends on; a chunk with another key is made again.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

CHUNK_SIZE = 100


@dataclass(eq=False)
class Chunk:
    """Consecutive utterances of one set that are written together.

    Attributes:
        ark: Where what is made of them goes.
        job: The job that makes it, from 1.
        data: Its utterances.
        make_key: Returns `key`; called once, and only if the chunk is looked at.
    """

    ark: Path
    job: int
    data: Collection[str]
    make_key: Callable[[], str]

    @cached_property
    def key(self) -> str:
        """Digest of all that the content depends on."""
        return self.make_key()

    @property
    def note(self) -> Path:
        """The file that says that the archive is whole."""
        return self.ark.with_suffix(".json")

    def read_note(self) -> Optional[Dict[str, Any]]:
        """The note, or None if the chunk is to be made (again)."""
        key = self.key  # of what the content is made of before it is made
        try:
            note = self.load_note()
            if note["key"] != key or note["sha256"] != digest_file(self.ark):
                return None
            return note
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def load_note(self) -> Dict[str, Any]:
        """The note of a chunk that is known to be whole."""
        return json.loads(self.note.read_text(encoding="utf-8"))

    def write_note(self, **content: Any) -> None:
        """Say that the archive, which is there, is whole."""
        note = {"key": self.key, "sha256": digest_file(self.ark), **content}
        with atomic_path(self.note) as aside:
            aside.write_text(json.dumps(note), encoding="utf-8")


Chunks = Dict[Path, List[Chunk]]  # by output directory


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def deal(
    utts: Sequence[str], num_jobs: int, chunk_size: int
) -> Iterator[Tuple[int, int, Sequence[str]]]:
    """Deal sorted utterances to jobs, each a contiguous part.

    Args:
        utts: Their ids.
        num_jobs: How many parts.
        chunk_size: Utterances in a chunk at most.

    Yields:
        Job, number of the chunk in it, both from 1, and the chunk's utterances.
    """
    for job in range(1, num_jobs + 1):
        end = len(utts) * job // num_jobs
        start = len(utts) * (job - 1) // num_jobs
        for number, at in enumerate(range(start, end, chunk_size), 1):
            yield job, number, utts[at : min(at + chunk_size, end)]


def unfinished(chunks: Chunks, job: int) -> Tuple[List[Chunk], int, int]:
    """What a job has to do.

    What a killed run has left half written stays: it may be another's that lives, is
    taken over by whoever writes the chunk, and goes when the chunks are merged.

    Returns:
        Chunks to make, utterances that are done, and all of the job's.
    """
    mine = [c for part in chunks.values() for c in part if c.job == job]
    todo = [c for c in mine if c.read_note() is None]
    total = sum(len(c.data) for c in mine)
    return todo, total - sum(len(c.data) for c in todo), total


def check_whole(out: Path, part: Sequence[Chunk], what: str, work: str) -> None:
    """Check that all chunks of a set are there.

    Args:
        out: The set's directory.
        part: Its chunks.
        what: What they hold, for the message.
        work: What makes it, for the message.

    Raises:
        InputError: Chunks are missing; the message names the set, the jobs to run and
            the first utterance.
    """
    missing = [chunk for chunk in part if chunk.read_note() is None]
    if missing:
        jobs = ", ".join(map(str, sorted({c.job for c in missing})))
        count = sum(len(c.data) for c in missing)
        raise InputError(
            f"{out}: {count} utterances have no {what} (the first is "
            f"{min(missing[0].data)}); run job {jobs} of {work} again"
        )


def remove_strays(out: Path, part: Sequence[Chunk], stem: str) -> None:
    """Remove archives and notes of other chunks than these."""
    kept = {path.name for c in part for path in (c.ark, c.note)}
    for path in out.glob(f"{stem}.*.*.*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
