"""A bound for the memory that torch's kernels take on a CPU.

oneDNN, with which torch computes on a CPU, keeps a kernel for every shape it has met,
up to 1024. Texts differ in length, so that a process that speaks grows with every
request for a long time. A smaller cache costs little: of kernels that come again within
a sentence (layers and steps are alike) there are few.
"""

import os

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
CAPACITY = 64


def bound_kernel_cache() -> None:
    """Let oneDNN keep `CAPACITY` kernels, unless the environment says otherwise.

    To be called before the first computation of the process; later it does nothing.
    """
    os.environ.setdefault(VARIABLE, str(CAPACITY))
