"""Writing files so that a killed process never leaves half of one."""

import errno
import fcntl
import itertools
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

from espnet_fsqdiff.errors import InputError

# Faults of a disk, which its user can mend and nobody else.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# File systems that know no locks.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
# Who finds no place to write leaves less than this.
_FULL = 1 << 16


@contextmanager
def atomic_path(path: Union[str, Path]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it to `path`.

    What a killed process left half written is taken over by the next that writes the
    same file, so that nothing is left over once the work is done.

    Args:
        path: The file to appear, whole or not at all. Missing parent
            directories are made.

    Yields:
        The path to write to, with the same suffix as `path`: an empty file that is
        locked, so write into it and put no other in its place. It is removed if the
        block raises.

    Raises:
        InputError: The disk is full or cannot be written to.
    """
    path = Path(path)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside, lock = _claim(path)
        try:
            with writing_to(path):  # looks at the disk before room is made again
                yield aside
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)


@contextmanager
def parts_beside(aside: Path) -> Iterator[Path]:
    """A folder for the parts of a file, as long as it is being written.

    Args:
        aside: What `atomic_path` has yielded. What a killed process left of the
            folder is removed first.

    Raises:
        InputError: The disk is full or cannot be written to.
    """
    folder = aside.with_name(f"{aside.name}.parts")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with writing_to(aside):  # looks at the disk before room is made again
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _claim(path: Path) -> Tuple[Path, int]:
    """A temporary file that nobody else writes, and what keeps it locked until closed.

    Its name is the same each time, unless another process is writing `path` now.
    """
    for number in itertools.count():
        aside = path.with_name(f"{path.stem}.tmp.{number}{path.suffix}")
        lock = os.open(aside, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(lock)
            if e.errno in _WITHOUT_LOCKS:
                aside.unlink(missing_ok=True)
                own = f"{path.stem}.tmp.{os.getpid()}{path.suffix}"
                aside = path.with_name(own)
                return aside, os.open(aside, os.O_RDWR | os.O_CREAT, 0o666)
            if not isinstance(e, BlockingIOError):
                raise
            continue
        # Whoever held it may have renamed it meanwhile.
        if _is_named(lock, aside):
            os.ftruncate(lock, 0)
            return aside, lock
        os.close(lock)
    raise AssertionError("numbers do not end")


def _is_named(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def writing_to(path: Union[str, Path]) -> Iterator[None]:
    """Make a fault of the disk, met while `path` is written, an InputError.

    Args:
        path: A file or a folder.

    Raises:
        InputError: The disk is full, over quota, read-only or forbidden.
    """
    try:
        yield
    # Libraries that write (torch, libsndfile) have errors of their own.
    except (OSError, RuntimeError) as e:
        message = disk_fault(e, path)
        if message is None:
            raise
        raise InputError(message) from e


def disk_fault(error: Exception, path: Union[str, Path]) -> Optional[str]:
    """What is wrong with the disk and the mend, if that explains `error`, else None.

    Args:
        error: What was raised.
        path: What was to be written, if the error does not say it.
    """
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        number, path = error.errno, error.filename or path
    elif is_full(path):
        number = errno.ENOSPC
    else:
        return None
    mend = "make room" if number in (errno.ENOSPC, errno.EDQUOT) else "allow it"
    return f"{path}: {os.strerror(number)}; {mend} and run this again"


def is_full(path: Union[str, Path]) -> bool:
    """Whether the disk that holds `path`, or will, has no room left."""
    folder = Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize < _FULL


def stamp(source: Union[str, Path]) -> str:
    """Size, time of change and name of a file: other contents, another stamp."""
    try:
        found = os.stat(source)
    except (FileNotFoundError, NotADirectoryError):
        return f"0 0 {source}"  # reading it names the utterance
    return f"{found.st_size} {found.st_mtime_ns} {source}"
