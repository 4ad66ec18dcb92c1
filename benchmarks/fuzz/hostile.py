"""Pickles that run code or take memory when they are loaded without care."""

import pickle
from pathlib import Path
from typing import List


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def pickles(canary: Path) -> List[bytes]:
    """Pickles that make a folder, by several ways, and such as are broken.

    Args:
        canary: The folder, which must never come to exist.
    """
    import os
    import subprocess

    path = str(canary)
    calls = [
        Call(os.mkdir, path),
        Call(os.system, f"mkdir {path}"),
        Call(subprocess.call, ["mkdir", path]),
        Call(eval, f"__import__('os').mkdir({path!r})"),
        Call(exec, f"import os; os.mkdir({path!r})"),
        Call(getattr, Call(__import__, "os"), "mkdir"),
        Call(bytearray, 10**9),
        Call(map, print, ["x"]),
    ]
    made = [pickle.dumps(call, protocol) for call in calls for protocol in (0, 2, 4)]
    made += [pickle.dumps({"weight": calls[0]}), pickle.dumps([[]] * 3)]
    made += [
        b"",
        b".",
        b"\x80\x02.",
        b"\x80\xff.",
        b"cos\nmkdir\n(S'" + path.encode() + b"'\ntR.",
        b"(" * 100_000 + b".",
        b"]" + b"]a" * 100_000 + b".",
        b"\x80\x04\x8e" + b"\xff" * 8 + b"x.",
        b"\x80\x04X\xff\xff\xff\x7fx.",
        b"\x80\x02}q\x00(K\x01K\x02u.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"h\x00.",
        b"I" + b"9" * 5000 + b"\n.",
        pickle.dumps({"a": 1})[:-2],
    ]
    return made
