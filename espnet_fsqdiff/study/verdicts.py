"""Which of the paper's orderings held, by the interval of the difference.

Every sentence is chosen and filled in by the figures; none is fixed beforehand.
"""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from espnet_fsqdiff.scoring.bootstrap import (
    Counts,
    Interval,
    SeedVariance,
    contrast,
)
from espnet_fsqdiff.study.collect import (
    MEASURES,
    RTF,
    Measure,
    Outcome,
    seed_variance,
)

HELD = "held"
REVERSED = "did not hold"
OPEN = "cannot be told apart at this size"
UNKNOWN = "not measured"

CER, WER, ACCURACY = MEASURES[0], MEASURES[1], MEASURES[2]
# Times the diffusion model's CER up to which a language model is a serious counterpart.
SERIOUS = 1.5


class Verdict(NamedTuple):
    """An ordering, what became of it, and what shows it.

    Attributes:
        claim: In words.
        measure: Label of the figure compared.
        steps: Sampling steps; None where it is about several or none.
        verdict: One of `HELD`, `REVERSED`, `OPEN`, `UNKNOWN`.
        difference: Of the figures, above 0 where the claim holds; None if unknown.
        evidence: The numbers, in words.
    """

    claim: str
    measure: str
    steps: Optional[int]
    verdict: str
    difference: Optional[Interval]
    evidence: str

    def sentence(self) -> str:
        """The verdict as one sentence."""
        at = f" at {self.steps} steps" if self.steps else ""
        return f"{self.claim} ({self.measure}{at}): {self.verdict}. {self.evidence}"


def decide(difference: Interval) -> str:
    """Whether a difference is above 0, below 0, or neither for sure.

    An interval that touches 0 decides nothing, nor does one over utterances alone:
    another training might turn it round.
    """
    if "seeds" not in difference.over:
        return OPEN
    if difference.low > 0:
        return HELD
    return REVERSED if difference.high < 0 else OPEN


# A paper's ordering: its words, and the names of the better and the worse variant.
ORDERINGS = (
    ("Original grid better than perturbed", "fsq", "perturbed"),
    ("Perturbed grid better than permuted", "perturbed", "permuted"),
    ("Original grid better than permuted", "fsq", "permuted"),
    ("FSQ tokens better than RVQ tokens", "fsq", "rvq"),
    ("Diffusion better than the language model", "fsq", "lm"),
)

Named = Mapping[str, Outcome]


def better(
    claim: str,
    measure: Measure,
    steps: Optional[int],
    good: Optional[Counts],
    bad: Optional[Counts],
    spread: Optional[SeedVariance] = None,
) -> Verdict:
    """Whether `good` is better than `bad` in a measure.

    Args:
        claim: In words.
        measure: Of both.
        steps: At which both are known.
        good: Counts of the one that the claim calls better; None if there are none.
        bad: Those of the other.
        spread: Over seeds, for two that were trained once.
    """
    if good is None or bad is None:
        return Verdict(claim, measure.label, steps, UNKNOWN, None, "No figures.")
    sign = 1.0 if measure.low_is_good else -1.0
    found = contrast([(sign, bad), (-sign, good)], spread=spread)
    evidence = (
        f"{_written(measure, good)} against {_written(measure, bad)}; "
        f"{_difference(measure.form, found)}."
    )
    return Verdict(claim, measure.label, steps, decide(found), found, evidence)


def _written(measure: Measure, counts: Counts) -> str:
    return measure.form.format(counts.figure())


def _difference(form: str, found: Interval) -> str:
    digits = form.replace("{:", "{:+")
    text = f"difference {digits.format(found.estimate)}"
    if not found.is_known:
        return f"{text}, no interval (one training, no utterances)"
    return (
        f"{text}, 95 % {digits.format(found.low)} to {digits.format(found.high)} "
        f"over {found.over}"
    )


def shared_steps(outcomes: Named, first: str, second: str) -> List[Optional[int]]:
    """Steps at which both variants are known; those of the first if one has none."""
    if first not in outcomes or second not in outcomes:
        return []
    a, b = outcomes[first].steps, outcomes[second].steps
    if None in a or None in b:
        return [n for n in a + b if n is not None]
    return [n for n in a if n in b]


def _at(outcome: Outcome, measure: Measure, steps: Optional[int]) -> Optional[Counts]:
    """A language model has one setting, whatever the steps."""
    steps = None if outcome.variant.decoder == "lm" else steps
    return outcome.counts(measure, steps)


