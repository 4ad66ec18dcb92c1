"""The pictures of the report; matplotlib is imported when one is drawn."""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import torch

from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import LinearSchedule, Schedule
from espnet_fsqdiff.diffusion.times import uniform_times
from espnet_fsqdiff.plotting import COLOURS, INK, new_figure, tidy
from espnet_fsqdiff.theory.path_measure import path_kl
from espnet_fsqdiff.theory.points import grid_points, seeded, uniform_points
from espnet_fsqdiff.theory.toy import exact_denoiser

Rows = Sequence[Mapping[str, Any]]


def trajectories(num_paths: int = 40, num_steps: int = 100, t_regions: float = 0.2):
    """Reverse diffusion in the plane towards the 3 x 3 grid and to random points.

    Behind them: which token is the most likely one at time `t_regions`, the
    deeper the colour the surer. Paths are those of the exact denoiser.
    """
    figure = new_figure(9, 4.4)
    schedule = LinearSchedule()
    books = {
        "FSQ, base 3": grid_points([3, 3]),
        "nine random points": uniform_points((9, 2), seeded(3)),
    }
    start = torch.randn(num_paths, 2, generator=seeded(0), dtype=torch.float64)
    t = torch.tensor(t_regions, dtype=torch.float64)
    side = torch.linspace(-1.8, 1.8, 301, dtype=torch.float64)
    y, x = torch.meshgrid(side, side, indexing="ij")
    places = torch.stack([x, y], -1)
    colours = np.array(
        [[0.85, 0.45, 0.30], [0.25, 0.50, 0.65], [0.50, 0.62, 0.30]]
        + [[0.60, 0.42, 0.70], [0.80, 0.65, 0.15], [0.45, 0.45, 0.45]]
        + [[0.30, 0.65, 0.60], [0.75, 0.40, 0.55], [0.40, 0.40, 0.75]]
    )
    for axis, (name, points) in zip(figure.subplots(1, 2), books.items()):
        alpha, variance = schedule.alpha(t), schedule.sigma(t) ** 2
        score = alpha * places @ points.T - alpha**2 * points.square().sum(-1) / 2
        best, token = (score / variance).softmax(-1).max(-1)
        sure = ((best - 1 / 9) / (1 - 1 / 9)).unsqueeze(-1).numpy() * 0.6
        image = 1 - sure * (1 - colours[token.numpy()])
        axis.imshow(image, origin="lower", extent=(-1.8, 1.8) * 2)
        seen = [start]
        law = torch.full((9,), 1 / 9, dtype=torch.float64)
        end = ddim(
            exact_denoiser(points, law),
            start,
            uniform_times(num_steps).double(),
            schedule,
            callback=lambda step, t, x, x0: seen.append(x),
        )
        path = torch.stack([*seen[1:], end]).numpy()
        axis.plot(path[..., 0], path[..., 1], color=INK, lw=0.6, alpha=0.6)
        axis.scatter(*end.T.numpy(), s=8, color=INK, zorder=3)
        axis.scatter(
            *points.T.numpy(), s=60, facecolor="none", edgecolor="black", lw=1.3
        )
        axis.set_xlim(-1.8, 1.8)
        axis.set_ylim(-1.8, 1.8)
        tidy(axis, name)
        axis.grid(False)
    return figure


