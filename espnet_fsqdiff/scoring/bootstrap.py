"""Intervals of figures and of their differences, over seeds and utterances.

A figure is a ratio of sums, such as the edits of a test set over its characters. Two
things in it are drawn at random: which trainings were run (seeds) and which
utterances are in the test set. Each is resampled in turn.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Counts:
    """What a figure of one system is made of.

        figure = sum_su numerator / sum_su denominator, or its root

    Attributes:
        numerator: (S, U), a row for each training, a column for each utterance; U = 1
            for a figure that is known for the whole test set alone.
        denominator: (S, U), not negative.
        seeds: Names of the S trainings. Systems with the same seeds are compared
            training by training.
        root: Whether the figure is the square root of the ratio (RMSE).
    """

    numerator: np.ndarray
    denominator: np.ndarray
    seeds: Tuple[int, ...]
    root: bool = False

    def __post_init__(self) -> None:
        shape = self.numerator.shape
        if self.numerator.ndim != 2 or self.denominator.shape != shape:
            raise ValueError(f"counts of {shape} and {self.denominator.shape}")
        if not self.numerator.size or len(self.seeds) != len(self.numerator):
            raise ValueError(f"counts of {shape} for {len(self.seeds)} seeds")

    def figure(self) -> float:
        """The figure itself; nan if the denominators sum to 0."""
        seeds = np.ones((1, self.numerator.shape[0]))
        utterances = np.ones((1, self.numerator.shape[1]))
        return float(self.resampled(seeds, utterances)[0])

    def resampled(self, seeds: np.ndarray, utterances: np.ndarray) -> np.ndarray:
        """Figures (R,) with seeds (R, S) and utterances (R, U) counted that often."""
        ratio = self._ratio(
            np.einsum("rs,su,ru->r", seeds, self.numerator, utterances),
            np.einsum("rs,su,ru->r", seeds, self.denominator, utterances),
        )
        return ratio

    def resampled_cells(self, cells: np.ndarray) -> np.ndarray:
        """Figures (R,) with cells (R, S * U) counted that often."""
        return self._ratio(
            cells @ self.numerator.reshape(-1), cells @ self.denominator.reshape(-1)
        )

    def _ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        ratio = np.full(numerator.shape, np.nan)
        np.divide(numerator, denominator, out=ratio, where=denominator > 0)
        return np.sqrt(ratio) if self.root else ratio


class SeedVariance(NamedTuple):
    """How much a figure varies from one training to the next.

    Attributes:
        variance: Of a figure of one training, in its unit squared.
        degrees: Of freedom with which it is known.
    """

    variance: float
    degrees: float


class Interval(NamedTuple):
    """A figure and where it lies.

    Attributes:
        estimate: The figure.
        low: Lower end of the interval.
        high: Upper end.
        over: What was resampled: `seeds and utterances`, `seeds`, `utterances`, or
            `nothing`; then both ends are the estimate's and say nothing.
    """

    estimate: float
    low: float
    high: float
    over: str

    @property
    def is_known(self) -> bool:
        """Whether there is an interval at all."""
        return self.over != "nothing"


def interval(counts: Counts, seed: int = 0, level: float = LEVEL) -> Interval:
    """The interval of one figure; see `contrast`."""
    return contrast([(1.0, counts)], seed=seed, level=level)


def contrast(
    terms: Sequence[Tuple[float, Counts]],
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    spread: Optional[SeedVariance] = None,
) -> Interval:
    """Interval of a sum of figures, each times a number.

    `[(1, a), (-1, b)]` is the difference of two systems. Utterances are drawn
    together for all terms (they are paired), and so are seeds of terms that have
    the same ones.

    The variance is that of clustering both ways (Cameron, Gelbach and Miller,
    Journal of Business and Economic Statistics 29, 2011),

        V = max(V_seeds + V_utterances - V_cells, V_seeds, V_utterances),

    each part from a bootstrap: over the seeds, over the utterances, and over all
    S * U cells. n things are drawn n - 1 at a time (McCarthy and Snowden, 1985),
    without which three seeds would show two thirds of their variance. With so few,
    percentiles of a bootstrap cannot reach as far as they have to; the interval is
    therefore

        estimate -+ t_q(v) sqrt(V),
        v = V^2 / (V_seeds^2 / (S - 1) + V_utterances^2 / (U - 1))

    (Satterthwaite's degrees of freedom, at most those of normal theory at 1e6).

    A system that was trained once shows no variance over seeds; it is taken to vary
    as much as those beside it in the contrast, on average. If all were trained
    once, each is taken to vary by `spread`; without it utterances alone are
    resampled.

    Args:
        terms: Factor and counts of each figure; all over the same U utterances,
            or some over the whole test set (U = 1).
        seed: Of the resampling.
        level: Share of intervals that should hold the true value.
        resamples: Draws for each part.
        spread: Of other systems that were trained several times.

    Raises:
        ValueError: If there is no term, or they have different numbers of utterances.
    """
    from scipy.stats import t

    if not terms:
        raise ValueError("a contrast of nothing")
    columns = {c.numerator.shape[1] for _, c in terms}
    if len(columns) > 1:
        raise ValueError(f"figures over {sorted(columns)} utterances in one contrast")
    estimate = sum(factor * c.figure() for factor, c in terms)
    trained_once = all(len(c.seeds) < 2 for _, c in terms)
    parts = {
        "seeds": (
            _borrowed_part(terms, spread)
            if trained_once
            else _seed_part(terms, resamples, seed)
        ),
        "utterances": _utterance_part(terms, resamples, seed),
    }
    known = {name: part for name, part in parts.items() if part is not None}
    if not known:
        return Interval(estimate, estimate, estimate, "nothing")
    variance = sum(v for v, _ in known.values())
    # The cells of one training are its utterances, which would be taken off whole.
    if len(known) == 2 and not trained_once:
        variance -= _cell_variance(terms, resamples, seed)
        variance = max(variance, *(v for v, _ in known.values()))
    over = " and ".join(known)
    if variance == 0:
        return Interval(estimate, estimate, estimate, over)
    freedom = sum(v**2 / n for v, n in known.values())
    degrees = min(variance**2 / freedom, 1e6) if freedom > 0 else 1e6
    reach = float(t.ppf(0.5 + level / 2, degrees)) * math.sqrt(variance)
    return Interval(estimate, estimate - reach, estimate + reach, over)


def pooled_seed_variance(systems: Sequence[Counts]) -> Optional[SeedVariance]:
    """Variance of one training, over all systems that were trained several times.

    Args:
        systems: Counts of the same figure, each of any number of trainings.

    Returns:
        Their variances over seeds, averaged by their degrees of freedom; None if
        each was trained once.
    """
    squares, degrees = 0.0, 0
    for counts in systems:
        number, utterances = counts.numerator.shape
        each = counts.resampled(np.eye(number), np.ones((number, utterances)))
        squares += float(np.sum((each - each.mean()) ** 2))
        degrees += number - 1
    return SeedVariance(squares / degrees, degrees) if degrees else None


@lru_cache(maxsize=8)
def _draws(number: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of `number` things is drawn: (R, number), `number` - 1 in all.

    Kept, since a study compares many systems over the same utterances.
    """
    generator = np.random.default_rng([seed, number])
    return generator.multinomial(
        number - 1, np.full(number, 1 / number), size=resamples
    ).astype(float)


def _groups(terms: Sequence[Tuple[float, Counts]]) -> List[List[int]]:
    """Terms that have the same seeds, by their places."""
    found: Dict[Tuple[int, ...], List[int]] = {}
    for place, (_, counts) in enumerate(terms):
        found.setdefault(counts.seeds, []).append(place)
    return list(found.values())


def _borrowed_part(terms, spread) -> Optional[Tuple[float, float]]:
    """Variance and degrees of freedom of systems trained once; None if not known."""
    if spread is None:
        return None
    weight = sum(factor**2 for factor, _ in terms)
    return weight * spread.variance, spread.degrees


def _seed_part(terms, resamples, seed) -> Tuple[float, float]:
    """Variance over seeds and its degrees of freedom; one system has two or more."""
    groups = _groups(terms)
    weights = [sum(terms[i][0] ** 2 for i in group) for group in groups]
    numbers = [len(terms[group[0]][1].seeds) for group in groups]
    variances: List[Optional[float]] = []
    for group, number in zip(groups, numbers):
        if number < 2:
            variances.append(None)
            continue
        draws = _draws(number, resamples, seed)
        total = sum(
            terms[i][0]
            * terms[i][1].resampled(
                draws, np.ones((resamples, terms[i][1].numerator.shape[1]))
            )
            for i in group
        )
        variances.append(float(np.nanvar(total)))
    known = [(v, n, w) for v, n, w in zip(variances, numbers, weights) if v is not None]
    # Of one training and a factor of 1, to stand in for what is trained once.
    each = sum(v * n / w for v, n, w in known if w) / len(known)
    single = sum(w for v, w in zip(variances, weights) if v is None)
    variance = sum(v for v, _, _ in known)
    freedom = sum(v**2 / (n - 1) for v, n, _ in known)
    degrees = variance**2 / freedom if freedom > 0 else sum(n - 1 for _, n, _ in known)
    return variance + single * each, float(degrees)


def _utterance_part(terms, resamples, seed) -> Optional[Tuple[float, float]]:
    """Variance over utterances and its degrees of freedom; None if there is one."""
    number = terms[0][1].numerator.shape[1]
    if number < 2:
        return None
    draws = _draws(number, resamples, seed)
    total = sum(
        factor * c.resampled(np.ones((resamples, len(c.seeds))), draws)
        for factor, c in terms
    )
    return float(np.nanvar(total)), float(number - 1)


def _cell_variance(terms, resamples, seed) -> float:
    """Variance if every utterance of every training were drawn by itself."""
    variance = 0.0
    for group in _groups(terms):
        draws = _draws(terms[group[0]][1].numerator.size, resamples, seed)
        total = sum(terms[i][0] * terms[i][1].resampled_cells(draws) for i in group)
        variance += float(np.nanvar(total))
    return variance
