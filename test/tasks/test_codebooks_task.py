"""The diffusion task with a trained codebook, and with that of a residual quantizer."""

import shutil

import pytest
import torch
import yaml

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.codebook.rvq import PREFIX
from espnet_fsqdiff.diffusion import Sampling
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm import LMSampling
from espnet_fsqdiff.rvq import ResidualVQ
from espnet_fsqdiff.tasks.cdcd import CDCDTask
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.tasks.token_lm import TokenLMTask

LEVELS = [3, 3, 3]
WEIGHT = "network.head.codebook.weight"


@pytest.fixture(scope="module")
def learned(token_data, tmp_path_factory):
    """A training of two epochs, interrupted after the first."""
    exp = tmp_path_factory.mktemp("learned") / "exp"
    config = dict(
        codebook="learned",
        codebook_conf=dict(levels=LEVELS, seed=3),
        text_expansion="uniform",
        keep_nbest_models=2,
        model_conf=dict(ema_decay=0.9, cpu_autocast="off", valid_times=[0.5]),
    )
    for epochs in (1, 2):
        command = token_data.command(
            exp, "--resume", "true", **config, max_epoch=epochs
        )
        CDCDTask.main(cmd=command)
    return exp


def norms(weight):
    codebook = build_codebook("learned", levels=LEVELS)
    codebook.load_state_dict({"weight": weight})
    return torch.linalg.vector_norm(codebook.points.detach(), dim=-1)


def test_a_codebook_is_trained_averaged_saved_and_resumed(learned):
    start = build_codebook("learned", levels=LEVELS, seed=3).weight.detach()
    first, second = (
        torch.load(learned / f"{epoch}epoch.pth", weights_only=True) for epoch in (1, 2)
    )
    tables = [s[p + WEIGHT] for s in (first, second) for p in ("", "ema.")]
    for i, table in enumerate(tables):
        assert (table - start).abs().max() > 1e-4
        assert all((table - other).abs().max() > 1e-5 for other in tables[:i])
    # The codebook is saved with its network and nowhere else.
    keys = [key for key in second if "codebook" in key]
    assert sorted(keys) == sorted([WEIGHT, f"ema.{WEIGHT}"])
    # Eight updates, four of them before the interruption.
    assert second["ema.num_updates"] == 8


def test_the_mean_of_checkpoints_obeys_the_constraint(learned):
    model, _ = load_model(
        CDCDTask, learned / "config.yaml", learned / "valid.loss.ave.pth"
    )
    mean = sum(
        torch.load(learned / f"{epoch}epoch.pth", weights_only=True)[f"ema.{WEIGHT}"]
        for epoch in (1, 2)
    )
    torch.testing.assert_close(model.codebook.weight, mean / 2)
    for copy in (model.codebook, model.network.codebook):
        torch.testing.assert_close(norms(copy.weight), torch.full((27,), 2**0.5))


@torch.no_grad()
def test_inference_and_validation_use_the_averaged_table(learned):
    model, _ = load_model(
        CDCDTask, learned / "config.yaml", learned / "valid.loss.ave.pth"
    )
    assert model.codebook is model.ema.network.head.codebook
    text = torch.tensor([[0, 2, 3, 0]])
    laid = torch.tensor([[2, 4, 4, 2]])
    tokens = torch.arange(12)[None]
    size = torch.tensor([12])

    def outcome():
        (sampled,) = model.generate(
            [text[0]], [12], laid, sampling=Sampling(num_steps=2)
        )
        batch = (text, torch.tensor([4]), tokens, size, laid)
        return sampled, model(*batch, utt_id=["a"])[0]

    sampled, loss = outcome()
    model.network.codebook.weight.neg_()
    again, loss_again = outcome()
    assert torch.equal(sampled, again) and torch.equal(loss, loss_again)
    model.codebook.weight.copy_(model.codebook.weight.roll(1, 0))
    assert not torch.equal(loss, outcome()[1])


SIZES = dict(dim=6, num_books=3, book_size=3)


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory):
    """Configuration and weights of a tokenizer, as far as the decoder reads them."""
    exp = tmp_path_factory.mktemp("rvq_tokenizer")
    torch.manual_seed(0)
    quantizer = ResidualVQ(**SIZES)
    quantizer(torch.randn(200, 6))
    states = {PREFIX + k: v for k, v in quantizer.state_dict().items()}
    torch.save(states, exp / "valid.loss.ave.pth")
    config = dict(quantizer="rvq", quantizer_conf=SIZES)
    (exp / "config.yaml").write_text(yaml.safe_dump(config))
    return exp


def test_a_decoder_over_rvq_tokens_carries_its_table(
    token_data, tokenizer_dir, tmp_path
):
    there = tmp_path / "tokenizer"
    shutil.copytree(tokenizer_dir, there)
    exp = tmp_path / "exp"
    option = ("--tokenizer_config", there / "config.yaml")
    config = dict(codebook_conf={}, text_expansion="uniform")
    CDCDTask.main(cmd=token_data.command(exp, *option, codebook="rvq", **config))
    table = build_codebook(
        "rvq", tokenizer_file=there / "valid.loss.ave.pth", **SIZES
    ).points
    shutil.rmtree(there)
    model, args = load_model(CDCDTask, exp / "config.yaml", exp / "valid.loss.ave.pth")
    assert args.codebook_conf == {**SIZES, "tokenizer_file": None}
    for codebook in (model.codebook, model.network.codebook):
        assert torch.equal(codebook.points, table)
    (tokens,) = model.generate(
        [torch.tensor([0, 2, 0])],
        [9],
        torch.tensor([[3, 3, 3]]),
        sampling=Sampling(num_steps=2, sampler="hard_rounding"),
    )
    assert tokens.shape == (9,) and tokens.max() < 27


@pytest.mark.parametrize("codebook", ["rvq", "learned"])
def test_a_language_model_reads_points_that_come_with_its_weights(
    codebook, token_data, tokenizer_dir, tmp_path
):
    there, exp = tmp_path / "tokenizer", tmp_path / "exp"
    shutil.copytree(tokenizer_dir, there)
    options = ["--tokenizer_config", there / "config.yaml"] if codebook == "rvq" else []
    config = dict(
        codebook=codebook,
        codebook_conf={} if codebook == "rvq" else dict(levels=LEVELS),
        text_expansion="uniform",
        lm_conf=dict(dim=16, num_layers=1, num_heads=2, mlp_dim=16),
        network_conf=dict(points=True),
        loss_conf={},
    )
    command = token_data.command(exp, *options, **config)
    file = tmp_path / "exp.yaml"
    theirs = yaml.safe_load(file.read_text())
    del theirs["backbone_conf"]  # of the diffusion task
    file.write_text(yaml.safe_dump(theirs))
    TokenLMTask.main(cmd=command)
    shutil.rmtree(there)
    file = exp / "valid.loss.ave.pth"
    model, _ = load_model(TokenLMTask, exp / "config.yaml", file)
    points = model.network.head.codebook.points
    assert points.shape == (27, 6 if codebook == "rvq" else 3)
    (tokens,) = model.generate(
        [torch.tensor([0, 2, 0])], [9], torch.tensor([[3, 3, 3]]), sampling=LMSampling()
    )
    assert tokens.shape == (9,) and tokens.max() < 27


def test_a_codebook_without_points_says_so(token_data, tmp_path):
    command = token_data.command(
        tmp_path / "exp", codebook="rvq", codebook_conf=SIZES, text_expansion="uniform"
    )
    with pytest.raises(InputError, match="rvq has no points yet"):
        CDCDTask.main(cmd=command)
