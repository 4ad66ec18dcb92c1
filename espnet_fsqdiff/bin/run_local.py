"""Run jobs on this machine, called as Kaldi's job scripts are.

    python -m espnet_fsqdiff.bin.run_local [JOB=1:N] [--gpu N] [--name X] LOG CMD...

`JOB` in the log's name and in the command stands for the job's number. All jobs
run at once, each with its output in its log. On a terminal the last line of a
single job's log is shown while it runs.
"""

import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, TextIO

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import is_full

# Seconds that a job has to end when it is asked to.
GRACE = 300.0


class Job(NamedTuple):
    """A running job and where it writes."""

    process: subprocess.Popen
    log: Path
    stream: TextIO
    start: float


class Call(NamedTuple):
    """The command line, taken apart."""

    name: str
    first: int
    last: int
    log: str
    command: List[str]


def parse(argv: List[str]) -> Call:
    """Take the command line apart.

    Raises:
        InputError: It does not have the form above.
    """
    argv = list(argv)
    name, first, last = "", 1, 1
    while argv:
        span = re.fullmatch(r"([A-Za-z]\w*)=(\d+)(?::(\d+))?", argv[0])
        if span:
            name, first = span[1], int(span[2])
            last = int(span[3] or span[2])
            argv.pop(0)
        elif argv[0].startswith("-") and len(argv) > 1:
            # Options of Kaldi's scripts (--gpu, --mem, --name, ...) ask a
            # cluster for resources; here everything is at hand.
            del argv[:2]
        else:
            break
    if len(argv) < 2 or last < first:
        raise InputError("call it as run_local [JOB=1:N] LOG CMD...")
    return Call(name, first, last, argv[0], argv[1:])


def start(call: Call, number: int) -> Job:
    """Start one job."""

    def fill(word: str) -> str:
        return word.replace(call.name, str(number)) if call.name else word

    log = Path(fill(call.log))
    command = [fill(word) for word in call.command]
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = open(log, "w", encoding="utf-8")
    stream.write(f"# {shlex.join(command)}\n# started {time.ctime()}\n")
    stream.flush()
    try:
        # Locks that the calling shell holds stay held while the command runs.
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, close_fds=False
        )
    except OSError as e:
        stream.close()
        raise InputError(f"{command[0]} cannot be started ({e}); see {log}") from None
    return Job(process, log, stream, time.time())


def finish(job: Job) -> int:
    """Write the end of a log; return the job's status."""
    status = job.process.wait()
    seconds = time.time() - job.start
    job.stream.write(f"# ended (status {status}) after {seconds:.0f} s\n")
    job.stream.close()
    return status


def last_lines(log: Path, number: int) -> List[str]:
    """Return the last lines a job wrote, cut from the end of a log of any size."""
    with open(log, "rb") as f:
        f.seek(max(0, log.stat().st_size - 20000))
        text = f.read().decode(errors="replace")
    lines = re.split(r"[\r\n]+", text)
    return [x for x in lines if x and not x.startswith("# ")][-number:]


def show(job: Job) -> None:
    """Show how long a job has been running, and its last line, on the terminal."""
    minutes, seconds = divmod(int(time.time() - job.start), 60)
    width = shutil.get_terminal_size().columns - 1
    tail = last_lines(job.log, 1)
    line = f"[{minutes:02d}:{seconds:02d}] {tail[0] if tail else ''}"
    sys.stderr.write(f"\r\033[K{line[:width]}")
    sys.stderr.flush()


def explain(log: Path, status: int) -> str:
    """Return why a job failed: its one-line error, or the end of its log."""
    tail = last_lines(log, 12)
    errors = [x for x in tail if re.match(r"[\w.]+: error: ", x)]
    if errors:
        return f"{errors[-1]}\n(log: {log})"
    if is_full(log):
        # The log, which ought to say it, had no room either.
        reason = os.strerror(errno.ENOSPC)
        return f"run_local: error: {log}: {reason}; make room and run this again"
    return "\n".join([*tail, f"status {status}; the whole log: {log}"])


def stop(jobs: Dict[int, Job]) -> None:
    """End the jobs that are still running.

    A training finishes its step and saves before it ends; one that takes more than
    `GRACE` is killed, and so are all at a second signal.
    """
    left = [job.process for job in jobs.values() if job.process.poll() is None]
    for process in left:
        process.terminate()
    latest = time.monotonic() + GRACE
    try:
        for process in left:
            process.wait(timeout=max(0.0, latest - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in left:
            process.kill()  # nothing happens to those that have ended


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command; exit with 1 if a job failed."""
    argv = sys.argv[1:] if cmd is None else cmd
    if argv[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return
    call = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    jobs: Dict[int, Job] = {}
    try:
        for number in range(call.first, call.last + 1):
            jobs[number] = start(call, number)
        visible = len(jobs) == 1 and sys.stderr.isatty()
        running = list(jobs.values())
        while running:
            running = [job for job in running if job.process.poll() is None]
            if running and visible:
                show(running[0])
            time.sleep(0.1 if not visible else 0.5)
        if visible:
            sys.stderr.write("\r\033[K")
    finally:
        stop(jobs)
    failed = False
    for job in jobs.values():
        status = finish(job)
        if status:
            failed = True
            sys.stderr.write(explain(job.log, status) + os.linesep)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    cli(main)
