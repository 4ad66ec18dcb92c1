"""Sees what a process writes at once, by Linux's inotify."""

import ctypes
import os
import select
import struct
from pathlib import Path
from typing import Dict, Iterable

_CREATE, _CLOSE_WRITE, _MOVED_TO, _DELETE = 0x100, 0x8, 0x80, 0x200
_IS_FOLDER = 0x40000000
_MASK = _CREATE | _CLOSE_WRITE | _MOVED_TO | _DELETE
_HEAD = struct.Struct("iIII")


class Watch:
    """Counts files below some folders that come, are written, renamed or go.

    Args:
        folders: Made if missing; those that are made in them are watched too.

    Raises:
        OSError: The system has no inotify, or no more watches.
    """

    def __init__(self, folders: Iterable[Path]):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK))
        self._paths: Dict[int, str] = {}
        self.changes = 0
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            self._add(os.fspath(folder))

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify: {os.strerror(number)}")
        return result

    def _add(self, folder: str) -> None:
        """Watch a folder and those in it; one that is gone again is passed over."""
        try:
            added = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK)
            self._paths[self._checked(added)] = folder
            inside = [entry.path for entry in os.scandir(folder) if entry.is_dir()]
        except FileNotFoundError:
            return
        for path in inside:
            self._add(path)

    def wait(self, timeout: float) -> int:
        """Changes so far, after the next of them or `timeout` seconds."""
        select.select([self._fd], [], [], timeout)
        return self.look()

    def look(self) -> int:
        """Changes so far."""
        while True:
            try:
                events = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return self.changes
            at = 0
            while at < len(events):
                number, mask, _, size = _HEAD.unpack_from(events, at)
                name = events[at + _HEAD.size : at + _HEAD.size + size].rstrip(b"\0")
                at += _HEAD.size + size
                if mask & _IS_FOLDER:
                    if mask & (_CREATE | _MOVED_TO) and number in self._paths:
                        self._add(os.path.join(self._paths[number], os.fsdecode(name)))
                elif mask & _MASK:
                    self.changes += 1

    def close(self) -> None:
        """Watch no more."""
        os.close(self._fd)
