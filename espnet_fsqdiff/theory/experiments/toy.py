"""Stage 6: training the small CDCD on toy laws, and what predicts its success."""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch

from espnet_fsqdiff.codebook import Codebook, TableCodebook, build_codebook
from espnet_fsqdiff.codebook.lattices import checkerboard
from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import LinearSchedule
from espnet_fsqdiff.diffusion.times import uniform_times
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.theory.accuracy import grid_accuracy, optimal_accuracy
from espnet_fsqdiff.theory.distance import nearest_neighbour_distance
from espnet_fsqdiff.theory.divergence import counts_of, log_kl, plug_in_kl
from espnet_fsqdiff.theory.experiments.common import Work, parallel, write_table
from espnet_fsqdiff.theory.lattices import deal
from espnet_fsqdiff.theory.points import grid_points, seeded
from espnet_fsqdiff.theory.toy import (
    TokenChain,
    ToyConfig,
    exact_denoiser,
    pairs_of,
    train_toy,
)

# Of the paper: log KL of the original and the perturbed grid, by base.
PRINTED = {(2, "fsq"): -9.55, (2, "perturbed"): -8.68}
PRINTED |= {(3, "fsq"): -7.16, (3, "perturbed"): -6.72}
STRENGTH = 0.5


@dataclass(frozen=True)
class ToySetting:
    """One law and its codebooks.

    Attributes:
        name: For the tables.
        levels: Grid.
        config: Sizes.
        renamed: See `TokenChain`.
        codebooks: Names, of the registry or `d4`.
    """

    name: str
    levels: Tuple[int, ...]
    config: ToyConfig
    renamed: bool
    codebooks: Tuple[str, ...]

    @property
    def chain(self) -> TokenChain:
        """The law."""
        return TokenChain(self.levels, self.config.stay, self.renamed)


def settings(work: Work) -> List[ToySetting]:
    """All toys: single tokens as the paper may have had them, then sequences."""
    budget = work.budget
    base = ToyConfig(num_updates=budget.toy_updates, num_samples=budget.toy_samples)
    single = replace(base, frames=1, width=64, num_samples=4 * budget.toy_samples)
    found = []
    for name, levels in (("base 2", (2,) * 3), ("base 3", (3,) * 3)):
        found.append(
            ToySetting(
                f"{name}, one token", levels, single, False, ("fsq", "perturbed")
            )
        )
        found.append(
            ToySetting(name, levels, base, False, ("fsq", "perturbed", "permuted"))
        )
    two = ("fsq", "perturbed")
    found.append(ToySetting("base 3, renamed", (3,) * 3, base, True, two))
    four = ("fsq", "perturbed", "permuted", "d4")
    found.append(ToySetting("base 4", (4,) * 4, base, False, four))
    found.append(ToySetting("base 4, renamed", (4,) * 4, base, True, ("fsq", "d4")))
    large = replace(
        base,
        num_updates=budget.large_toy_updates,
        width=256,
        feature_dim=128,
        sampling_steps=(5, 25),
        # Enough for 6561 cells, but no more: sampling costs as much as training.
        num_samples=budget.toy_samples * 2 // 5,
    )
    five = ("fsq", "perturbed", "permuted", "e8")
    found.append(ToySetting("base 3, 6561 tokens", (3,) * 8, large, False, five))
    return found


def seeds_of(work: Work, setting: ToySetting) -> int:
    """Trainings of each codebook: all seeds, or two where one takes minutes."""
    return work.budget.seeds if len(setting.levels) < 8 else min(2, work.budget.seeds)


def toy_codebook(name: str, levels: Tuple[int, ...], seed: int) -> Codebook:
    """A codebook by name; seeds of perturbed and permuted ones follow the training."""
    if name == "d4":
        points = checkerboard(levels[0] + 1, len(levels))
        return TableCodebook(deal(points, grid_points(levels)))
    conf = {"seed": seed} if name in ("perturbed", "permuted", "random") else {}
    if name == "perturbed":
        conf["strength"] = STRENGTH * 2 / (levels[0] - 1)
    return build_codebook(name, levels=levels, **conf)


