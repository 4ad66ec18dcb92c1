"""A training that is stopped inside an epoch goes on at the next batch."""

import os
import signal

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel
from espnet_fsqdiff.tasks.interruption import STOPPED
from espnet_fsqdiff.tasks.trainer import read_checkpoint

# Eight utterances in batches of two.
BATCHES, EPOCHS = 4, 2
STEP = "checkpoint.step.pth"


def command(token_data, exp, *options, **config):
    config = dict(dict(max_epoch=EPOCHS, keep_nbest_models=2), **config)
    return token_data.command(exp, "--resume", "true", *options, **config)


def split_command(token_data, exp, **config):
    """The same with the training set in two parts, of two batches each."""
    words = command(token_data, exp, "--multiple_iterator", "true", **config)
    parts = split_train(token_data)
    whole = f"{token_data.root}/train"
    return [word.replace(whole, str(parts)) for word in words]


def split_train(token_data):
    from espnet2.bin.split_scps import split_scps

    parts = token_data.root / "train_split"
    if not parts.exists():
        names = ("text", "tokens.scp", "durations.txt", "utt2num_tokens")
        scps = [str(token_data.root / "train" / name) for name in names]
        split_scps(scps, 2, None, str(parts), "WARNING")
    return parts


class Killed(BaseException):
    """Nothing of the package catches it: the run ends as if killed."""


def kill():
    raise Killed


def at(monkeypatch, calls, act):
    """Do something in a call of the model, of which validation makes one an epoch."""
    forward, count = ESPnetCDCDModel.forward, 0

    def acting(self, *args, **kwargs):
        nonlocal count
        count += 1
        if count == calls:
            act()
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(ESPnetCDCDModel, "forward", acting)


def run_until_stopped(words, monkeypatch, calls, number=signal.SIGTERM):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        at(patch, calls, lambda: os.kill(os.getpid(), number))
        with pytest.raises(SystemExit) as left:
            CDCDTask.main(cmd=words)
    assert left.value.code == STOPPED == 75
    assert signal.getsignal(number) == before


def assert_same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            if "time" not in str(key):
                assert_same(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        for our, their in zip(ours, theirs, strict=True):
            assert_same(our, their)
    else:
        assert ours == theirs or (ours != ours and theirs != theirs)


def assert_same_runs(ours, theirs):
    """Weights with their average, optimizer, scheduler and all statistics."""
    states = [read_checkpoint(exp / "checkpoint.pth") for exp in (ours, theirs)]
    assert_same(*states)
    assert states[0]["reporter"]["stats"][EPOCHS]["train"]["loss"] > 0
    name = "valid.loss.ave.pth"
    assert_same(*(torch.load(exp / name, weights_only=True) for exp in (ours, theirs)))
    assert not (ours / STEP).exists() and not list(ours.glob("*.tmp.*"))


@pytest.fixture(scope="module")
def whole(token_data, tmp_path_factory):
    """Makes runs without a break, each once."""
    made = {}

    def make(words=command, **config):
        key = words.__name__, str(config)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("whole") / "exp"
            CDCDTask.main(cmd=words(token_data, made[key], **config))
        return made[key]

    return make


@pytest.mark.parametrize(
    "calls, number, epoch, batches",
    [
        (1, signal.SIGTERM, 1, 1),
        (BATCHES + 1, signal.SIGINT, 1, BATCHES),  # in validation
        (BATCHES + 1 + 2, signal.SIGUSR1, 2, 2),
        (2 * BATCHES + 1, signal.SIGTERM, 2, BATCHES),  # before validation
    ],
)
def test_a_stopped_run_ends_as_one_without_a_break(
    token_data, whole, tmp_path, monkeypatch, caplog, calls, number, epoch, batches
):
    exp = tmp_path / "exp"
    words = command(token_data, exp)
    run_until_stopped(words, monkeypatch, calls, number)
    states = read_checkpoint(exp / STEP)
    assert (states["epoch"], states["batches"]) == (epoch, batches)
    said = [r.getMessage() for r in caplog.records if "exit status" in r.getMessage()]
    assert said == [
        f"{number.name}: saved {exp / STEP} after batch {batches} of epoch {epoch}; "
        f"--resume true goes on there (exit status {STOPPED})"
    ]
    assert (exp / "checkpoint.pth").exists() == (epoch == 2)
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole())


def test_a_run_stopped_again_and_again(token_data, whole, tmp_path, monkeypatch):
    exp = tmp_path / "exp"
    words = command(token_data, exp)
    seen = []
    for calls in (1, 1, 2, 1, 2):  # the fourth and once more in validation
        run_until_stopped(words, monkeypatch, calls)
        states = read_checkpoint(exp / STEP)
        seen.append((states["epoch"], states["batches"]))
    assert seen == [(1, 1), (1, 2), (1, 4), (1, 4), (2, 1)]
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole())


def test_it_is_saved_between_steps_of_the_optimizer_only(
    token_data, whole, tmp_path, monkeypatch
):
    exp = tmp_path / "exp"
    words = command(token_data, exp, accum_grad=2)
    run_until_stopped(words, monkeypatch, 1)
    assert read_checkpoint(exp / STEP)["batches"] == 2
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole(accum_grad=2))


