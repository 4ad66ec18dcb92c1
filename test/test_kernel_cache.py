"""Memory stays bounded when every request has a shape of its own."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_fsqdiff.kernel_cache import ARENAS, VARIABLE

ROOT = Path(__file__).resolve().parents[1]

# Prints how many MB 600 convolutions of as many lengths leave behind after the 100th.
CODE = """
import re, sys
from pathlib import Path
import torch
from espnet_fsqdiff.kernel_cache import bound_kernel_cache

def resident():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\\s*(\\d+) kB", status)[1]) / 1000

if sys.argv[1] == "bounded":
    bound_kernel_cache()
torch.set_num_threads(1)
conv = torch.nn.Conv1d(64, 64, 7, padding=3)
with torch.no_grad():
    for length in range(700, 0, -1):
        conv(torch.zeros(1, 64, length))
        if length == 600:
            start = resident()
print(resident() - start)
"""


def run(code, how):
    """A Python of its own, in whose environment no bound is set."""
    unset = (VARIABLE, "MALLOC_ARENA_MAX", "MKL_DISABLE_FAST_MM")
    env = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code, how],
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def growth(how):
    return float(run(CODE, how).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_shapes():
    unbounded = growth("unbounded")
    if unbounded < 4:
        pytest.skip("this torch keeps no kernels by shape")
    assert growth("bounded") < unbounded / 2


# Has malloc name the arenas that 8 threads at once leave behind, on stderr.
THREADS = """
import ctypes, sys, threading
from espnet_fsqdiff.kernel_cache import bound_kernel_cache

if sys.argv[1] == "bounded":
    bound_kernel_cache()
together = threading.Barrier(8)

def work():
    together.wait()
    rows = [bytes(50_000) for _ in range(100)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(how):
    return run(THREADS, how).stderr.count("Arena ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_threads_share_few_arenas():
    assert arenas("unbounded") > ARENAS
    assert 1 <= arenas("bounded") <= ARENAS