def train(setting: ToySetting, codebook: str, seed: int) -> Dict:
    """One training: sampled sequences (N, T) by steps, and how well it learned."""
    book = toy_codebook(codebook, setting.levels, seed)
    result = train_toy(setting.chain, book, setting.config, seed)
    return {
        "samples": result.samples,
        "cross_entropy": result.cross_entropy,
        "accuracy": result.accuracy,
        "seconds": result.seconds,
    }


def train_once(path: Path, setting: ToySetting, codebook: str, seed: int) -> Dict:
    """`train`, its result kept in a file until the stage is through.

    A stage that was killed goes on where it was: a file of the same setting takes
    the place of the training.
    """
    stamp = repr((setting, codebook, seed))
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("stamp") == stamp:
            logging.info(f"{path}: kept from a run that did not end")
            kept["samples"] = {
                int(s): torch.tensor(x) for s, x in kept["samples"].items()
            }
            return kept
    result = train(setting, codebook, seed)
    samples = {s: x.tolist() for s, x in result["samples"].items()}
    written = {**result, "samples": samples, "stamp": stamp}
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(written), encoding="utf-8")
    return result


def exact_generation(
    levels: Tuple[int, ...], codebook: str, num_samples: int, steps: int
) -> torch.Tensor:
    """Tokens (num_samples, 1) drawn with the best denoiser: no training at all."""
    law = TokenChain(levels).token_law()
    book = toy_codebook(codebook, levels, 0)
    denoiser = exact_denoiser(book.points.double(), law)
    generator = seeded(steps)
    x = torch.randn(num_samples, book.dim, generator=generator, dtype=torch.float64)
    tokens = []
    for part in x.split(20000):
        end = ddim(denoiser, part, uniform_times(steps), LinearSchedule())
        tokens.append(book.nearest(end))
    return torch.cat(tokens).unsqueeze(1)


def _write_exact(work: Work) -> None:
    samples = 5 * work.budget.toy_samples
    grids = ((2,) * 3, (3,) * 3)
    keys = [
        (levels, book, steps)
        for levels in grids
        for book in ("fsq", "perturbed")
        for steps in (5, 12, 25, 100)
    ]
    arguments = [(levels, book, samples, steps) for levels, book, steps in keys]
    found = parallel(exact_generation, arguments, work.nj, "exact denoiser")
    floors = {levels: TokenChain(levels).floors(samples, 1)[0] for levels in grids}
    rows = []
    for (levels, book, steps), tokens in zip(keys, found):
        interval = log_kl([tokens], TokenChain(levels).token_law())
        rows.append(
            {
                "base": levels[0],
                "codebook": book,
                "steps": steps,
                "log KL": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "log KL of true samples": float(np.log(floors[levels])),
                "paper": PRINTED[levels[0], book],
            }
        )
    number = "{:.2f}"
    forms = {"base": "{:g}", "codebook": "{}", "steps": "{:g}"}
    forms |= dict.fromkeys(["log KL", "low", "high"], number)
    forms |= {"log KL of true samples": number, "paper": number}
    write_table(work, "toy_exact", forms, rows)


def _floors(setting: ToySetting) -> Dict[str, Optional[float]]:
    """Log KL of as many true sequences as were sampled."""
    config = setting.config
    tokens, pairs = setting.chain.floors(
        config.num_samples, config.frames, _pairs(setting)
    )
    return {
        "of true samples": float(np.log(tokens)),
        "of true pairs": None if pairs is None else float(np.log(pairs)),
    }


def _pairs(setting: ToySetting) -> bool:
    """Whether pairs are counted: there are some, and not too many cells."""
    return setting.config.frames > 1 and int(np.prod(setting.levels)) <= 64


def _rows(
    setting: ToySetting,
    book: str,
    results: List[Dict],
    floors: Dict[str, Optional[float]],
) -> List[Dict]:
    chain = setting.chain
    law = chain.token_law()
    rows = []
    for steps in setting.config.sampling_steps:
        samples = [r["samples"][steps] for r in results]
        interval = log_kl(samples, law)
        pair_interval = None
        if _pairs(setting):
            pairs = [pairs_of(x, len(law)) for x in samples]
            pair_interval = log_kl(pairs, chain.pair_law().flatten())
        rows.append(
            {
                "toy": setting.name,
                "codebook": book,
                "steps": steps,
                "seeds": len(results),
                "log KL": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "log KL, pairs": pair_interval and pair_interval.mean,
                "low, pairs": pair_interval and pair_interval.low,
                "high, pairs": pair_interval and pair_interval.high,
                **floors,
                "cross-entropy": np.mean([r["cross_entropy"] for r in results]),
                "accuracy": np.mean([r["accuracy"] for r in results]),
                "training, s": np.mean([r["seconds"] for r in results]),
            }
        )
    return rows


