"""KL divergence of samples from a known law, and how sure one can be of it."""

from typing import NamedTuple, Sequence

import torch

from espnet_fsqdiff.theory.points import seeded


def plug_in_kl(counts: torch.Tensor, law: torch.Tensor) -> torch.Tensor:
    """KL divergence of the empirical law from the true one.

        KL = sum_k q_k log(q_k / p_k),   q = counts / sum

    For samples of p itself it is about (K - 1) / (2 N), not 0.

    Args:
        counts: (..., K), how often each cell was seen.
        law: p (K,), > 0 wherever something was seen.

    Returns:
        Nats (...,), float64.
    """
    q = counts.double() / counts.sum(-1, keepdim=True)
    return (torch.special.xlogy(q, q) - torch.special.xlogy(q, law)).sum(-1)


def counts_of(cells: torch.Tensor, size: int) -> torch.Tensor:
    """How often each of `size` cells is in `cells`, of any shape: (size,)."""
    return torch.bincount(cells.flatten(), minlength=size)


def _resample(
    cells: torch.Tensor, size: int, num_bootstraps: int, seed: int
) -> torch.Tensor:
    """Counts (num_bootstraps, size) of rows of cells (N, C) drawn with replacement."""
    generator = seeded(seed)
    draws = (
        torch.randint(len(cells), (len(cells),), generator=generator)
        for _ in range(num_bootstraps)
    )
    return torch.stack([counts_of(cells[rows], size) for rows in draws])


class LogKL(NamedTuple):
    """log KL, mean over seeds, and its bootstrap interval (95 %)."""

    mean: float
    low: float
    high: float


def log_kl(
    samples: Sequence[torch.Tensor],
    law: torch.Tensor,
    num_bootstraps: int = 200,
    seed: int = 0,
) -> LogKL:
    """Mean over trainings of log KL with a two-level bootstrap.

    A replicate draws trainings with replacement, and for each of them as many
    sequences as it sampled. Drawing anew adds to the plug-in KL what drawing
    once has added before; the mean of that is subtracted in the logarithm.

    Args:
        samples: Cells (N, C) of each training: the C tokens, or pairs, of each of
            N sequences. Those of a sequence depend on each other.
        law: The true law of a cell (K,).
        num_bootstraps: Replicates.
        seed: Of the bootstrap.
    """
    size = len(law)
    found = torch.stack([plug_in_kl(counts_of(c, size), law) for c in samples]).log()
    replicates = []
    for i, cells in enumerate(samples):
        again = _resample(cells, size, num_bootstraps, seed + i)
        values = plug_in_kl(again, law).log()
        replicates.append(values - values.mean() + found[i])
    table = torch.stack(replicates, dim=1)  # (num_bootstraps, trainings)
    generator = seeded(seed)
    chosen = torch.randint(len(samples), table.shape, generator=generator)
    means = table.gather(1, chosen).mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975]).double())
    return LogKL(float(found.mean()), float(low), float(high))
