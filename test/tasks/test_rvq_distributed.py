"""Two processes learn one residual quantizer."""

import torch


def test_processes_agree_and_count_the_latents_of_all(run_two, tmp_path):
    run_two("rvq_worker.py")
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
