"""Scores as tables, for a reader and for a machine."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from espnet_fsqdiff.scoring.bootstrap import Interval
from espnet_fsqdiff.scoring.evaluation import SystemScores


class Measure(NamedTuple):
    """A row of the table of scores: its entry, name, form and explanation."""

    key: str
    label: str
    form: str
    note: str


MEASURES = [
    Measure("cer", "CER", "{:.3f}", "character error rate of the recognizer"),
    Measure("wer", "WER", "{:.3f}", "word error rate of the recognizer"),
    Measure("mcd", "MCD, dB", "{:.2f}", "mel-cepstral distortion, aligned"),
    Measure("log_f0_rmse", "log-F0 RMSE", "{:.3f}", "aligned voiced frames, nats"),
    Measure(
        "speaker_similarity",
        "Speaker similarity",
        "{:.3f}",
        "cosine of embeddings, to the prompts or originals",
    ),
    Measure("duration_ratio", "Length ratio", "{:.3f}", "to the originals"),
    Measure(
        "rollout_token_accuracy", "Token accuracy", "{:.3f}", "of the sampled rollout"
    ),
    Measure("rtf", "Real-time factor", "{:.3f}", "seconds per second of speech"),
    Measure("num_steps", "Sampling steps", "{:g}", ""),
    Measure("unfinished", "Cut off", "{:d}", "utterances that found no end"),
]

TOKEN_MEASURES = [
    Measure("used_codes", "Codes used", "{:d}", ""),
    Measure("codebook_size", "Codes in the codebook", "{:d}", ""),
    Measure("perplexity", "Perplexity", "{:.1f}", ""),
    Measure("rate_hz", "Tokens per second", "{:g}", ""),
    Measure("bits_per_second", "Bits per second", "{:.1f}", ""),
    Measure("num_utts", "Utterances", "{:d}", ""),
    Measure("num_tokens", "Tokens", "{:d}", ""),
]

DURATION_MEASURES = [
    Measure("mean_relative_error", "Mean relative error of the length", "{:.3f}", "")
]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _format(form: str, value: Any) -> str:
    if isinstance(value, float) and form == "{:d}":
        form = "{:g}"
    return form.format(value)


def rows_of(
    measures: Sequence[Measure], columns: Sequence[Mapping[str, Any]]
) -> List[Tuple[Measure, List[str]]]:
    """Lay figures out in rows.

    Args:
        measures: Those with a name; other figures follow under their key.
        columns: Figures by key.

    Returns:
        Every measure that at least one column has, with a cell for each column, "–"
        where it has none.
    """
    known = {m.key for m in measures}
    others = dict.fromkeys(
        key
        for column in columns
        for key, value in column.items()
        if key not in known and _is_number(value)
    )
    rows = []
    for measure in [*measures, *(Measure(k, k, "{:g}", "") for k in others)]:
        values = [column.get(measure.key) for column in columns]
        if any(_is_number(v) for v in values):
            cells = [_format(measure.form, v) if _is_number(v) else "–" for v in values]
            rows.append((measure, cells))
    return rows


def clock(seconds: float) -> str:
    """Write seconds as h:mm:ss."""
    whole = int(round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def written(form: str, found: Optional[Interval]) -> str:
    """A figure and its interval: `0.074 [0.060, 0.088]`."""
    if found is None:
        return "–"
    text = form.format(found.estimate)
    if not found.is_known or found.low == found.high:
        return text
    # A rate is not below 0, however wide its interval.
    low = max(found.low, 0.0) if found.estimate >= 0 else found.low
    return f"{text} [{form.format(low)}, {form.format(found.high)}]"


def markdown_score_table(systems: Sequence[SystemScores]) -> str:
    """Write the scores as a Markdown table, one column a system."""
    lines = [
        "| | " + " | ".join(s.name for s in systems) + " |",
        "|---|" + "---:|" * len(systems),
    ]
    for measure, cells in rows_of(MEASURES, [s.scores for s in systems]):
        lines.append(f"| {measure.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def markdown_pairs(
    title: str, measures: Sequence[Measure], figures: Mapping[str, Any]
) -> str:
    """Write single figures as a Markdown table of two columns; "" if there is none."""
    rows = rows_of(measures, [figures])
    if not rows:
        return ""
    lines = [f"| {title} | |", "|---|---:|"]
    lines += [f"| {measure.label} | {cells[0]} |" for measure, cells in rows]
    return "\n".join(lines) + "\n"


def markdown_wall_seconds(wall: Mapping[str, Tuple[str, float]]) -> str:
    """Write the time of each stage as a Markdown table; "" if there is none."""
    if not wall:
        return ""
    lines = ["| Stage | | Time |", "|---:|---|---:|"]
    lines += [f"| {n} | {name} | {clock(sec)} |" for n, (name, sec) in wall.items()]
    lines.append(f"| | total | {clock(sum(sec for _, sec in wall.values()))} |")
    return "\n".join(lines) + "\n"


def score_entries(
    systems: Sequence[SystemScores],
    tokens: Mapping[str, Any],
    duration: Mapping[str, Any],
    wall: Mapping[str, Tuple[str, float]],
) -> Dict[str, Any]:
    """Return the content of scores.json; what is not known is not in it."""
    entries: Dict[str, Any] = {s.name: dict(s.scores) for s in systems}
    seconds = {stage: sec for stage, (_, sec) in wall.items()}
    for name, figures in dict(
        tokens=tokens, duration=duration, wall_seconds=seconds
    ).items():
        if figures:
            entries[name] = dict(figures)
    return entries
