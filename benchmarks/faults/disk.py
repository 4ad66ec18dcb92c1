"""Stages on a disk that is full."""

import logging
import random
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from benchmarks.faults.kills import INTERVAL, check, outcome, run_again, state_of
from benchmarks.faults.recipe import Recipe
from benchmarks.faults.records import Records
from benchmarks.faults.verdict import Verdict, failure, success
from benchmarks.faults.warm import Warm

ROOMY = 2**30
# How a message may say it.
WORDS = ("No space left", "disk is full", "no space")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system in memory at `folder`, taken away at the end.

    Raises:
        OSError: It cannot be mounted; the message says what is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"a small disk needs root: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, size: int) -> None:
    """Give the file system another size in bytes."""
    command = ["mount", "-o", f"remount,size={size}", str(folder)]
    subprocess.run(command, check=True)


def used(folder: Path) -> int:
    """Bytes that are taken."""
    return shutil.disk_usage(folder).used


def need_of(recipe: Recipe, disk: Path, states: Path, stage: int) -> Tuple[int, int]:
    """Bytes that are taken before a stage, and at most while it runs."""
    recipe.restore(state_of(states, stage - 1))
    before = peak = used(disk)
    run = recipe.start(stage)
    while run.running:
        peak = max(peak, used(disk))
        time.sleep(INTERVAL)
    check(run.wait(), stage)
    return before, max(peak, used(disk))


def judge(recipe: Recipe, disk: Path, states: Path, stage: int, size: int) -> Verdict:
    """Run a stage on a disk of `size` bytes, then with room enough."""
    after = state_of(states, stage)
    recipe.restore(state_of(states, stage - 1))
    resize(disk, size)
    full = recipe.run(stage)
    resize(disk, ROOMY)
    if full.status == 0:
        wrong = outcome(recipe, after)
        return success(wrong, "\n") if wrong else Verdict("enough room", "")
    verdict = failure(full, WORDS)
    fault = run_again(recipe, states, stage)
    if fault is not None:
        return fault
    if verdict.outcome == "refused":
        return Verdict("recovered", verdict.message)
    return verdict


def run_disks(
    folder: Path,
    warm: Optional[Warm],
    states: Path,
    stages: Sequence[int],
    fills: int,
    seed: int,
    records: Records,
) -> None:
    """Fill the disk of each stage `fills` times, at sizes that do not suffice."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(folder))
        except OSError as e:
            logging.warning(f"disks are left out: {e}")
            return
        recipe = Recipe(disk, warm)
        stack.callback(recipe.stop)
        for stage in stages:
            _run_stage(recipe, disk, states, stage, fills, seed, records)


def lacking(
    stages: Sequence[int], fills: int, seed: int, records: Records
) -> List[str]:
    """Full disks that were asked for and are not in the records."""
    keys = [k for stage in stages for k in _shares(stage, fills, seed)]
    return [f"{key}: no result" for key in keys if not records.has("disk", key)]


def _shares(stage: int, fills: int, seed: int) -> Dict[str, float]:
    """By its key: what there is room for, a share of what a stage writes."""
    rng = random.Random(f"{seed} {stage}")
    shares = [rng.random() for _ in range(fills)]
    return {f"{stage}: {share:.1%} of what it writes": share for share in shares}


def _run_stage(
    recipe: Recipe,
    disk: Path,
    states: Path,
    stage: int,
    fills: int,
    seed: int,
    records: Records,
) -> None:
    shares = _shares(stage, fills, seed)
    if all(records.has("disk", key) for key in shares):
        return
    before, peak = need_of(recipe, disk, states, stage)
    for key, share in shares.items():
        if not records.has("disk", key):
            size = before + int(share * (peak - before))
            verdict = judge(recipe, disk, states, stage, size)
            records.add(part="disk", key=key, stage=stage, **verdict._asdict())
            logging.info(f"{key}: {verdict.outcome} {verdict.message}")
