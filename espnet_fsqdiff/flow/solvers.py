"""Solvers of dx/dt = v(x, t): pure functions of a velocity and a grid of times."""

from itertools import pairwise
from typing import Callable

import torch

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def euler(velocity: Velocity, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Order 1, one call a step.

        x_{k+1} = x_k + h v(x_k, t_k)

    Args:
        velocity: x and t (scalar) to dx/dt, of the shape of x.
        x: State at `times[0]`.
        times: Grid (N + 1,), of steps h = t_{k+1} - t_k.

    Returns:
        State at `times[-1]`.
    """
    for t, following in pairwise(times):
        x = x + (following - t) * velocity(x, t)
    return x


def midpoint(velocity: Velocity, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Order 2, two calls a step; arguments as of `euler`.

    x_{k+1} = x_k + h v(x_k + h/2 v(x_k, t_k), t_k + h/2)
    """
    for t, following in pairwise(times):
        half = (following - t) / 2
        x = x + 2 * half * velocity(x + half * velocity(x, t), t + half)
    return x


SOLVERS = {"euler": euler, "midpoint": midpoint}
