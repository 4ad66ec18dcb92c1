"""Pictures of a study."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from espnet_fsqdiff.plotting import COLOURS, INK, new_figure, save, tidy
from espnet_fsqdiff.scoring.bootstrap import Counts, Interval, interval
from espnet_fsqdiff.study.collect import MEASURES, Measure, Outcome
from espnet_fsqdiff.study.why import CRITERIA

MARKERS = "osD^vP"

# Name and caption, in the report's order.
CAPTIONS = {
    "cer_by_steps": "CER against sampling steps, 95 % intervals. The language model "
    "takes no steps: its line is level.",
    "accuracy_by_steps": "Share of true tokens that sampling with the true lengths "
    "gives, against steps.",
    "loss_by_time": "Cross-entropy of the validation set by time t, in nats, with 95 % "
    "intervals over seeds. At t = 1 nothing is left of the tokens.",
    "criteria": "CER at the most steps against properties of the codebook, over the "
    "same tokens.",
}


def _style(place: int) -> Dict[str, Any]:
    dashed = place >= len(COLOURS)
    return dict(
        color=COLOURS[place % len(COLOURS)],
        marker=MARKERS[place % len(MARKERS)],
        linestyle="--" if dashed else "-",
        ms=4,
        lw=1.3,
    )


def _reach(found: Sequence[Interval]) -> List[List[float]]:
    return [
        [x.estimate - x.low for x in found],
        [x.high - x.estimate for x in found],
    ]


def by_steps(outcomes: Sequence[Outcome], measure: Measure):
    """A measure against sampling steps, a line for each variant."""
    figure = new_figure(7.5, 4.2)
    axis = figure.subplots()
    ticks = sorted({n for o in outcomes for n in o.steps if n})
    for place, outcome in enumerate(outcomes):
        points = {n: outcome.counts(measure, n) for n in outcome.steps}
        known = {n: interval(c) for n, c in points.items() if c is not None}
        if not known:
            continue
        style = _style(place)
        # Bars side by side can be read; one on top of the other cannot.
        shift = 1 + 0.012 * (place - len(outcomes) / 2)
        if None in known:
            style.pop("marker")
            level = known[None]
            axis.axhline(level.estimate, label=outcome.variant.name, **style)
            axis.axhspan(level.low, level.high, color=style["color"], alpha=0.1)
            continue
        axis.errorbar(
            [n * shift for n in known],
            [x.estimate for x in known.values()],
            yerr=_reach(list(known.values())),
            capsize=2,
            label=outcome.variant.name,
            **style,
        )
    tidy(axis, measure.label, "sampling steps", measure.label)
    if ticks:
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.minorticks_off()
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def loss_by_time(outcomes: Sequence[Outcome]):
    """Validation cross-entropy at each time, a line for each variant."""
    figure = new_figure(7.5, 4.2)
    axis = figure.subplots()
    for place, outcome in enumerate(outcomes):
        known = {
            t: interval(outcome.training_counts("valid", f"loss_t{t:g}"))
            for t in loss_times([outcome])
        }
        if known:
            axis.errorbar(
                list(known),
                [x.estimate for x in known.values()],
                yerr=_reach(list(known.values())),
                capsize=2,
                label=outcome.variant.name,
                **_style(place),
            )
    tidy(axis, "Validation cross-entropy", "t", "nats a token")
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def loss_times(outcomes: Sequence[Outcome]) -> List[float]:
    """Times at which validation reports a loss (`loss_t0.1`, ...), rising."""
    return sorted(
        {
            float(key.removeprefix("loss_t"))
            for outcome in outcomes
            for figures in outcome.trainings.values()
            for key in figures["valid"]
            if key.startswith("loss_t")
        }
    )


def criteria_scatter(
    outcomes: Sequence[Outcome], theory: Mapping[str, Mapping[str, Any]]
):
    """CER at the most steps against each property of the codebook."""
    figure = new_figure(9, 5.6)
    axes = figure.subplots(2, 2, sharey=True).flat
    measured = [
        (place, o, _last(o))
        for place, o in enumerate(outcomes)
        if o.variant.name in theory and _last(o) is not None
    ]
    for axis, criterion in zip(axes, CRITERIA):
        for place, outcome, counts in measured:
            value = theory[outcome.variant.name].get(criterion.key)
            if value is None:
                continue
            found = interval(counts)
            style = {**_style(place), "linestyle": "none"}
            axis.errorbar(
                [value], [found.estimate], yerr=_reach([found]), capsize=2, **style
            )
            axis.annotate(
                outcome.variant.name,
                (value, found.estimate),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=7,
                color=INK,
            )
        tidy(axis, criterion.label, "", "CER")
    return figure


def _last(outcome: Outcome) -> Optional[Counts]:
    steps = [n for n in outcome.steps if n]
    return outcome.counts(MEASURES[0], steps[-1]) if steps else None


def draw(
    outcomes: Sequence[Outcome],
    theory: Mapping[str, Mapping[str, Any]],
    directory: Path,
) -> List[str]:
    """Write `<name>.png` and `.svg` of every figure that has something to show.

    Returns:
        Their names, in the report's order.
    """
    cer, accuracy = MEASURES[0], MEASURES[2]
    same_tokens = [o for o in outcomes if o.variant.tokens == "fsq"]
    pictures: Dict[str, Callable] = {}
    if any(o.utterances for o in outcomes):
        pictures["cer_by_steps"] = lambda: by_steps(outcomes, cer)
    if any(o.counts(accuracy, n) is not None for o in outcomes for n in o.steps):
        pictures["accuracy_by_steps"] = lambda: by_steps(outcomes, accuracy)
    if loss_times(outcomes):
        pictures["loss_by_time"] = lambda: loss_by_time(outcomes)
    if any(o.variant.name in theory and _last(o) is not None for o in same_tokens):
        pictures["criteria"] = lambda: criteria_scatter(same_tokens, theory)
    for name, make in pictures.items():
        save(make(), directory / name)
    return list(pictures)
