"""Stage 1: path KL by closed form, quadrature and simulation."""

import torch

from espnet_fsqdiff.diffusion.schedule import (
    CosineSchedule,
    LinearSchedule,
    VarianceExplodingSchedule,
)
from espnet_fsqdiff.theory.experiments.common import Work, write_table
from espnet_fsqdiff.theory.path_measure import (
    path_kl,
    path_kl_quadrature,
    path_kl_simulated,
)

SCHEDULES = {
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "variance-exploding": VarianceExplodingSchedule(0.05, 20.0),
}
# Pairs of points by their distance: neighbours on 3^8, on E8, and corners of 2^8.
PAIRS = {1.0: [1.0, 0.0], 0.8 * 2**0.5: [0.8, 0.8], 2.0: [2.0, 0.0]}


def run(work: Work) -> None:
    """Write the table `path_kl`."""
    rows = []
    seed = 0
    for name, schedule in SCHEDULES.items():
        for t0 in (0.1, 0.3, 0.7):
            for distance, end in PAIRS.items():
                a, b = torch.zeros(2).double(), torch.tensor(end).double()
                seed += 1
                simulated = path_kl_simulated(
                    a, b, t0, schedule, work.budget.paths, 200, seed
                )
                closed = float(path_kl(a, b, t0, schedule))
                rows.append(
                    {
                        "schedule": name,
                        "t0": t0,
                        "distance": distance,
                        "closed form": closed,
                        "quadrature": float(path_kl_quadrature(a, b, t0, schedule)),
                        "simulated": simulated.estimate,
                        "standard error": simulated.standard_error,
                        "deviation / s.e.": (simulated.estimate - closed)
                        / simulated.standard_error,
                    }
                )
    number = "{:.4f}"
    forms = {
        "schedule": "{}",
        "t0": "{:g}",
        "distance": number,
        "closed form": number,
        "quadrature": number,
        "simulated": number,
        "standard error": number,
        "deviation / s.e.": "{:+.2f}",
    }
    write_table(work, "path_kl", forms, rows)
