"""Two processes train as one, and go on after one of them was stopped or killed."""

import signal

import pytest
import torch

from benchmarks import distributed
from espnet_fsqdiff.tasks.interruption import STOPPED
from espnet_fsqdiff.tasks.trainer import read_checkpoint

STEPS, BATCH, INTERVAL = 20, 4, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("distributed")
    distributed.write_corpus(root, STEPS * BATCH)
    return root


def command(root, exp, **config):
    return distributed.command(
        root, exp, batch_size=BATCH, save_interval_steps=INTERVAL, **config
    )


@pytest.fixture(scope="module")
def whole(root):
    """What each process of a training saw, by the number of processes."""
    seen = {}
    for world in (1, 2):
        exp = root / f"whole_{world}"
        statuses, seen[world] = distributed.run(world, command(root, exp), exp)
        assert statuses == [0] * world
    return seen


def assert_same(ours, theirs):
    assert ours["losses"] == theirs["losses"]
    assert all(torch.equal(ours["ema"][k], v) for k, v in theirs["ema"].items())
    assert torch.equal(ours["random"], theirs["random"])


def test_two_processes_train_as_one_with_the_joint_batch(whole):
    (alone,), both = whole[1], whole[2]
    assert len(alone["losses"]) == STEPS
    assert alone["losses"][-1] < alone["losses"][0] - 0.1
    for ours in both:
        loss, weight = distributed.furthest(ours, alone)
        assert loss < 1e-5 and weight < 1e-5
    assert float(alone["ema"]["num_updates"]) == STEPS


def test_the_average_is_the_same_in_both_processes(whole):
    first, second = (ours["ema"] for ours in whole[2])
    assert all(torch.equal(second[key], value) for key, value in first.items())


def test_processes_draw_different_random_numbers(whole):
    first, second = (ours["random"] for ours in whole[2])
    assert not torch.equal(first, second)
    assert torch.equal(first, whole[1][0]["random"])


def test_four_processes_train_as_one(root, whole):
    exp = root / "whole_4"
    statuses, seen = distributed.run(4, command(root, exp), exp)
    assert statuses == [0] * 4
    for ours in seen:
        loss, weight = distributed.furthest(ours, whole[1][0])
        assert loss < 1e-5 and weight < 1e-5


def test_two_processes_in_bfloat16(root, whole):
    exp = root / "bfloat16"
    model_conf = dict(distributed.CONFIG["model_conf"], cpu_autocast="bfloat16")
    words = command(root, exp, model_conf=model_conf)
    statuses, (first, second) = distributed.run(2, words, exp)
    assert statuses == [0, 0]
    assert first["losses"] == second["losses"]
    for key, value in first["ema"].items():
        assert value.dtype != torch.bfloat16 and torch.equal(value, second["ema"][key])
    loss, _ = distributed.furthest(first, whole[1][0])
    assert 1e-5 < loss < 1e-2  # a bfloat16 has 4e-3


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    root = tmp_path_factory.mktemp("seven")
    distributed.write_corpus(root, 7)
    return root


@pytest.fixture(scope="module")
def joint(seven):
    """Of one process, with all seven in one batch."""
    return average_of(seven, 1, batch_size=7)


def average_of(root, world, **config):
    """Averaged weights after four epochs of one step each."""
    name = "_".join(f"{key}{value}" for key, value in config.items())
    exp = root / f"{world}_{name}"
    words = distributed.command(root, exp, max_epoch=4, **config)
    statuses, seen = distributed.run(world, words, exp)
    assert statuses == [0] * world
    assert int(seen[0]["ema"]["num_updates"]) == 4
    return seen[0]["ema"]


@pytest.mark.parametrize("world", [1, 2])
def test_accumulated_batches_of_other_sizes_are_as_one(seven, joint, world):
    """Batches of 2, 2 and 3 utterances; in two processes, of 1 + 1, 1 + 1, 2 + 1."""
    ours = average_of(seven, world, accum_grad=3, batch_size=2)
    for key, value in joint.items():
        torch.testing.assert_close(ours[key], value, atol=1e-6, rtol=0, msg=key)


def test_both_go_on_after_one_was_stopped_and_one_killed(root, whole):
    exp = root / "stopped"
    words = command(root, exp)
    step = exp / "checkpoint.step.pth"
    # One process is told to stop: both do, after the same step.
    stop = {1: {3: signal.SIGUSR1}}
    statuses, _ = distributed.run(2, words, exp, stop)
    assert statuses == [STOPPED, STOPPED]
    states = read_checkpoint(step)
    assert states["batches"] == 3 and len(states["random"]) == 2
    # Going on, one dies in step 12; the other cannot go on without it.
    kill = {1: {12 - 3: signal.SIGKILL}}
    statuses, _ = distributed.run(2, words, exp, kill)
    assert statuses[1] == -signal.SIGKILL and statuses[0] not in (0, STOPPED)
    assert read_checkpoint(step)["batches"] == 10
    statuses, seen = distributed.run(2, words, exp)
    assert statuses == [0, 0] and not step.exists()
    for ours, theirs in zip(seen, whole[2], strict=True):
        assert_same(ours, theirs)
