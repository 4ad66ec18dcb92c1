"""Do neighbours sound alike: constructed sounds, whose answer is known."""

import pytest
import torch

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.theory import grid_points, neighbour_mel_distance, summarize
from espnet_fsqdiff.theory.accuracy import grid_accuracy
from espnet_fsqdiff.theory.neighbours import draw_nearest
from espnet_fsqdiff.theory.points import seeded

LEVELS = [3, 3, 3]


def measure(codebook, table, tokens, **options):
    """The measure where swaps sound the same everywhere: d(k, j) from a table."""
    tokens = torch.as_tensor(tokens)
    return neighbour_mel_distance(
        codebook, tokens, lambda i, j: table[tokens[i], j], **options
    )


def city_block(points):
    """A decoder that says the coordinates: sum of their differences."""
    return torch.cdist(points, points, p=1)


def test_on_a_grid_whose_coordinates_are_heard():
    """Neighbours are one step, 1, apart; random tokens 3 x 8/9 x 27/26 on average."""
    grid = grid_points(LEVELS)
    tokens = torch.arange(27).repeat(3)
    found = measure(grid, city_block(grid), tokens, num_samples=20000)
    assert found.near == pytest.approx(1)
    expected = 3 * (8 / 9) * 27 / 26
    assert found.random == pytest.approx(expected, rel=0.02)
    assert abs(found.ratio - 1 / expected) < 4 * found.standard_error < 0.02


def test_permuted_points_say_nothing_about_sound():
    """The same points in random order: 1 in the mean, the grid far below."""
    table = city_block(grid_points(LEVELS))
    tokens = torch.randint(27, (500,), generator=seeded(0))
    ratios = []
    for seed in range(40):
        permuted = build_codebook("permuted", levels=LEVELS, seed=seed)
        ratios.append(measure(permuted, table, tokens, seed=seed).ratio)
    ratios = torch.tensor(ratios)
    error = ratios.std() / len(ratios) ** 0.5
    assert abs(ratios.mean() - 1) < 4 * error and error < 0.02
    grid = measure(build_codebook("fsq", levels=LEVELS), table, tokens)
    assert grid.ratio < 0.4 < ratios.min()


def test_permuting_tokens_and_sounds_together_changes_nothing():
    grid = grid_points(LEVELS)
    tokens = torch.arange(27).repeat(2)
    order = torch.randperm(27, generator=seeded(1))
    alike = measure(grid[order], city_block(grid[order]), tokens, num_samples=20000)
    assert alike.near == pytest.approx(1)


def test_tokens_count_by_frequency_and_only_those_that_occur():
    points = torch.tensor([[0.0], [0.1], [0.5], [0.9], [1.0]])
    # 1 never occurs: 0's neighbour is 2.
    tokens = [0] * 98 + [2, 4]
    table = torch.full((5, 5), torch.nan)
    table[0, 2], table[0, 4], table[2, 0], table[2, 4], table[4, 0], table[4, 2] = (
        torch.tensor([1.0, 3.0, 10.0, 10.0, 10.0, 10.0])
    )
    found = measure(points, table, tokens, num_samples=20000)
    # 0 to 2 costs 1; 2 and 4 make up 2 % of the places.
    assert found.near == pytest.approx(0.98 + 0.02 * 10, rel=0.05)
    assert found.random == pytest.approx(0.98 * 2 + 0.02 * 10, rel=0.05)


def test_the_seed_decides_and_places_are_shared_by_codebooks():
    table = city_block(grid_points(LEVELS))
    tokens = torch.arange(27)
    first, second = build_codebook("fsq", levels=LEVELS), grid_points(LEVELS).flip(0)
    a, b = (measure(c, table, tokens, seed=5) for c in (first, second))
    assert a.random == b.random
    assert a == measure(first, table, tokens, seed=5)
    assert a.random != measure(first, table, tokens, seed=6).random


def test_two_tokens_are_too_few():
    with pytest.raises(ValueError, match="2 tokens occur"):
        measure(grid_points(LEVELS), torch.ones(27, 27), [3, 3, 4])


def test_ties_are_drawn_evenly(monkeypatch):
    monkeypatch.setattr("espnet_fsqdiff.theory.neighbours.CHUNK_ENTRIES", 50000)
    centre = torch.full((6000,), 13)
    drawn = draw_nearest(grid_points(LEVELS), centre, seeded(0))
    counts = torch.bincount(drawn, minlength=27)
    neighbours = torch.tensor([4, 10, 12, 14, 16, 22])
    assert counts[neighbours].sum() == 6000
    assert (counts[neighbours] - 1000).abs().max() < 150


def test_the_summary_of_a_grid_is_what_formulas_say():
    found = summarize(build_codebook("fsq", levels=LEVELS), [0.5, 2.0], t0=0.5)
    assert (found.num_codes, found.dim, found.largest) == (27, 3, 1)
    assert found.rms_norm == pytest.approx(2**0.5)
    assert found.distance == found.least_distance == pytest.approx(1)
    for r, (accuracy, error) in found.accuracy.items():
        assert abs(accuracy - grid_accuracy(LEVELS, r)) < 4 * error < 0.02
    # SNR(0.5) = 1/3, SNR(1) = 0.
    assert found.path_kl == pytest.approx(1 / 6)


def test_a_trained_codebook_can_be_summarized():
    codebook = build_codebook("learned", levels=LEVELS)
    found = summarize(codebook, [1.0], num_samples=100)
    assert 0 < found.least_distance < found.distance
    assert codebook.weight.grad is None
