"""DeepSpeed trains as the trainer without it, and refuses what it cannot do."""

import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks import deepspeed as ours
from espnet_fsqdiff.tasks.cdcd import CDCDTask
from espnet_fsqdiff.tasks.interruption import STOPPED
from espnet_fsqdiff.tasks.trainer import read_checkpoint

sys.path.insert(0, str(Path(__file__).parent))
import deepspeed_worker  # noqa: E402

BATCHES, EPOCHS = 5, 2


def write_config(path, stage=1, **more):
    path.write_text(json.dumps({"zero_optimization": {"stage": stage}, **more}))
    return ["--use_deepspeed", "true", "--deepspeed_config", str(path)]


@pytest.fixture
def installed(monkeypatch):
    """Whether it is or not: it is found."""
    monkeypatch.setattr(ours, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    "stage, more, message",
    [
        (0, {}, "zero_optimization has stage 0; stages 1 and 2 are supported"),
        (3, {}, "zero_optimization has stage 3; stages 1 and 2 are supported"),
        (1, {"fp16": {}}, "give --use_amp true, which computes in bfloat16 instead of"),
        (1, {"optimizer": {}}, "give --optim and --optim_conf instead of optimizer"),
    ],
)
def test_another_configuration_is_refused(
    token_data, tmp_path, installed, stage, more, message
):
    words = write_config(tmp_path / "ds.json", stage, **more)
    with pytest.raises(InputError, match=message):
        CDCDTask.main(cmd=token_data.command(tmp_path / "exp", *words))


@pytest.mark.parametrize(
    "config, message",
    [
        (dict(optim="lamb"), "optim: .* choose one of adam, adamw"),
        (dict(grad_clip_type=1.0), "grad_clip_type: .* leave it at 2.0"),
        (dict(deepspeed_config=None), "deepspeed_config: no file is given; write"),
        (dict(deepspeed_config="none.json"), "none.json cannot be read"),
        (dict(), "use_deepspeed: it is for several processes; give --ngpu N"),
    ],
)
def test_other_options_are_refused(token_data, tmp_path, installed, config, message):
    write_config(tmp_path / "ds.json")
    config = {"deepspeed_config": str(tmp_path / "ds.json"), **config}
    words = token_data.command(tmp_path / "exp", use_deepspeed=True, **config)
    with pytest.raises(InputError, match=message):
        CDCDTask.main(cmd=words)


def test_a_missing_deepspeed_is_told(token_data, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "find_spec", lambda name: None)
    words = write_config(tmp_path / "ds.json")
    with pytest.raises(InputError, match=r"pip install 'espnet_fsqdiff\[deepspeed\]'"):
        CDCDTask.main(cmd=token_data.command(tmp_path / "exp", *words))


def test_a_vocoder_is_refused(installed):
    with pytest.raises(InputError, match="one optimizer, a vocoder's training two"):
        ours.check_deepspeed(None, num_optimizers=2)


def run(world, words, exp, signals=None, timeout=240.0):
    """Exit statuses of so many processes, of which the first gets the signals."""
    from benchmarks.distributed import run_processes

    Path(f"{exp}.meet").unlink(missing_ok=True)
    told = [
        (rank, world, words, exp, (signals or {}) if rank == 0 else {})
        for rank in range(world)
    ]
    preload = deepspeed_worker.PRELOAD
    return run_processes(deepspeed_worker.train, told, timeout, preload)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip("deepspeed")
    from benchmarks.distributed import write_corpus

    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root, 4 * BATCHES)
    return root


def command(root, exp, stage=None, **config):
    """Words of a training, by DeepSpeed if a stage is given."""
    from benchmarks import distributed

    config = dict(dict(batch_size=4, grad_clip=0.5, max_epoch=EPOCHS), **config)
    words = distributed.command(root, exp, keep_nbest_models=2, **config)
    more = [] if stage is None else write_config(exp.with_suffix(".json"), stage)
    return words + more


@pytest.fixture(scope="module")
def trained(corpus):
    """Runs trainings without a break, each once."""
    made = {}

    def make(world, stage=None, **config):
        key = (world, stage, str(config))
        if key not in made:
            made[key] = corpus / f"exp_{len(made)}"
            words = command(corpus, made[key], stage, **config)
            assert run(world, words, made[key]) == [0] * world
        return made[key]

    return make


