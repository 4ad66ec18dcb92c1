"""Sampling functions: nucleus, inverse distribution, repetition-aware."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.lm.sampling import NONE, LMSampling, draw, nucleus, pick, repeated

P = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]])


@pytest.mark.parametrize(
    "top_k, top_p, kept",
    [
        (0, 1.0, [{0, 1, 2, 3}, {0, 1, 2, 3}]),
        (2, 1.0, [{1, 3}, {0, 1}]),
        # 0.4 + 0.3 just reach 0.65, 0.7 alone does.
        (0, 0.65, [{1, 3}, {0}]),
        (0, 0.75, [{1, 3, 2}, {0, 1}]),
        (1, 0.75, [{1}, {0}]),
        (0, 0.01, [{1}, {0}]),
    ],
)
def test_nucleus_keeps_the_most_likely(top_k, top_p, kept):
    logits = nucleus(P.log(), top_k, top_p)
    for row, p, expected in zip(logits, P, kept):
        places = set(row.isfinite().nonzero().flatten().tolist())
        assert places == expected
        assert all(row[i] == p.log()[i] for i in places)


def test_pick_has_the_distribution():
    u = (torch.arange(1000) + 0.5) / 1000
    logits = P[:1].log().expand(1000, -1)
    shares = pick(logits, u).bincount(minlength=4) / 1000
    torch.testing.assert_close(shares, P[0], atol=2e-3, rtol=0)
    # What may not be drawn is not drawn, at either end.
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf")]] * 2)
    assert pick(logits, torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 1]


def test_repeated_counts_the_window():
    history = torch.tensor([[NONE, NONE, 3, 3], [1, 2, 3, 4], [NONE] * 4])
    tokens = torch.tensor([3, 3, 3])
    assert repeated(tokens, history, 0.5).tolist() == [True, False, False]
    assert repeated(tokens, history, 0.25).tolist() == [True, True, False]


def test_a_repeated_token_is_drawn_again_from_all():
    logits = torch.tensor([[8.0, 0.0, 0.0]] * 2)
    u = torch.tensor([[0.5, 0.9999]] * 2)
    history = torch.tensor([[0] * 10, [1] * 10])
    sampling = LMSampling(top_k=1)
    assert draw(logits, history, u, sampling).tolist() == [2, 0]
    off = LMSampling(top_k=1, repetition_window=0)
    assert draw(logits, history[:, :0], u, off).tolist() == [0, 0]


def test_temperature():
    logits = P[:1].log()
    none = torch.full((1, 0), NONE)
    options = dict(top_k=0, top_p=1.0, repetition_window=0)
    for u in (0.0, 0.5, 0.999):
        u = torch.tensor([[u, 0.0]])
        assert draw(logits, none, u, LMSampling(0.0, **options)).tolist() == [1]
        assert draw(logits, none, u, LMSampling(1e-3, **options)).tolist() == [1]
    u = torch.tensor([[0.3, 0.0]])
    # Flattened, 0.3 lies in the second quarter; sharpened, in the first half.
    assert draw(logits, none, u, LMSampling(100.0, **options)).tolist() == [1]
    u = torch.tensor([[0.2, 0.0]])
    assert draw(logits, none, u, LMSampling(100.0, **options)).tolist() == [0]
    assert draw(logits, none, u, LMSampling(0.5, **options)).tolist() == [1]


def test_lengths_are_shares_of_the_predicted():
    sampling = LMSampling(min_ratio=0.5, max_ratio=2.0)
    assert sampling.limits(11, 100) == (5, 22)
    assert sampling.limits(80, 100) == (40, 100)
    assert sampling.limits(1, 100) == (1, 2)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(temperature=-1), "temperature is -1; give 0 or more"),
        (dict(top_k=-1), "top_k is -1"),
        (dict(top_p=0), "top_p is 0; give more than 0, at most 1"),
        (dict(repetition_window=-1), "repetition_window is -1"),
        (dict(repetition_ratio=2), "repetition_ratio is 2"),
        (dict(min_ratio=3), "min_ratio is 3; give 0 to max_ratio"),
        (dict(precision="half"), "precision is half; give float32, bfloat16"),
    ],
)
def test_figures_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        LMSampling(**options)