def test_an_incomplete_accumulation_does_not_reach_the_next_epoch(
    token_data, whole, tmp_path, monkeypatch
):
    exp = tmp_path / "exp"
    words = command(token_data, exp, accum_grad=3)
    run_until_stopped(words, monkeypatch, BATCHES + 1)
    assert read_checkpoint(exp / STEP)["batches"] == BATCHES
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole(accum_grad=3))


@pytest.mark.parametrize("size", [3, 6])
def test_an_epoch_of_so_many_steps(token_data, whole, tmp_path, monkeypatch, size):
    """Less than the corpus, so that the next begins in its midst, or more."""
    exp = tmp_path / "exp"
    words = command(token_data, exp, num_iters_per_epoch=size)
    run_until_stopped(words, monkeypatch, size + 1 + 2)
    states = read_checkpoint(exp / STEP)
    assert (states["epoch"], states["batches"], states["size"]) == (2, 2, size)
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole(num_iters_per_epoch=size))


def test_a_killed_run_goes_on_from_the_last_interval(
    token_data, whole, tmp_path, monkeypatch
):
    exp = tmp_path / "exp"
    words = command(token_data, exp, save_interval_steps=2)
    with monkeypatch.context() as patch:
        at(patch, BATCHES + 1 + 3, kill)
        with pytest.raises(Killed):
            CDCDTask.main(cmd=words)
    states = read_checkpoint(exp / STEP)
    assert (states["epoch"], states["batches"]) == (2, 2)
    (exp / "checkpoint.step.tmp.123.pth").touch()  # it was writing the next
    with monkeypatch.context() as patch:
        at(patch, 1, kill)
        with pytest.raises(Killed):
            CDCDTask.main(cmd=words)
        assert read_checkpoint(exp / STEP)["batches"] == 2
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole())


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_splits_are_passed_over(token_data, whole, tmp_path, monkeypatch, calls):
    """In the middle of the first split, at its end, in the middle of the second."""
    exp = tmp_path / "exp"
    words = split_command(token_data, exp)
    run_until_stopped(words, monkeypatch, calls)
    assert read_checkpoint(exp / STEP)["batches"] == calls
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole(split_command))


def test_what_was_trained_on_is_not_read_again(token_data, tmp_path, monkeypatch):
    from espnet2.train.dataset import ESPnetDataset

    exp = tmp_path / "exp"
    words = command(token_data, exp, max_epoch=1)
    run_until_stopped(words, monkeypatch, 3)
    read, get = [], ESPnetDataset.__getitem__

    def reading(self, name):
        read.append(name)
        return get(self, name)

    monkeypatch.setattr(ESPnetDataset, "__getitem__", reading)
    CDCDTask.main(cmd=words)
    assert len([name for name in read if name.startswith("train")]) == 2


def test_a_checkpoint_of_a_finished_epoch_supersedes_it(
    token_data, whole, tmp_path, monkeypatch, caplog
):
    exp = tmp_path / "exp"
    words = command(token_data, exp)
    run_until_stopped(words, monkeypatch, 2)
    stale = (exp / STEP).read_bytes()
    CDCDTask.main(cmd=words)
    (exp / STEP).write_bytes(stale)
    caplog.set_level("INFO")
    CDCDTask.main(cmd=words)
    assert f"is not of epoch {EPOCHS + 1} and is removed" in caplog.text
    assert_same_runs(exp, whole())


@pytest.mark.parametrize("option", ["--resume=false", "cut"])
def test_without_resume_or_cut_off_it_is_not_used(
    token_data, whole, tmp_path, monkeypatch, option
):
    exp = tmp_path / "exp"
    words = command(token_data, exp)
    run_until_stopped(words, monkeypatch, 2)
    if option == "cut":
        (exp / STEP).write_bytes((exp / STEP).read_bytes()[:5000])
    else:
        words = [*words, option]
    CDCDTask.main(cmd=words)
    assert_same_runs(exp, whole())


@pytest.mark.parametrize(
    "words, message",
    [
        (command, "of an epoch of 4 batches, this one has 1; train with the data"),
        (split_command, "after more batches than the epoch now has; train with"),
    ],
)
def test_other_batches_are_refused(token_data, tmp_path, monkeypatch, words, message):
    exp = tmp_path / "exp"
    run_until_stopped(words(token_data, exp), monkeypatch, 3)
    with pytest.raises(InputError, match=message):
        CDCDTask.main(cmd=words(token_data, exp, batch_size=8))


def test_another_number_of_processes_is_refused(token_data, tmp_path, monkeypatch):
    exp = tmp_path / "exp"
    words = command(token_data, exp)
    run_until_stopped(words, monkeypatch, 3)
    states = read_checkpoint(exp / STEP)
    torch.save({**states, "random": states["random"] * 2}, exp / STEP)
    with pytest.raises(InputError, match="saved by 2 processes, these are 1"):
        CDCDTask.main(cmd=words)


def test_a_negative_interval_is_refused(token_data, tmp_path):
    words = command(token_data, tmp_path / "exp", "--save_interval_steps", "-1")
    with pytest.raises(InputError, match="save_interval_steps is -1; give 0 or more"):
        CDCDTask.main(cmd=words)


def test_a_second_interrupt_stops_at_once(token_data, tmp_path, monkeypatch):
    def interrupt_twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    at(monkeypatch, 2, interrupt_twice)
    with pytest.raises(KeyboardInterrupt):
        CDCDTask.main(cmd=command(token_data, tmp_path / "exp"))
    assert not (tmp_path / "exp" / STEP).exists()
