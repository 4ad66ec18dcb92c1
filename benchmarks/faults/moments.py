"""When to kill: seeded moments that fall into every phase of a stage."""

import bisect
import random
from typing import Dict, List, NamedTuple, Sequence, Tuple


class Timeline(NamedTuple):
    """What a stage does when it is let be.

    Attributes:
        seconds: How long it takes.
        changes: When its files change, in seconds from its start, rising.
    """

    seconds: float
    changes: Tuple[float, ...]


class Moment(NamedTuple):
    """When a run is killed: so long after so many changes of its files.

    Said so, and not by the time since the start, it means the same phase of a run that
    is faster or slower because of what else the machine does.

    Attributes:
        kind: How it was drawn: `time` or `write`.
        after: Changes that have to be seen first.
        delay: Seconds from then on.
    """

    kind: str
    after: int
    delay: float

    @classmethod
    def at_time(cls, seconds: float, changes: Sequence[float]) -> "Moment":
        """The one that is `seconds` after the start of the undisturbed run."""
        after = bisect.bisect_right(changes, seconds)
        return cls("time", after, seconds - (changes[after - 1] if after else 0.0))


class Clock:
    """Tells when the moment of a run has come.

    Args:
        moment: Which.
    """

    def __init__(self, moment: Moment):
        self._moment = moment
        self._since = 0.0 if moment.after == 0 else None

    def has_come(self, seconds: float, changes: int) -> bool:
        """Whether it has; to be asked as the run goes on.

        Args:
            seconds: Since the start of the run.
            changes: Seen so far.
        """
        if self._since is None:
            if changes < self._moment.after:
                return False
            self._since = seconds
        return seconds - self._since >= self._moment.delay


def draw_moments(
    timeline: Timeline, most: int, seed: int, stage: int, number: int
) -> List[Moment]:
    """Moments of kills one after the other, before a stage may run to its end.

    Half of them are uniform over the time that the stage takes, the others over the
    changes of its files: there a kill comes as soon as the change is seen.

    Args:
        timeline: Of the stage.
        most: Kills in a row at most.
        seed: With stage and number it decides.
        stage: Which stage.
        number: Which trial of it.

    Returns:
        One to `most` moments.
    """
    rng = random.Random(f"{seed} {stage} {number}")
    moments = []
    for _ in range(rng.randint(1, most)):
        if timeline.changes and rng.random() < 0.5:
            moments.append(Moment("write", rng.randint(1, len(timeline.changes)), 0.0))
        else:
            time = rng.uniform(0, timeline.seconds)
            moments.append(Moment.at_time(time, timeline.changes))
    return moments


def share_out(num_kills: int, stages: Sequence[int]) -> Dict[int, int]:
    """How many kills each stage gets: as many as any other, the first one more."""
    each, more = divmod(num_kills, len(stages))
    return {stage: each + (i < more) for i, stage in enumerate(sorted(stages))}