def kl_against_distance(schedules: Mapping[str, Schedule], rows: Rows):
    """Path KL over distance: closed form as lines, simulations as points."""
    figure = new_figure(9, 3)
    axes = figure.subplots(1, len(schedules), sharey=True)
    distance = np.geomspace(0.3, 2.2, 100)
    for axis, (name, schedule) in zip(axes, schedules.items()):
        for colour, t0 in zip(COLOURS, (0.1, 0.3, 0.7)):
            ends = torch.from_numpy(distance).unsqueeze(-1)
            kl = path_kl(ends, torch.zeros(1), t0, schedule).numpy()
            axis.plot(distance, kl, color=colour, lw=1.2, label=f"$t_0$ = {t0:g}")
            own = [r for r in rows if r["schedule"] == name and r["t0"] == t0]
            axis.errorbar(
                [r["distance"] for r in own],
                [r["simulated"] for r in own],
                [2 * r["standard error"] for r in own],
                fmt="o",
                ms=3,
                color=colour,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks([0.5, 1, 2], ["0.5", "1", "2"])
        axis.minorticks_off()
        tidy(axis, name, "|a - b|", "path KL, nats")
    axes[0].legend(fontsize=7, frameon=False)
    return figure


def distance_histograms(samples: Mapping[str, np.ndarray]):
    """D(E) of random codebooks, one panel a size, the grid marked."""
    figure = new_figure(9, 4)
    for axis, (key, values) in zip(figure.subplots(2, 4).flat, samples.items()):
        base, n = map(int, key.split("_"))
        axis.hist(values, bins=40, color=COLOURS[1], alpha=0.8)
        axis.axvline(2 / (base - 1), color=COLOURS[0], lw=1.5)
        axis.set_yticks([])
        tidy(axis, f"base {base}, n = {n}", "D(E)")
    return figure


def accuracy_curves(rows: Rows, e8: Rows):
    """A over r of the grids, and E8 minus the grid of 6561 points."""
    figure = new_figure(9, 3.2)
    axes = figure.subplots(1, 3)
    for axis, base in zip(axes, (2, 3)):
        for colour, n in zip(COLOURS, (1, 2, 3, 4, 8)):
            own = [r for r in rows if r["base"] == base and r["n"] == n]
            r = [x["r"] for x in own]
            axis.plot(r, [x["A"] for x in own], color=colour, lw=1.2, label=f"n = {n}")
            axis.plot(r, [x["soft A"] for x in own], color=colour, lw=0.8, ls=":")
        axis.set_xscale("log")
        tidy(axis, f"base {base}: A, dotted soft A", "r = alpha / sigma")
    axes[0].legend(fontsize=7, frameon=False)
    r = [x["r"] for x in e8]
    axes[2].errorbar(
        r,
        [x["difference"] for x in e8],
        [2 * x["standard error"] for x in e8],
        color=COLOURS[0],
        lw=1.2,
        fmt="o-",
        ms=3,
    )
    axes[2].axhline(0, color=INK, lw=0.8)
    tidy(axes[2], "A of E8 - A of the 3^8 grid", "r")
    return figure


def prior_curves(rows: Rows):
    """A over r under real token frequencies and under equal priors."""
    figure = new_figure(9, 3.4)
    axes = figure.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys(r["codebook"] for r in rows))
    for axis, key in zip(axes, ("A, real prior", "A, equal priors")):
        for i, name in enumerate(names):
            own = [r for r in rows if r["codebook"] == name]
            axis.plot(
                [r["r"] for r in own],
                [r[key] for r in own],
                color=COLOURS[i % len(COLOURS)],
                ls="-" if i < len(COLOURS) else "--",
                lw=1.2,
                marker="o",
                ms=3,
                label=name,
            )
        tidy(axis, key, "r = alpha / sigma", "A")
    axes[0].legend(fontsize=6, frameon=False)
    return figure


def toy_curves(rows: Rows):
    """log KL against sampling steps, one panel a toy."""
    names = list(dict.fromkeys(r["toy"] for r in rows))
    figure = new_figure(9, 2.4 * -(-len(names) // 3))
    axes = figure.subplots(-(-len(names) // 3), 3, squeeze=False)
    books = list(dict.fromkeys(r["codebook"] for r in rows))
    colour = dict(zip(books, COLOURS))
    for axis, name in zip(axes.flat, names):
        own = [r for r in rows if r["toy"] == name]
        for book in dict.fromkeys(r["codebook"] for r in own):
            line = [r for r in own if r["codebook"] == book]
            steps = [r["steps"] for r in line]
            mean = np.array([r["log KL"] for r in line])
            low = mean - [r["low"] for r in line]
            high = np.array([r["high"] for r in line]) - mean
            axis.errorbar(
                steps,
                mean,
                np.maximum([low, high], 0),
                color=colour[book],
                lw=1.2,
                marker="o",
                ms=3,
                label=book,
            )
        axis.axhline(own[0]["of true samples"], color=INK, lw=0.8, ls=":")
        axis.set_xscale("log")
        axis.set_xticks([5, 8, 12, 25], ["5", "8", "12", "25"])
        axis.minorticks_off()
        axis.legend(fontsize=6, frameon=False)
        tidy(axis, name, "steps", "log KL")
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    return figure


def criteria_scatter(rows: Rows):
    """Each codebook against the grid of its toy: criteria against outcomes."""
    figure = new_figure(9, 3.2)
    panels = [("D", "log KL"), ("A", "log KL"), ("A", "cross-entropy")]
    books = list(dict.fromkeys(r["codebook"] for r in rows))
    for axis, (criterion, outcome) in zip(figure.subplots(1, 3), panels):
        for i, book in enumerate(books):
            own = relative_to_grid(rows, book, criterion, outcome)
            if own:
                x, y = zip(*own)
                axis.scatter(x, y, s=18, color=COLOURS[i % len(COLOURS)], label=book)
        axis.axhline(0, color=INK, lw=0.6)
        axis.axvline(0, color=INK, lw=0.6)
        tidy(axis, "", f"{criterion} / grid's - 1", f"{outcome} - grid's")
    axis.legend(fontsize=6, frameon=False)
    return figure


def relative_to_grid(rows: Rows, book: str, criterion: str, outcome: str) -> List:
    """Pairs (criterion / grid's - 1, outcome - grid's) of one codebook, by toy."""
    grid: Dict[str, Mapping] = {r["toy"]: r for r in rows if r["codebook"] == "fsq"}
    return [
        (
            r[criterion] / grid[r["toy"]][criterion] - 1,
            r[outcome] - grid[r["toy"]][outcome],
        )
        for r in rows
        if r["codebook"] == book and book != "fsq"
    ]
