"""The path of flow matching from noise to data, and times along it."""

import math

import torch


def point(
    noise: torch.Tensor, data: torch.Tensor, t: torch.Tensor, sigma_min: float
) -> torch.Tensor:
    """Where the path is at time t.

        x_t = (1 - (1 - sigma_min) t) x_0 + t x_1

    the straight path of optimal transport (Lipman et al., 2023): pure noise at
    t = 0, data with noise of standard deviation sigma_min at t = 1.

    Args:
        noise: x_0, any shape.
        data: x_1 of the same shape.
        t: In [0, 1], broadcast to that shape.
        sigma_min: Noise left at the end, from 0 to 1.
    """
    return (1 - (1 - sigma_min) * t) * noise + t * data


def velocity(noise: torch.Tensor, data: torch.Tensor, sigma_min: float) -> torch.Tensor:
    """d x_t / d t = x_1 - (1 - sigma_min) x_0, the same at all times."""
    return data - (1 - sigma_min) * noise


def cosine(u: torch.Tensor) -> torch.Tensor:
    """1 - cos(pi u / 2): more of the times are early, where the noise is, as in
    CosyVoice (Du et al., 2024)."""
    return 1 - torch.cos(u * math.pi / 2)


# From [0, 1] onto [0, 1].
TIME_WARPS = {"uniform": lambda u: u, "cosine": cosine}


def time_grid(num_steps: int, time_warp: str = "cosine") -> torch.Tensor:
    """Times (num_steps + 1,) from 0 to 1, even steps of u warped."""
    u = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    return TIME_WARPS[time_warp](u).float()
