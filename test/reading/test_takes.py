"""Takes: drawn together, scored as stated, the best kept."""

import pytest
import torch

from espnet_fsqdiff.recognition import ctc_scores, token_scores
from espnet_fsqdiff.synthesis import TAKE_STEP

TEXT = "Hello there."


def takes_of(tts, text, number):
    """Each take alone, by its seed."""
    return [tts(text, seed=k * TAKE_STEP)["tokens"] for k in range(number)]


def test_the_best_take_by_the_recognition_head(tts):
    assert tts.tokenizer.has_ctc
    alone = takes_of(tts, TEXT, 4)
    result = tts(TEXT, num_takes=4)
    (scores,) = result["scores"]
    ids = tts.heard_symbols(TEXT)
    expected = token_scores(tts.tokenizer, alone, [ids] * 4)
    assert scores == pytest.approx(expected, abs=1e-4)
    assert torch.equal(result["tokens"], alone[scores.index(max(scores))])
    assert len(set(scores)) > 1 and max(scores) <= 0
    # The first take is what is said without takes.
    assert torch.equal(alone[0], tts(TEXT)["tokens"])
    assert "scores" not in tts(TEXT)


def test_every_sentence_of_every_text_has_its_own(tts):
    long = "It was late, so late. " * 5
    both = tts.batch([long, TEXT], num_takes=3)
    for text, result in zip([long, TEXT], both):
        assert len(result["scores"]) == len(result["sentences"])
        assert all(len(scores) == 3 for scores in result["scores"])
        assert torch.equal(result["tokens"], tts(text, num_takes=3)["tokens"])


def test_the_score_is_the_likelihood_of_the_text_per_symbol(tts):
    tokens = tts(TEXT)["tokens"]
    ids = tts.heard_symbols(TEXT)
    model = tts.tokenizer.model
    with torch.no_grad():
        codes = model.quantizer.indices_to_codes(tokens[None])
        log_probs = model.ctc_log_probs(codes, torch.tensor([len(tokens)]))[0]
    nats = torch.nn.functional.ctc_loss(
        log_probs, torch.from_numpy(ids) + 1, [len(tokens)], [len(ids)], reduction="sum"
    )
    (score,) = token_scores(tts.tokenizer, [tokens], [ids])
    assert score == pytest.approx(-float(nats) / len(ids), rel=1e-4)
    # In a batch with a longer one as alone; too few frames for a text are its end.
    longer = torch.cat([tokens, tokens])
    assert token_scores(tts.tokenizer, [longer, tokens], [ids, ids])[1] == (
        pytest.approx(score, rel=1e-4)
    )
    assert ctc_scores([log_probs[:3]], [ids]) == [-float("inf")]


def test_without_a_head_by_the_likelihood_of_the_tokens(tts, monkeypatch):
    alone = takes_of(tts, TEXT, 3)
    monkeypatch.setattr(tts.tokenizer, "has_ctc", False)
    result = tts(TEXT, num_takes=3)
    (scores,) = result["scores"]
    ids = torch.from_numpy(tts.encode(TEXT))
    laid = result["duration"]
    expected = tts.model.log_likelihood([ids] * 3, alone, [laid] * 3)
    assert scores == pytest.approx(expected, rel=1e-4)
    assert torch.equal(result["tokens"], alone[scores.index(max(scores))])
    one = tts.model.log_likelihood([ids], alone[1:2], [laid])
    assert one == pytest.approx(expected[1:2], rel=1e-4)
    # However the model was trained.
    monkeypatch.setattr(tts.model, "cpu_autocast", "bfloat16")
    assert tts.model.log_likelihood([ids] * 3, alone, [laid] * 3) == expected
