"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import nn


class EMA(nn.Module):
    """A copy of a network that follows it slowly; saved and resumed with it.

    After update number u (from 1) the copy moves by

        ema = d ema + (1 - d) weight,    d = min(decay, u / (u + 10))

    so that early averages forget the random start.

    Args:
        network: The network to follow.
        decay: Largest d.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999):
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        # Float: averaging checkpoints would add up an integer.
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the weights of `network`; its buffers are copied."""
        self.num_updates += 1
        updates = self.num_updates.item()
        decay = min(self.decay, updates / (updates + 10))
        mine = list(self.network.parameters())
        torch._foreach_lerp_(mine, list(network.parameters()), 1 - decay)
        for copied, buffer in zip(self.network.buffers(), network.buffers()):
            copied.copy_(buffer)

    def forward(self, *args, **kwargs):
        """Call the averaged network."""
        return self.network(*args, **kwargs)
