"""The report: a page to look at and listen to, a Markdown table, scores.json."""

import base64
import html
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple, Union

from espnet_fsqdiff.data.audio import Notices, load_audio, read_audio
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.scoring import tables
from espnet_fsqdiff.scoring.acoustic import FS
from espnet_fsqdiff.scoring.curves import Curves
from espnet_fsqdiff.scoring.evaluation import SystemScores
from espnet_fsqdiff.scoring.page import PAGE
from espnet_fsqdiff.scoring.pictures import spectrograms, training_curves
from espnet_fsqdiff.scoring.text import error_rates

# Mail and chat refuse larger files.
MAX_BYTES = 14_000_000


@dataclass
class Report:
    """All that the report shows.

    Attributes:
        title: Heading of the page.
        texts: Text by utterance id.
        systems: The originals, then the systems.
        tokens: Token statistics.
        duration: Statistics of the duration predictor.
        wall: `{stage number: (name, seconds)}`.
        curves: Training curves by name.
        judge: One line on the recognizer.
        num_examples: How many utterances are shown and played.
    """

    title: str
    texts: Mapping[str, str]
    systems: Sequence[SystemScores]
    tokens: Mapping[str, Any] = field(default_factory=dict)
    duration: Mapping[str, Any] = field(default_factory=dict)
    wall: Mapping[str, Tuple[str, float]] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)
    judge: str = ""
    num_examples: int = 5

    def write(self, outdir: Union[str, Path]) -> Path:
        """Write `scores.json`, `results.md` and `index.html`.

        Returns:
            The path of `index.html`.
        """
        outdir = Path(outdir)
        entries = tables.score_entries(
            self.systems, self.tokens, self.duration, self.wall
        )
        scores = json.dumps(entries, indent=2, allow_nan=False, ensure_ascii=False)
        _write_text(outdir / "scores.json", scores + "\n")
        _write_text(outdir / "results.md", self.markdown())
        _write_text(outdir / "index.html", self.html())
        return outdir / "index.html"

    def markdown(self) -> str:
        """Return the content of `results.md`."""
        parts = [
            tables.markdown_score_table(self.systems),
            self._basis() + "\n",
            tables.markdown_pairs("Tokens", tables.TOKEN_MEASURES, self.tokens),
            tables.markdown_pairs("Duration", tables.DURATION_MEASURES, self.duration),
            tables.markdown_wall_seconds(self.wall),
        ]
        return "\n".join(part for part in parts if part)

    def html(self) -> str:
        """Return the content of `index.html`."""
        body = self._score_section() + self._figure_section() + self._curve_section()
        page = PAGE.replace("{title}", html.escape(self.title))
        budget = MAX_BYTES - len(page) - len(body)
        examples: List[str] = []
        chosen = evenly_spread(list(self.texts), self.num_examples)
        for utt in chosen:
            example = self._example(utt)
            budget -= len(example)
            if budget < 0:
                break
            examples.append(example)
        left_out = len(chosen) - len(examples)
        if examples:
            body += "<section><h2>Examples</h2>" + "".join(examples)
            if left_out:
                body += f"<p>{left_out} more would make this page too large.</p>"
            body += "</section>"
        return page.replace("{body}", body)

    def _basis(self) -> str:
        return f"{len(self.texts)} utterances. {self.judge}".strip()

    def _score_section(self) -> str:
        head = "".join(
            f"<th scope='col'>{html.escape(s.name)}</th>" for s in self.systems
        )
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(m.label)}"
            + (f"<small>{html.escape(m.note)}</small>" if m.note else "")
            + "</th>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
            for m, cells in tables.rows_of(
                tables.MEASURES, [s.scores for s in self.systems]
            )
        )
        return (
            "<section><h2>Scores</h2><div class='scroll'><table>"
            f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"</div><p class='note'>{html.escape(self._basis())} Error rates and "
            "accuracies are fractions.</p></section>"
        )

    def _figure_section(self) -> str:
        blocks = ""
        for title, measures, figures in (
            ("Tokens", tables.TOKEN_MEASURES, self.tokens),
            ("Duration", tables.DURATION_MEASURES, self.duration),
        ):
            rows = [(m.label, c[0]) for m, c in tables.rows_of(measures, [figures])]
            blocks += _pairs(title, rows)
        if self.wall:
            rows = [
                (f"{n} {name}", tables.clock(s)) for n, (name, s) in self.wall.items()
            ]
            total = tables.clock(sum(s for _, s in self.wall.values()))
            blocks += _pairs("Time by stage", [*rows, ("total", total)])
        return f"<section class='columns'>{blocks}</section>" if blocks else ""

    def _curve_section(self) -> str:
        if not self.curves:
            return ""
        pictures = "".join(
            f"<h3>{html.escape(name)}</h3>"
            + _image("image/svg+xml", training_curves(curves), f"{name}: curves")
            for name, curves in self.curves.items()
        )
        return f"<section><h2>Training</h2>{pictures}</section>"

    def _example(self, utt: str) -> str:
        text = self.texts[utt]
        quiet = Notices(lambda message: None)
        waves = [
            (s.name, load_audio(s.wavs[utt], FS, utt, quiet)) for s in self.systems
        ]
        rows = ""
        for s in self.systems:
            heard = s.recognized[utt]
            cer = error_rates([text], [heard])["cer"]
            rows += (
                f"<div class='system'><b>{html.escape(s.name)}</b>"
                f"<span class='cer'>CER {cer:.2f}</span>"
                f"<p>{html.escape(heard) or '<i>no word understood</i>'}</p>"
                f"{_player(s.wavs[utt], f'{s.name} {utt}')}</div>"
            )
        picture = _image("image/png", spectrograms(waves), f"Spectrograms of {utt}")
        return (
            f"<article><h3>{html.escape(text)}</h3><p class='note'>"
            f"{html.escape(utt)}</p>{picture}<div class='systems'>{rows}</div>"
            "</article>"
        )


def evenly_spread(utts: Sequence[str], number: int) -> List[str]:
    """Choose `number` utterances, spread evenly over the list and not by quality."""
    number = min(number, len(utts))
    return [utts[math.floor((i + 0.5) * len(utts) / number)] for i in range(number)]


def _pairs(title: str, rows: Sequence[Tuple[str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><th scope='row'>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>"
        for a, b in rows
    )
    return (
        f"<div><h2>{html.escape(title)}</h2><table><tbody>{cells}</tbody></table></div>"
    )


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _image(kind: str, content: bytes, alt: str) -> str:
    return f"<img alt='{html.escape(alt)}' src='{_data_uri(kind, content)}'>"


def _player(path: Union[str, Path], name: str) -> str:
    """Return a player with the audio in it: 16-bit FLAC at the file's own rate."""
    import soundfile

    wave, rate, _ = read_audio(path, name)
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format="FLAC", subtype="PCM_16")
    source = _data_uri("audio/flac", out.getvalue())
    label = html.escape(name, quote=True)
    return (
        f"<audio controls preload='metadata' aria-label='{label}' "
        f"src='{source}'></audio>"
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8")
