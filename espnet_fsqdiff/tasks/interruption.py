"""Signals that ask a training to stop: noted, passed on, and kept from its helpers."""

import functools
import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

from torch.utils.data import DataLoader

# What slurm, sge, Ctrl-C and slurm's `--signal=USR1` send.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# Exit status of a training that a signal stopped and that can be resumed: EX_TEMPFAIL
# of sysexits.h, which asks to try again later.
STOPPED = 75


class Interruption:
    """Notes a signal while it is entered, so that a step can be finished first.

    A second Ctrl-C does what it always does. Signals that the parent has set to be
    ignored stay ignored. Outside the main thread, which alone can have handlers,
    nothing is noted.

    Attributes:
        number: Of the signal that came, 0 for none.
    """

    def __init__(self):
        self.number = 0
        self._before = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before != signal.SIG_IGN:
                    self._before[number] = before or signal.SIG_DFL
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame) -> None:
        self.number = number
        if number == signal.SIGINT:
            signal.signal(number, self._before[number])


@contextmanager
def passed_to_children() -> Iterator[None]:
    """Hand signals to the processes of a training, as SIGTERM, while this is entered.

    Not as they came: on Ctrl-C the terminal has told the children already, and a
    second SIGINT would not let them save.
    """

    def hand_on(number: int, frame) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, hand_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def keep_workers(loader: DataLoader) -> None:
    """Let a loader's workers outlive a signal that is sent to the whole group.

    Whoever stops a job sends the signal to all its processes. A worker that died of
    it would end the training in the middle of a step. SIGTERM from the training
    itself, which is how torch and Python end workers that are left over, ends them.
    """
    loader.worker_init_fn = functools.partial(_start_worker, loader.worker_init_fn)
    if loader.num_workers > 0 and multiprocessing.get_start_method() == "fork":
        loader.multiprocessing_context = _ShieldedContext()


class _ShieldedProcess(multiprocessing.context.ForkProcess):
    """Begins with SIGTERM blocked.

    Before it comes to `_start_worker` torch may have made threads in it, as many as
    the training has, which would take the signal.
    """

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _ShieldedContext(multiprocessing.context.ForkContext):
    Process = _ShieldedProcess


def _start_worker(init: Optional[Callable[[int], None]], worker_id: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS, where SIGTERM ends it always
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_heed, args=(os.getppid(),), daemon=True).start()
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if init is not None:
        init(worker_id)


def _heed(parent: int) -> None:
    """End this process when `parent` sends SIGTERM, and nobody else."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
