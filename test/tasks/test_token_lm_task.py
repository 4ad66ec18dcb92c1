"""The language model's task on made-up tokens: training, validation, faults."""

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm import LMSampling
from espnet_fsqdiff.tasks.cdcd import CDCDTask, ESPnetCDCDModel
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.tasks.decoders import decoder_task
from espnet_fsqdiff.tasks.token_lm import ESPnetTokenLMModel, TokenLMTask
from espnet_fsqdiff.token_io import read_int_table

SMALL = dict(
    text_encoder_conf=dict(dim=16, num_layers=1, positions=False),
    lm_conf=dict(dim=32, num_layers=1, num_heads=2, dropout=0.1),
    loss_conf=dict(token_mask=0.2),
    model_conf=dict(ema_decay=0.9, cpu_autocast="off", valid_rollout=True),
    keep_nbest_models=2,
    max_epoch=2,
)
KINDS = {
    "prefix": dict(network_conf=dict(text_step=2.0)),
    "alignment": dict(head="pairwise", network_conf=dict(table=False, points=True)),
}


def command(token_data, exp, expansion, *options, **changes):
    """Options of the task; the token data brings those of the diffusion task."""
    config = {**SMALL, **KINDS[expansion], "text_expansion": expansion, **changes}
    words = token_data.command(exp, *options, **config)
    path = exp.with_name(f"{exp.name}.yaml")
    saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    del saved["backbone_conf"]
    path.write_text(yaml.safe_dump(saved), encoding="utf-8")
    return words


@pytest.fixture(scope="module", params=KINDS)
def trained(request, token_data, tmp_path_factory):
    """Directory of a training of two epochs, and how it sees text."""
    exp = tmp_path_factory.mktemp(request.param) / "exp"
    TokenLMTask.main(cmd=command(token_data, exp, request.param))
    return exp, request.param


def load(exp, model="valid.loss.ave.pth"):
    return load_model(
        decoder_task(exp / "config.yaml"), exp / "config.yaml", exp / model
    )


def batch_of(token_data, args, names=("valid_0", "valid_1")):
    """What the task's own preprocessing and collating make of utterances."""
    preprocess = TokenLMTask.build_preprocess_fn(args, train=False)
    laid = read_int_table(token_data.root / "valid" / "durations.txt")
    items = []
    for name in names:
        data = {
            "text": token_data.texts["valid"][name],
            "speech_token": token_data.tokens["valid"][name].astype(np.int32),
            "durations": laid[name],
        }
        items.append((name, preprocess(name, data)))
    names, batch = TokenLMTask.build_collate_fn(args, train=False)(items)
    return dict(batch, utt_id=names)


@torch.no_grad()
def test_validation_is_of_the_average_and_each_utterance_its_own(trained, token_data):
    exp, expansion = trained
    model, args = load(exp)
    batch = batch_of(token_data, args)
    assert ("durations" in batch) == (expansion == "alignment")
    loss, stats, weight = model(**batch)
    assert weight == 2 and torch.equal(loss, stats["loss"])
    torch.testing.assert_close(stats["perplexity"], loss.exp())
    assert ("stop_accuracy" in stats) == (expansion == "prefix")
    alone = [
        model(**batch_of(token_data, args, [name]))[0]
        for name in ("valid_1", "valid_0")
    ]
    torch.testing.assert_close(sum(alone) / 2, loss, atol=1e-4, rtol=1e-4)
    sampled = model.generate(
        [x[:n] for x, n in zip(batch["text"], batch["text_lengths"])],
        batch["speech_token_lengths"].tolist(),
        batch.get("durations"),
        sampling=LMSampling(temperature=0.0),
    )
    true = batch["speech_token"]
    share = [(x == y[: len(x)]).float().mean() for x, y in zip(sampled, true)]
    torch.testing.assert_close(stats["rollout_accuracy"].squeeze(), sum(share) / 2)
    for parameter in model.network.parameters():
        parameter.normal_()
    assert torch.equal(model(**batch)[0], loss)
    for parameter in model.ema.network.parameters():
        parameter.normal_()
    assert not torch.equal(model(**batch)[0], loss)


def test_a_resumed_run_ends_as_one_without_a_break(trained, token_data, tmp_path):
    exp, expansion = trained
    other = tmp_path / "exp"
    for epochs in ("1", "2"):
        TokenLMTask.main(
            cmd=command(
                token_data, other, expansion, "--max_epoch", epochs, "--resume", "true"
            )
        )
    ours, theirs = (
        torch.load(d / "2epoch.pth", weights_only=True) for d in (other, exp)
    )
    assert set(ours) == set(theirs) and ours["ema.num_updates"] == 8
    for key, state in theirs.items():
        torch.testing.assert_close(ours[key], state, msg=key)


def test_prompts_are_part_of_the_lengths(trained, token_data):
    exp, expansion = trained
    model, args = load(exp)
    batch = batch_of(token_data, args)
    text = [x[:n] for x, n in zip(batch["text"], batch["text_lengths"])]
    frames = batch["speech_token_lengths"].tolist()
    prompts = [batch["speech_token"][0, :3], None]
    said = model.generate(text, frames, batch.get("durations"), prompts=prompts)
    assert [len(x) for x in said] == [frames[0] - 3, frames[1]]
    prompts = [batch["speech_token"][0, : frames[0]], None]
    with pytest.raises(InputError, match="^utterance 0: .* give a prompt shorter"):
        model.generate(text, frames, batch.get("durations"), prompts=prompts)


def test_the_task_is_found_by_its_configuration(trained, token_data, tmp_path):
    exp, _ = trained
    assert decoder_task(exp / "config.yaml").model_class is ESPnetTokenLMModel
    cdcd = tmp_path / "cdcd.yaml"
    cdcd.write_text(yaml.safe_dump(CDCDTask.get_default_config()), encoding="utf-8")
    assert decoder_task(cdcd).model_class is ESPnetCDCDModel
    cdcd.write_text("encoder: convnext\n", encoding="utf-8")
    with pytest.raises(InputError, match="cdcd.yaml is of no model that makes tokens"):
        decoder_task(cdcd)


def test_faults_are_those_of_the_data(token_data, tmp_path):
    words = command(token_data, tmp_path / "exp", "alignment")
    words = [
        w.replace("durations.txt,durations", "tokens.txt,durations") for w in words
    ]
    durations = read_int_table(token_data.root / "train" / "durations.txt")
    for name in ("train", "valid"):
        lines = [f"{utt} 1 1\n" for utt in token_data.tokens[name]]
        (tmp_path / name).write_text("".join(lines))
        words = [
            w.replace(f"{token_data.root}/{name}/tokens.txt", f"{tmp_path / name}")
            for w in words
        ]
    assert len(durations) == 8
    with pytest.raises(InputError, match="^train_.: its durations do not fit its text"):
        TokenLMTask.main(cmd=words)


def test_the_tokenizer_has_to_have_the_same_levels(token_data, tmp_path):
    tokenizer = tmp_path / "tokenizer.yaml"
    tokenizer.write_text(yaml.safe_dump({"quantizer_conf": {"levels": [5, 5]}}))
    words = command(
        token_data,
        tmp_path / "exp",
        "prefix",
        *("--tokenizer_config", tokenizer),
        *("--iterator_type", "none", "--dry_run", "true"),
    )
    with pytest.raises(InputError, match="the tokenizer's FSQ levels are"):
        TokenLMTask.main(cmd=words)
