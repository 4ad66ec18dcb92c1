"""Ascents: objectives, the box, known maxima."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.theory import (
    grid_accuracy,
    grid_points,
    nearest_neighbour_distance,
    optimal_accuracy,
    plane_accuracy,
)
from espnet_fsqdiff.theory.points import seeded, uniform_points
from espnet_fsqdiff.theory.priors import (
    ascend_accuracy,
    frequent_outside,
    read_counts,
)
from espnet_fsqdiff.theory.search import (
    accuracy_objective,
    ascend,
    distance_objective,
    mixed_objective,
    soft_distance,
    starts,
)


def test_soft_distance_nears_the_distance_from_below():
    points = uniform_points((2, 10, 3), seeded(0))
    exact = torch.stack([nearest_neighbour_distance(p).mean() for p in points])
    rough, fine = soft_distance(points, 10.0), soft_distance(points, 1e4)
    assert (rough < fine).all() and (fine <= exact + 1e-9).all()
    torch.testing.assert_close(fine, exact, rtol=0, atol=1e-3)


def test_ascent_on_distance_finds_the_square_and_stays_at_the_grid():
    grid = grid_points([2, 2])
    begin = starts(grid, 6, noise=0.2, seed=1)
    ends = ascend(begin.random, distance_objective(), 400, 0.05)
    best = max(nearest_neighbour_distance(p).mean().item() for p in ends)
    assert best == pytest.approx(2, abs=1e-3)
    grid = grid_points([3, 3])
    ends = ascend(grid[None], distance_objective(), 100)
    assert nearest_neighbour_distance(ends[0]).mean() <= 1 + 1e-9
    torch.testing.assert_close(ends[0], grid, rtol=0, atol=1e-2)


def test_starts_and_ends_lie_in_the_box():
    begin = starts(grid_points([3, 3]), 3, noise=0.3)
    assert begin.random.shape == begin.near.shape == (3, 9, 2)
    assert begin.near.abs().max() <= 1
    ends = ascend(begin.near, lambda p, done: p.square().sum((1, 2)), 60, 0.1)
    assert ends.abs().max() == 1


def test_monte_carlo_accuracy_has_the_value_and_the_gradient():
    points = uniform_points((5, 2), seeded(2))
    objective = accuracy_objective(1.5, 200000, seed=0)
    table = points.clone().requires_grad_()
    value = objective(table[None], 0.0)
    value.sum().backward()
    exact = points.clone().requires_grad_()
    expected = plane_accuracy(exact, 1.5)
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), abs=3e-3)
    torch.testing.assert_close(table.grad, exact.grad, rtol=0, atol=5e-3)


def test_ascent_on_accuracy_does_not_pass_the_grid_of_two_levels():
    begin = uniform_points((4, 4, 2), seeded(0))
    ends = ascend(begin, lambda p, done: plane_accuracy(p, 1.0, 151), 300, 0.05)
    best = plane_accuracy(ends, 1.0).max().item()
    assert best == pytest.approx(grid_accuracy([2, 2], 1.0).item(), abs=1e-5)


def test_mixed_objective_weighs_its_parts():
    points = uniform_points((1, 4, 2), seeded(0))
    one, two = (lambda p, done: p.sum((1, 2))), (lambda p, done: p.new_ones(1))
    mixed = mixed_objective(one, two, 0.25)(points, 0.0)
    torch.testing.assert_close(mixed, 0.75 * points.sum((1, 2)) + 0.25)


def test_frequent_tokens_get_the_places_with_fewer_neighbours():
    prior = torch.tensor([1, 9, 2, 8, 3, 7, 4, 6, 5.0])
    points = frequent_outside(prior, [3, 3])
    ends = (points.abs() == 1).sum(-1)
    assert ends[prior.argsort(descending=True)].tolist() == [2] * 4 + [1] * 4 + [0]
    assert torch.unique(points, dim=0).shape == (9, 2)
    # One frequent token: best named in a corner.
    prior = torch.tensor([1.0] * 4 + [20.0] + [1.0] * 4)
    asis = optimal_accuracy(grid_points([3, 3]), 1.0, 40000, prior=prior)
    dealt = optimal_accuracy(frequent_outside(prior, [3, 3]), 1.0, 40000, prior=prior)
    assert dealt[0] > asis[0] + 4 * (asis[1] + dealt[1])


def test_ascent_under_a_prior_raises_the_accuracy():
    prior = torch.tensor([10.0, 10.0, 1.0, 0.0])
    start = 0.3 * grid_points([2, 2])
    ends = ascend_accuracy(start, 1.0, prior, 100, rate=0.05)
    assert ends.abs().max() <= 1 and torch.isfinite(ends).all()
    before = optimal_accuracy(start, 1.0, 20000, prior=prior)[0]
    after = optimal_accuracy(ends, 1.0, 20000, prior=prior)[0]
    assert after > before + 0.1


def test_counts_are_read_and_checked(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("0 5\n1 0\n2 7\n")
    assert read_counts(path, 3).tolist() == [5, 0, 7]
    with pytest.raises(InputError, match="3 codes, not 4"):
        read_counts(path, 4)
    with pytest.raises(InputError, match="give --counts"):
        read_counts(tmp_path / "none.txt", 3)
