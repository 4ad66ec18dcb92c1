"""A codebook in a few figures."""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.diffusion.schedule import LinearSchedule, Schedule
from espnet_fsqdiff.theory.accuracy import optimal_accuracy
from espnet_fsqdiff.theory.distance import nearest_neighbours
from espnet_fsqdiff.theory.path_measure import path_kl
from espnet_fsqdiff.theory.points import as_points

RATIOS = (0.3, 1.0, 2.0)


class CodebookSummary(NamedTuple):
    """What the theory says about a codebook.

    Attributes:
        num_codes: K.
        dim: n.
        largest: Largest coordinate in size; the theorems hold for 1 at most.
        rms_norm: Root of mean_k |E_k - mean E|^2: the signal, in the unit of the
            noise at alpha = sigma.
        distance: D(E), the mean distance to the nearest other point.
        least_distance: The smallest of these.
        accuracy: A(E, r) and its standard error, by r = alpha / sigma.
        path_kl: Mean KL divergence, in nats, between the reverse diffusions towards
            a token and towards its nearest neighbour, followed down to `t0`.
    """

    num_codes: int
    dim: int
    largest: float
    rms_norm: float
    distance: float
    least_distance: float
    accuracy: Dict[float, Tuple[float, float]]
    path_kl: float


def summarize(
    codebook: Union[torch.Tensor, Codebook],
    ratios: Sequence[float] = RATIOS,
    t0: float = 0.1,
    num_samples: int = 20000,
    seed: int = 0,
    prior: Optional[torch.Tensor] = None,
    schedule: Schedule = LinearSchedule(),
) -> CodebookSummary:
    """Distances, optimal accuracy and path KL of a codebook.

    Args:
        codebook: Points (K, n), K >= 2, or a codebook.
        ratios: Values of r = alpha / sigma for A(E, r).
        t0: End of the paths, 0 < t0 <= 1.
        num_samples: Draws for each A(E, r).
        seed: Of the draws.
        prior: Weights (K,) of the tokens for A(E, r), equal by default; the other
            figures weight all tokens alike.
        schedule: For the path KL.

    Raises:
        ValueError: If there is one point only, or `t0` or the prior is out of range.
    """
    points = as_points(codebook)
    neighbours = points[nearest_neighbours(points)]
    distances = torch.linalg.vector_norm(points - neighbours, dim=-1)
    centred = points - points.mean(0)
    return CodebookSummary(
        num_codes=len(points),
        dim=points.size(1),
        largest=float(points.abs().max()),
        rms_norm=float(centred.square().sum(-1).mean().sqrt()),
        distance=float(distances.mean()),
        least_distance=float(distances.min()),
        accuracy={
            float(r): optimal_accuracy(points, r, num_samples, seed, prior)
            for r in ratios
        },
        path_kl=float(path_kl(points, neighbours, t0, schedule).mean()),
    )
