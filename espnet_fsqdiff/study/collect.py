"""The figures of a study, from the directories of its trainings."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.bootstrap import (
    Counts,
    SeedVariance,
    pooled_seed_variance,
)
from espnet_fsqdiff.study.measure import RESULT, UtteranceScores, read_scores
from espnet_fsqdiff.study.plan import Run, Variant, runs_of

TRAINING = "training.json"

Pair = Tuple[Optional[float], Optional[float]]


@dataclass(frozen=True)
class Measure:
    """A figure of a synthesis.

    Attributes:
        key: Its name in tables.
        label: Its name for a reader.
        form: How it is written.
        parts: Numerator and denominator of an utterance.
        root: Whether the figure is the root of their ratio.
        low_is_good: Which way is better.
    """

    key: str
    label: str
    form: str
    parts: Callable[[UtteranceScores], Pair]
    root: bool = False
    low_is_good: bool = True


def _duration_parts(u: UtteranceScores) -> Pair:
    if u.seconds is None or u.reference_seconds is None:
        return None, None
    return abs(u.seconds - u.reference_seconds), u.reference_seconds


MEASURES = (
    Measure("cer", "CER", "{:.3f}", lambda u: (u.char_edits, u.chars)),
    Measure("wer", "WER", "{:.3f}", lambda u: (u.word_edits, u.words)),
    Measure(
        "rollout_accuracy",
        "Token accuracy",
        "{:.3f}",
        lambda u: (u.right_tokens, u.tokens),
        low_is_good=False,
    ),
    Measure(
        "mcd", "MCD, dB", "{:.2f}", lambda u: (u.mcd, None if u.mcd is None else 1)
    ),
    Measure(
        "log_f0_rmse",
        "log-F0 RMSE",
        "{:.3f}",
        lambda u: (u.squared_log_f0, u.num_voiced),
        root=True,
    ),
    Measure("duration_error", "Length error", "{:.3f}", _duration_parts),
)
# Of the decoder alone: the vocoder is the same for all.
RTF = Measure("rtf_sampling", "Real-time factor", "{:.3f}", lambda u: (None, None))


@dataclass
class Outcome:
    """What is known of one variant.

    Attributes:
        variant: Of the plan.
        trainings: Figures of each finished training, by seed.
        utterances: By steps (None for `lm`) and seed, the scores of a synthesis.
        stats: By steps and seed, `stats.json` of a synthesis.
    """

    variant: Variant
    trainings: Dict[int, Mapping[str, Any]] = field(default_factory=dict)
    utterances: Dict[Tuple[Optional[int], int], List[UtteranceScores]] = field(
        default_factory=dict
    )
    stats: Dict[Tuple[Optional[int], int], Mapping[str, Any]] = field(
        default_factory=dict
    )

    @property
    def steps(self) -> List[Optional[int]]:
        """Those of which at least one synthesis is scored, rising."""
        return sorted({n for n, _ in self.utterances}, key=lambda n: n or 0)

    def counts(self, measure: Measure, steps: Optional[int]) -> Optional[Counts]:
        """Counts of a figure at `steps`; None if it was not measured."""
        if measure is RTF:
            return self._by_seed(
                {s: st[RTF.key] for (n, s), st in self.stats.items() if n == steps}
            )
        seeds = sorted(s for n, s in self.utterances if n == steps)
        return make_counts(measure, {s: self.utterances[steps, s] for s in seeds})

    def training_counts(self, *path: str) -> Optional[Counts]:
        """Counts of a figure of the training, such as `valid`, `loss_t0.5`."""
        found = {}
        for seed, figures in self.trainings.items():
            value: Any = figures
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found[seed] = float(value)
        return self._by_seed(found)

    @staticmethod
    def _by_seed(values: Mapping[int, float]) -> Optional[Counts]:
        if not values:
            return None
        seeds = tuple(sorted(values))
        column = np.array([[values[s]] for s in seeds], dtype=float)
        return Counts(column, np.ones_like(column), seeds)


def seed_variance(
    outcomes: Iterable[Outcome], measure: Measure, steps: Optional[int]
) -> Optional[SeedVariance]:
    """Spread of a measure over seeds at `steps`, pooled over the variants.

    Returns:
        None if no variant was trained twice or more.
    """
    counts = [outcome.counts(measure, steps) for outcome in outcomes]
    return pooled_seed_variance([c for c in counts if c is not None])


def make_counts(
    measure: Measure, rows: Mapping[int, Sequence[UtteranceScores]]
) -> Optional[Counts]:
    """Counts (S, U) of a measure from the scores of S trainings.

    Args:
        measure: Which.
        rows: Scores of the same utterances by seed.

    Returns:
        None if there is no training, or the measure is unknown of an utterance.
    """
    if not rows:
        return None
    seeds = tuple(sorted(rows))
    pairs = [[measure.parts(u) for u in rows[s]] for s in seeds]
    if any(x is None for row in pairs for pair in row for x in pair):
        return None
    table = np.array(pairs, dtype=float)
    return Counts(table[..., 0], table[..., 1], seeds, measure.root)


def collect(variants: Sequence[Variant], expdir: Union[str, Path]) -> List[Outcome]:
    """Read what a study has so far; what is not finished is left out.

    Raises:
        InputError: If a file of results is damaged.
    """
    expdir = Path(expdir)
    outcomes = {v.name: Outcome(v) for v in variants}
    for run in runs_of(variants):
        _collect_run(outcomes[run.variant.name], run, expdir / run.directory)
    check_same_utterances(list(outcomes.values()))
    return list(outcomes.values())


def collect_reference(name: str, directory: Union[str, Path]) -> Outcome:
    """Scores of what no variant made: originals, or resynthesised true tokens."""
    outcome = Outcome(Variant(name, decoder="lm"))
    outcome.utterances[None, 1] = read_scores(Path(directory) / RESULT)
    return outcome


def check_same_utterances(outcomes: Sequence[Outcome]) -> None:
    """Refuse to compare scores of different test sets.

    Raises:
        InputError: Naming one whose utterances differ from the first's.
    """
    first = None
    for outcome in outcomes:
        for (steps, seed), rows in outcome.utterances.items():
            names = [u.utt for u in rows]
            first = first or names
            if names != first:
                raise InputError(
                    f"{outcome.variant.name}, seed {seed}, steps {steps}: scored on "
                    "other utterances than the rest; remove its results, run stages "
                    "4 and 5 again"
                )


def _collect_run(outcome: Outcome, run: Run, directory: Path) -> None:
    if (directory / TRAINING).is_file():
        outcome.trainings[run.seed] = read_object(directory / TRAINING)
    for steps, name in run.settings:
        if (directory / name / RESULT).is_file():
            key = steps, run.seed
            outcome.utterances[key] = read_scores(directory / name / RESULT)
            outcome.stats[key] = read_object(directory / name / "stats.json")


def read_object(path: Path) -> Dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: If it is missing or none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run its stage again") from None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise InputError(f"{path}: no JSON object; remove it and run its stage again")
    return data
