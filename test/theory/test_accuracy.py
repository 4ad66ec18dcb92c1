"""Optimal accuracy: closed forms, quadrature and Monte Carlo agree."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.codebook import build_codebook
from espnet_fsqdiff.theory import (
    bayes_error,
    grid_accuracy,
    grid_points,
    line_accuracy,
    optimal_accuracy,
    plane_accuracy,
    soft_accuracy,
)
from espnet_fsqdiff.theory.points import seeded, uniform_points

# Percent at alpha / sigma = 0.3, by Phi(r)^n and ((4 Phi(r / 2) - 1) / 3)^n; the
# paper prints the 38.18.
BY_HAND = {2: [61.79, 38.18, 23.59, 14.58], 3: [41.28, 17.04, 7.04, 2.90]}


@pytest.mark.parametrize("base", BY_HAND)
def test_accuracies_of_the_grid_by_hand(base):
    ours = [100 * grid_accuracy([base] * n, 0.3).item() for n in (1, 2, 3, 4)]
    assert ours == pytest.approx(BY_HAND[base], abs=0.006)


@pytest.mark.parametrize("method", ["mixture", "decode", "noise"])
@pytest.mark.parametrize("levels", [[2, 2], [3, 2, 4]])
def test_every_method_estimates_the_closed_form(method, levels):
    for r in (0.3, 1.0):
        estimate, error = optimal_accuracy(
            grid_points(levels), r, 40000, seed=1, method=method
        )
        assert abs(estimate - grid_accuracy(levels, r).item()) < 4 * error
        assert 0 < error < 0.01


def test_the_grid_of_the_model_at_the_models_size():
    for r in (1.0, 3.0):
        estimate, error = optimal_accuracy(build_codebook("fsq"), r, 4000, seed=0)
        assert abs(estimate - grid_accuracy([3] * 8, r).item()) < 4 * error


@pytest.mark.parametrize("r, e8, grid", [(3.0, 0.36, 0.47), (6.0, 0.981, 0.983)])
def test_e8_is_named_less_often_than_the_grid(r, e8, grid):
    """The grid's 0.983 at r = 6 is 0.9857 by the closed form."""
    estimate, error = optimal_accuracy(build_codebook("e8"), r, 6000, seed=0)
    assert abs(estimate - e8) < 4 * error + 0.005
    exact = grid_accuracy([3] * 8, r).item()
    assert abs(exact - grid) < 0.005
    assert estimate + 4 * error < exact


@pytest.mark.parametrize("r", [0.3, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("levels", [2, 3, 4])
def test_plane_quadrature_on_grids(levels, r):
    ours = plane_accuracy(grid_points([levels] * 2), r).item()
    assert ours == pytest.approx(grid_accuracy([levels] * 2, r).item(), abs=1e-8)


def test_plane_quadrature_on_any_points():
    points = uniform_points((3, 9, 2), seeded(0))
    for r in (0.5, 2.0):
        ours = plane_accuracy(points, r)
        for value, table in zip(ours, points):
            estimate, error = optimal_accuracy(table, r, 40000)
            assert abs(estimate - value.item()) < 4 * error
    doubled = torch.cat([points[0], points[0]])
    assert plane_accuracy(doubled, 2.0).item() == pytest.approx(
        plane_accuracy(points[0], 2.0).item() / 2
    )


def test_plane_gradient_is_the_slope():
    points = uniform_points((5, 2), seeded(3)).requires_grad_()
    (gradient,) = torch.autograd.grad(plane_accuracy(points, 1.5, 401), points)
    move = uniform_points((5, 2), seeded(4))
    step = 1e-5
    up, down = (plane_accuracy(points + s * move, 1.5, 401) for s in (step, -step))
    slope = ((up - down) / (2 * step)).item()
    assert (gradient * move).sum().item() == pytest.approx(slope, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.floats(0.01, 20), st.integers(0, 2**31))
def test_equal_gaps_are_best_on_a_line(size, r, seed):
    grid = line_accuracy(torch.linspace(-1, 1, size, dtype=torch.float64), r)
    assert grid.item() == pytest.approx(grid_accuracy([size], r).item(), abs=1e-12)
    other = line_accuracy(uniform_points((size,), seeded(seed)), r)
    assert other <= grid + 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 5))
def test_symmetries(seed, scale):
    points = uniform_points((6, 2), seeded(seed))
    value = plane_accuracy(points, 1.0, 501).item()
    turned = torch.stack([points[:, 1], -points[:, 0]], -1)
    assert plane_accuracy(turned, 1.0, 501).item() == pytest.approx(value, abs=1e-5)
    moved = plane_accuracy(points.flip(0) - 0.1, 1.0, 501).item()
    assert moved == pytest.approx(value, abs=1e-5)
    # r and the size of the codebook enter as their product.
    estimate = optimal_accuracy(points, scale, 100, seed=seed)[0]
    scaled = optimal_accuracy(points * scale, 1.0, 100, seed=seed)[0]
    assert estimate == pytest.approx(scaled)


def test_accuracy_bounds_and_soft_version():
    points = uniform_points((7, 3), seeded(0))
    hard, _ = optimal_accuracy(points, 1.0, 20000)
    soft, error = soft_accuracy(points, 1.0, 20000)
    assert 1 / 7 < soft < hard < 1
    assert optimal_accuracy(points, 0.0, 10)[0] == pytest.approx(1 / 7)
    assert soft_accuracy(points, 50.0, 100)[0] == pytest.approx(1, abs=1e-3)
    # Two points at distance d: E[1 / (1 + exp(-(s^2 + s z)))], s = r d.
    z = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    s = 2.0
    expected = torch.trapezoid(density * torch.sigmoid(s * z + s * s / 2), z).item()
    pair = torch.tensor([[-1.0], [1.0]])
    soft, error = soft_accuracy(pair, 1.0, 40000)
    assert abs(soft - expected) < 4 * error


def test_unequal_priors_by_hand():
    # Two points at -1 and 1, prior p: the boundary moves to log(p / q) / (2 r).
    p, r = 0.8, 1.0
    edge = math.log(p / (1 - p)) / (2 * r)

    def cdf(x):
        return 0.5 * (1 + math.erf(x / math.sqrt(2)))

    expected = p * cdf(edge + r) + (1 - p) * (1 - cdf(edge - r))
    pair, prior = torch.tensor([[-1.0], [1.0]]), torch.tensor([80, 20])
    for method in ("mixture", "decode", "noise"):
        estimate, error = optimal_accuracy(pair, r, 40000, prior=prior, method=method)
        assert abs(estimate - expected) < 4 * error
    wrong, error = bayes_error(pair, r, 40000, prior=prior)
    assert abs(1 - wrong - expected) < 4 * error


def test_absent_tokens_are_never_drawn():
    points = grid_points([3, 3])
    prior = torch.zeros(9)
    prior[[0, 8]] = 1
    with_rest = optimal_accuracy(points, 1.0, 5000, prior=prior)
    alone = optimal_accuracy(points[[0, 8]], 1.0, 5000)
    assert with_rest == pytest.approx(alone)
    with pytest.raises(ValueError, match="9 weights"):
        optimal_accuracy(points, 1.0, 10, prior=torch.ones(8))
    with pytest.raises(ValueError, match="unknown"):
        optimal_accuracy(points, 1.0, 10, method="guess")
