"""A training that is killed goes on as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.cdcd import CDCDTask
from espnet_fsqdiff.tasks.trainer import ResumableTrainer, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
# Eight utterances in batches of two.
STEPS_PER_EPOCH, EPOCHS = 4, 3

DRIVER = """
import json
import os
import signal
import sys

from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel

forward, steps = ESPnetCDCDModel.forward, 0


def dying(self, *args, **kwargs):
    global steps
    steps += self.training
    if steps == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, *args, **kwargs)


ESPnetCDCDModel.forward = dying
CDCDTask.main(cmd=json.loads(sys.argv[2]))
"""


def command(token_data, exp, **changed):
    config = dict(max_epoch=EPOCHS, keep_nbest_models=2, head="joint", **changed)
    return token_data.command(exp, "--resume", "true", **config)


def weights(exp, name=f"{EPOCHS}epoch.pth"):
    return torch.load(exp / name, weights_only=True)


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    unequal = [key for key in theirs if not torch.equal(ours[key], theirs[key])]
    assert not unequal


@pytest.fixture(scope="module")
def whole(token_data, tmp_path_factory):
    """A run of three epochs without a break."""
    exp = tmp_path_factory.mktemp("whole") / "exp"
    CDCDTask.main(cmd=command(token_data, exp))
    return exp


@pytest.fixture(scope="module")
def killed(token_data, tmp_path_factory):
    """The same run, killed at the second step of its third epoch."""
    root = tmp_path_factory.mktemp("killed")
    driver, exp = root / "driver.py", root / "exp"
    driver.write_text(DRIVER, encoding="utf-8")
    step = (EPOCHS - 1) * STEPS_PER_EPOCH + 2
    done = subprocess.run(
        [sys.executable, driver, str(step), json.dumps(command(token_data, exp))],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert not (exp / f"{EPOCHS}epoch.pth").exists()
    return exp


def copy_of(killed, tmp_path):
    exp = tmp_path / "exp"
    shutil.copytree(killed, exp, symlinks=True)
    return exp


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_last_two_checkpoints_are_kept(killed):
    assert read_checkpoint(killed / "checkpoint.pth")["reporter"]["epoch"] == 2
    assert read_checkpoint(killed / "checkpoint.prev.pth")["reporter"]["epoch"] == 1


def test_a_checkpoint_cut_off_anywhere_is_none(killed, tmp_path):
    whole = (killed / "checkpoint.pth").read_bytes()
    part = tmp_path / "checkpoint.pth"
    size = len(whole)
    for length in (0, 1, 4, 100, 5000, size // 2, size - 5000, size - 100, size - 1):
        part.write_bytes(whole[:length])
        assert read_checkpoint(part) is None, length
    part.write_bytes(whole)
    assert read_checkpoint(part) is not None


def nothing(exp):
    pass


def cut_checkpoint(exp):
    cut(exp / "checkpoint.pth")


def empty_checkpoint(exp):
    (exp / "checkpoint.pth").write_bytes(b"")


def garbled_checkpoint(exp):
    path = exp / "checkpoint.pth"
    path.write_bytes(b"\0" * path.stat().st_size)


def weights_for_checkpoint(exp):
    shutil.copy(exp / "2epoch.pth", exp / "checkpoint.pth")


def no_checkpoint(exp):
    (exp / "checkpoint.pth").unlink()


def cut_epoch(exp):
    cut(exp / "2epoch.pth")


@pytest.mark.parametrize(
    "fault, first_epoch",
    [
        (nothing, 3),
        (cut_epoch, 3),
        (cut_checkpoint, 2),
        (empty_checkpoint, 2),
        (garbled_checkpoint, 2),
        (weights_for_checkpoint, 2),
        (no_checkpoint, 2),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_resumed_run_ends_as_one_without_a_break(
    token_data, whole, killed, tmp_path, caplog, fault, first_epoch
):
    exp = copy_of(killed, tmp_path)
    fault(exp)
    caplog.set_level("INFO")
    CDCDTask.main(cmd=command(token_data, exp))
    assert f"{first_epoch}/{EPOCHS}epoch started" in caplog.text
    assert f"{first_epoch - 1}/{EPOCHS}epoch started" not in caplog.text
    assert_same(weights(exp), weights(whole))
    assert_same(
        weights(exp, "valid.loss.ave.pth"), weights(whole, "valid.loss.ave.pth")
    )
    ours, theirs = (read_checkpoint(d / "checkpoint.pth") for d in (exp, whole))
    for key, state in theirs["optimizers"][0]["state"].items():
        assert_same(ours["optimizers"][0]["state"][key], state)
    assert ours["schedulers"] == theirs["schedulers"]
    for stats in (ours["reporter"]["stats"], theirs["reporter"]["stats"]):
        assert sorted(stats) == [1, 2, 3]
    for epoch in (1, 2, 3):
        losses = [
            s["reporter"]["stats"][epoch]["valid"]["loss"] for s in (ours, theirs)
        ]
        assert losses[0] == losses[1]


def test_a_missing_epoch_is_put_back(killed, tmp_path):
    exp = copy_of(killed, tmp_path)
    (exp / "2epoch.pth").unlink()
    ResumableTrainer.mend(exp)
    assert_same(weights(exp, "2epoch.pth"), weights(killed, "2epoch.pth"))
    assert not list(exp.glob("*.tmp.*"))


def test_a_whole_run_is_left_alone(killed, tmp_path):
    exp = copy_of(killed, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in exp.glob("*.pth")}
    ResumableTrainer.mend(exp)
    assert {p.name: p.stat().st_mtime_ns for p in exp.glob("*.pth")} == before


def test_a_new_run_needs_no_mending(tmp_path):
    ResumableTrainer.mend(tmp_path)
    assert not list(tmp_path.iterdir())


def test_changed_bytes_are_no_checkpoint(killed, tmp_path):
    """torch reads them without a word."""
    part = copy_of(killed, tmp_path) / "checkpoint.pth"
    whole = part.read_bytes()
    with zipfile.ZipFile(part) as f:
        largest = max(f.infolist(), key=lambda info: info.file_size)
    at = largest.header_offset + largest.file_size // 2
    part.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    torch.load(part, weights_only=False)
    assert read_checkpoint(part) is None


def test_the_first_checkpoint_is_made_again(killed, tmp_path):
    """A process that is killed while it writes the first has no other."""
    exp = tmp_path / "exp"
    exp.mkdir()
    shutil.copy(killed / "checkpoint.pth", exp)
    cut(exp / "checkpoint.pth")
    assert ResumableTrainer.mend(exp) is None
    assert not list(exp.iterdir())


def test_no_readable_checkpoint_is_an_error(killed, tmp_path):
    exp = copy_of(killed, tmp_path)
    cut(exp / "checkpoint.pth")
    cut(exp / "checkpoint.prev.pth")
    with pytest.raises(InputError, match=r"prev.pth is a whole checkpoint; remove"):
        ResumableTrainer.mend(exp)
    (exp / "checkpoint.prev.pth").unlink()
    with pytest.raises(InputError, match=r"pth is no whole checkpoint; remove it"):
        ResumableTrainer.mend(exp)


@pytest.mark.parametrize("part", ["model", "reporter", "scaler", "epoch", "stats"])
def test_states_that_lack_a_part_are_no_checkpoint(killed, tmp_path, part):
    exp = copy_of(killed, tmp_path)
    (exp / "checkpoint.prev.pth").unlink()
    states = read_checkpoint(exp / "checkpoint.pth")
    states.pop(part, None)
    states.get("reporter", {}).pop(part, None)
    torch.save(states, exp / "checkpoint.pth")
    with pytest.raises(InputError, match="checkpoint.pth is no whole checkpoint"):
        ResumableTrainer.mend(exp)


def test_a_step_that_lacks_its_place_is_removed(killed, tmp_path):
    exp = copy_of(killed, tmp_path)
    states = read_checkpoint(exp / "checkpoint.pth")
    torch.save({**states, "epoch": 3}, exp / "checkpoint.step.pth")
    ResumableTrainer.mend(exp)
    assert not (exp / "checkpoint.step.pth").exists()


@pytest.mark.parametrize(
    "changed",
    [
        dict(backbone_conf=dict(dim=16, depth=1, num_heads=2)),
        dict(backbone_conf=dict(dim=32, depth=2, num_heads=2)),
    ],
    ids=["width", "depth"],
)
def test_a_checkpoint_of_another_model_is_refused(
    token_data, killed, tmp_path, changed
):
    exp = copy_of(killed, tmp_path)
    with pytest.raises(InputError, match=r"checkpoint.pth is of another model") as e:
        CDCDTask.main(cmd=command(token_data, exp, **changed))
    assert f"remove {exp} to train from the start" in str(e.value)
