"""Samplers: pure functions from noise to the clean estimate.

A denoiser is a function (x, t) -> x0_hat, x and x0_hat (B, T, n), t a scalar
tensor; it owns the text, the prompt and the guidance. Every sampler takes one
network call per step of the time grid (see `diffusion.times`).
"""

from typing import Callable, Optional

import torch

from espnet_fsqdiff.diffusion.schedule import Schedule

Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Callback = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], None]


def _ddim_step(x, x0, t, s, schedule):
    """From time t to s along the straight line between x0 and the noise in x."""
    ratio = schedule.sigma(s) / schedule.sigma(t)
    return schedule.alpha(s) * x0 + ratio * (x - schedule.alpha(t) * x0)


def ddim(
    denoiser: Denoiser,
    x: torch.Tensor,
    times: torch.Tensor,
    schedule: Schedule,
    callback: Optional[Callback] = None,
) -> torch.Tensor:
    """Deterministic sampler (Song et al., 2021), a step from t to s being

        x_s = alpha_s x0_hat + (sigma_s / sigma_t) (x_t - alpha_t x0_hat)

    This form never divides by alpha, which is 0 at t = 1.

    Args:
        denoiser: Clean estimate of x at time t.
        x: Noise (B, T, n) at times[0].
        times: Decreasing grid (num_steps + 1,).
        schedule: alpha and sigma.
        callback: Called as `callback(step, t, x_t, x0_hat)` before each step.

    Returns:
        x (B, T, n) at times[-1].
    """
    for step in range(len(times) - 1):
        t, s = times[step], times[step + 1]
        x0 = denoiser(x, t)
        if callback is not None:
            callback(step, t, x, x0)
        x = _ddim_step(x, x0, t, s, schedule)
    return x


def dpm_solver_2m(
    denoiser: Denoiser,
    x: torch.Tensor,
    times: torch.Tensor,
    schedule: Schedule,
    callback: Optional[Callback] = None,
) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al., 2022): DDIM with an extrapolated estimate.

    With lambda = log(alpha / sigma), h = lambda_s - lambda_t and the last step's
    h' and estimate x0',

        r = h' / h,   D = x0_hat + (x0_hat - x0') / (2 r)
        x_s = alpha_s D + (sigma_s / sigma_t) (x_t - alpha_t D)

    which is the published update, since
    sigma_s / sigma_t alpha_t = alpha_s exp(-h). First order at the first step and
    at those that touch t = 1 (lambda = -inf) or t = 0 (lambda = inf).

    Args, Returns: As in `ddim`.
    """
    previous = previous_h = None
    for step in range(len(times) - 1):
        t, s = times[step], times[step + 1]
        x0 = denoiser(x, t)
        if callback is not None:
            callback(step, t, x, x0)
        h = _log_snr(schedule, s) - _log_snr(schedule, t)
        estimate = x0
        if previous is not None and h.isfinite() and previous_h.isfinite():
            estimate = x0 + (x0 - previous) * (h / (2 * previous_h))
        x = _ddim_step(x, estimate, t, s, schedule)
        previous, previous_h = x0, h
    return x


def _log_snr(schedule: Schedule, t: torch.Tensor) -> torch.Tensor:
    """lambda(t) = log(alpha(t) / sigma(t)), float64; half the log of the SNR."""
    t = t.double()
    return schedule.alpha(t).log() - schedule.sigma(t).log()


def churn(
    denoiser: Denoiser,
    x: torch.Tensor,
    times: torch.Tensor,
    schedule: Schedule,
    callback: Optional[Callback] = None,
    normal: Callable[[torch.Tensor], torch.Tensor] = torch.randn_like,
    eta: float = 0.5,
    noise_std: float = 1.0,
) -> torch.Tensor:
    """DDIM that replaces a part of the noise by fresh noise in every step.

        x_s = alpha_s x0_hat + sigma_s (sqrt(1 - eta^2) e + eta noise_std z)
        e = (x_t - alpha_t x0_hat) / sigma_t,    z ~ N(0, I)

    eta = 0 is DDIM; eta = 1 forgets all noise but the estimate. What an early
    wrong decision left in x can so be corrected (Karras et al., 2022, sec. 4;
    Song et al., 2021, eq. 16). The last step to sigma = 0 adds none.

    Args:
        normal: Gives z, standard normal and of the shape of its argument. Where
            an utterance shall not depend on its batch, it has to draw the frames
            of each from a generator of its own.
        eta: Share of fresh noise, 0 to 1.
        noise_std: Of the fresh noise; that of the prior for a shrunk prior.

    Other args and returns: As in `ddim`.
    """
    keep = (1 - eta * eta) ** 0.5
    for step in range(len(times) - 1):
        t, s = times[step], times[step + 1]
        x0 = denoiser(x, t)
        if callback is not None:
            callback(step, t, x, x0)
        noise = (x - schedule.alpha(t) * x0) / schedule.sigma(t)
        if schedule.sigma(s) > 0 and eta > 0:
            noise = keep * noise + eta * noise_std * normal(x)
        x = schedule.alpha(s) * x0 + schedule.sigma(s) * noise
    return x


def hard_rounding(
    denoiser: Denoiser,
    x: torch.Tensor,
    times: torch.Tensor,
    schedule: Schedule,
    callback: Optional[Callback] = None,
    nearest: Optional[Callable[[torch.Tensor], torch.Tensor]] = None,
    below: float = 1.0,
) -> torch.Tensor:
    """DDIM towards the nearest code instead of the mean of the codes.

    The estimate is rounded at times t <= `below`: decisions are taken at once
    and for good, which costs variety and saves steps (the clamping trick of
    Li et al., 2022, Diffusion-LM).

    Args:
        nearest: Latents (B, T, n) to the nearest code's latents (B, T, n).
        below: Largest time at which the estimate is rounded.

    Other args and returns: As in `ddim`.
    """
    if nearest is None:
        raise ValueError("hard_rounding needs `nearest`, the rounding to the codebook")

    def rounded(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        x0 = denoiser(y, t)
        return nearest(x0) if t <= below else x0

    return ddim(rounded, x, times, schedule, callback)


SAMPLERS = {
    "ddim": ddim,
    "dpm_solver_2m": dpm_solver_2m,
    "churn": churn,
    "hard_rounding": hard_rounding,
}
