"""Stages that are killed at random moments, started again, and compared."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from benchmarks.faults.moments import (
    Clock,
    Moment,
    Timeline,
    draw_moments,
    share_out,
)
from benchmarks.faults.recipe import OUTPUTS, STAGES, Ended, Recipe
from benchmarks.faults.records import Records
from benchmarks.faults.trees import differences
from benchmarks.faults.verdict import Verdict, failure
from benchmarks.faults.watch import Watch

# Seconds between looks at a running stage, while it writes nothing.
INTERVAL = 0.02
# Of a stage, for each of its kills: a run that has less to do than the first may end
# before its moment comes.
MAX_TRIALS = 4


def state_of(states: Path, stage: int) -> Optional[Path]:
    """Where the outputs after a stage are kept; there are none before the first."""
    return states / f"after_{stage:02d}" if stage > 0 else None


def make_states(recipe: Recipe, states: Path) -> None:
    """Run the recipe once, keeping what is there after each stage.

    Raises:
        RuntimeError: If a stage fails.
    """
    states.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        kept = state_of(states, stage)
        if kept.exists():
            continue
        recipe.restore(state_of(states, stage - 1))
        ended = recipe.run(stage)
        check(ended, stage)
        recipe.save(kept)


def check(ended: Ended, stage: int) -> None:
    """Raise RuntimeError if an undisturbed stage failed."""
    if ended.status != 0:
        raise RuntimeError(f"stage {stage} fails by itself:\n{ended.output[-2000:]}")


def measure(
    recipe: Recipe, states: Path, stages: Sequence[int], records: Records
) -> Dict[int, Timeline]:
    """What each stage does by itself; and that two runs of it give the same.

    Raises:
        RuntimeError: If a stage fails, or gives something else the second time.
    """
    for stage in stages:
        if records.has("measure", str(stage)):
            continue
        recipe.restore(state_of(states, stage - 1))
        changes: List[float] = []
        with closing(watch_of(recipe)) as watch:
            run = recipe.start(stage)
            while run.running:
                seen = watch.wait(INTERVAL) - len(changes)
                changes += [round(run.seconds, 4)] * seen
        ended = run.wait()
        check(ended, stage)
        wrong = outcome(recipe, state_of(states, stage))
        if wrong:
            raise RuntimeError(f"stage {stage}, run twice, differs: {wrong}")
        records.add(
            part="measure", key=str(stage), seconds=ended.seconds, changes=changes
        )
    found = {int(r["key"]): r for r in records.of("measure")}
    return {
        s: Timeline(found[s]["seconds"], tuple(found[s]["changes"])) for s in stages
    }


def watch_of(recipe: Recipe) -> Watch:
    """A watch on what the recipe writes."""
    return Watch([recipe.folder / name for name in OUTPUTS])


def outcome(recipe: Recipe, expected: Path) -> List[str]:
    """What is wrong with the recipe's outputs and its folder for temporary files."""
    wrong = differences(expected, recipe.folder)
    # The recipe's own files are beside its outputs.
    wrong = [x for x in wrong if not x.startswith("left over: ") or _is_output(x)]
    return wrong + [f"left over: tmp/{name}" for name in recipe.left_behind()]


def run_again(recipe: Recipe, states: Path, stage: int) -> Optional[Verdict]:
    """Run a stage that has failed, now that nothing is at fault.

    Returns:
        What is wrong with it; None if it has the outputs of an undisturbed run.
    """
    ended = recipe.run(stage)
    if ended.status != 0:
        return Verdict("NOT RECOVERED", failure(ended, [""]).message)
    wrong = outcome(recipe, state_of(states, stage))
    return Verdict("OTHER AFTERWARDS", wrong[0]) if wrong else None


def _is_output(line: str) -> bool:
    return line.removeprefix("left over: ").split("/")[0] in OUTPUTS


def kill_at(recipe: Recipe, stage: int, moment: Moment) -> Ended:
    """Start a stage and kill it; its status is None unless it ended before that."""
    clock = Clock(moment)
    with closing(watch_of(recipe)) as watch:
        run = recipe.start(stage)
        while run.running:
            if clock.has_come(run.seconds, watch.wait(INTERVAL)):
                return run.kill()
    return run.wait()


def try_once(
    recipe: Recipe, states: Path, stage: int, moments: Sequence[Moment]
) -> Dict:
    """Kill a stage at some moments, run it to its end, and compare.

    Returns:
        What goes into the records; `kills` counts those that came before the end.
    """
    recipe.restore(state_of(states, stage - 1))
    kills = []
    for moment in moments:
        ended = kill_at(recipe, stage, moment)
        if ended.status is None:
            kills.append([*moment, round(ended.seconds, 2)])
        elif ended.status != 0:
            break
    ended = recipe.run(stage)
    recovered = ended.status == 0
    wrong = outcome(recipe, state_of(states, stage)) if recovered else []
    return dict(
        stage=stage,
        kills=len(kills),
        moments=kills,
        recovered=recovered,
        equal=recovered and not wrong,
        seconds=ended.seconds,
        wrong=wrong[:20],
        output="" if recovered else ended.output[-2000:],
    )


def run_kills(
    recipe: Recipe,
    states: Path,
    stages: Sequence[int],
    num_kills: int,
    max_in_a_row: int,
    seed: int,
    records: Records,
) -> None:
    """Kill stages, taking turns, until each has had its share of `num_kills`."""
    timelines = measure(recipe, states, stages, records)
    quota = share_out(num_kills, stages)
    for number in range(1, MAX_TRIALS * max(quota.values()) + 1):
        for stage in sorted(quota):
            key = f"{seed} {stage} {number}"
            mine = [r for r in records.of("kill") if r["stage"] == stage]
            left = quota[stage] - sum(r["kills"] for r in mine)
            if left <= 0 or records.has("kill", key):
                continue
            most = min(left, max_in_a_row)
            moments = draw_moments(timelines[stage], most, seed, stage, number)
            found = try_once(recipe, states, stage, moments)
            records.add(part="kill", key=key, **found)
            judged = "equal" if found["equal"] else found["wrong"] or "FAILED"
            logging.info(f"stage {stage}, {found['kills']} kills: {judged}")


def lacking(stages: Sequence[int], num_kills: int, records: Records) -> List[str]:
    """Stages that were killed less often than asked for."""
    lines = []
    for stage, quota in share_out(num_kills, stages).items():
        count = sum(r["kills"] for r in records.of("kill") if r["stage"] == stage)
        if count < quota:
            lines.append(f"{stage}: {count} of {quota} kills")
    return lines
