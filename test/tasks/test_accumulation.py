"""Batches of a step are scaled by their utterances."""

import pytest
import torch

from espnet_fsqdiff.tasks.accumulation import joint_batches


class Model(torch.nn.Linear):
    """Mean output of a batch, as loss."""

    def forward(self, rows):
        loss = super().forward(rows).mean()
        return loss, {"loss": loss.detach()}, torch.tensor([len(rows)])


@pytest.fixture
def rows():
    torch.manual_seed(0)
    return torch.randn(12, 3)


def gradients(model, rows, sizes, accum_grad):
    """Of each step, as ESPnet's trainer makes them; and how often it was asked."""
    parts = rows.split(sizes)
    read = 0

    def batches():
        nonlocal read
        for part in parts:
            read += 1
            yield [f"utt_{i}" for i in range(len(part))], part

    found = []
    with joint_batches(model, batches(), accum_grad, False) as joined:
        model.zero_grad()
        for number, (names, part) in enumerate(joined, 1):
            loss, stats, weight = model(part)
            assert len(names) == int(weight)
            # What is reported stays the batch's own.
            torch.testing.assert_close(
                stats["loss"], (part.mean(0) @ model.weight[0] + model.bias[0]).detach()
            )
            (loss / accum_grad).backward()
            if number % accum_grad == 0:
                assert read == number  # what comes after a step can be saved
                found.append(model.weight.grad.clone())
                model.zero_grad()
    return found


@pytest.mark.parametrize("sizes", [[1, 3, 2, 1, 4, 1], [2, 2, 2, 2, 2, 2]])
def test_steps_are_those_of_joint_batches(rows, sizes):
    model = Model(3, 1)
    ours = gradients(model, rows, sizes, 3)
    starts = [0, sum(sizes[:3]), sum(sizes)]
    for gradient, start, end in zip(ours, starts[:-1], starts[1:], strict=True):
        torch.testing.assert_close(gradient[0], rows[start:end].mean(0))
    assert not model._forward_hooks


def test_batches_left_over_are_handed_on(rows):
    assert len(gradients(Model(3, 1), rows, [3, 2, 4, 2, 1], 2)) == 2


def test_one_batch_a_step_is_left_alone(rows):
    batches = [(["a"], rows)]
    with joint_batches(Model(3, 1), batches, 1, False) as joined:
        assert joined is batches
