"""What the stages share: their size, their tables, their missing inputs."""

import csv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

Row = Mapping[str, Any]

# Number, name in run.sh and files of each stage that others read.
MAKERS = {
    "path_kl": (1, "path KL"),
    "distance_random": (2, "distance"),
    "distance_ascent": (2, "distance"),
    "accuracy_printed": (3, "accuracy"),
    "accuracy_random": (3, "accuracy"),
    "accuracy_curves": (3, "accuracy"),
    "accuracy_line": (3, "accuracy"),
    "priors": (4, "priors"),
    "e8": (5, "counterexamples"),
    "crossings": (5, "counterexamples"),
    "lattices": (5, "counterexamples"),
    "small_noise": (5, "counterexamples"),
    "search": (5, "counterexamples"),
    "toy": (6, "toy generation"),
    "toy_exact": (6, "toy generation"),
    "criteria": (6, "toy generation"),
}


@dataclass(frozen=True)
class Budget:
    """How much is computed.

    Attributes:
        paths: Simulated paths.
        codebooks: Random codebooks of each size.
        starts: Starts of each ascent.
        ascent_steps: Steps of an ascent.
        samples: Draws for codebooks of up to a thousand points.
        large_samples: Draws for larger ones.
        large_ascent_steps: Steps of an ascent on a large codebook.
        seeds: Trainings of each toy.
        toy_updates: Updates of a small toy.
        large_toy_updates: Updates of the toy of 6561 tokens.
        toy_samples: Sequences sampled.
    """

    paths: int = 20000
    codebooks: int = 10000
    starts: int = 8
    ascent_steps: int = 800
    samples: int = 200000
    large_samples: int = 16384
    large_ascent_steps: int = 150
    seeds: int = 3
    toy_updates: int = 1000
    large_toy_updates: int = 500
    toy_samples: int = 10000


QUICK = Budget(
    paths=1000,
    codebooks=50,
    starts=2,
    ascent_steps=30,
    samples=5000,
    large_samples=128,
    large_ascent_steps=3,
    seeds=1,
    toy_updates=10,
    large_toy_updates=3,
    toy_samples=200,
)


@dataclass(frozen=True)
class Work:
    """Where a stage writes, and how much it computes.

    Attributes:
        outdir: Directory with `tables/`, `figures/`, `data/` and `report/`.
        budget: Sizes.
        nj: Processes.
        counts: The file of token counts (stage 4 reads it).
    """

    outdir: Path
    budget: Budget
    nj: int = 1
    counts: Path = Path("local/counts_kathleen.txt")

    def data(self, name: str) -> Path:
        """Path of a file of numbers for the figures."""
        return self.outdir / "data" / name


def write_table(
    work: Work, name: str, forms: Mapping[str, str], rows: Sequence[Row]
) -> None:
    """Write `tables/<name>.csv` in full and `tables/<name>.md` rounded.

    Args:
        work: Names the directory.
        name: Of the table, one of `MAKERS`.
        forms: Format of every column, in order, e.g. `{"r": "{:g}"}`.
        rows: Value by column; None is an empty cell.
    """
    if name not in MAKERS:
        raise KeyError(f"table {name} is in no stage's list")
    directory = work.outdir / "tables"
    with atomic_path(directory / f"{name}.csv") as path:
        with open(path, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(forms))
            writer.writeheader()
            writer.writerows(rows)
    with atomic_path(directory / f"{name}.md") as path:
        path.write_text(markdown(forms, rows), encoding="utf-8")


def markdown(forms: Mapping[str, str], rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(forms) + " |", "|" + "---|" * len(forms)]
    for row in rows:
        cells = ["" if row[k] is None else f.format(row[k]) for k, f in forms.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(cell: str) -> Any:
    if cell == "":
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def require(work: Work, path: Path, table: str) -> Path:
    """The path, if it is there; else say which stage makes it."""
    if not path.is_file():
        number, name = MAKERS[table]
        raise InputError(
            f"{path} is missing; run stage {number} ({name}) first: --stage {number}"
        )
    return path


def read_table(work: Work, name: str) -> List[Dict[str, Any]]:
    """Rows of `tables/<name>.csv`, numbers as float, empty cells as None.

    Raises:
        InputError: If it is missing; the message names the stage that makes it.
    """
    path = require(work, work.outdir / "tables" / f"{name}.csv", name)
    with open(path, newline="", encoding="utf-8") as f:
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(f)]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def parallel(
    function: Callable, arguments: Sequence[Tuple], nj: int, name: str
) -> List[Any]:
    """function(*arguments[i]) of all i in order, in nj processes of one thread."""
    from tqdm import tqdm

    if nj == 1:
        _one_thread()
        return [function(*a) for a in tqdm(arguments, desc=name, disable=None)]
    with ProcessPoolExecutor(nj, get_context("spawn"), _one_thread) as pool:
        futures = [pool.submit(function, *a) for a in arguments]
        return [f.result() for f in tqdm(futures, desc=name, disable=None)]
