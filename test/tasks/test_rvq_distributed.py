"""Two processes learn one residual quantizer."""

import os
import subprocess
import sys
from pathlib import Path

import torch


def test_processes_agree_and_count_the_latents_of_all(tmp_path):
    worker = str(Path(__file__).parent / "rvq_worker.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, worker, str(rank), "2", str(tmp_path)],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    first, second = (
        torch.load(tmp_path / f"rvq_{rank}.pth", weights_only=True) for rank in range(2)
    )
    assert set(first) == set(second)
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], msg=key)
    # 50 latents a step of both, but for vectors that were moved and count 3 since.
    sizes = first["vq.layers.0._codebook.cluster_size"]
    assert 40 < sizes.sum() < 75
    # Latents lie around 0 in the one process and around 5 in the other.
    means = first["vq.layers.0._codebook.embed"].mean(-1)
    assert means.min() < 1.5 and means.max() > 3.5
