"""A released CDCD-TTS checkpoint computes here what it computes there.

The fixture is a small network of the released layout with what the released code
makes of it: `CDCD_TTS_FIXTURE`, or shared/fixtures/cdcd_tts beside the project.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_fsqdiff.bin.convert_cdcd_tts import main
from espnet_fsqdiff.diffusion import Sampling
from espnet_fsqdiff.diffusion.loss import Draw
from espnet_fsqdiff.duration import load_duration
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.masks import length_mask
from espnet_fsqdiff.released import read_sizes, training_options
from espnet_fsqdiff.tasks.cdcd import CDCDTask
from espnet_fsqdiff.tasks.common import build_text_tokenizer, load_model

BESIDE = Path(__file__).parents[2] / "shared" / "fixtures" / "cdcd_tts"
FIXTURE = Path(os.environ.get("CDCD_TTS_FIXTURE", BESIDE))

pytestmark = pytest.mark.skipif(
    not (FIXTURE / "cdcd.pt").is_file(),
    reason=f"no fixture in {FIXTURE}; set CDCD_TTS_FIXTURE to its directory",
)


def convert(outdir, checkpoint=FIXTURE / "cdcd.pt", sizes=FIXTURE / "config.json", *a):
    main(
        ["--checkpoint", str(checkpoint), "--config", str(sizes)]
        + ["--outdir", str(outdir), *a]
    )
    return load_model(CDCDTask, outdir / "config.yaml", outdir / "model.pth")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    return convert(tmp_path_factory.mktemp("released") / "exp")


@pytest.fixture(scope="module")
def in_batch(tmp_path_factory):
    """The model whose batches are computed as the released code does."""
    files = FIXTURE / "cdcd.pt", FIXTURE / "config.json"
    return convert(tmp_path_factory.mktemp("padding") / "exp", *files, "--see_padding")


@pytest.fixture(scope="module")
def expected():
    with np.load(FIXTURE / "expected.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@torch.no_grad()
def test_logits_and_both_guidance_branches(in_batch, expected):
    network = in_batch[0].network
    mask = length_mask(expected["lens"], expected["xt"].size(1))
    text_lengths = (expected["text"] >= 0).sum(1)
    for name, dropped in (
        ("logits", False),
        ("logits_cond", False),
        ("logits_uncond", True),
    ):
        drop = torch.full((2,), dropped)
        vectors = network.encode_text(expected["text"], text_lengths, mask, drop=drop)
        logits = network(expected["xt"], expected["t"], expected["cond"], vectors, mask)
        difference = (logits - expected[name])[mask].abs().max()
        assert difference < 1e-4, name


@torch.no_grad()
def test_loss(in_batch, expected):
    model, _ = in_batch
    no = torch.zeros(2, dtype=torch.bool)
    given = torch.full((2,), 7)
    losses, _ = model.loss(
        model.network,
        model.codebook,
        expected["tokens"],
        expected["lens"],
        expected["text"],
        (expected["text"] >= 0).sum(1),
        None,
        Draw(expected["t"], expected["noise"], given, no, no),
    )
    torch.testing.assert_close(losses, expected["loss"], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_longest_of_a_batch_is_the_same_either_way(converted, expected):
    network = converted[0].network
    mask = length_mask(expected["lens"], expected["xt"].size(1))
    text_lengths = (expected["text"] >= 0).sum(1)
    vectors = network.encode_text(expected["text"], text_lengths, mask)
    logits = network(expected["xt"], expected["t"], expected["cond"], vectors, mask)
    longest = expected["lens"].argmax()
    torch.testing.assert_close(
        logits[longest], expected["logits"][longest], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    "weights, name, sampling",
    [
        (
            "ema",
            "sample_tokens_ema_cfg05_std0667_12steps",
            Sampling(num_steps=12, guidance_scale=0.5, prior_std=2 / 3),
        ),
        (
            "plain",
            "sample_tokens_nocfg_std1_5steps",
            Sampling(num_steps=5, guidance_scale=0.0, prior_std=1.0),
        ),
    ],
)
def test_sampled_tokens(weights, name, sampling, expected, tmp_path, monkeypatch):
    model, _ = convert(
        tmp_path / "exp",
        FIXTURE / "cdcd.pt",
        FIXTURE / "config.json",
        "--weights",
        weights,
    )
    noise = expected["sample_noise"][0]
    monkeypatch.setattr(torch, "randn", lambda *size, **_: noise.clone())
    (tokens,) = model.generate(
        [expected["sample_text"]],
        [len(noise)],
        prompts=[expected["sample_ref"]],
        sampling=sampling,
    )
    assert torch.equal(tokens, expected[name].flatten())


def test_the_tables_come_with_it(converted, tmp_path):
    _, args = converted
    convert(tmp_path / "exp")
    tokenizer = build_text_tokenizer(args)
    ids = tokenizer.encode("Ab z")
    assert ids.tolist() == [0, 1, 33, 25]
    duration = load_duration(tmp_path / "exp" / "duration.yaml", args.token_list)
    assert duration.total(ids) == pytest.approx(2.1 + 1.7 + 1.6 + 4.6)
    with pytest.raises(InputError, match="'4'"):
        tokenizer.encode("4 b")


def remove(states):
    del states["backbone_ema.transformer_blocks.0.attn.to_q.weight"]


def add(states):
    states["backbone.extra.weight"] = torch.zeros(2)


def stray(states):
    states["vocoder.weight"] = torch.zeros(2)


def misshape(states):
    states["backbone.softmax_layer.bias"] = torch.zeros(5)


@pytest.mark.parametrize(
    "change, message",
    [
        (remove, r"backbone_ema.*1 missing \(backbone.blocks.0.attn.to_q.weight\)"),
        (add, r"1 unknown \(extra.weight\)"),
        (stray, r"1 unknown keys \(vocoder.weight\)"),
        (misshape, r"1 misshapen \(head.linear.bias \(5,\) for \(81,\)\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(change, message, tmp_path):
    states = torch.load(FIXTURE / "cdcd.pt", weights_only=True)
    change(states)
    torch.save(states, tmp_path / "changed.pt")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "exp", tmp_path / "changed.pt")
    assert not (tmp_path / "exp" / "model.pth").exists()


def test_sizes_are_checked(tmp_path):
    sizes = json.loads((FIXTURE / "config.json").read_text())
    for change, message in (
        ({"dim_head": 33}, "2 heads of 33 are not dim 64"),
        ({"depth": "2"}, "depth is 2; give a positive integer"),
        ({"depht": 2}, "depht is unknown"),
        ({"vocab_size": 35}, "34 symbols"),
    ):
        path = tmp_path / "sizes.json"
        path.write_text(json.dumps({**sizes, **change}))
        with pytest.raises(InputError, match=message):
            training_options(read_sizes(path))
    path.write_text("{")
    with pytest.raises(InputError, match="is not json"):
        read_sizes(path)
    with pytest.raises(InputError, match="is missing"):
        read_sizes(tmp_path / "none.json")


def test_a_broken_checkpoint_is_refused(tmp_path):
    (tmp_path / "cut.pt").write_bytes((FIXTURE / "cdcd.pt").read_bytes()[:5000])
    with pytest.raises(InputError, match="cut off"):
        convert(tmp_path / "exp", tmp_path / "cut.pt")
