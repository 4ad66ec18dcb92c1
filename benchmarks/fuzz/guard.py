"""One input under watch: time, memory, what is run, what is written."""

import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Sequence

from espnet_fsqdiff.errors import InputError

WORKED, REFUSED, FAULT = "worked", "refused", "fault"
# A line on a terminal, not a page.
MAX_MESSAGE_CHARS = 1000
MIB = 2**20

RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pty.spawn")
# Events of `sys.addaudithook` by the places of the paths that they change.
CHANGES = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.chmod": (0,),
    "shutil.copyfile": (1,),
    "shutil.move": (0, 1),
    "shutil.rmtree": (0,),
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class OutOfTime(BaseException):
    """The input takes too long; not an `Exception`, so that nothing swallows it."""


class Limits(NamedTuple):
    """What one input may take.

    Attributes:
        seconds: Of wall time.
        resident: Bytes of resident memory beyond those before it.
        address: Bytes of address space beyond those before it.
    """

    seconds: float = 20.0
    resident: int = 512 * MIB
    address: int = 2048 * MIB


class Outcome(NamedTuple):
    """What became of an input.

    Attributes:
        kind: `worked`, `refused` or `fault`.
        reason: The message, or what is wrong.
        seconds: Wall time.
        grown: Bytes of resident memory at the peak beyond those before it.
    """

    kind: str
    reason: str
    seconds: float
    grown: int


class Guard:
    """Runs calls one after the other under limits.

    Args:
        root: All that may be written lies below it.
        limits: See `Limits`.
    """

    def __init__(self, root: Path, limits: Limits = Limits()):
        self.root = Path(root).resolve()
        self.limits = limits
        self._armed = False
        self._may_run = False
        self._seen: List[str] = []
        sys.addaudithook(self._audit)

    def __call__(
        self,
        call: Callable[[], None],
        names: Sequence[str],
        may_run: bool = False,
        patience: float = 1.0,
    ) -> Outcome:
        """Make a call and judge it.

        Args:
            call: Gives an input to the package.
            names: One of them has to stand in a refusal.
            may_run: Whether it may start processes.
            patience: Factor on the limit of time.
        """
        self._seen, self._may_run = [], may_run
        before, start = _forget_peak(), time.perf_counter()
        kind, reason = WORKED, ""
        try:
            with self._watched(patience * self.limits.seconds):
                call()
        except InputError as e:
            kind, reason = REFUSED, str(e)
            fault = fault_of_message(reason, names)
            if fault:
                kind, reason = FAULT, f"{fault}: {reason!r}\n{traceback.format_exc()}"
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            kind, reason = FAULT, f"{type(e).__name__}\n{traceback.format_exc()}"
        seconds = time.perf_counter() - start
        grown = _status("VmHWM") - before
        if self._seen:
            kind, reason = FAULT, f"it has {'; '.join(self._seen[:5])}\n{reason}"
        elif grown > self.limits.resident:
            kind, reason = FAULT, f"memory: {grown / MIB:.0f} MiB more\n{reason}"
        return Outcome(kind, reason, seconds, grown)

    @contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_AS)
        most = _status("VmSize") + self.limits.address
        handler = signal.signal(signal.SIGALRM, self._out_of_time)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
            # Where compiled code never comes back to Python, nothing but an end helps.
            faulthandler.dump_traceback_later(
                5 * seconds, exit=True, file=sys.__stderr__
            )
            self._armed = True
            # Again every second: what is raised in a destructor is lost.
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, handler)
            resource.setrlimit(resource.RLIMIT_AS, limits)

    def _out_of_time(self, signum, frame) -> None:
        if self._armed:
            raise OutOfTime("no end within the limit of time")

    def _audit(self, event: str, arguments) -> None:
        if not self._armed:
            return
        if event in RUNS and not self._may_run:
            self._seen.append(f"run {arguments[0]!r:.200}")
        elif event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & WRITES or set(mode or "") & set("wax+")
            if writes:
                self._check_place(event, path)
        elif event in CHANGES:
            for i in CHANGES[event]:
                # Names in an open directory, of which the last argument tells.
                if arguments[-1] in (-1, None) or event.startswith("shutil"):
                    self._check_place(event, arguments[i])

    def _check_place(self, event: str, path) -> None:
        if isinstance(path, int) or path is None:
            return  # a descriptor, opened before
        place = Path(os.fsdecode(path)).absolute()
        place = Path(os.path.normpath(place))
        if place != Path(os.devnull) and not place.is_relative_to(self.root):
            self._seen.append(f"done {event} to {str(place)[:200]}")


def fault_of_message(message: str, names: Sequence[str]) -> str:
    """What is wrong with the message of a refusal; "" if nothing."""
    if len(message.splitlines()) != 1:
        return "the refusal is not one line"
    if any(not c.isprintable() for c in message):
        return "the refusal has characters that steer a terminal"
    if len(message) > MAX_MESSAGE_CHARS:
        return f"the refusal has {len(message)} characters"
    if names and not any(name in message for name in names):
        return f"the refusal names none of {', '.join(names)}"
    return ""


def _status(entry: str) -> int:
    """Bytes of an entry of /proc/self/status."""
    with open("/proc/self/status", encoding="ascii") as f:
        line = next(line for line in f if line.startswith(f"{entry}:"))
    return int(line.split()[1]) * 1024


def _forget_peak() -> int:
    """Let the peak of resident memory start anew; returns what is resident."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as f:
        f.write("5")
    return _status("VmRSS")
