"""Path KL: closed form, quadrature and simulation agree; symmetries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.diffusion.schedule import (
    CosineSchedule,
    LinearSchedule,
    VarianceExplodingSchedule,
)
from espnet_fsqdiff.theory import (
    path_kl,
    path_kl_density,
    path_kl_quadrature,
    path_kl_simulated,
)

SCHEDULES = [LinearSchedule(), CosineSchedule(), VarianceExplodingSchedule(0.05, 20.0)]
POINTS = st.lists(st.floats(-1, 1), min_size=3, max_size=3)


def named(schedules):
    return pytest.mark.parametrize(
        "schedule", schedules, ids=lambda s: type(s).__name__
    )


def test_the_papers_schedule_by_hand():
    # alpha^2 / sigma^2 at t0 = 1/2: (1/4) / (3/4); 0 at t = 1.
    kl = path_kl(torch.tensor([1.0, 0.0]), torch.tensor([0.0, -1.0]), 0.5)
    assert kl.dtype == torch.float64 and kl.item() == pytest.approx(1 / 3)
    # g^2 = 2 / alpha there.
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    schedule = LinearSchedule()
    expected = 2 * schedule.alpha(t) / schedule.sigma(t) ** 4
    torch.testing.assert_close(path_kl_density(t, schedule), expected)


@named(SCHEDULES)
@pytest.mark.parametrize("t0", [0.01, 0.3, 0.9])
def test_quadrature_gives_the_closed_form(schedule, t0):
    a, b = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([-1.0, 0.5])
    closed = path_kl(a, b, t0, schedule)
    assert closed.shape == (2,)
    torch.testing.assert_close(
        path_kl_quadrature(a, b, t0, schedule), closed, rtol=1e-8, atol=0
    )


@named(SCHEDULES)
def test_simulated_paths_give_the_closed_form(schedule):
    a, b, t0 = torch.tensor([1.0, 0.0]), torch.tensor([0.0, -0.5]), 0.4
    result = path_kl_simulated(a, b, t0, schedule, num_paths=4000, num_steps=200)
    closed = path_kl(a, b, t0, schedule).item()
    assert abs(result.estimate - closed) < 3.5 * result.standard_error
    # The log ratio is normal with variance 2 KL.
    assert result.standard_error == pytest.approx((2 * closed / 4000) ** 0.5, rel=0.1)
    # The paths are those of the process that ends at a.
    t = torch.tensor(t0, dtype=torch.float64)
    error = 4 * schedule.sigma(t) / 4000**0.5
    assert ((result.end.mean(0) - schedule.alpha(t) * a).abs() < error).all()
    torch.testing.assert_close(
        result.end.std(0), schedule.sigma(t).expand(2), rtol=0.05, atol=0
    )


def test_density_ratios_average_to_one():
    result = path_kl_simulated(
        torch.tensor([0.5]), torch.tensor([0.0]), 0.5, num_paths=4000, num_steps=100
    )
    assert result.weight_mean == pytest.approx(1, abs=0.04)


@settings(max_examples=50, deadline=None)
@given(POINTS, POINTS, st.floats(0.01, 0.99), st.sampled_from(SCHEDULES))
def test_symmetry_shift_and_scale(a, b, t0, schedule):
    a, b = torch.tensor(a).double(), torch.tensor(b).double()
    kl = path_kl(a, b, t0, schedule)
    assert kl >= 0
    torch.testing.assert_close(path_kl(b, a, t0, schedule), kl)
    torch.testing.assert_close(path_kl(3 * a, 3 * b, t0, schedule), 9 * kl)
    shift = torch.tensor([0.3, -0.1, 0.2]).double()
    moved = path_kl(a + shift, b + shift, t0, schedule)
    torch.testing.assert_close(moved, kl, rtol=1e-6, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 0.9), st.floats(0.01, 0.09))
def test_following_the_paths_further_tells_more(t0, step):
    a, b = torch.tensor([1.0]), torch.tensor([0.0])
    for schedule in SCHEDULES:
        assert path_kl(a, b, t0, schedule) > path_kl(a, b, t0 + step, schedule)
        assert path_kl(a, b, 1.0, schedule) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("t0", [0.0, -0.1, 1.1])
def test_times_outside_are_refused(t0):
    with pytest.raises(ValueError, match="t0 is"):
        path_kl(torch.zeros(2), torch.ones(2), t0)
