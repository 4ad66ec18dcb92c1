"""Memory stays bounded when every request has a shape of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_fsqdiff.kernel_cache import VARIABLE

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


def growth(how):
    env = {k: v for k, v in os.environ.items() if k != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_shapes():
    unbounded = growth("unbounded")
    if unbounded < 4:
        pytest.skip("this torch keeps no kernels by shape")
    assert growth("bounded") < unbounded / 2
