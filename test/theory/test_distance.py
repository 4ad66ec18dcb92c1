"""Nearest-neighbour distances and the local maximum of Theorem 4.3."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.theory import (
    grid_points,
    nearest_neighbour_distance,
    nearest_neighbours,
    steepest_rise,
)
from espnet_fsqdiff.theory.points import seeded, uniform_points


def random_points(size, dim, seed):
    return uniform_points((size, dim), seeded(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 2**31))
def test_agrees_with_all_pairs(size, dim, seed):
    points = random_points(size, dim, seed)
    pairs = (points.unsqueeze(0) - points.unsqueeze(1)).norm(dim=-1)
    expected = pairs.fill_diagonal_(torch.inf).amin(-1)
    torch.testing.assert_close(nearest_neighbour_distance(points), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 100))
def test_rotation_scale_and_order(seed, scale):
    points = random_points(20, 3, seed)
    distance = nearest_neighbour_distance(points)
    turn, _ = torch.linalg.qr(random_points(3, 3, seed + 1))
    order = torch.randperm(20, generator=seeded(seed))
    moved = nearest_neighbour_distance((scale * points @ turn + 1)[order])
    torch.testing.assert_close(moved, scale * distance[order], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("levels", [[2] * 4, [3] * 3, [5, 5], [3, 2]])
def test_grids_have_their_spacing(levels):
    expected = 2 / (max(levels) - 1)
    distance = nearest_neighbour_distance(grid_points(levels))
    torch.testing.assert_close(distance, torch.full_like(distance, expected))


def test_chunks_do_not_show(monkeypatch):
    points = random_points(50, 4, 0)
    whole = nearest_neighbours(points)
    monkeypatch.setattr("espnet_fsqdiff.theory.distance.CHUNK_ENTRIES", 120)
    assert torch.equal(nearest_neighbours(points), whole)


def test_e8_is_28_percent_further_apart_in_kl_than_the_grid():
    e8 = nearest_neighbour_distance(build_codebook("e8"))
    grid = nearest_neighbour_distance(build_codebook("fsq"))
    assert e8.shape == grid.shape == (6561,)
    torch.testing.assert_close(e8, torch.full_like(e8, 0.8 * 2**0.5))
    torch.testing.assert_close(grid, torch.ones_like(grid))
    assert (e8.mean() / grid.mean()).square().item() == pytest.approx(1.28)


def test_equal_points_are_at_distance_zero_and_have_a_gradient():
    points = torch.zeros(3, 2, dtype=torch.float64)
    points[2, 0] = 1
    points.requires_grad_()
    distance = nearest_neighbour_distance(points)
    distance.sum().backward()
    assert distance.tolist() == [0, 0, 1] and torch.isfinite(points.grad).all()
    with pytest.raises(ValueError, match="no neighbour"):
        nearest_neighbour_distance(points[:1])


@pytest.mark.parametrize("levels, dim", [(2, 2), (2, 4), (3, 2), (3, 3)])
def test_no_direction_raises_the_distance_of_a_grid(levels, dim):
    rate, _ = steepest_rise(grid_points([levels] * dim))
    assert rate == pytest.approx(0, abs=1e-9)


def test_the_steepest_rise_is_what_the_distance_does():
    points = 0.9 * random_points(12, 3, 5)
    rate, velocity = steepest_rise(points)
    step = 1e-6
    before = nearest_neighbour_distance(points).mean()
    after = nearest_neighbour_distance(points + step * velocity).mean()
    assert rate > 0.1
    assert ((after - before) / step).item() == pytest.approx(rate, rel=1e-3)
