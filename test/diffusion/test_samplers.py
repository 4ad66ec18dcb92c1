"""Samplers against flows whose solution is known."""

import pytest
import torch

from espnet_fsqdiff.diffusion import (
    SAMPLERS,
    LinearSchedule,
    churn,
    ddim,
    dpm_solver_2m,
    hard_rounding,
    uniform_times,
)

SCHEDULE = LinearSchedule()


def gaussian(v):
    """Denoiser of data N(0, v): E[x_0 | x_t] = alpha v / (alpha^2 v + sigma^2) x_t."""

    def denoiser(x, t):
        alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
        return alpha * v / (alpha**2 * v + sigma**2) * x

    return denoiser


def std(t, v):
    """Of x_t for data N(0, v); the exact flow scales x by its change."""
    return (SCHEDULE.alpha(t) ** 2 * v + SCHEDULE.sigma(t) ** 2).sqrt()


def error_of(sampler, v, steps):
    """At the end of a flow from t = 0.9 to 0.1, where lambda is finite."""
    times = torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64)
    x = std(times[0], v).view(1, 1, 1)
    end = sampler(gaussian(v), x, times, SCHEDULE)
    return (end - std(times[-1], v)).abs().item()


@pytest.mark.parametrize("v", [0.3, 0.7])
def test_dpm_solver_is_of_second_order(v):
    first = [error_of(ddim, v, n) for n in (20, 40, 80)]
    second = [error_of(dpm_solver_2m, v, n) for n in (20, 40, 80)]
    assert all(s < f / 3 for f, s in zip(first, second))
    assert 1.7 < first[0] / first[1] < 2.3 and 1.7 < first[1] / first[2] < 2.3
    assert second[0] / second[1] > 3 and second[1] / second[2] > 3


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_known_answer_is_reached_by_any_grid(name):
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 3, 4, generator=generator)
    options = {"nearest": lambda y: y} if name == "hard_rounding" else {}
    seen = []
    x = SAMPLERS[name](
        lambda x, t: target,
        torch.randn(2, 3, 4, generator=generator),
        torch.tensor([1.0, 0.9, 0.35, 0.0]),
        SCHEDULE,
        callback=lambda step, t, x, x0: seen.append((step, round(t.item(), 4))),
        **options,
    )
    torch.testing.assert_close(x, target)
    assert seen == [(0, 1.0), (1, 0.9), (2, 0.35)]


def test_churn_without_noise_is_ddim():
    x, times = torch.ones(1, 2, 3), uniform_times(5)
    still = churn(gaussian(0.3), x, times, SCHEDULE, eta=0.0)
    torch.testing.assert_close(still, ddim(gaussian(0.3), x, times, SCHEDULE))


def test_churn_keeps_the_distribution():
    """Data N(0, v), many samples: the variance at the end is v."""
    v, generator = 0.3, torch.Generator().manual_seed(0)

    def normal(x):
        return torch.randn(x.shape, generator=generator)

    x = normal(torch.empty(1, 20000, 1))
    out = churn(gaussian(v), x, uniform_times(100), SCHEDULE, normal=normal, eta=0.3)
    plain = ddim(gaussian(v), x, uniform_times(100), SCHEDULE)
    # Posterior means carry less variance than samples, the less so per fine step.
    assert out.var().item() == pytest.approx(plain.var().item(), rel=0.1)
    assert not torch.allclose(out, plain, atol=0.05)


def test_hard_rounding_rounds_below_its_time():
    seen = []

    def denoiser(x, t):
        return torch.full_like(x, 0.4)

    def nearest(y):
        return y.round()

    x = hard_rounding(
        denoiser,
        torch.ones(1, 1, 2),
        uniform_times(4),
        SCHEDULE,
        lambda step, t, x, x0: seen.append((t.item(), x0[0, 0, 0].item())),
        nearest=nearest,
        below=0.5,
    )
    assert [x0 for _, x0 in seen] == pytest.approx([0.4, 0.4, 0.0, 0.0])
    assert not x.any()
    with pytest.raises(ValueError, match="nearest"):
        hard_rounding(denoiser, x, uniform_times(2), SCHEDULE)
