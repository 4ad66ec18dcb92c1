"""Two processes train as one with the joint batch."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from gradient_worker import UTTERANCES, make_model  # noqa: E402


def test_the_averaged_gradient_is_that_of_the_joint_batch(run_two, tmp_path):
    run_two("gradient_worker.py")
    found = [torch.load(tmp_path / f"{r}.pth", weights_only=True) for r in range(2)]

    model, prepare = make_model()
    loss, stats, _ = model(**prepare(UTTERANCES))
    loss.backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad.abs().max() > 0, name
        for process in found:
            torch.testing.assert_close(
                process["grads"][name], parameter.grad, atol=1e-6, rtol=1e-4, msg=name
            )
    torch.testing.assert_close(
        found[0]["loss"].squeeze(), loss.detach().squeeze(), atol=1e-5, rtol=1e-5
    )
