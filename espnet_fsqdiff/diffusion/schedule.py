"""Noise schedules.

The forward process is x_t = alpha(t) x_0 + sigma(t) eps, eps ~ N(0, I), with t
from 0 (clean) to 1 (noise).
"""

import math

import torch


class Schedule:
    """A pair of functions alpha(t), sigma(t) on [0, 1]."""

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        """Factor of the clean signal."""
        raise NotImplementedError

    def sigma(self, t: torch.Tensor) -> torch.Tensor:
        """Standard deviation of the noise."""
        raise NotImplementedError

    def snr(self, t: torch.Tensor) -> torch.Tensor:
        """Signal-to-noise ratio alpha(t)^2 / sigma(t)^2."""
        return (self.alpha(t) / self.sigma(t)).square()


class LinearSchedule(Schedule):
    """alpha = 1 - t, sigma = sqrt(t (2 - t)), so that alpha^2 + sigma^2 = 1.

    The schedule of arXiv 2606.09962.
    """

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        return 1 - t

    def sigma(self, t: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(t * (2 - t))


class CosineSchedule(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        return torch.cos(t * (math.pi / 2))

    def sigma(self, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(t * (math.pi / 2))


class VarianceExplodingSchedule(Schedule):
    """alpha = 1, sigma = sigma_min (sigma_max / sigma_min)^t (Song et al., 2021).

    Neither end is that of the other schedules: noise of sigma_min is left at
    t = 0, and the signal has the SNR 1 / sigma_max^2 at t = 1. The theory takes
    it; the samplers, which start from noise alone, are not meant for it.

    Args:
        sigma_min: Noise at t = 0.
        sigma_max: Noise at t = 1.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0):
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        # Depends on t in form, so that it has a derivative: 0.
        return 1 + 0 * t

    def sigma(self, t: torch.Tensor) -> torch.Tensor:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t


# What models are trained with: from clean tokens at 0 to noise alone at 1.
SCHEDULES = {"linear": LinearSchedule, "cosine": CosineSchedule}
