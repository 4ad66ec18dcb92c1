"""A bound for the memory that torch's kernels take on a CPU.

oneDNN, with which torch computes on a CPU, keeps a kernel for every shape it has met,
up to 1024. Texts differ in length, so that a process that speaks grows with every
request for a long time. A smaller cache costs little: of kernels that come again within
a sentence (layers and steps are alike) there are few.

What it makes convolutions from it keeps beside that cache, without a bound and for
every length (20 kB for each kind of convolution). On a CPU, lengths are therefore
rounded up: there are few of them, and all have been met soon.

glibc keeps what threads free in arenas, eight for each core; the threads of a request,
which sample on one core each, would spread over all of them. And MKL keeps buffers for
each thread, for those that have ended too.
"""

import ctypes
import os
import sys
from typing import Optional

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
CAPACITY = 64
# Of memory, and glibc's number for that option of mallopt.
ARENAS, M_ARENA_MAX = 2, -8
# Lengths on a CPU are multiples of this; 4 more frames on average.
LENGTH_STEP = 8


def bound_kernel_cache() -> None:
    """Let oneDNN keep `CAPACITY` kernels, malloc `ARENAS` arenas and MKL no buffers.

    Unless the environment says otherwise (`MALLOC_ARENA_MAX`, `MKL_DISABLE_FAST_MM`).
    To be called before the first computation of the process; later only the second
    is heeded.
    """
    os.environ.setdefault(VARIABLE, str(CAPACITY))
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    if "MALLOC_ARENA_MAX" not in os.environ and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every libc
        if mallopt is not None:
            mallopt(M_ARENA_MAX, ARENAS)


def rounded_length(length: int, most: Optional[int] = None) -> int:
    """A length rounded up to a multiple of `LENGTH_STEP`, or to `most` if that is less.

    One that is more than `most` stays as it is.
    """
    up = -(-length // LENGTH_STEP) * LENGTH_STEP
    return up if most is None else max(length, min(up, most))
