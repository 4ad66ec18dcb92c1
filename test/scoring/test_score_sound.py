"""The command that compares copies: tables, intervals, faults."""

import csv
import json
import sys

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.bin.score_sound import main
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring import copies, recognizer_choices
from espnet_fsqdiff.scoring.bootstrap import Interval
from espnet_fsqdiff.scoring.sound_tables import (
    COSTS,
    MEASURES,
    System,
    Utterance,
    differences,
    figures,
    markdown,
)
from espnet_fsqdiff.scoring.text import EditCounts

from .conftest import moving_tone
from .test_recognizer import CountingRecognizer

UTTS = ("a", "b", "c")


class Listener(CountingRecognizer):
    """Understands what has little noise."""

    def recognize(self, wave):
        crossings = np.count_nonzero(np.diff(np.signbit(wave)))
        return "one two" if crossings / len(wave) < 0.3 else "one"


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Recordings at 24 kHz, copies with little and with much noise."""
    monkeypatch.setitem(recognizer_choices, "pocketsphinx", Listener)
    noise = np.random.default_rng(0).standard_normal(24000)
    for name, level in {"ref": 0, "good": 0.001, "bad": 0.1}.items():
        (tmp_path / name).mkdir()
        lines = []
        for number, utt in enumerate(UTTS):
            path = tmp_path / name / f"{utt}.wav"
            wave = moving_tone(1.0, 24000, pitch=1 + 0.1 * number) + level * noise
            soundfile.write(path, wave, 24000)
            lines.append(f"{utt} {path}\n")
        (tmp_path / name / "wav.scp").write_text("".join(lines))
    (tmp_path / "ref" / "text").write_text("".join(f"{u} One two.\n" for u in UTTS))
    (tmp_path / "good" / "stats.json").write_text(
        '{"rtf": 0.25, "parameters": 1500000, "bytes": 6000000}'
    )
    return [
        f"--ref={tmp_path}/ref",
        f"--text={tmp_path}/ref/text",
        f"--system=good={tmp_path}/good",
        f"--system=bad={tmp_path}/bad",
        f"--outdir={tmp_path}/out",
    ]


def cells(table, name):
    line = next(x for x in table.splitlines() if x.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table(arguments, tmp_path, capsys):
    main([*arguments, "--against=bad"])
    table = (tmp_path / "out" / "sound.md").read_text()
    assert capsys.readouterr().out == table
    heads = cells(table, "")
    assert heads[1:] == [m.label for m in MEASURES] + [c[1] for c in COSTS]
    good, bad, original = (cells(table, n) for n in ("good", "bad", "original"))
    assert good[-4:] == ["1.50", "6.0", "0.250", "–"] and bad[-4:] == ["–"] * 4
    cer = heads.index("CER")
    assert original[1:cer] == ["–"] * (cer - 1) and original[cer] == "0.000"
    # "one" for "one two": four of seven characters are lost.
    assert bad[cer].startswith("0.571") and good[cer] == "0.000"
    less = cells(table, "less bad")
    row = [x for x in table.splitlines() if x.startswith("| good |")][1]
    change = row.strip("|").split("|")[less.index("MCD, dB")].strip()
    assert change.startswith("-") and "[-" in change and "3 utterances" in table

    found = json.loads((tmp_path / "out" / "sound.json").read_text())
    assert list(found) == ["original", "good", "bad"]
    assert found["good"]["stats"]["rtf"] == 0.25
    mcd = found["bad"]["mcd"]
    assert found["good"]["mcd"]["estimate"] < mcd["estimate"]
    assert mcd["low"] < mcd["estimate"] < mcd["high"]
    assert "mcd_24k" in found["bad"]

    with open(tmp_path / "out" / "utterances.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(r["system"], r["utt"]) for r in rows] == [
        (s, u) for s in ("original", "good", "bad") for u in UTTS
    ]
    assert rows[0]["mcd"] == "" and rows[-1]["recognized"] == "one"
    of_bad = [float(r["mcd"]) for r in rows if r["system"] == "bad"]
    assert np.mean(of_bad) == pytest.approx(mcd["estimate"])


def test_goes_on_where_it_was(arguments, tmp_path, monkeypatch):
    main(arguments[:3] + arguments[4:])  # good alone
    calls = []
    compare = copies.compare_copy
    monkeypatch.setattr(
        copies, "compare_copy", lambda a, b: calls.append(1) or compare(a, b)
    )
    main(arguments)
    assert len(calls) == len(UTTS)


def test_without_texts_and_some_utterances(arguments, tmp_path):
    main([arguments[0], *arguments[2:], "--num_utts=2"])
    found = json.loads((tmp_path / "out" / "sound.json").read_text())
    assert list(found) == ["good", "bad"] and "cer" not in found["good"]
    assert "2 utterances" in (tmp_path / "out" / "sound.md").read_text()


def test_what_is_not_installed_is_said(arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    main(arguments)
    table = (tmp_path / "out" / "sound.md").read_text()
    assert cells(table, "good")[1] == "not installed"
    assert "pesq" not in json.loads((tmp_path / "out" / "sound.json").read_text())


def test_faults(arguments, tmp_path):
    with pytest.raises(InputError, match="nothing to compare"):
        main([arguments[0], arguments[-1]])
    with pytest.raises(InputError, match="cannot be called original"):
        main([*arguments, f"--system=original={tmp_path}/bad"])
    with pytest.raises(InputError, match="--against worse"):
        main([*arguments, "--against=worse"])
    with pytest.raises(InputError, match="at least 1"):
        main([*arguments, "--num_utts=0"])
    scp = tmp_path / "bad" / "wav.scp"
    scp.write_text("".join(scp.read_text().splitlines(True)[:2]))
    with pytest.raises(InputError, match="bad/wav.scp: utterance c"):
        main(arguments)
    (tmp_path / "ref" / "wav.scp").write_text("")
    with pytest.raises(InputError, match="ref: no utterance"):
        main(arguments)


def made(name, pesqs, edits=None):
    """A system of utterances with these PESQs, for the arithmetic."""
    utterances = []
    for i, pesq in enumerate(pesqs):
        copy = copies.CopyScores(
            *(1.0, 0.0, pesq, None, None, 2.0 + i, 1.0, None),
            *(0.04 * i, 4, i, 10),
        )
        utterances.append(Utterance(f"u{i}", copy, edits and edits[i], None))
    return System(name, utterances, {})


def test_figures_are_ratios_of_sums():
    edits = [EditCounts(1, 10, 0, 1), EditCounts(5, 20, 0, 1), EditCounts(0, 30, 0, 1)]
    found = figures(made("x", [2.0, 3.0, None], edits))
    assert set(found) == {
        *("pesq", "mcd", "mcd_warped", "log_f0_rmse", "voicing_error", "cer")
    }
    assert found["pesq"].estimate == pytest.approx(2.5)  # of the two that have one
    assert found["mcd"].estimate == pytest.approx(3.0)
    assert found["log_f0_rmse"].estimate == pytest.approx((0.12 / 12) ** 0.5)
    assert found["voicing_error"].estimate == pytest.approx(3 / 30)
    assert found["cer"].estimate == pytest.approx(6 / 60)
    assert isinstance(found["cer"], Interval) and found["cer"].over == "utterances"
    assert "* PESQ of x: 2 utterances." in markdown([made("x", [2.0, 3.0, None])])


def test_differences_are_paired():
    values = [1.5, 2.5, 3.5, 4.0]
    a = made("a", [v + 0.25 for v in values])
    b = made("b", values)
    found = differences(a, b)["pesq"]
    assert found.estimate == pytest.approx(0.25)
    assert found.high - found.low < 1e-9
    assert figures(a)["pesq"].high - figures(a)["pesq"].low > 1
