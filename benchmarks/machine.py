"""The machine at hand: what it is, and how long and large things are on it."""

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

import torch

from espnet_fsqdiff.nets.precision import cpu_supports_bfloat16


def describe(device: torch.device) -> List[str]:
    """Lines that name processor, accelerator, software and load."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        cpu = found[1] if found else cpu
    bf16 = "with" if cpu_supports_bfloat16() else "without"
    lines = [
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {bf16} bfloat16 in hardware",
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}",
    ]
    if device.type == "cuda":
        lines.append(
            f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, "
            f"matrix products in float32: {torch.get_float32_matmul_precision()}"
        )
    load = os.getloadavg()[0]
    lines.append(f"load before the run: {load:.1f}; niceness {os.nice(0)}")
    return lines


def synchronize() -> None:
    """Wait for the accelerator, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def medians(
    calls: Dict[str, Callable[[], object]], repeats: int, warmup: int = 1
) -> Dict[str, float]:
    """Median wall seconds of each call.

    All are timed in turn, round after round, so that other load on the machine
    falls on all of them.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in calls}
    for round_ in range(warmup + repeats):
        for name, call in calls.items():
            synchronize()
            start = time.perf_counter()
            call()
            synchronize()
            if round_ >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def peak_resident() -> float:
    """Largest resident memory of this process so far, in GB.

    From /proc and not from getrusage, whose figure a process inherits from the
    one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024 / 1e9


def run_fresh(module: str, *arguments: str) -> str:
    """Run a module of the benchmarks in a fresh interpreter; return its output."""
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout
