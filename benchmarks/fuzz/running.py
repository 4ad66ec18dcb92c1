"""Drawing inputs, giving them to their targets, keeping what fails."""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, List, Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.fuzz.guard import FAULT, REFUSED, WORKED, Guard
from benchmarks.fuzz.target import Case, Target

MAX_KEPT = 50  # failures of one target whose files are kept


@dataclass
class Record:
    """What became of the inputs of one target.

    Attributes:
        name: Of the target.
        counts: Inputs by kind of outcome.
        seconds: Of all of them.
        slowest: Seconds of one.
        grown: Most bytes of memory that one took.
    """

    name: str
    counts: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    grown: int = 0


def shared_out(num_inputs: int, shares: Sequence[int]) -> List[int]:
    """Deal inputs in proportion to shares; the sum is exact."""
    ends, total = [0], sum(shares)
    for share in shares:
        ends.append(ends[-1] + share)
    return [
        num_inputs * b // total - num_inputs * a // total
        for a, b in zip(ends, ends[1:])
    ]


def fuzz(
    target: Target,
    num_inputs: int,
    number: int,
    guard: Guard,
    output_dir: Path,
    tick: Callable[[], None] = lambda: None,
) -> Record:
    """Give a target its inputs.

    Args:
        target: See `Target`.
        num_inputs: How many.
        number: Seed of the inputs.
        guard: Judges each.
        output_dir: A failing input goes into a folder of its own here: `input.txt`,
            `traceback.txt` and the files that the target made of it.
        tick: Called after each input.

    Returns:
        What became of them.
    """
    record = Record(target.name)
    if num_inputs == 0:
        return record
    folder = guard.root / "input"
    running = output_dir / "running.txt"

    def one(case: Case) -> None:
        if sum(record.counts.values()) >= num_inputs:
            return  # hypothesis may draw the simplest input once more
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        # What is left of a hang that nothing but the end of the process stops.
        record_of = f"{target.name}\n{case!r}\n"
        running.write_text(record_of, "utf-8", "backslashreplace")
        names = (*target.names, str(folder)) if target.names else ()
        outcome = guard(
            lambda: target.run(case, folder), names, target.may_run, target.patience
        )
        left = [path.name for path in guard.root.glob("canary*")]
        if left:
            outcome = outcome._replace(kind=FAULT, reason=f"{left} came to exist")
            shutil.rmtree(guard.root / "canary", ignore_errors=True)
        record.counts[outcome.kind] += 1
        record.seconds += outcome.seconds
        record.slowest = max(record.slowest, outcome.seconds)
        record.grown = max(record.grown, outcome.grown)
        if outcome.kind == FAULT and record.counts[FAULT] <= MAX_KEPT:
            kept = output_dir / f"{type(target).__name__}_{record.counts[FAULT]}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept, symlinks=True)
            write = dict(encoding="utf-8", errors="backslashreplace")
            (kept / "input.txt").write_text(repr(case), **write)
            (kept / "traceback.txt").write_text(outcome.reason, **write)
        tick()

    draw = settings(
        max_examples=num_inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(draw(given(target.cases())(one)))()
    running.unlink(missing_ok=True)
    return record


HEAD = """\
| target | inputs | worked | refused | faults | s | slowest, s | most MiB |
|---|--:|--:|--:|--:|--:|--:|--:|"""


def total(records: Iterable[Record]) -> Record:
    """What became of all inputs."""
    whole = Record("all")
    for record in records:
        whole.counts.update(record.counts)
        whole.seconds += record.seconds
        whole.slowest = max(whole.slowest, record.slowest)
        whole.grown = max(whole.grown, record.grown)
    return whole


def row(record: Record) -> str:
    """A row of the table, Markdown."""
    counts = record.counts
    figures = [sum(counts.values()), counts[WORKED], counts[REFUSED], counts[FAULT]]
    cells = [record.name, *map(str, figures), f"{record.seconds:.0f}"]
    cells += [f"{record.slowest:.1f}", f"{record.grown / 2**20:.0f}"]
    return f"| {' | '.join(cells)} |"
