"""Measures of copies as tables with intervals, for a reader and for a machine."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from espnet_fsqdiff.scoring.bootstrap import Counts, Interval, contrast, interval
from espnet_fsqdiff.scoring.copies import CopyScores
from espnet_fsqdiff.scoring.tables import written
from espnet_fsqdiff.scoring.text import EditCounts

NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Utterance:
    """What is known of one utterance of one system.

    Attributes:
        utt: Its id.
        copy: Measures against the recording; None for the recording itself.
        edits: Edits of what was recognised; None without texts.
        recognized: What was recognised; None without texts.
    """

    utt: str
    copy: Optional[CopyScores]
    edits: Optional[EditCounts]
    recognized: Optional[str]


@dataclass(frozen=True)
class System:
    """One row of the table.

    Attributes:
        name: Of the system.
        utterances: The same of all systems, in one order.
        stats: Of its stats.json: `rtf`, `bytes`, `parameters`, ...; may be empty.
    """

    name: str
    utterances: List[Utterance]
    stats: Mapping[str, Any]


# Numerator and denominator of an utterance, or None where it has no such figure.
Parts = Callable[[Utterance], Optional[Tuple[float, float]]]


class SoundMeasure(NamedTuple):
    """A column: its key, name, form, ratio of sums, and what it is.

    Attributes:
        package: Without which there is no figure.
        root: Whether the figure is the square root of the ratio.
    """

    key: str
    label: str
    form: str
    parts: Parts
    note: str
    package: Optional[str] = None
    root: bool = False


def _mean(key: str) -> Parts:
    def parts(utterance: Utterance) -> Optional[Tuple[float, float]]:
        value = None if utterance.copy is None else getattr(utterance.copy, key)
        return None if value is None else (value, 1.0)

    return parts


def _ratio(over: str, under: str) -> Parts:
    def parts(utterance: Utterance) -> Optional[Tuple[float, float]]:
        copy = utterance.copy
        return None if copy is None else (getattr(copy, over), getattr(copy, under))

    return parts


def _cer(utterance: Utterance) -> Optional[Tuple[float, float]]:
    edits = utterance.edits
    return None if edits is None else (edits.char_edits, edits.chars)


MEASURES = [
    SoundMeasure(
        *("pesq", "PESQ", "{:.2f}", _mean("pesq")),
        "wide band, 16 kHz, 1.0 to 4.64, more is better",
        package="pesq",
    ),
    SoundMeasure(
        *("stoi", "STOI", "{:.3f}", _mean("stoi")),
        "at most 1, more is better",
        package="pystoi",
    ),
    SoundMeasure(
        *("estoi", "ESTOI", "{:.3f}", _mean("estoi")),
        "extended STOI",
        package="pystoi",
    ),
    SoundMeasure(
        *("mcd", "MCD, dB", "{:.2f}", _mean("mcd")),
        "mel-cepstral distortion at 16 kHz, c1 to c24, frame by frame",
    ),
    SoundMeasure(
        *("mcd_warped", "MCD warped, dB", "{:.2f}", _mean("mcd_warped")),
        "the same after dynamic time warping",
    ),
    SoundMeasure(
        *("mcd_24k", "MCD 24 kHz, dB", "{:.2f}", _mean("mcd_24k")),
        "c1 to c34, frame by frame, where both files have 24 kHz",
    ),
    SoundMeasure(
        *("log_f0_rmse", "log-F0 RMSE", "{:.3f}"),
        _ratio("squared_log_f0", "num_voiced"),
        "nats, frames voiced on both sides",
        root=True,
    ),
    SoundMeasure(
        *("voicing_error", "voicing error", "{:.3f}"),
        _ratio("voicing_errors", "num_frames"),
        "share of frames voiced on one side alone",
    ),
    SoundMeasure("cer", "CER", "{:.3f}", _cer, "character error rate of a recognizer"),
]


# Columns of what a system costs: entry of stats.json, name, form, unit.
COSTS = [
    ("parameters", "M parameters", "{:.2f}", 1e6),
    ("bytes", "MB", "{:.1f}", 1e6),
    ("rtf", "RTF", "{:.3f}", 1),
    ("rtf_cpu", "RTF, processor", "{:.3f}", 1),
]


def counts_of(measure: SoundMeasure, system: System) -> Optional[Counts]:
    """What a figure of a system is made of; None if no utterance has it."""
    parts = [measure.parts(u) for u in system.utterances]
    if not any(p is not None and p[1] > 0 for p in parts):
        return None
    table = np.array([p or (0.0, 0.0) for p in parts], dtype=float).T
    return Counts(table[:1], table[1:], (0,), measure.root)


def figures(system: System) -> Dict[str, Interval]:
    """Every figure of a system that is known, with its interval over utterances."""
    counts = {m.key: counts_of(m, system) for m in MEASURES}
    return {key: interval(c) for key, c in counts.items() if c is not None}


def differences(system: System, base: System) -> Dict[str, Interval]:
    """Figures of a system less those of another, paired by utterance."""
    found = {}
    for measure in MEASURES:
        ours, theirs = counts_of(measure, system), counts_of(measure, base)
        if ours is not None and theirs is not None:
            found[measure.key] = contrast([(1.0, ours), (-1.0, theirs)])
    return found


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def markdown(
    systems: Sequence[System], missing: Sequence[str] = (), against: str = ""
) -> str:
    """Write the table, the differences, and what the columns are.

    Args:
        systems: In the order of the rows.
        missing: Packages that are not installed.
        against: Name of the system that the others are compared with; "" for none.
    """
    known = {s.name: figures(s) for s in systems}
    columns = [
        m
        for m in MEASURES
        if m.package in missing or any(m.key in found for found in known.values())
    ]
    lines = [
        _row(["", *(m.label for m in columns), *(cost[1] for cost in COSTS)]),
        "|---|" + "---:|" * (len(columns) + len(COSTS)),
    ]
    for system in systems:
        cells = [
            (
                NOT_INSTALLED
                if m.package in missing
                else written(m.form, known[system.name].get(m.key))
            )
            for m in columns
        ]
        lines.append(_row([system.name, *cells, *_costs(system.stats)]))
    lines.append("")
    lines += [f"* {m.label}: {m.note}." for m in columns]
    lines += _incomplete(systems, columns)
    lines += [
        f"* {len(systems[0].utterances)} utterances; in brackets 95 % intervals over "
        "them.",
        "* MB: weights in memory. RTF: seconds of work for a second of speech, or "
        "processor seconds, which other work on the machine moves less.",
    ]
    if against:
        base = next(s for s in systems if s.name == against)
        lines += ["", *_differences(systems, base, columns)]
    return "\n".join(lines) + "\n"


def _costs(stats: Mapping[str, Any]) -> List[str]:
    """Parameters, size and real-time factor, as far as they are known."""
    return [
        form.format(stats[key] / unit) if key in stats else "–"
        for key, _, form, unit in COSTS
    ]


def _incomplete(
    systems: Sequence[System], columns: Sequence[SoundMeasure]
) -> List[str]:
    """Name the figures that are of some utterances alone."""
    lines = []
    for measure in columns:
        for system in systems:
            have = sum(measure.parts(u) is not None for u in system.utterances)
            if 0 < have < len(system.utterances):
                lines.append(f"* {measure.label} of {system.name}: {have} utterances.")
    return lines


def _differences(
    systems: Sequence[System], base: System, columns: Sequence[SoundMeasure]
) -> List[str]:
    """The lines of a second table."""
    lines = [
        _row([f"less {base.name}", *(m.label for m in columns)]),
        "|---|" + "---:|" * len(columns),
    ]
    for system in systems:
        found = differences(system, base)
        if system is base or not found:
            continue
        cells = []
        for measure in columns:
            d = found.get(measure.key)
            form = measure.form.replace("{:", "{:+")
            cells.append(
                "–"
                if d is None
                else f"{form.format(d.estimate)} "
                f"[{form.format(d.low)}, {form.format(d.high)}]"
            )
        lines.append(_row([system.name, *cells]))
    return lines


def utterances_csv(systems: Sequence[System]) -> str:
    """All utterances of all systems, one a line; what is not known is empty."""
    of_copy = [f.name for f in fields(CopyScores)]
    out = io.StringIO()
    writer = csv.DictWriter(
        out,
        ["system", "utt", *of_copy, *EditCounts._fields, "recognized"],
        lineterminator="\n",
    )
    writer.writeheader()
    for system in systems:
        for u in system.utterances:
            row = {"system": system.name, "utt": u.utt, "recognized": u.recognized}
            row.update(asdict(u.copy) if u.copy else {})
            row.update(u.edits._asdict() if u.edits else {})
            writer.writerow(row)
    return out.getvalue()