def losses(exp, rank=0):
    """Of every batch of every epoch."""
    files = [f"{exp}.{epoch}.{rank}.pth" for epoch in range(1, EPOCHS + 1)]
    return [loss for file in files for loss in torch.load(file, weights_only=True)]


def weights(exp, name="checkpoint.pth"):
    states = read_checkpoint(exp / name)
    return states.get("model", states)


def valid_losses(exp):
    stats = read_checkpoint(exp / "checkpoint.pth")["reporter"]["stats"]
    return [float(stats[epoch]["valid"]["loss"]) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize(
    "stage, accum_grad, steps", [(1, 1, EPOCHS * BATCHES), (2, 2, EPOCHS * 2)]
)
def test_two_processes_train_as_one_without_it(trained, stage, accum_grad, steps):
    theirs = trained(1, accum_grad=accum_grad)
    mine = trained(2, stage, accum_grad=accum_grad)
    alone = losses(theirs)
    if accum_grad == 2:  # the fifth batch makes no step
        alone = [loss for i, loss in enumerate(alone) if i % BATCHES < 4]
    np.testing.assert_allclose(losses(mine), alone, rtol=1e-5)
    assert losses(mine) == losses(mine, rank=1)
    np.testing.assert_allclose(valid_losses(mine), valid_losses(theirs), rtol=1e-5)
    found = weights(mine)
    assert float(found["ema.num_updates"]) == steps
    for name, weight in weights(theirs).items():
        if name.startswith("information."):
            continue  # every process keeps it of what it saw
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=0, msg=name)
    # What the other stages read.
    for name in ("2epoch.pth", "latest.pth"):
        assert all(torch.equal(v, found[k]) for k, v in weights(mine, name).items())
    assert weights(mine, "valid.loss.ave.pth").keys() == found.keys()
    config = (mine / "config.yaml").read_text(encoding="utf-8")
    assert "use_deepspeed: true" in config


def test_a_stopped_training_goes_on_as_one_without_a_break(corpus, trained):
    whole, exp = trained(2, 1, accum_grad=1), corpus / "stopped"
    words = command(corpus, exp, 1, accum_grad=1)
    # Validation calls the model twice an epoch; so this is in the second.
    assert run(2, words, exp, {BATCHES + 4: signal.SIGTERM}) == [STOPPED] * 2
    states = read_checkpoint(exp / "checkpoint.step.pth")
    assert states["epoch"] == 2 and 0 < states["batches"] < BATCHES
    assert run(2, words, exp) == [0, 0]
    assert losses(exp) == losses(whole) and valid_losses(exp) == valid_losses(whole)
    found = weights(whole)
    assert all(torch.equal(weight, found[k]) for k, weight in weights(exp).items())


@pytest.mark.parametrize(
    "saved, message",
    [
        ({"shards": [{}] * 3}, "by 3 processes of DeepSpeed, these are 2; train as"),
        ({"state": {}}, "by a training without DeepSpeed, these are 2; train as then"),
    ],
)
def test_shards_of_other_processes_are_refused(monkeypatch, saved, message):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    shards = ours.Shards(SimpleNamespace(optimizer=None))
    with pytest.raises(InputError, match=message):
        shards.load_state_dict({**saved, "param_groups": []})


def test_shards_are_refused_without_deepspeed(token_data, tmp_path):
    exp = tmp_path / "exp"
    words = token_data.command(exp, "--resume", "true")
    CDCDTask.main(cmd=words)
    states = read_checkpoint(exp / "checkpoint.pth")
    states["optimizers"] = [{"shards": [{}], "param_groups": []}]
    torch.save(states, exp / "checkpoint.pth")
    with pytest.raises(InputError, match="saved by 1 processes of DeepSpeed; train as"):
        CDCDTask.main(cmd=[*words, "--max_epoch", "2"])


def test_amp_leaves_the_average_in_float32(trained):
    mine, exact = trained(2, 2, use_amp=True), trained(2, 1, accum_grad=1)
    assert all(v.dtype != torch.bfloat16 for v in weights(mine).values())
    found, wanted = np.array(losses(mine)), np.array(losses(exact))
    assert 1e-6 < np.abs(found / wanted - 1).max() < 0.05
