"""Calls of networks at once on a CPU, by threads that are kept.

Small matrices keep one core each busier than all cores together. The threads are kept
because torch's libraries leave buffers behind for every thread that ends.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Callable, List, Optional, Sequence, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# The crew of each thread that calls. None is shared: it cannot wait for itself.
_kept = threading.local()


class _Crew:
    """Threads that work for one other.

    Args:
        size: How many.
    """

    def __init__(self, size: int):
        self.size, self.threads_each = size, 0
        self.process = os.getpid()  # a forked process has none of these threads
        self.executor = ThreadPoolExecutor(size)

    def share(self, threads: int, each: int) -> None:
        """Let each compute with `each` threads; the caller has `threads` again."""
        if self.threads_each == each:
            return
        # All of them, so nobody may do it twice.
        met = threading.Barrier(self.size)

        def settle() -> None:
            torch.get_num_threads()  # takes what is set for all, when first asked
            torch.set_num_threads(each)
            met.wait()

        try:
            wait([self.executor.submit(settle) for _ in range(self.size)])
        except BaseException:
            met.abort()  # interrupted: nobody waits for who will not come
            raise
        finally:
            # Threads that begin anywhere take the number that was set last.
            torch.set_num_threads(threads)
        self.threads_each = each


def _crew(size: int) -> _Crew:
    """This thread's, of at least so many."""
    crew: Optional[_Crew] = getattr(_kept, "crew", None)
    if crew is None or crew.process != os.getpid():
        crew = _kept.crew = _Crew(size)
    elif crew.size < size:
        crew.executor.shutdown(wait=False)
        crew = _kept.crew = _Crew(size)
    return crew


def workers_on(device: torch.device, wanted: Optional[int] = None) -> int:
    """Calls of a network at once: on a CPU, as many as this thread has threads.

    Args:
        device: Where the network is; elsewhere than on a CPU it is 1.
        wanted: Fewer than there are threads, if not None.
    """
    if device.type != "cpu":
        return 1
    threads = torch.get_num_threads()
    return threads if wanted is None else min(wanted, threads)


def map_at_once(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> List[Result]:
    """Call a function with each item, several at once, on the CPU.

    The workers divide the threads that torch has here. Gradients and autocast are on
    or off in them as they are here.

    Args:
        function: Called with one item.
        items: What to call it with.
        workers: Calls at once.

    Returns:
        What the calls return, in the order of the items. An exception of one is
        raised; items that were not begun are left then.
    """
    workers = min(workers, len(items))
    if workers < 2:
        return [function(item) for item in items]
    threads = torch.get_num_threads()
    gradients = torch.is_grad_enabled()
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu")
    results: List[Optional[Result]] = [None] * len(items)
    left, lock = list(enumerate(items))[::-1], threading.Lock()

    def work() -> None:
        with torch.set_grad_enabled(gradients):
            with torch.autocast("cpu", dtype=dtype, enabled=autocast):
                while True:
                    with lock:
                        if not left:
                            return
                        i, item = left.pop()
                    results[i] = function(item)

    def work_or_stop() -> None:
        try:
            work()
        except BaseException:
            with lock:
                left.clear()
            raise

    crew = _crew(workers)
    crew.share(threads, max(1, threads // workers))
    calls = [crew.executor.submit(work_or_stop) for _ in range(workers)]
    try:
        wait(calls)
    finally:
        with lock:
            left.clear()  # if this thread was interrupted
    for call in calls:
        call.result()
    return results
