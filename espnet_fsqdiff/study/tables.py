"""The figures of a study as tables, for a machine and for a reader."""

import csv
import io
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from espnet_fsqdiff.scoring.bootstrap import Interval, interval
from espnet_fsqdiff.scoring.tables import clock, written
from espnet_fsqdiff.study.collect import MEASURES, RTF, Outcome
from espnet_fsqdiff.study.figures import loss_times

COLUMNS = (
    *("variant", "decoder", "tokens", "steps", "measure"),
    *("estimate", "low", "high", "over", "seeds"),
)


class Row(NamedTuple):
    """One figure of one variant.

    Attributes:
        outcome: Of the variant.
        steps: Sampling steps; None for a figure of the training, or of `lm`.
        measure: Its name.
        form: How it is written.
        interval: The figure.
        seeds: Trainings in it.
    """

    outcome: Outcome
    steps: Optional[int]
    measure: str
    form: str
    interval: Interval
    seeds: int


def figures_of(outcomes: Sequence[Outcome]) -> List[Row]:
    """Every figure that is known, with its interval."""
    rows = []
    for outcome in outcomes:
        for steps in outcome.steps:
            for measure in (*MEASURES, RTF):
                counts = outcome.counts(measure, steps)
                if counts is not None:
                    rows.append(
                        Row(
                            outcome,
                            steps,
                            measure.key,
                            measure.form,
                            interval(counts),
                            len(counts.seeds),
                        )
                    )
        for name, form, path in training_measures([outcome]):
            counts = outcome.training_counts(*path)
            if counts is not None:
                row = Row(
                    outcome, None, name, form, interval(counts), len(counts.seeds)
                )
                rows.append(row)
    return rows


def training_measures(outcomes: Sequence[Outcome]) -> List[tuple]:
    """Name, form and place of each figure of a training."""
    return [
        ("parameters", "{:.0f}", ("parameters",)),
        ("updates", "{:.0f}", ("updates",)),
        ("train_seconds", "{:.0f}", ("train_seconds",)),
        ("valid_loss", "{:.3f}", ("valid", "loss")),
        *(
            (f"valid_loss_t{t:g}", "{:.3f}", ("valid", f"loss_t{t:g}"))
            for t in loss_times(outcomes)
        ),
    ]


def results_csv(rows: Sequence[Row]) -> str:
    """All figures, one a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        v, i = row.outcome.variant, row.interval
        steps = "" if row.steps is None else row.steps
        ends = [f"{i.low:.6g}", f"{i.high:.6g}"] if i.is_known else ["", ""]
        writer.writerow(
            [v.name, v.decoder, v.tokens, steps, row.measure, f"{i.estimate:.6g}"]
            + [*ends, i.over, row.seeds]
        )
    return out.getvalue()


Table = List[List[str]]


def score_table(outcomes: Sequence[Outcome]) -> Table:
    """A line for each variant and number of steps."""
    measures = (*MEASURES, RTF)
    table = [["variant", "steps", "trainings", *(m.label for m in measures)]]
    for outcome in outcomes:
        for steps in outcome.steps:
            seeds = sum(n == steps for n, _ in outcome.utterances)
            cells = []
            for measure in measures:
                counts = outcome.counts(measure, steps)
                cells.append(written(measure.form, counts and interval(counts)))
            name = outcome.variant.name
            table.append(
                [name, "–" if steps is None else str(steps), str(seeds)] + cells
            )
    return table


def training_table(outcomes: Sequence[Outcome]) -> Table:
    """A line for each variant: size, cost, cross-entropy by t."""
    times = loss_times(outcomes)
    table = [
        ["variant", "decoder", "trainings", "parameters", "updates", "training"]
        + ["cross-entropy", *(f"t = {t:g}" for t in times)]
    ]
    for outcome in outcomes:
        if not outcome.trainings:
            continue
        figures = list(outcome.trainings.values())
        seconds = sum(f["train_seconds"] for f in figures) / len(figures)
        losses = [("valid", "loss"), *(("valid", f"loss_t{t:g}") for t in times)]
        counts = [outcome.training_counts(*path) for path in losses]
        table.append(
            [outcome.variant.name, outcome.variant.decoder, str(len(figures))]
            + [f"{figures[0]['parameters'] / 1e6:.2f} M"]
            + ["/".join(sorted({str(f["updates"]) for f in figures})), clock(seconds)]
            + [written("{:.3f}", c and interval(c)) for c in counts]
        )
    return table


def theory_table(theory: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each codebook: what `codebook_report` found."""
    columns: Dict[str, None] = {}
    for figures in theory.values():
        columns.update(dict.fromkeys(figures))
    return [["codebook", *columns]] + [
        [name, *(f"{f[c]:.4g}" if c in f else "–" for c in columns)]
        for name, f in theory.items()
    ]


def markdown(table: Table) -> str:
    """A table whose first line is the head."""
    head, *rows = table
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
