"""The report of a study: results.csv, results.md, index.html and figures."""

import base64
import html
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple, Union

from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.scoring.page import PAGE
from espnet_fsqdiff.study import figures, tables
from espnet_fsqdiff.study.collect import Outcome
from espnet_fsqdiff.study.verdicts import Verdict, headline, verdicts
from espnet_fsqdiff.study.why import SAME, SAME_ERRORS, reasons

METHOD = (
    "Intervals are of 95 %: bootstrap over trainings and over utterances, clustered "
    "both ways, with Student's t for the few trainings; differences are paired by "
    "utterance, and by seed where both have the same. A variant trained once is taken "
    "to vary as much as the one it is compared with, and two that were both trained "
    "once as much as those trained more often, by the same measure at the same steps; "
    "if there are none, the two are not told apart. Its own figures are over "
    "utterances alone. A verdict needs an interval that leaves out 0; none is "
    "corrected for there being many."
)
EXPECTED = (
    "What the theory expects: more D(E), A(E, r) and path KL are better; near sounds "
    "at near latents are better. Pairs are counted that CER tells apart. A property "
    f"says nothing of two codebooks in which it is within {100 * SAME:g} % or "
    f"{SAME_ERRORS:g} standard errors of their difference."
)

Section = Tuple[str, str, List[tables.Table], List[str]]


def sections(
    outcomes: Sequence[Outcome],
    references: Sequence[Outcome],
    theory: Mapping[str, Mapping[str, Any]],
    drawn: Sequence[str],
) -> List[Section]:
    """Heading, note, tables and figures of each part after the verdicts."""
    scores = tables.score_table([*references, *outcomes])
    notes = "; ".join(
        f"{o.variant.name}: {o.variant.note}" for o in outcomes if o.variant.note
    )
    found: List[Section] = [
        (
            "Scores",
            notes,
            [scores] if len(scores) > 1 else [],
            [n for n in drawn if n.endswith("_by_steps")],
        ),
        (
            "Training",
            "Figures of the validation set in the best epoch by loss; training time "
            "with validation, without start and end of the command.",
            [tables.training_table(outcomes)],
            [n for n in drawn if n == "loss_by_time"],
        ),
    ]
    if theory:
        found.append(
            (
                "Why",
                " ".join([*reasons(outcomes, theory), EXPECTED]),
                [tables.theory_table(theory)],
                [n for n in drawn if n == "criteria"],
            )
        )
    return found


def write_report(
    outcomes: Sequence[Outcome],
    references: Sequence[Outcome],
    theory: Mapping[str, Mapping[str, Any]],
    outdir: Union[str, Path],
    title: str,
) -> List[Verdict]:
    """Write all files of the report.

    Args:
        outcomes: Of the variants; what they lack is left out.
        references: Originals and resynthesised true tokens, as outcomes of one
            training without steps.
        theory: Figures of each codebook, by variant.
        outdir: Where to.
        title: Heading.

    Returns:
        The verdict on each claim.
    """
    outdir = Path(outdir)
    drawn = figures.draw(outcomes, theory, outdir / "figures")
    found = verdicts(outcomes)
    parts = sections(outcomes, references, theory, drawn)
    _write(
        outdir / "results.csv",
        tables.results_csv(tables.figures_of([*references, *outcomes])),
    )
    _write(outdir / "results.md", _markdown(title, found, parts))
    _write(outdir / "index.html", _page(title, found, parts, outdir / "figures"))
    return headline(found)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8")


def verdict_table(found: Sequence[Verdict]) -> tables.Table:
    """All verdicts, one a line."""
    return [["ordering", "by", "steps", "verdict", "evidence"]] + [
        [
            v.claim,
            v.measure,
            "–" if v.steps is None else str(v.steps),
            v.verdict,
            v.evidence.replace("|", "/"),
        ]
        for v in found
    ]


def _markdown(title: str, found: Sequence[Verdict], parts: Sequence[Section]) -> str:
    text = f"# {title}\n\n## What held\n\n"
    text += "".join(f"* {v.sentence()}\n" for v in headline(found))
    text += f"\n{METHOD}\n"
    for heading, note, shown, pictures in parts:
        text += f"\n## {heading}\n"
        text += f"\n{note}\n" if note else ""
        text += "".join(f"\n{tables.markdown(table)}" for table in shown)
        text += "".join(
            f"\n![{figures.CAPTIONS[n]}](figures/{n}.png)\n" for n in pictures
        )
    return text + f"\n## All comparisons\n\n{tables.markdown(verdict_table(found))}"


def _table(table: tables.Table) -> str:
    head, *rows = table
    cells = "".join(f"<th scope='col'>{html.escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>"
        + f"<th scope='row'>{html.escape(row[0])}</th>"
        + "".join(f"<td>{html.escape(c)}</td>" for c in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _page(
    title: str, found: Sequence[Verdict], parts: Sequence[Section], pictures: Path
) -> str:
    body = "<section><h2>What held</h2>"
    for v in headline(found):
        at = f", {v.steps} steps" if v.steps else ""
        body += (
            f"<article><h3>{html.escape(v.claim)}</h3>"
            f"<p><b>{html.escape(v.verdict)}</b> ({html.escape(v.measure)}{at})</p>"
            f"<p class='note'>{html.escape(v.evidence)}</p></article>"
        )
    body += f"<p class='note'>{html.escape(METHOD)}</p></section>"
    for heading, note, shown, names in parts:
        body += f"<section><h2>{html.escape(heading)}</h2>"
        body += f"<p class='note'>{html.escape(note)}</p>" if note else ""
        body += "".join(map(_table, shown))
        body += "".join(
            _image(pictures / f"{n}.svg", figures.CAPTIONS[n]) for n in names
        )
        body += "</section>"
    body += "<section><h2>All comparisons</h2>" + _table(verdict_table(found))
    body += "</section>"
    return PAGE.replace("{title}", html.escape(title)).replace("{body}", body)


def _image(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    caption = html.escape(caption, quote=True)
    return (
        f"<img alt='{caption}' src='data:image/svg+xml;base64,{data}'>"
        f"<p class='note'>{caption}</p>"
    )
