"""Stage 8: one page and one Markdown file from tables and figures."""

import base64
import html
from typing import Any, Dict, List, Mapping, Sequence

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.scoring.page import PAGE
from espnet_fsqdiff.theory.experiments.common import (
    MAKERS,
    Work,
    markdown,
    read_table,
    require,
)
from espnet_fsqdiff.theory.experiments.figures import CAPTIONS
from espnet_fsqdiff.theory.verdicts import Verdict, criteria_table, verdicts

TITLE = "FSQ tokens for categorical diffusion: the paper's numbers, and their limits"

# Heading, what to know, tables, figures.
SECTIONS = (
    (
        "Path KL",
        "KL between the reverse diffusions that end at two points: closed form, "
        "quadrature, and Euler-Maruyama paths with Girsanov's density.",
        ("path_kl",),
        ("path_kl", "trajectories"),
    ),
    (
        "Nearest-neighbour distance D(E)",
        "Random codebooks are uniform in the box; of those of 6561 points, 512 points "
        "are looked at. Ascents maximise a smooth lower bound of D from random starts "
        "and from near the grid.",
        ("distance_random", "distance_ascent"),
        ("distance_histograms",),
    ),
    (
        "Prediction accuracy A(E, r)",
        "r = alpha / sigma. The paper prints no r; its one accuracy of a grid, "
        "38.18 %, is that of the closed form at r = 0.3.",
        ("accuracy_printed", "accuracy_random", "accuracy_line"),
        ("accuracy_curves",),
    ),
    (
        "Unequal priors",
        "Token frequencies of one real voice. `frequent outside` deals the points of "
        "the grid so that frequent tokens get places with fewer neighbours; the "
        "ascents maximise A at r = 3 under these frequencies.",
        ("priors",),
        ("priors",),
    ),
    (
        "Where FSQ is not optimal",
        "`cosets`: two cosets of the lattice D_n with L levels each (E8 for n = 8); "
        "`checkerboard`: every other point of the grid of L + 1 levels. Crossings are "
        "looked for where the grid's accuracy is 0.6 to 0.999; an empty cell says "
        "none was found there. `split edge`: nine points in the plane without the "
        "centre, one edge cut in three.",
        ("e8", "crossings", "lattices", "small_noise", "search"),
        (),
    ),
    (
        "Toy generation",
        "The package's CDCD (linear schedule, cross-entropy, EMA, DDIM from N(0, I), "
        "joint head) with an MLP over all frames. Tokens are digits of independent "
        "Markov chains, four frames a sequence, or one where so named; `renamed` "
        "gives tokens random numbers. The paper does not print its distribution, "
        "network, training or number of samples, so that only signs compare with its "
        "-9.55 / -8.68 and -7.16 / -6.72, not sizes. log KL is that of the empirical "
        "law from the true one; `of true samples` is what a perfect model gets, the "
        "mean of 100 samples of the law itself. Intervals are of a bootstrap of "
        "trainings and of sequences. The exact denoiser needs no training: what is "
        "left is the sampler's error.",
        ("toy", "toy_exact", "criteria"),
        ("toy", "criteria"),
    ),
)


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th scope='col'>{html.escape(h)}</th>" for h in head)
    body = ""
    for row in rows:
        first, *rest = (html.escape(c) for c in row)
        body += f"<tr><th scope='row'>{first}</th>"
        body += "".join(f"<td>{c}</td>" for c in rest) + "</tr>"
    return (
        f"<div class='scroll'><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _from_markdown(text: str) -> str:
    lines = [line.strip("| \n").split(" | ") for line in text.splitlines()]
    # An empty last cell loses its bar to the strip.
    width = len(lines[0])
    rows = [row + [""] * (width - len(row)) for row in lines[2:]]
    return _html_table(lines[0], [[c.strip() for c in row] for row in rows])


def _verdict_html(found: Sequence[Verdict]) -> str:
    blocks = "".join(
        f"<article><h3>{html.escape(v.statement)}</h3>"
        f"<p><b>{html.escape(v.verdict)}</b></p>"
        f"<p class='note'>{html.escape(v.evidence)}</p></article>"
        for v in found
    )
    return f"<section><h2>What holds</h2>{blocks}</section>"


def _image(work: Work, name: str) -> str:
    path = work.outdir / "figures" / f"{name}.svg"
    if not path.is_file():
        raise InputError(f"{path} is missing; run stage 7 (figures) first: --stage 7")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    caption = html.escape(CAPTIONS[name])
    return (
        f"<img alt='{caption}' src='data:image/svg+xml;base64,{data}'>"
        f"<p class='note'>{caption}</p>"
    )


CRITERIA_FORMS = {"criterion": "{}", "outcome": "{}"}
CRITERIA_FORMS |= dict.fromkeys(["right", "wrong", "undecided"], "{:g}")


def run(work: Work) -> None:
    """Write `report/index.html` and `report/results.md`."""
    tables: Dict[str, List[Mapping[str, Any]]] = {
        name: read_table(work, name) for name in MAKERS
    }
    found = verdicts(tables)
    agreement = markdown(CRITERIA_FORMS, criteria_table(tables))
    body = _verdict_html(found)
    text = "## What holds\n\n"
    text += "".join(f"* {v.statement}: **{v.verdict}**. {v.evidence}\n" for v in found)
    for heading, note, names, pictures in SECTIONS:
        body += f"<section><h2>{html.escape(heading)}</h2>"
        body += f"<p class='note'>{html.escape(note)}</p>"
        text += f"\n## {heading}\n\n{note}\n"
        body += "".join(_image(work, picture) for picture in pictures)
        for name in names:
            path = require(work, work.outdir / "tables" / f"{name}.md", name)
            table = path.read_text(encoding="utf-8")
            opened = " open" if len(tables[name]) <= 20 else ""
            body += f"<details{opened}><summary>{name}.csv</summary>"
            body += _from_markdown(table) + "</details>"
            text += f"\n`{name}.csv`\n\n{table}"
        if "criteria" in names:
            body += "<h3>Which criterion names the better codebook</h3>"
            body += _from_markdown(agreement)
            text += f"\nWhich criterion names the better codebook\n\n{agreement}"
        body += "</section>"
    page = PAGE.replace("{title}", html.escape(TITLE)).replace("{body}", body)
    with atomic_path(work.outdir / "report" / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    with atomic_path(work.outdir / "report" / "results.md") as path:
        path.write_text(text, encoding="utf-8")
