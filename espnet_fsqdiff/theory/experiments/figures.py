"""Stage 7: figures from the tables of stages 1 to 6."""

from importlib.util import find_spec

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.plotting import save
from espnet_fsqdiff.theory import figures
from espnet_fsqdiff.theory.experiments.common import Work, read_table, require
from espnet_fsqdiff.theory.experiments.paths import SCHEDULES

# Name and caption, in the report's order.
CAPTIONS = {
    "trajectories": "Reverse diffusion in the plane with the exact denoiser: towards "
    "the 3 x 3 grid and towards nine random points. Behind: the most likely token at "
    "t = 0.2, the deeper the surer.",
    "path_kl": "Path KL against the distance of the two ends: closed form (lines) "
    "and simulated paths with two standard errors.",
    "distance_histograms": "D(E) of random codebooks; the line is the FSQ grid.",
    "accuracy_curves": "Optimal accuracy of the grids over r, and E8's minus the "
    "grid's.",
    "priors": "Optimal accuracy with the frequencies of real tokens, and without.",
    "toy": "log KL between generated and true tokens against sampling steps, with "
    "95 % bootstrap intervals; dotted: as many samples of the true law.",
    "criteria": "Every codebook against the grid of its toy, at the most steps.",
}


def run(work: Work) -> None:
    """Write `figures/<name>.png` and `.svg` of every name in `CAPTIONS`.

    Raises:
        InputError: If matplotlib or a table is missing.
    """
    if find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install matplotlib")
    samples = require(work, work.data("distance_samples.npz"), "distance_random")
    tables = {
        name: read_table(work, name)
        for name in ("path_kl", "accuracy_curves", "e8", "priors", "toy", "criteria")
    }
    with np.load(samples) as histogram:
        drawn = {
            "trajectories": figures.trajectories(),
            "path_kl": figures.kl_against_distance(SCHEDULES, tables["path_kl"]),
            "distance_histograms": figures.distance_histograms(histogram),
            "accuracy_curves": figures.accuracy_curves(
                tables["accuracy_curves"], tables["e8"]
            ),
            "priors": figures.prior_curves(tables["priors"]),
            "toy": figures.toy_curves(tables["toy"]),
            "criteria": figures.criteria_scatter(tables["criteria"]),
        }
    for name in CAPTIONS:
        save(drawn[name], work.outdir / "figures" / name)
