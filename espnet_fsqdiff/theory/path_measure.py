"""How far apart the reverse diffusions towards two tokens are, as path measures.

The process x_t = alpha x_0 + sigma eps is the solution of dx = f x dt + g dw with
f = alpha' / alpha and g^2 = (sigma^2)' - 2 f sigma^2. Conditioned on x_0 = a it
runs backwards in t as

    dx = [f x + g^2 (x - alpha a) / sigma^2] dt + g dw,

started from the same x_1 for every a. Two of them differ in drift alone, by
g^2 alpha (a - b) / sigma^2, and Girsanov's theorem gives

    KL = 1/2 |a - b|^2 Integral_{t0}^{1} g^2 alpha^2 / sigma^4 dt
       = 1/2 |a - b|^2 (SNR(t0) - SNR(1)),     SNR = alpha^2 / sigma^2,

since g^2 alpha^2 / sigma^4 = -SNR'. The integral is Statement 4.2 of arXiv
2606.09962; the closed form shows that of the schedule only its ends matter.
"""

from typing import NamedTuple, Tuple

import torch

from espnet_fsqdiff.diffusion.schedule import LinearSchedule, Schedule
from espnet_fsqdiff.theory.points import seeded


def _check_time(t0: float) -> torch.Tensor:
    if not 0 < t0 <= 1:
        raise ValueError(f"t0 is {t0}; give 0 < t0 <= 1")
    return torch.tensor(t0, dtype=torch.float64)


def _square_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    return (a - b).square().sum(-1)


def path_kl(
    a: torch.Tensor,
    b: torch.Tensor,
    t0: float,
    schedule: Schedule = LinearSchedule(),
) -> torch.Tensor:
    """KL divergence between the reverse diffusions that end at a and at b.

        KL = 1/2 |a - b|^2 (SNR(t0) - SNR(1))

    (arXiv 2606.09962, Statement 4.2, with its integral solved.)

    Args:
        a: Points (..., n).
        b: Points (..., n).
        t0: Time down to which the paths are followed, 0 < t0 <= 1; the KL grows
            without bound as the noise at t0 goes to 0.
        schedule: alpha and sigma.

    Returns:
        Nats (...,), float64.

    Raises:
        ValueError: If `t0` is outside its range.
    """
    t = torch.stack([_check_time(t0), torch.ones((), dtype=torch.float64)])
    at_t0, at_one = schedule.snr(t)
    return _square_distance(a, b) / 2 * (at_t0 - at_one)


