"""Downloads that go on where they stopped; archives that are checked and unpacked."""

import hashlib
import http.client
import logging
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple, Optional

from espnet_fsqdiff.errors import InputError

# A connection that broke is taken up again as often.
TRIES = 5
PAUSE_SECONDS = 2.0
BLOCK = 2**20


class Source(NamedTuple):
    """An archive on the net.

    Attributes:
        url: Where it is.
        sha256: Its SHA-256 in hexadecimal; None where nobody gives one.
    """

    url: str
    sha256: Optional[str] = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def obtain(source: Source, folder: Path, name: str) -> Path:
    """Download and unpack an archive, unless that was done before.

    Args:
        source: The archive.
        folder: Where it goes.
        name: Name of the folder in it that holds what is unpacked.

    Returns:
        `folder/name`. The archive beside it is not needed any more.

    Raises:
        InputError: It cannot be fetched, or is not what was published.
    """
    target = folder / name
    if not target.is_dir():
        archive = fetch(source, folder)
        unpack(archive, target)
    return target


def fetch(source: Source, folder: Path) -> Path:
    """Download a file, unless it is there; go on with one that was begun.

    What has come is kept in `<name>.part`. The file gets its name only when it is
    whole and its checksum right.

    Raises:
        InputError: It cannot be fetched, or its checksum is wrong.
    """
    target = folder / source.name
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    logging.info(f"downloading {source.url}")
    for number in range(1, TRIES + 1):
        final = number == TRIES
        try:
            if _go_on(source.url, part):
                break
            problem = "the connection broke"
        except (OSError, ValueError, http.client.HTTPException) as e:
            problem = " ".join(str(e).split())
            # A server that refuses will not change its mind.
            final |= isinstance(e, urllib.error.HTTPError) and e.code < 500
        if final:
            raise InputError(
                f"{source.url} cannot be downloaded ({problem}); run this again to go "
                "on, or fetch it elsewhere, unpack it and give the folder as --corpus"
            )
        logging.warning(f"{problem}; going on, try {number + 1} of {TRIES}")
        time.sleep(PAUSE_SECONDS)
    if source.sha256 is not None:
        with open(part, "rb") as f:
            found = hashlib.file_digest(f, "sha256").hexdigest()
        if found != source.sha256:
            part.unlink()
            raise InputError(
                f"{source.url}: its SHA-256 is {found}, not {source.sha256}; it was "
                "deleted: run this again, or fetch the corpus elsewhere"
            )
    part.rename(target)
    return target


def _go_on(url: str, part: Path) -> bool:
    """Append what is missing to `part`; tell whether it is whole then."""
    from tqdm import tqdm

    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as e:
        # Nothing is left to send: the part is whole.
        if e.code == 416 and e.headers.get("Content-Range") == f"bytes */{have}":
            return True
        if e.code == 416:
            part.unlink()
            return False
        raise
    with response:
        if response.status != 206:
            have = 0  # all of it comes
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise OSError("the server sends another part than it was asked for")
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        bar = tqdm(
            None,
            part.stem,
            total,
            unit="B",
            unit_scale=True,
            initial=have,
            disable=None,
        )
        with bar, open(part, "ab" if have else "wb") as f:
            while block := response.read(BLOCK):
                f.write(block)
                have += len(block)
                bar.update(len(block))
    return total is None or have == total


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar or zip archive into the folder `target`, whole or not at all.

    Raises:
        InputError: It is damaged, or a member would leave the folder, or is a
            link out of it or a device.
    """
    aside = target.with_name(target.name + ".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    logging.info(f"unpacking {archive}")
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, aside)
        else:
            _unpack_tar(archive, aside)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as e:
        # Only the system's own errors, such as a full disk, have a number.
        system = isinstance(e, OSError) and e.errno is not None
        mend = "mend that" if system else "delete it"
        raise InputError(
            f"{archive}: cannot be unpacked ({e}); {mend} and run this again"
        ) from None
    aside.rename(target)


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            try:
                tar.extractall(folder, filter="data")
            except tarfile.FilterError as e:
                raise _unsafe(archive, e.tarinfo.name) from None
            return
        # Python before 3.11.4: what is neither file nor folder is refused, and what
        # lies outside.
        root = folder.resolve()
        members = tar.getmembers()
        for member in members:
            inside = (root / member.name).resolve().is_relative_to(root)
            if not inside or not (member.isfile() or member.isdir()):
                raise _unsafe(archive, member.name)
            member.mode = 0o755 if member.isdir() else 0o644
        tar.extractall(root, members)


def _unpack_zip(archive: Path, folder: Path) -> None:
    root = folder.resolve()
    with zipfile.ZipFile(archive) as z:
        for member in z.infolist():
            inside = (root / member.filename).resolve().is_relative_to(root)
            if not inside or stat.S_ISLNK(member.external_attr >> 16):
                raise _unsafe(archive, member.filename)
        z.extractall(root)


def _unsafe(archive: Path, name: str) -> InputError:
    return InputError(
        f"{archive}: member {name} would be written outside of the folder or is no "
        "plain file; this is not the corpus, delete the file"
    )