def ordering_verdicts(
    outcomes: Named, measures: Sequence[Measure] = (CER, WER, ACCURACY)
) -> List[Verdict]:
    """Every ordering in every measure at every number of steps.

    First those of the paper, then the grid against whatever else was trained.
    """
    found = []
    others = set(outcomes) - {name for _, *pair in ORDERINGS for name in pair}
    further = [(f"Variant fsq better than {name}", "fsq", name) for name in outcomes]
    claims = [*ORDERINGS, *(c for c in further if c[2] in others)]
    for claim, good, bad in claims:
        steps = shared_steps(outcomes, good, bad)
        if not steps:
            found.append(Verdict(claim, CER.label, None, UNKNOWN, None, "No figures."))
        for measure in measures:
            for n in steps:
                counts = [_at(outcomes[name], measure, n) for name in (good, bad)]
                if measure is ACCURACY and (bad == "rvq" or None in counts):
                    # Other tokens: right ones cannot be compared.
                    continue
                spread = seed_variance(outcomes.values(), measure, n)
                found.append(better(claim, measure, n, *counts, spread))
    return found


def gap_verdict(outcomes: Named, measure: Measure = CER) -> Verdict:
    """Whether the gap of the perturbed grid shrinks with more steps.

    (perturbed - original at fewest steps) - (the same at most steps) > 0
    """
    claim = "Gap between perturbed and original shrinks with more steps"
    steps = [n for n in shared_steps(outcomes, "fsq", "perturbed") if n]
    if len(steps) < 2:
        return Verdict(claim, measure.label, None, UNKNOWN, None, "No figures.")
    few, many = steps[0], steps[-1]
    terms: List[Tuple[float, Counts]] = []
    for n, sign in ((few, 1.0), (many, -1.0)):
        for name, side in (("perturbed", 1.0), ("fsq", -1.0)):
            counts = outcomes[name].counts(measure, n)
            if counts is None:
                return Verdict(claim, measure.label, None, UNKNOWN, None, "No figures.")
            terms.append((sign * side, counts))
    found = contrast(terms)
    gaps = [contrast(terms[:2]).estimate, -contrast(terms[2:]).estimate]
    evidence = (
        f"Gap {gaps[0]:+.3f} at {few} steps, {gaps[1]:+.3f} at {many}; "
        f"{_difference(measure.form, found)}."
    )
    return Verdict(claim, measure.label, None, decide(found), found, evidence)


def model_verdicts(outcomes: Named) -> List[Verdict]:
    """Diffusion against the language model in size and speed, and if it is serious."""
    if not {"fsq", "lm"} <= outcomes.keys():
        return []
    fsq, lm = outcomes["fsq"], outcomes["lm"]
    found = []
    for n in shared_steps(outcomes, "fsq", "lm"):
        claim = "Diffusion faster than the language model"
        speeds = [_at(outcome, RTF, n) for outcome in (fsq, lm)]
        spread = seed_variance(outcomes.values(), RTF, n)
        found.append(better(claim, RTF, n, *speeds, spread))
    sizes = [o.training_counts("parameters") for o in (fsq, lm)]
    if None not in sizes:
        small, large = (int(c.figure()) for c in sizes)
        verdict = HELD if small < large else REVERSED if small > large else OPEN
        found.append(
            Verdict(
                "Diffusion model smaller than the language model",
                "parameters",
                None,
                verdict,
                None,
                f"{small / 1e6:.2f} M against {large / 1e6:.2f} M, "
                f"{large / small:.2f} times.",
            )
        )
    return found + _serious(outcomes)


def _serious(outcomes: Named) -> List[Verdict]:
    """Whether the language model's CER is within 1.5 times the diffusion model's."""
    fsq, lm = outcomes["fsq"], outcomes["lm"]
    most = [n for n in fsq.steps if n]
    counts = fsq.counts(CER, most[-1]) if most else None
    theirs = lm.counts(CER, None)
    if counts is None or theirs is None:
        return []
    spread = seed_variance(outcomes.values(), CER, most[-1])
    found = contrast([(SERIOUS, counts), (-1.0, theirs)], spread=spread)
    ratio = theirs.figure() / counts.figure() if counts.figure() > 0 else float("inf")
    return [
        Verdict(
            f"Language model's CER within {SERIOUS:g} times the diffusion model's",
            CER.label,
            most[-1],
            decide(found),
            found,
            f"{_written(CER, theirs)} against {_written(CER, counts)}, "
            f"{ratio:.2f} times; {SERIOUS:g} x diffusion minus LM: "
            f"{_difference(CER.form, found)}.",
        )
    ]


def verdicts(outcomes: Sequence[Outcome]) -> List[Verdict]:
    """All of them, the paper's orderings first."""
    named: Dict[str, Outcome] = {o.variant.name: o for o in outcomes}
    return [*ordering_verdicts(named), gap_verdict(named), *model_verdicts(named)]


def headline(found: Sequence[Verdict]) -> List[Verdict]:
    """One verdict for each claim: by CER where it is, at the most steps."""
    best: Dict[str, Verdict] = {}
    for v in found:
        known = best.get(v.claim)
        rank = (v.measure == CER.label, v.steps or 0)
        if known is None or rank >= (known.measure == CER.label, known.steps or 0):
            best[v.claim] = v
    return list(best.values())
