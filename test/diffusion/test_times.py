"""The curve of cross-entropy against t and what is drawn from it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from espnet_fsqdiff.diffusion import InformationCurve, uniform_times
from espnet_fsqdiff.diffusion.times import isotonic
from espnet_fsqdiff.errors import InputError


def trained_on(function, rounds=200, **options):
    """A curve that has seen losses function(t) + noise."""
    curve = InformationCurve(**options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(rounds):
        t = torch.rand(32, generator=generator)
        noise = 0.1 * torch.randn(32, generator=generator)
        curve.update(t, function(t) + noise)
    return curve


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=1, max_size=20)
)
def test_isotonic_is_scipys(pairs):
    values, weights = (torch.tensor(x, dtype=torch.float64) for x in zip(*pairs))
    expected = isotonic_regression(values.numpy(), weights=weights.numpy()).x
    torch.testing.assert_close(isotonic(values, weights), torch.tensor(expected))


def test_the_curve_is_learnt_and_never_falls():
    curve = trained_on(lambda t: 8 * t**2)
    found = curve.cross_entropy()
    centre = (torch.arange(50) + 0.5) / 50
    assert (found.diff() >= 0).all()
    assert (found - 8 * centre.double() ** 2).abs().max() < 0.15


def test_times_are_dense_where_the_loss_rises():
    """All information between 0.4 and 0.5: most steps fall there."""
    curve = trained_on(lambda t: ((t - 0.4) * 10).clamp(0, 1) * 8)
    times = curve.times(20)
    assert times[0] == 1 and times[-1] == 0 and (times.diff() < 0).all()
    inside = ((times > 0.38) & (times < 0.52)).sum()
    assert inside >= 14
    u = torch.rand(1000, generator=torch.Generator().manual_seed(1))
    drawn = curve.warp(u)
    assert ((drawn > 0.38) & (drawn < 0.52)).float().mean() > 0.75
    assert drawn.min() < 0.2 and drawn.max() > 0.8


def test_a_straight_curve_changes_nothing():
    curve = trained_on(lambda t: 5 * t, rounds=2000, decay=0.9999)
    torch.testing.assert_close(curve.times(10), uniform_times(10), atol=0.02, rtol=0)


def test_old_losses_fade():
    curve = trained_on(lambda t: 8 * t)
    for _ in range(2000):
        curve.update(torch.tensor([0.51]), torch.tensor([1.0]))
    index = int(0.51 * 50)
    assert (curve.total / curve.weight)[index].item() == pytest.approx(1.0, abs=1e-3)


def test_bins_without_losses_lie_between_their_neighbours():
    curve = InformationCurve(num_bins=5)
    curve.update(torch.tensor([0.1, 0.9]), torch.tensor([1.0, 5.0]))
    expected = torch.linspace(1, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(curve.cross_entropy(), expected)


def test_an_untrained_curve_is_refused():
    curve = InformationCurve()
    assert not curve.known()
    with pytest.raises(InputError, match="time_grid: uniform"):
        curve.times(4)


def test_the_curve_is_saved():
    curve, other = trained_on(lambda t: 8 * t), InformationCurve()
    other.load_state_dict(curve.state_dict())
    assert torch.equal(curve.times(7), other.times(7))