def _criteria(work: Work, setting: ToySetting, rows: List[Dict]) -> List[Dict]:
    """D, A and what came of training, by codebook."""
    last = max(setting.config.sampling_steps)
    size = int(np.prod(setting.levels))
    samples = work.budget.large_samples // (4 if size > 1000 else 1)
    # Where the grid is half right: neither trivial nor hopeless.
    grid = grid_points(setting.levels)
    low, high = 0.1, 60.0
    for _ in range(50):
        middle = (low * high) ** 0.5
        above = float(grid_accuracy(setting.levels, middle)) > 0.5
        low, high = (low, middle) if above else (middle, high)
    found = []
    for book in setting.codebooks:
        points = toy_codebook(book, setting.levels, 0).points
        accuracy = float(grid_accuracy(setting.levels, high))
        if book == "fsq":
            points = grid
        elif book != "permuted":
            accuracy, _ = optimal_accuracy(points, high, samples, seed=5)
        row = next(x for x in rows if x["codebook"] == book and x["steps"] == last)
        found.append(
            {
                "toy": setting.name,
                "codebook": book,
                "D": float(nearest_neighbour_distance(points).mean()),
                "r": high,
                "A": accuracy,
                "cross-entropy": row["cross-entropy"],
                "accuracy in training": row["accuracy"],
                "log KL": row["log KL"],
                "log KL, pairs": row["log KL, pairs"],
            }
        )
    return found


def run(work: Work) -> None:
    """Write `toy`, `toy_exact` and `criteria`."""
    _write_exact(work)
    todo = settings(work)
    parts = work.data("toy_parts")
    jobs = [
        (parts / f"{setting.name}, {book}, {seed}.json", setting, book, seed)
        for setting in reversed(todo)  # the long ones first
        for book in setting.codebooks
        for seed in range(seeds_of(work, setting))
    ]
    found = parallel(train_once, jobs, work.nj, "trainings")
    results: Dict[Tuple[str, str], List[Dict]] = {}
    for (_, setting, book, _), result in zip(jobs, found):
        results.setdefault((setting.name, book), []).append(result)
    rows, criteria = [], []
    for setting in todo:
        own = []
        floors = _floors(setting)
        for book in setting.codebooks:
            own += _rows(setting, book, results[setting.name, book], floors)
        rows += own
        criteria += _criteria(work, setting, own)
    number = "{:.2f}"
    forms = {"toy": "{}", "codebook": "{}", "steps": "{:g}", "seeds": "{:g}"}
    forms |= dict.fromkeys(["log KL", "low", "high", "of true samples"], number)
    forms |= dict.fromkeys(["log KL, pairs", "low, pairs", "high, pairs"], number)
    forms |= {"of true pairs": number, "cross-entropy": "{:.4f}"}
    forms |= {"accuracy": "{:.4f}", "training, s": "{:.0f}"}
    write_table(work, "toy", forms, rows)
    forms = {"toy": "{}", "codebook": "{}", "D": "{:.4f}", "r": "{:.2f}"}
    forms |= {"A": "{:.4f}", "cross-entropy": "{:.4f}"}
    forms |= {"accuracy in training": "{:.4f}"}
    forms |= {"log KL": number, "log KL, pairs": number}
    write_table(work, "criteria", forms, criteria)
    laws = {setting.name: setting.chain.token_law() for setting in todo}
    kept = {
        f"{name}/{book}": [
            {
                str(s): float(plug_in_kl(counts_of(x, len(laws[name])), laws[name]))
                for s, x in r["samples"].items()
            }
            for r in trainings
        ]
        for (name, book), trainings in results.items()
    }
    with atomic_path(work.data("toy_kl_by_seed.json")) as path:
        path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    shutil.rmtree(parts)