def _value_and_slope(function, t: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        value = function(t)
        (slope,) = torch.autograd.grad(value.sum(), t)
    return value.detach(), slope


def path_kl_density(t: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """g^2 alpha^2 / sigma^4 at times t > 0, float64.

    Written as 2 alpha (alpha sigma' - alpha' sigma) / sigma^3, which needs no
    division by alpha, 0 at t = 1; derivatives by autograd.
    """
    alpha, d_alpha = _value_and_slope(schedule.alpha, t.double())
    sigma, d_sigma = _value_and_slope(schedule.sigma, t.double())
    return 2 * alpha * (alpha * d_sigma - d_alpha * sigma) / sigma**3


def path_kl_quadrature(
    a: torch.Tensor,
    b: torch.Tensor,
    t0: float,
    schedule: Schedule = LinearSchedule(),
) -> torch.Tensor:
    """`path_kl` by adaptive quadrature of g^2 alpha^2 / sigma^4 over log t.

    Returns:
        Nats (...,), float64, to about 1e-9 of their size.
    """
    from scipy.integrate import quad

    def integrand(log_t: float) -> float:
        t = torch.tensor([log_t], dtype=torch.float64).exp()
        return float(t * path_kl_density(t, schedule))

    lower = float(_check_time(t0).log())
    integral, _ = quad(integrand, lower, 0.0, epsabs=0, epsrel=1e-10, limit=500)
    return _square_distance(a, b) / 2 * integral


def times_by_snr(
    t0: float, t1: float, num_steps: int, schedule: Schedule
) -> torch.Tensor:
    """Times (num_steps + 1,) from t1 down to t0, equally spaced in log SNR."""
    ends = torch.tensor([t1, t0], dtype=torch.float64)
    first, last = schedule.snr(ends).log()
    target = torch.linspace(float(first), float(last), num_steps + 1).double()
    low = torch.full_like(target, t0)
    high = torch.full_like(target, t1)
    for _ in range(60):  # bisection: the SNR falls with t
        middle = (low + high) / 2
        above = schedule.snr(middle).log() > target
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    times = (low + high) / 2
    times[0], times[-1] = t1, t0
    return times


class SimulatedKL(NamedTuple):
    """Monte Carlo over simulated paths.

    Attributes:
        estimate: Mean log density ratio, nats.
        standard_error: Of the estimate.
        end: The paths at t0 (num_paths, n).
        weight_mean: Mean of dP_b / dP_a, 1 but for chance.
    """

    estimate: float
    standard_error: float
    end: torch.Tensor
    weight_mean: float


def path_kl_simulated(
    a: torch.Tensor,
    b: torch.Tensor,
    t0: float,
    schedule: Schedule = LinearSchedule(),
    num_paths: int = 2000,
    num_steps: int = 1000,
    seed: int = 0,
    t1: float = 1 - 1e-4,
) -> SimulatedKL:
    """`path_kl` by simulating the reverse diffusion that ends at a.

    Euler-Maruyama on steps equal in log SNR, coefficients taken at the middle of
    a step. The density comes from the path alone (Girsanov): with the drifts u_a
    and u_b of the two processes at x,

        log dP_a / dP_b = sum [(u_a - u_b) . dx - (|u_a|^2 - |u_b|^2) h / 2] / g^2

    and KL(P_a | P_b) is its mean over paths of P_a.

    Args:
        a: Point (n,) that the paths end at.
        b: Point (n,) of the other process.
        t0: End of the paths, in (0, t1).
        schedule: alpha and sigma.
        num_paths: Paths.
        num_steps: Steps of a path; the error of stepping falls with their square.
        seed: Of the noise.
        t1: Start of the paths, below 1, where f and g of the usual schedules have
            no bound. What [t1, 1] would add is 1/2 |a - b|^2 (SNR(t1) - SNR(1)).

    Returns:
        Estimate, standard error, and what tells that the paths are right.
    """
    generator = seeded(seed)
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    times = times_by_snr(float(_check_time(t0)), t1, num_steps, schedule)

    def draw() -> torch.Tensor:
        size = (num_paths, a.numel())
        return torch.randn(size, generator=generator, dtype=torch.float64)

    middles = (times[:-1] + times[1:]) / 2
    steps = times[:-1] - times[1:]
    alphas, alpha_slopes = _value_and_slope(schedule.alpha, middles)
    sigmas, sigma_slopes = _value_and_slope(schedule.sigma, middles)
    x = schedule.alpha(times[0]) * a + schedule.sigma(times[0]) * draw()
    log_ratio = torch.zeros(num_paths, dtype=torch.float64)
    for h, alpha, d_alpha, sigma, d_sigma in zip(
        steps, alphas, alpha_slopes, sigmas, sigma_slopes
    ):
        f = d_alpha / alpha
        g2 = 2 * sigma * (d_sigma - f * sigma)
        # Drifts in backward time: -f x + g^2 score.
        u_a = -f * x - g2 * (x - alpha * a) / sigma**2
        u_b = -f * x - g2 * (x - alpha * b) / sigma**2
        dx = u_a * h + (g2 * h).sqrt() * draw()
        x = x + dx
        density = (u_a - u_b) * dx - (u_a.square() - u_b.square()) * h / 2
        log_ratio += density.sum(-1) / g2
    return SimulatedKL(
        float(log_ratio.mean()),
        float(log_ratio.std() / num_paths**0.5),
        x,
        float(torch.exp(-log_ratio).mean()),
    )
