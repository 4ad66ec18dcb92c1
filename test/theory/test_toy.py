"""The toy's laws, its training, and the KL of its samples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import LinearSchedule
from espnet_fsqdiff.diffusion.times import uniform_times
from espnet_fsqdiff.theory.divergence import counts_of, log_kl, plug_in_kl
from espnet_fsqdiff.theory.points import seeded
from espnet_fsqdiff.theory.toy import (
    TokenChain,
    ToyConfig,
    build_network,
    exact_denoiser,
    pairs_of,
    train_toy,
)


@pytest.mark.parametrize("renamed", [False, True])
def test_samples_follow_the_laws(renamed):
    chain = TokenChain([3, 2], stay=0.6, renamed=renamed, seed=1)
    law, pairs = chain.token_law(), chain.pair_law()
    assert law.sum().item() == pytest.approx(1) == pytest.approx(pairs.sum().item())
    torch.testing.assert_close(pairs.sum(0), law)
    torch.testing.assert_close(pairs.sum(1), law)
    tokens = chain.sample(40000, 3, seeded(0))
    for t in range(3):
        seen = torch.bincount(tokens[:, t], minlength=6) / 40000
        torch.testing.assert_close(seen.double(), law, rtol=0, atol=0.01)
    both = torch.bincount(tokens[:, 1] * 6 + tokens[:, 2], minlength=36) / 40000
    torch.testing.assert_close(both.double(), pairs.flatten(), rtol=0, atol=0.01)


def test_renaming_keeps_the_entropy_and_moves_the_tokens():
    plain, renamed = TokenChain([3] * 3), TokenChain([3] * 3, renamed=True)
    one, other = plain.token_law(), renamed.token_law()
    assert not torch.equal(one, other)
    torch.testing.assert_close(one.sort().values, other.sort().values)


def test_kl_by_hand():
    law = torch.tensor([0.5, 0.25, 0.25]).double()
    counts = torch.tensor([[2, 1, 1], [4, 0, 0]])
    found = plug_in_kl(counts, law)
    torch.testing.assert_close(found, torch.tensor([0.0, math.log(2)]).double())


def test_the_floor_of_frames_that_depend_on_each_other_is_higher():
    free = TokenChain([3, 2], stay=0.0)
    # (K - 1) / (2 N), as of independent draws.
    assert free.floors(500, 4)[0] == pytest.approx(5 / 4000, rel=0.2)
    # Frames that never change are one draw, seen four times.
    still = TokenChain([3, 2], stay=1.0)
    assert still.floors(500, 4)[0] == pytest.approx(5 / 1000, rel=0.2)
    tokens, pairs = TokenChain([3, 2]).floors(500, 4, pairs=True)
    assert 5 / 4000 < tokens < 5 / 1000
    # A perfect model's samples come out at it.
    chain = TokenChain([3, 2])
    own = [chain.sample(500, 4, seeded(1000 + i)) for i in range(40)]
    law, pair_law = chain.token_law(), chain.pair_law().flatten()
    found = torch.stack([plug_in_kl(counts_of(x, 6), law) for x in own])
    assert found.mean().item() == pytest.approx(tokens, rel=0.25)
    found = torch.stack(
        [plug_in_kl(counts_of(pairs_of(x, 6), 36), pair_law) for x in own]
    )
    assert found.mean().item() == pytest.approx(pairs, rel=0.25)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(sum))
def test_kl_is_never_negative(counts):
    assert plug_in_kl(torch.tensor(counts), torch.full((4,), 0.25).double()) >= -1e-12


def test_bootstrap_interval_holds_the_truth():
    law = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    other = torch.tensor([0.3, 0.3, 0.2, 0.2]).double()
    truth = math.log(plug_in_kl(other, law).item())
    draws = [
        torch.multinomial(other, 20000, replacement=True, generator=seeded(i))
        for i in range(4)
    ]
    draws = [x.unsqueeze(1) for x in draws]
    interval = log_kl(draws, law)
    assert interval.low < interval.mean < interval.high
    assert interval.low - 0.02 < truth < interval.high + 0.02
    assert interval.high - interval.low < 0.3
    # Trainings that differ widen it.
    wide = log_kl([draws[0], torch.tensor([0, 1, 2] + 97 * [3]).unsqueeze(1)], law)
    assert wide.high - wide.low > 1


def test_the_bootstrap_draws_sequences():
    """Four frames that are always alike tell no more than one of them."""
    law = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    uniform = torch.full((4,), 0.25)
    one = torch.multinomial(uniform, 2000, replacement=True, generator=seeded(0))
    single = log_kl([one.unsqueeze(1)], law)
    alike = log_kl([one.unsqueeze(1).expand(-1, 4)], law)
    assert alike == pytest.approx(single)
    free = log_kl([one.view(-1, 4)], law)
    assert free.high - free.low == pytest.approx(single.high - single.low, rel=0.3)


def test_the_exact_denoiser_draws_from_the_law():
    chain = TokenChain([2, 2])
    law, book = chain.token_law(), build_codebook("fsq", levels=[2, 2])
    points = book.points.double()
    x = torch.randn(20000, 2, generator=seeded(0), dtype=torch.float64)
    end = ddim(exact_denoiser(points, law), x, uniform_times(100), LinearSchedule())
    counts = torch.bincount(book.nearest(end), minlength=4)
    assert plug_in_kl(counts, law) < 5 * 3 / 40000 + 1e-3
    # Few steps cost accuracy.
    end = ddim(exact_denoiser(points, law), x, uniform_times(3), LinearSchedule())
    rough = torch.bincount(book.nearest(end), minlength=4)
    assert plug_in_kl(rough, law) > 2 * plug_in_kl(counts, law)


def test_training_learns_and_is_repeatable():
    chain = TokenChain([2, 2])
    config = ToyConfig(
        frames=2,
        width=32,
        feature_dim=16,
        num_updates=150,
        batch_size=64,
        rate=5e-3,
        num_samples=2000,
        sampling_steps=(8,),
    )
    book = build_codebook("fsq", levels=[2, 2])
    state = torch.get_rng_state()
    result = train_toy(chain, book, config, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    law = chain.token_law()
    entropy = -(law * law.log()).sum().item()
    # It uses the noisy latents: better than the prior alone.
    assert result.cross_entropy < entropy - 0.1
    tokens = result.samples[8]
    assert tokens.shape == (2000, 2) and tokens.dtype == torch.int64
    counts = torch.bincount(tokens.flatten(), minlength=4)
    uniform = torch.full((4,), 1000)
    assert plug_in_kl(counts, law) < plug_in_kl(uniform, law)
    again = train_toy(chain, book, config, seed=0)
    assert torch.equal(again.samples[8], tokens)
    assert again.cross_entropy == result.cross_entropy


def test_the_backbone_uses_time_and_all_frames():
    torch.manual_seed(0)
    book = build_codebook("fsq", levels=[3, 3])
    network = build_network(book, ToyConfig(frames=3, width=32))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, mask = torch.randn(2, 3, 2), torch.ones(2, 3, dtype=torch.bool)

    def logits(x, t):
        return network(x, torch.full((2,), t), 0 * x, x[..., :1], mask)

    first = logits(x, 0.5)
    assert first.shape == (2, 3, 9)
    assert not torch.allclose(first, logits(x, 0.9))
    moved = x.clone()
    moved[:, 2] += 1
    assert not torch.allclose(first[:, 0], logits(moved, 0.5)[:, 0])
