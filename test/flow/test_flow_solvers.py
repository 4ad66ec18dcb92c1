"""Solvers on flows whose solutions are known; the grid of times."""

import math

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.flow import SOLVERS, TIME_WARPS, FlowSampling, euler, time_grid

# Velocities, and where they lead what is x at t = 0 until t = 1.
FLOWS = {
    "linear, changing": (lambda x, t: -2 * t * x, lambda x: x * math.exp(-1)),
    "not linear": (lambda x, t: -x.square(), lambda x: x / (1 + x)),
    "forced": (lambda x, t: t - x, lambda x: (x + 1) * math.exp(-1)),
}


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("solver, order", [("euler", 1), ("midpoint", 2)])
def test_order_of_convergence(flow, solver, order):
    velocity, solution = FLOWS[flow]
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    errors = []
    for num_steps in (40, 80):
        times = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
        found = SOLVERS[solver](velocity, x, times)
        errors.append((found - solution(x)).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("solver", SOLVERS)
def test_straight_paths_are_exact_at_any_grid(solver):
    times = torch.tensor([0.0, 0.1, 0.7, 1.0])
    v, x = torch.randn(2, 3), torch.randn(2, 3)
    found = SOLVERS[solver](lambda x, t: v, x, times)
    torch.testing.assert_close(found, x + v)


def test_a_solver_calls_at_the_times_of_the_grid():
    seen = []
    times = torch.tensor([0.0, 0.25, 1.0])
    euler(lambda x, t: seen.append(float(t)) or x, torch.ones(1), times)
    assert seen == [0.0, 0.25]


def test_the_grid_goes_from_noise_to_data():
    for warp in TIME_WARPS:
        times = time_grid(10, warp)
        assert times[0] == 0 and times[-1] == 1 and (times.diff() > 0).all()
    expected = torch.tensor([0, 1 - math.sqrt(0.5), 1])
    torch.testing.assert_close(time_grid(2, "cosine"), expected)
    torch.testing.assert_close(time_grid(2, "uniform"), torch.tensor([0, 0.5, 1]))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(solver="heun"), "solver 'heun' is unknown; choose one of euler, midp"),
        (dict(time_warp="sine"), "time_warp 'sine' is unknown"),
        (dict(precision="int8"), "precision 'int8' is unknown"),
        (dict(num_steps=0), "num_steps is 0"),
        (dict(workers=0), "workers is 0"),
        (dict(temperature=-1.0), "temperature is -1.0"),
    ],
)
def test_unknown_sampling_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        FlowSampling(**options)
