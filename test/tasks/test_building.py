"""Models of configurations that nobody vouches for."""

import pytest
import torch
import yaml

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.building import model_of
from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.tasks.fsq_tokenizer import ESPnetFSQTokenizerModel
from espnet_fsqdiff.tasks.token2mel import ESPnetToken2MelModel
from espnet_fsqdiff.tasks.token_lm import ESPnetTokenLMModel

SYMBOLS = ["<sos/eos>", "<space>", "a", "b"]
SOUND = dict(
    token_list=SYMBOLS,
    codebook_conf=dict(levels=[3, 3]),
    text_encoder_conf=dict(dim=8, num_layers=1),
    backbone_conf=dict(dim=16, depth=1, num_heads=2),
)


def write(folder, **config):
    """config.yaml with changes."""
    config = {**CDCDTask.get_default_config(), **SOUND, **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture
def model_file(tmp_path):
    import argparse

    write(tmp_path)
    options = yaml.safe_load((tmp_path / "config.yaml").read_text())
    model = CDCDTask.build_model(argparse.Namespace(**options))
    torch.save(model.state_dict(), tmp_path / "model.pth")
    return tmp_path / "model.pth"


@pytest.mark.parametrize(
    "config, message",
    [
        (dict(backbone_conf=None), "backbone_conf is None; give options by name"),
        (
            dict(backbone_conf=dict(dim="16")),
            "backbone_conf: dim is '16'; give a whole",
        ),
        (dict(backbone_conf=dict(width=1)), "backbone_conf: DiT has no option width"),
        (dict(backbone_conf=dict(dim=-16)), "no model can be made of it"),
        (dict(backbone_conf=dict(dim=15, num_heads=2)), ""),
        (dict(backbone=None), "backbone None is unknown; choose one of"),
        (dict(head=["a"]), r"head \['a'\] is unknown"),
        (dict(codebook="e9"), "codebook 'e9' is unknown"),
        (dict(codebook_conf=dict(levels="3")), "codebook_conf: levels is '3'"),
        (dict(model_conf=dict(ema_decay=None)), "model_conf: ema_decay is None"),
        (
            dict(model_conf=dict(cpu_autocast="bf16")),
            "model_conf: cpu_autocast 'bf16' is unknown; choose one of auto, bfloat16",
        ),
        (dict(backbone_conf=dict(dim=256, num_heads=6)), "6 heads do not divide up"),
        (dict(text_encoder_conf=dict(dim=9)), "dim 9 is odd"),
        (dict(token_list=[["a"]]), "token list is"),
        (dict(text_encoder_conf=dict(num_layers=10**9)), "more than [0-9]+ weights"),
        (dict(backbone_conf=dict(dim=2**40)), "no model can be made of it"),
        (dict(token_list=[str(i) for i in range(200_000)]), "more than [0-9]+ weights"),
    ],
)
def test_a_faulty_configuration_is_named(config, message, model_file):
    write(model_file.parent, **config)
    with pytest.raises(InputError, match=f"config.yaml.*{message}"):
        load_model(CDCDTask, model_file.with_name("config.yaml"), model_file)


@pytest.mark.parametrize(
    "model, num_parts",
    [
        (ESPnetCDCDModel, 2),
        (ESPnetTokenLMModel, 3),
        (ESPnetToken2MelModel, 3),
        (ESPnetFSQTokenizerModel, 1),
    ],
)
def test_an_unknown_precision_is_refused_by_every_model(model, num_parts):
    with pytest.raises(InputError, match="model_conf: cpu_autocast 'bf16' is unknown"):
        model(*[None] * num_parts, cpu_autocast="bf16")


def test_weights_that_are_none_are_named(model_file):
    states = torch.load(model_file)
    key = next(k for k in states if states[k].is_floating_point())
    for value in (torch.full_like(states[key], float("nan")), None, [1.0]):
        torch.save({**states, key: value}, model_file)
        with pytest.raises(InputError, match=f"model.pth: '{key}' is no"):
            load_model(CDCDTask, model_file.with_name("config.yaml"), model_file)


def test_weights_are_counted_as_they_are_made():
    with pytest.raises(InputError, match="here: it describes a model of more than 100"):
        with model_of("here", max_weights=100):
            torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.Linear(100, 100))
    with model_of("here", max_weights=30):
        torch.nn.Linear(5, 5)
    torch.nn.Linear(100, 100)  # no longer counted


def test_a_training_is_refused_in_one_line(tmp_path):
    train = tmp_path / "train.yaml"
    for text, message in (
        ("a: !!python/name:os.system", "train.yaml: not yaml"),
        ("- 1", "train.yaml: not a configuration"),
        ("backbone_conf: {dim: x}", "train.yaml: backbone_conf: dim is 'x'"),
        ("optim: fast", "optim 'fast' is unknown"),
        ("optim_conf: {lr: -1}", "optim_conf: ValueError: Invalid learning rate"),
        ("optim_conf: {speed: 1}", "optim_conf: .* has no option speed"),
        ("scheduler: 1", "scheduler 1 is unknown"),
        ("scheduler: warmuplr\nscheduler_conf: {warmup_steps: []}", "scheduler_conf: "),
    ):
        train.write_text(text)
        (tmp_path / "tokens.txt").write_text("\n".join(SYMBOLS))
        options = ["--config", str(train), "--output_dir", str(tmp_path / "exp")]
        options += ["--token_list", str(tmp_path / "tokens.txt"), "--dry_run", "true"]
        with pytest.raises(InputError, match=message):
            CDCDTask.main(cmd=options)
