"""Heads: normalised, consistent with their points, differentiable."""

import math

import pytest
import torch

from espnet_fsqdiff.codebook import Codebook, FSQCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.heads import HEADS, FactorizedHead, digit_features


@pytest.mark.parametrize("name", sorted(HEADS))
@pytest.mark.parametrize("levels", [[3, 3, 3], [2, 5, 3]])
def test_probabilities_add_up_and_give_the_mean_point(name, levels):
    torch.manual_seed(0)
    codebook = FSQCodebook(levels)
    head = HEADS[name](dim=6, codebook=codebook)
    logits = head(torch.randn(1, 1, 6)) * 3
    tokens = torch.arange(codebook.num_codes)[None]
    nats = head.cross_entropy(logits.expand(1, codebook.num_codes, -1), tokens)
    p = torch.exp(-nats)[0]
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(head.expectation(logits)[0, 0], p @ codebook.points)
    assert head.predict(logits).item() == p.argmax().item()


@pytest.mark.parametrize("name", sorted(HEADS))
def test_low_temperature_gives_the_most_likely_point(name):
    torch.manual_seed(1)
    codebook = FSQCodebook([3, 3])
    head = HEADS[name](dim=4, codebook=codebook)
    logits = head(torch.randn(2, 5, 4))
    x0 = head.expectation(logits, temperature=1e-4)
    torch.testing.assert_close(x0, codebook.embed(head.predict(logits)))


def test_factorized_of_equal_digits_is_uniform():
    head = FactorizedHead(4, FSQCodebook([3, 2]))
    logits = torch.zeros(1, 1, 5)
    nats = head.cross_entropy(logits, torch.tensor([[3]]))
    assert nats.item() == pytest.approx(math.log(6))


@pytest.mark.parametrize("levels", [[3, 3, 3], [2, 5, 3], [4]])
def test_every_code_has_one_of_each_digit_and_pair(levels):
    table, n = digit_features(levels), len(levels)
    assert table.shape[0] == math.prod(levels)
    assert set(table.unique().tolist()) == {0.0, 1.0}
    assert (table.sum(1) == n + n * (n - 1) // 2).all()
    assert len(table.unique(dim=0)) == len(table)
    assert digit_features([3] * 8).shape == (6561, 276)


def test_pairwise_learns_what_factorized_cannot():
    """Two digits that are always equal: no product of marginals says so."""
    torch.manual_seed(0)
    codebook = FSQCodebook([3, 3])
    tokens = torch.tensor([[0, 4, 8]])
    nats = {}
    for name in ("factorized", "pairwise"):
        head = HEADS[name](dim=2, codebook=codebook)
        optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
        for _ in range(300):
            loss = head.cross_entropy(head(torch.ones(1, 3, 2)), tokens).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        nats[name] = loss.item()
    assert nats["pairwise"] == pytest.approx(math.log(3), abs=0.05)
    assert nats["factorized"] == pytest.approx(2 * math.log(3), abs=0.05)


def test_state_holds_weights_only():
    for name in HEADS:
        head = HEADS[name](4, FSQCodebook([3]))
        assert set(head.state_dict()) == {"linear.weight", "linear.bias"}


def test_heads_of_digits_need_a_grid():
    class Table(Codebook):
        num_codes, dim = 3, 1

    for name in ("factorized", "pairwise"):
        with pytest.raises(InputError, match=f"{name} needs the fsq codebook"):
            HEADS[name](4, Table())
