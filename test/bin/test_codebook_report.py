"""The command that reports codebooks; its tables and its faults."""

import csv

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.bin.codebook_report import main
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token_io import write_counts, write_int_table
from espnet_fsqdiff.tokenizer.swap import SwapDistance

LEVELS = ["--codebook_conf", "levels=[3, 3, 3]"]


def test_markdown_and_csv_agree(tmp_path, capsys):
    words = ["--codebook", "fsq", "permuted", *LEVELS, "--num_samples", "500"]
    main(words)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("| codebook | K | n |")
    main([*words, "--format", "csv", "--output", str(tmp_path / "out.csv")])
    with open(tmp_path / "out.csv", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert [row["codebook"] for row in rows] == ["fsq", "permuted"]
    assert float(rows[0]["D(E)"]) == float(rows[1]["D(E)"]) == 1
    assert rows[0]["K"] == "27" and f"{float(rows[0]['A(1)']):.4g}" in lines[2]


def test_priors_count(tmp_path, capsys):
    counts = np.zeros(27, dtype=int)
    counts[5] = 3
    write_counts(tmp_path / "counts.txt", counts)
    options = ["--num_samples", "50", "--counts", str(tmp_path / "counts.txt")]
    main(["--codebook", "fsq", *LEVELS, *options, "--ratios", "0"])
    assert "| 1 | 0 |" in capsys.readouterr().out
    with pytest.raises(InputError, match="give those of 6561 codes"):
        main(["--codebook", "fsq", *options])


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "no codebook is named"),
        (["--codebook", "gold"], "gold is unknown; choose of fsq"),
        (
            ["--codebook", "fsq", "--codebook_conf", "seed=1"],
            "FSQCodebook has no option seed",
        ),
        (["--train_config", "x.yaml"], "--model_file together"),
        (["--codebook", "fsq", "--tokens", "x"], "and --tokens together"),
        (["--codebook", "fsq", "--t0", "0"], "--t0 0.0: give"),
        (["--codebook", "fsq", "--ratios", "-1"], "--ratios -1.0: give 0"),
        (["--codebook", "fsq", "--num_samples", "1"], "--num_samples 1: give at"),
        (["--codebook", "rvq"], "tokenizer_file"),
    ],
)
def test_faults_are_one_line(words, message):
    with pytest.raises(InputError, match=message) as error:
        main(words)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Directory of a tokenizer that has not been trained, made by its task."""
    from argparse import Namespace

    from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask

    exp = tmp_path_factory.mktemp("tokenizer")
    config = dict(
        FSQTokenizerTask.get_default_config(),
        token_list=["<sos/eos>", "a"],
        feats_extract_conf=dict(
            fs=16000, n_fft=512, hop_length=160, n_mels=10, fmin=0, fmax=8000
        ),
        encoder_conf=dict(output_size=8, num_blocks=1),
        quantizer_conf=dict(levels=[3, 3, 3]),
        decoder_conf=dict(hidden_size=16, num_blocks=1),
        ctc_weight=0.0,
    )
    torch.manual_seed(0)
    model = FSQTokenizerTask.build_model(Namespace(**config))
    torch.save(model.state_dict(), exp / "valid.loss.ave.pth")
    (exp / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    rng = np.random.default_rng(0)
    tokens = {f"utt{i}": rng.integers(0, 27, 5 + 9 * i) for i in range(5)}
    write_int_table(exp / "tokens.txt", tokens)
    return exp, model.tokenizer.eval(), list(tokens.values())


def test_a_swap_is_heard_where_it_happens(tokenizer):
    _, model, utterances = tokenizer
    distance = SwapDistance(model, utterances, context=6)
    places = torch.tensor([0, 4, 5, 30, len(distance.tokens) - 1])
    same = distance(places, distance.tokens[places])
    assert torch.equal(same, torch.zeros(5))
    other = (distance.tokens[places] + 1) % 27
    found = distance(places, other)
    assert found.shape == (5,) and (found > 0).all()
    # One block of kernel 7 sees 3 tokens on either side: 6 are the whole truth.
    whole = SwapDistance(model, utterances, context=99)(places, other)
    torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
    # By hand, for a place inside the second utterance.
    real = torch.as_tensor(utterances[1])
    swapped = real.clone()
    swapped[0] = other[2]
    lengths = torch.tensor([len(real)])
    with torch.no_grad():
        before, after = model.decode(real[None], lengths), model.decode(
            swapped[None], lengths
        )
    by_hand = 20 * (after - before).abs().mean(-1).sum() / 4
    torch.testing.assert_close(found[2], by_hand, atol=1e-4, rtol=1e-4)


def test_the_sound_of_neighbours_is_reported(tokenizer, tmp_path, capsys):
    exp, _, _ = tokenizer
    words = ["--tokenizer_config", f"{exp}/config.yaml"]
    words += ["--tokens", f"{exp}/tokens.txt", "--num_swaps", "40"]
    options = ["--num_samples", "50", "--format", "csv"]
    main(["--codebook", "fsq", "permuted", *LEVELS, *words, *options])
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    near, random = (float(rows[0][k]) for k in ("near, dB", "random, dB"))
    assert float(rows[0]["near / random"]) == pytest.approx(near / random)
    assert rows[0]["random, dB"] == rows[1]["random, dB"]
    assert rows[0]["near, dB"] != rows[1]["near, dB"]
    with pytest.raises(InputError, match="6561 codes, the tokenizer 27"):
        main(["--codebook", "fsq", *words, *options])
