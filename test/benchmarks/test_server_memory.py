"""The benchmark of memory counts what it says it counts."""

import mmap
import random
import re

import pytest

from benchmarks import server_memory


class Hum:
    """Says nothing for 0.1 s, whatever the text, and may forget nothing."""

    fs = 1000

    def __init__(self, leak=0):
        self.leak, self.kept, self.said = leak, [], []

    def __call__(self, text, **options):
        self.said.append((text, options))
        if self.leak:
            # Pages of its own: what other tests have freed is not used again.
            pages = mmap.mmap(-1, self.leak)
            pages.write(bytes(self.leak))
            self.kept.append(pages)
        return {"wav": range(100), "fs": self.fs}


def run(monkeypatch, capsys, voice):
    monkeypatch.setattr("espnet_fsqdiff.bin.tts.load", lambda *_, **__: voice)
    server_memory.main(["--model", "x", "--requests", "60", "--every", "20"])
    out = capsys.readouterr().out
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.]+) \|$", out, re.MULTILINE)
    return rows, int(re.search(r"grew by ([+-]\d+) MB", out)[1])


def test_rows_and_a_leak(monkeypatch, capsys):
    voice = Hum()
    rows, growth = run(monkeypatch, capsys, voice)
    assert [row[0] for row in rows] == ["20", "40", "60"]
    assert growth < 20
    assert len(voice.said) == 60 and len({text for text, _ in voice.said}) > 50
    assert voice.said[0][1] == {"num_steps": 4, "num_takes": 1}
    rows, growth = run(monkeypatch, capsys, Hum(leak=2_000_000))
    assert growth == pytest.approx(80, abs=20)
    assert int(rows[2][1]) - int(rows[0][1]) == pytest.approx(growth, abs=2)


def test_texts_differ_in_length():
    draw = random.Random(0)
    texts = [server_memory.make_text(draw) for _ in range(50)]
    sentences = [text.split("\n\n") for text in texts]
    assert {len(s) for s in sentences} == {1, 2, 3}
    assert all(1 <= len(x.split()) <= 8 for s in sentences for x in s)
