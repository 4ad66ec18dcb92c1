"""Lattices that beat the grid, and the other counterexamples."""

import numpy as np
import pytest
import torch

from espnet_fsqdiff.theory import grid_accuracy, grid_points, plane_accuracy
from espnet_fsqdiff.theory.distance import nearest_neighbour_distance
from espnet_fsqdiff.theory.experiments.counterexamples import (
    crossing,
    fitted_root,
    last_sign_change,
    split_edge,
)
from espnet_fsqdiff.theory.lattices import checkerboard_rival, deal, rivals


def test_every_rival_has_the_points_and_the_distance():
    found = rivals()
    assert {("cosets", 3, 8), ("checkerboard", 4, 4)} <= {r[:3] for r in found}
    for rival in found:
        assert rival.num_points >= rival.levels**rival.dim and rival.ratio > 1
        if rival.num_points < 1000:
            points = rival.points()
            assert len(points) == rival.num_points and points.abs().max() <= 1
            distance = nearest_neighbour_distance(points) * (rival.levels - 1) / 2
            expected = torch.full_like(distance, rival.ratio)
            torch.testing.assert_close(distance, expected)


def test_no_rival_where_there_are_too_few_points():
    # 5^3 / 2 rounded up is one less than 4^3.
    assert checkerboard_rival(4, 3).num_points == 63
    assert ("checkerboard", 4, 3) not in {r[:3] for r in rivals()}


def test_points_are_dealt_once_and_near():
    grid = grid_points([4] * 2)
    points = torch.cat([grid, grid * 0.3])[torch.randperm(32)]
    torch.testing.assert_close(deal(points, grid), grid)


def test_a_split_edge_beats_the_grid_in_much_noise_only():
    """The accuracy hypothesis fails in the plane, at the paper's own r = 0.3."""
    for r, better in ((0.1, True), (0.3, True), (1.0, False), (3.0, False)):
        gain = plane_accuracy(split_edge(), r, 4001) - grid_accuracy([3, 3], r)
        assert (gain > 1e-7) == better
    assert 100 * plane_accuracy(split_edge(), 0.3).item() == pytest.approx(
        17.0431, abs=1e-4
    )


def test_sign_changes_and_roots():
    r = np.array([1.0, 2.0, 3.0, 4.0])
    assert last_sign_change(r, np.array([-1.0, 1.0, -1.0, 3.0])) == 2
    assert last_sign_change(r, np.array([1.0, 1.0, 0.5, 0.1])) is None
    root, error = fitted_root(r, (r - 2.3) * (r + 9), np.full(4, 0.1))
    assert root == pytest.approx(2.3) and 0.001 < error < 0.05
    assert np.isnan(fitted_root(r, r, np.ones(4) * 1e-3)[0])
    assert np.isnan(fitted_root(r, 2.5 - r, np.ones(4) * 1e-3)[0])


def test_crossings_of_a_worse_and_of_a_denser_codebook():
    grid = grid_points([3, 3])
    assert crossing(0.9 * grid, (3, 3), 2000) == (None, None, None)
    d4 = deal(checkerboard_rival(4, 4).points(), grid_points([4] * 4))
    found = crossing(d4, (4,) * 4, 20000)
    assert 7 < found.r < 10 and 0 < found.error < 1
    assert found.accuracy == pytest.approx(
        grid_accuracy([4] * 4, found.r).item(), abs=1e-9
    )
