"""What a user sees of a stage that failed, and whether it is what it should be."""

import re
from pathlib import Path
from typing import NamedTuple, Sequence

from benchmarks.faults.recipe import Ended

TRACEBACK = "Traceback (most recent call last)"
GOOD = ("refused", "repaired", "not read", "recovered", "enough room")
# Each file is of one utterance, and called so.
AUDIO = (".flac", ".wav")


class Verdict(NamedTuple):
    """One of `GOOD`, or what is wrong; and the line that the user was shown."""

    outcome: str
    message: str


def error_line(output: str) -> str:
    """The last `command: error: message` in an output, or an empty text."""
    found = re.findall(r"^[\w.]+: error: .*$", output, flags=re.MULTILINE)
    return found[-1] if found else ""


def failure(ended: Ended, patterns: Sequence[str]) -> Verdict:
    """Judge a stage that failed: one line that has one of `patterns`, no traceback."""
    message = error_line(ended.output)
    if TRACEBACK in ended.output or TRACEBACK in ended.logs:
        return Verdict("TRACEBACK", message or last_line(ended.output))
    if not message:
        return Verdict("NO ERROR LINE", last_line(ended.output))
    if not any(re.search(pattern, message) for pattern in patterns):
        return Verdict("CULPRIT NOT NAMED", message)
    return Verdict("refused", message)


def success(wrong: Sequence[str], damaged: str) -> Verdict:
    """Judge a stage that went through with a damaged file.

    Args:
        wrong: What its outputs have of differences.
        damaged: The file, by its name among them.
    """
    others = [line for line in wrong if damaged not in line]
    if others:
        return Verdict("SILENTLY OTHER", others[0])
    return Verdict("not read" if wrong else "repaired", "")


def last_line(output: str) -> str:
    """The last line that is not the recipe's own."""
    lines = [x for x in output.splitlines() if x.strip() and " failed" not in x]
    return lines[-1][:200] if lines else ""


def culprits(path: str) -> Sequence[str]:
    """Patterns of how a message may call a file: its path, or its utterance.

    Args:
        path: From the recipe's directory; a base name would be that of many files.
    """
    names = [path]
    if Path(path).suffix in AUDIO:
        names.append(Path(path).stem)
    # And not the end or the beginning of a longer name.
    return [rf"(?<![\w.-]){re.escape(name)}(?![\w/-]|\.\w)" for name in names]
