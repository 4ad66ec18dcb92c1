"""Commands as a shell sees them, in this process or in one of its own."""

import contextlib
import io
import subprocess
import sys
from typing import Callable, Sequence

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError


def run_command(main: Callable[[], object]) -> None:
    """Run what a command's `main` does.

    Raises:
        InputError: It ends with status 2 and a last line that names the fault, as it
            does on options that argparse does not know too.
    """
    error = io.StringIO()
    try:
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(None):
            cli(main)
    except SystemExit as e:
        judge(0 if e.code is None else e.code, error.getvalue())


def run_process(module: str, options: Sequence[str]) -> None:
    """The same in a process of its own."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, capture_output=True)
    judge(done.returncode, done.stderr.decode("utf-8", "replace"))


def judge(status: object, error: str) -> None:
    """Tell a refusal from a crash, by exit status and standard error."""
    assert "Traceback" not in error, error[-3000:]
    if status == 0:
        return
    assert status == 2, f"exit status {status}: {error[-3000:]}"
    lines = [line for line in error.splitlines() if ": error: " in line]
    assert len(lines) == 1, f"{len(lines)} lines of error: {error[-3000:]}"
    assert error.rstrip("\n").endswith(lines[0]), f"more after it: {error[-3000:]}"
    raise InputError(lines[0].partition(": error: ")[2])
