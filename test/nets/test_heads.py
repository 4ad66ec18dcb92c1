"""Heads: normalised, consistent with their points, differentiable."""

import math

import pytest
import torch

from espnet_fsqdiff.codebook import Codebook, FSQCodebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.heads import HEADS, FactorizedHead, JointHead


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


def test_state_holds_weights_only():
    for head in (JointHead(4, FSQCodebook([3])), FactorizedHead(4, FSQCodebook([3]))):
        assert set(head.state_dict()) == {"linear.weight", "linear.bias"}


def test_factorized_needs_a_grid():
    class Table(Codebook):
        num_codes, dim = 3, 1

    with pytest.raises(InputError, match="needs the fsq codebook"):
        FactorizedHead(4, Table())
