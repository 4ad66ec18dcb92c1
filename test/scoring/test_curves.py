"""Training curves from log files."""

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.curves import read_curves, series, shared_keys
from espnet_fsqdiff.scoring.pictures import training_curves


def line(epoch, train, valid):
    return (
        f"[host] 2026-01-01 10:00:00,123 (trainer:364) INFO: {epoch}epoch results: "
        f"[train] iter_time=1.2e-04, loss={train}, acc=0.5, optim0_lr0=1.000e-03, "
        "time=1 hour, 2 minutes and 3.5 seconds, total_count=10, "
        f"gpu_max_cached_mem_GB=0.000, [valid] acc=0.4, loss={valid}, "
        "time=5.1 seconds, total_count=3, gpu_max_cached_mem_GB=0.000, "
        "[att_plot] time=0.5 seconds, total_count=0\n"
    )


def test_numbers_of_every_epoch(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "[host] (trainer:811) INFO: 1epoch:train:1-10batch: loss=9.0\n"
        + line(1, "2.500", "-1.2e-05")
        + line(2, "1.234e+03", "nan")
    )
    curves = read_curves(log)
    assert list(curves) == [1, 2]
    assert curves[1]["valid"]["loss"] == pytest.approx(-1.2e-5)
    assert "time" not in curves[1]["train"]
    assert curves[1]["train"]["optim0_lr0"] == pytest.approx(1e-3)
    assert series(curves, "train", "loss") == ([1, 2], [2.5, 1234.0])
    assert shared_keys(curves) == ["loss", "acc"]


def test_resumed_run_counts(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(line(1, "4", "4") + line(2, "3", "3") + line(2, "2", "2"))
    assert series(read_curves(log), "train", "loss") == ([1, 2], [4.0, 2.0])


def test_rotated_logs_are_joined_and_a_new_start_wins(tmp_path):
    (tmp_path / "train.10.log").write_text(line(1, "9", "9") + line(2, "8", "8"))
    (tmp_path / "train.2.log").write_text(line(1, "5", "5"))
    (tmp_path / "train.1.log").write_text(line(2, "4", "4"))
    log = tmp_path / "train.log"
    log.write_text(line(3, "3", "3"))
    assert series(read_curves(log), "valid", "loss") == ([1, 2, 3], [5.0, 4.0, 3.0])
    log.write_text(line(1, "1", "1"))
    assert series(read_curves(log), "valid", "loss") == ([1], [1.0])


def test_log_without_epochs_or_no_log(tmp_path):
    with pytest.raises(InputError, match="train.log: no such log"):
        read_curves(tmp_path / "train.log")
    (tmp_path / "train.log").write_text("nothing\n")
    with pytest.raises(InputError, match="N epoch results"):
        read_curves(tmp_path / "train.log")


def test_picture(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(line(1, "2", "3") + line(2, "1", "2"))
    assert b"<svg" in training_curves(read_curves(log))[:2000]
