"""Samplers: pure functions from noise to the clean estimate.

A denoiser is a function (x, t) -> x0_hat, x and x0_hat (B, T, n), t a scalar
tensor; it owns the text, the prompt and the guidance.
"""

from typing import Callable, Optional

import torch

from espnet_fsqdiff.diffusion.schedule import Schedule

Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Callback = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], None]


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
        ratio = schedule.sigma(s) / schedule.sigma(t)
        x = schedule.alpha(s) * x0 + ratio * (x - schedule.alpha(t) * x0)
    return x
