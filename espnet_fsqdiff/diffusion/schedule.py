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


SCHEDULES = {"linear": LinearSchedule, "cosine": CosineSchedule}
