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


def floor_of(law: torch.Tensor, num_samples: int, seed: int = 0) -> float:
    """Mean `plug_in_kl` of samples of the law itself: what a perfect model gets."""
    counts = _resample(law.expand(20, -1), num_samples, seed)
    return float(plug_in_kl(counts, law).mean())


def _resample(laws: torch.Tensor, num_samples: int, seed: int) -> torch.Tensor:
    """Counts (B, K) of num_samples draws from each law (B, K)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    p = laws.double().numpy()
    p = p / p.sum(-1, keepdims=True)
    return torch.from_numpy(rng.multinomial(num_samples, p))


class LogKL(NamedTuple):
    """log KL, mean over seeds, and its bootstrap interval (95 %)."""

    mean: float
    low: float
    high: float


def log_kl(
    counts: Sequence[torch.Tensor],
    law: torch.Tensor,
    num_bootstraps: int = 200,
    seed: int = 0,
) -> LogKL:
    """Mean over trainings of log KL with a two-level bootstrap.

    A replicate draws trainings with replacement, and for each of them counts
    from its empirical law. Counting anew adds to the plug-in KL what counting
    once has added before; the mean of that is subtracted in the logarithm.

    Args:
        counts: Counts (K,) of each training, all of one number of samples.
        law: The true law (K,).
        num_bootstraps: Replicates.
        seed: Of the bootstrap.
    """
    found = torch.stack([plug_in_kl(c, law) for c in counts]).log()
    replicates = []
    for i, c in enumerate(counts):
        again = _resample(
            (c / c.sum()).expand(num_bootstraps, -1), int(c.sum()), seed + i
        )
        values = plug_in_kl(again, law).log()
        replicates.append(values - values.mean() + found[i])
    table = torch.stack(replicates, dim=1)  # (num_bootstraps, trainings)
    generator = seeded(seed)
    chosen = torch.randint(len(counts), table.shape, generator=generator)
    means = table.gather(1, chosen).mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975]).double())
    return LogKL(float(found.mean()), float(low), float(high))
