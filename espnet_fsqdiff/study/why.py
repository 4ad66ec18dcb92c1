"""Whether a property of the codebook foretells how well its decoder speaks."""

import csv
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.bootstrap import Interval, contrast
from espnet_fsqdiff.study.collect import Outcome, seed_variance
from espnet_fsqdiff.study.verdicts import CER, HELD, OPEN, decide

# Two values of a property closer than this share count as the same, and so do those
# closer than this many standard errors of their difference.
SAME = 0.02
SAME_ERRORS = 2.0


@dataclass(frozen=True)
class Criterion:
    """A property of a codebook.

    Attributes:
        key: Its column in the table of `codebook_report`.
        label: Its name for a reader.
        high_is_good: What the theory, or reason, expects.
        error: Column of its standard error; empty if it is exact.
    """

    key: str
    label: str
    high_is_good: bool = True
    error: str = ""


CRITERIA = (
    Criterion("D(E)", "D(E)"),
    Criterion("A(1)", "A(E, 1)", error="s.e. of A(1)"),
    Criterion("KL to t=0.1, nats", "path KL to the nearest, nats"),
    Criterion(
        "near / random",
        "mel distance of latent neighbours / random",
        False,
        "s.e. of it",
    ),
)


class PairOutcome(NamedTuple):
    """Two codebooks whose CER was compared.

    Attributes:
        first: Name of one.
        second: Name of the other.
        difference: CER of the second minus that of the first.
    """

    first: str
    second: str
    difference: Interval


class Agreement(NamedTuple):
    """How often a property named the better of two codebooks told apart.

    Attributes:
        criterion: The property.
        right: Pairs it ordered as the CER did.
        wrong: Pairs it ordered the other way.
        silent: Pairs in which it is the same, or not known.
        silent_pairs: Their names.
    """

    criterion: Criterion
    right: int
    wrong: int
    silent: int
    silent_pairs: List[str]

    def sentence(self) -> str:
        """The counts in words."""
        total = self.right + self.wrong + self.silent
        pairs = f": {', '.join(self.silent_pairs)}" if self.silent_pairs else ""
        return (
            f"{self.criterion.label}: right in {self.right} of {total} pairs, wrong in "
            f"{self.wrong}, says nothing in {self.silent}{pairs}."
        )


def read_theory(
    outcomes: Sequence[Outcome], directory: Union[str, Path]
) -> Dict[str, Dict[str, Any]]:
    """The row of `codebook_report` by variant, of those that have one.

    Raises:
        InputError: If a file is no such table.
    """
    rows = {}
    for outcome in outcomes:
        path = Path(directory) / f"{outcome.variant.name}.csv"
        if outcome.variant.theory and path.is_file():
            rows[outcome.variant.name] = _read_row(path)
    return rows


def _read_row(path: Path) -> Dict[str, Any]:
    """Numbers by column; names are left out."""
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    if len(rows) != 1 or None in rows[0] or None in rows[0].values():
        raise InputError(f"{path}: not a table of one codebook; remove it, run stage 6")
    try:
        return {k: float(v) for k, v in rows[0].items() if k != "codebook" and v}
    except ValueError:
        raise InputError(f"{path}: not numbers; remove it, run stage 6") from None


def compared_pairs(
    outcomes: Sequence[Outcome], theory: Mapping[str, Mapping[str, Any]]
) -> List[PairOutcome]:
    """All pairs of codebooks over the same tokens, by CER at the most steps."""
    known = [o for o in outcomes if o.variant.name in theory and o.steps]
    pairs = []
    for a, b in itertools.combinations(known, 2):
        steps = [n for n in a.steps if n in b.steps]
        if not steps or a.variant.tokens != b.variant.tokens:
            continue
        counts = [o.counts(CER, steps[-1]) for o in (a, b)]
        spread = seed_variance(outcomes, CER, steps[-1])
        found = contrast([(1.0, counts[1]), (-1.0, counts[0])], spread=spread)
        pairs.append(PairOutcome(a.variant.name, b.variant.name, found))
    return pairs


def agreement(
    criterion: Criterion,
    pairs: Sequence[PairOutcome],
    theory: Mapping[str, Mapping[str, Any]],
) -> Agreement:
    """Count over the pairs that CER tells apart."""
    right = wrong = 0
    silent: List[str] = []
    for pair in pairs:
        seen = decide(pair.difference)
        if seen == OPEN:
            continue
        says = _first_is_better(criterion, theory[pair.first], theory[pair.second])
        if says is None:
            silent.append(f"{pair.first}/{pair.second}")
        elif says == (seen == HELD):
            right += 1
        else:
            wrong += 1
    return Agreement(criterion, right, wrong, len(silent), silent)


def _first_is_better(
    criterion: Criterion, first: Mapping[str, Any], second: Mapping[str, Any]
) -> Optional[bool]:
    a, b = first.get(criterion.key), second.get(criterion.key)
    if a is None or b is None:
        return None
    # A table that was made elsewhere may have no errors.
    error = math.hypot(*(row.get(criterion.error, 0.0) for row in (first, second)))
    if abs(a - b) <= max(SAME * max(abs(a), abs(b)), SAME_ERRORS * error):
        return None
    return (a > b) == criterion.high_is_good


def reasons(
    outcomes: Sequence[Outcome], theory: Mapping[str, Mapping[str, Any]]
) -> List[str]:
    """What the properties foretold, one sentence each."""
    pairs = compared_pairs(outcomes, theory)
    if not pairs:
        return ["No two codebooks over the same tokens have both scores and theory."]
    apart = [p for p in pairs if decide(p.difference) != OPEN]
    sentences = [
        f"CER tells {len(apart)} of {len(pairs)} pairs of codebooks over the same "
        "tokens apart."
    ]
    if not apart:
        return sentences
    return sentences + [agreement(c, apart, theory).sentence() for c in CRITERIA]
