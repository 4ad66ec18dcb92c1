"""A vocoder's training that is stopped inside an epoch goes on at the next batch."""

import os
import signal

import pytest
import torch

from espnet_fsqdiff.tasks.interruption import STOPPED
from espnet_fsqdiff.tasks.trainer import read_checkpoint
from espnet_fsqdiff.tasks.vocoder import VocoderTask
from espnet_fsqdiff.vocoder.model import ESPnetVocoderModel

from .test_vocoder_task import assert_same_training, command, data  # noqa: F401


@pytest.mark.parametrize("calls, batches", [(3, 2), (8, 4)])
def test_a_stopped_run_ends_as_one_without_a_break(
    data, tmp_path, monkeypatch, calls, batches  # noqa: F811
):
    """Stopped before and after the discriminators start; two calls make a step."""
    whole, exp = tmp_path / "whole", tmp_path / "exp"
    VocoderTask.main(cmd=command(data, whole, max_epoch=1))
    forward, count = ESPnetVocoderModel.forward, 0

    def stopped(self, *args, **kwargs):
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *args, **kwargs)

    words = command(data, exp, max_epoch=1)
    with monkeypatch.context() as patch:
        patch.setattr(ESPnetVocoderModel, "forward", stopped)
        with pytest.raises(SystemExit) as left:
            VocoderTask.main(cmd=words)
    assert left.value.code == STOPPED
    assert read_checkpoint(exp / "checkpoint.step.pth")["batches"] == batches
    VocoderTask.main(cmd=words)
    assert_same_training(exp, whole)
    losses = [
        read_checkpoint(run / "checkpoint.pth")["reporter"]["stats"][1]["train"]
        for run in (exp, whole)
    ]
    names = [name for name in losses[1] if "time" not in name and "loss" in name]
    assert len(names) > 3
    for name in names:
        ours, theirs = (torch.tensor(stats[name]) for stats in losses)
        assert torch.equal(ours, theirs) or (ours.isnan() and theirs.isnan())
