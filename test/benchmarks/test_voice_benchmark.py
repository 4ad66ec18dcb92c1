"""The benchmark of a voice: what it counts, what it keeps, what it names."""

import csv
import re

import numpy as np
import pytest
import soundfile

from benchmarks import long_text, voice
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.reading import stream_aloud

FS = 8000
TEXTS = ["The first of them.", "A second one comes.", "And here is the third one."]
HEARD = {"1": "the first of them", "2": "a second", "3": "nothing but noise was it"}


class Hum:
    """Hums a tenth of a second for a character, between silences; line 2 may fail."""

    fs = FS

    def __init__(self, silent=()):
        self.silent, self.said = set(silent), []

    def batch(self, texts, **options):
        self.said.append((list(texts), options))
        return [self.one(text) for text in texts]

    def one(self, text):
        size = len(text) * FS // 10
        tone = 0.3 * np.sin(np.arange(size, dtype=np.float32))
        quiet = np.zeros(FS // 2, dtype=np.float32)
        wav = np.concatenate([quiet, tone * (text not in self.silent), quiet])
        return dict(wav=wav, fs=FS, rtf=0.5, rtf_sampling=0.2)

    def stream(self, lines, seed):
        return stream_aloud(
            lines,
            holds=self.holds,
            sounds=self.sounds,
            speak=lambda texts, names: [self.one(text) for text in texts],
            fs=FS,
        )

    def holds(self, text, name="text"):
        return True

    def sounds(self, text):
        return True


@pytest.fixture
def hear(monkeypatch):
    """A recognizer that hears what it is told for each file, in order of lines."""
    said = dict(HEARD)

    def recognize_files(wavs, recognizer, nj, cache_dir):
        assert all(path.is_file() for path in wavs.values())
        return {utt: said[utt] for utt in wavs}

    module = "espnet_fsqdiff.scoring.recognizer."
    monkeypatch.setattr(module + "recognize_files", recognize_files)
    monkeypatch.setattr(module + "PocketsphinxRecognizer", lambda: None)
    return said


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, hear):
    texts = tmp_path / "texts"
    texts.write_text("\n".join(TEXTS))

    def run(tts, *options):
        monkeypatch.setattr("espnet_fsqdiff.bin.tts.load", lambda *_, **__: tts)
        out = ["--output_dir", str(tmp_path / "out")]
        voice.main([str(texts), "--model", "x/none", *out, *options])
        output = capsys.readouterr()
        rows = [r.strip("| ").split(" | ") for r in output.out.splitlines() if r]
        return [r for r in rows if re.match(r"\d+$", r[0])], output

    return run


def test_rows_names_and_what_is_kept(run, tmp_path):
    tts = Hum()
    rows, output = run(tts, "--num_takes", "1", "4")
    assert [r[0] for r in rows] == ["1", "4"] and all(r[1] == "3" for r in rows)
    # "one comes" is 10 characters with its space, of 17 + 18 + 25.
    with open(tmp_path / "out" / "takes_1.csv") as f:
        kept = {line["line"]: line for line in csv.DictReader(f)}
    assert kept["1"]["char_edits"] == "0" and kept["2"]["char_edits"] == "10"
    edits, chars = (sum(int(kept[n][c]) for n in kept) for c in ("char_edits", "chars"))
    assert chars == 60 and rows[0][2].startswith(f"{edits / 60:.3f} [")
    assert float(kept["1"]["seconds"]) == pytest.approx(1.8, abs=0.03)
    assert rows[0][5] == "66.7 %" and rows[0][7] == "0"
    assert "line 3, CER" in output.out and "heard: nothing but noise" in output.out
    assert rows[1][4].startswith("0.000 [") and rows[0][4] == ""
    assert [o for _, o in tts.said] == [
        dict(seed=0, num_takes=1),
        dict(seed=0, num_takes=4),
    ]
    again, _ = run(None, "--num_takes", "1", "4")  # no voice is needed any more
    assert again == rows


def test_runs_are_compared_over_the_texts_of_both(run, hear, tmp_path):
    run(Hum(), "--num_takes", "1")
    other = (tmp_path / "out").rename(tmp_path / "other") / "takes_1.csv"
    read = voice.read_csv(other)
    voice.write_csv(tmp_path / "again.csv", read)
    assert (tmp_path / "again.csv").read_text() == other.read_text()
    voice.write_csv(other, [s for s in read if s.line < 3])
    hear["2"] = TEXTS[1].lower().rstrip(".")
    _, output = run(Hum(), "--num_takes", "1", "--against", str(other))
    # Ten characters of 17 + 18 are right now.
    assert f"* CER less that of {other}, 2 texts: {-10 / 35:.3f} [" in output.out
    with pytest.raises(InputError, match="no such file; --against takes"):
        run(Hum(), "--num_takes", "1", "--against", "nowhere.csv")
    voice.write_csv(other, [])
    with pytest.raises(InputError, match="no sentence is in both"):
        run(Hum(), "--num_takes", "1", "--against", str(other))


def test_silence_is_counted_and_tried_again(run):
    rows, output = run(Hum(silent=[TEXTS[1]]), "--num_takes", "1")
    assert rows[0][1] == "2" and rows[0][7] == "1"
    assert "line 2: its wave is silent" in output.err
    tts = Hum()
    rows, _ = run(tts, "--num_takes", "1")
    assert rows[0][1] == "3" and rows[0][7] == "0"
    assert [texts for texts, _ in tts.said] == [[TEXTS[1]]]


def test_other_settings_are_other_waves(run):
    run(Hum(), "--num_takes", "1")
    tts = Hum()
    run(tts, "--num_takes", "1", "--seed", "5")
    assert tts.said == [(TEXTS, dict(seed=5, num_takes=1))]


def test_times(run):
    tts = Hum()
    rows, output = run(tts, "--num_takes", "2", "--speed_only", "2")
    assert [r[:2] for r in rows] == [["2", "1"], ["2", str(voice.BATCH)]]
    assert all(r[3:] == ["0.500", "0.200", "40 %"] for r in rows)
    assert [texts for texts, _ in tts.said] == [
        TEXTS[:1],
        TEXTS[:1],
        TEXTS[1:2],
        TEXTS[:2],
        TEXTS[:2],
    ]
    assert "threads" in output.out and "load before the run" in output.out


def sentence(line, seconds, chars=20):
    return voice.Sentence(line, "text", "heard", 1, chars, 1, 4, seconds)


def test_odd_rates():
    some = [sentence(n, 1.0 + n / 100) for n in range(9)]
    slow, fast = sentence(20, 2.0), sentence(21, 0.5)
    assert voice.odd_rates([*some, slow, fast]) == [slow, fast]
    assert voice.odd_rates(some) == []


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "texts").write_text("\n\n")
    with pytest.raises(InputError, match="has no text"):
        voice.main([str(tmp_path / "texts"), "--output_dir", str(tmp_path / "out")])


# --- one long text ------------------------------------------------------------------


def test_a_long_text_has_paragraphs():
    text = list(long_text.long_text(TEXTS, 50))
    words = "".join(text).split()
    assert 50 <= len(words) < 50 + 6
    assert [part.count("\n") for part in text[:9]] == [1] * 7 + [2, 1]


def test_every_sentence_of_a_long_text_is_looked_for(run, hear, tmp_path):
    hear.update({str(n): TEXTS[(n - 1) % 3] for n in range(1, 20)})
    hear["5"] = ""
    rows, output = run(Hum(), "--long_text", "40")
    assert "in 9 sentences" in output.out
    assert "1 sentences with a CER above 0.5" in output.out
    assert f"line 5, CER 1.00: {TEXTS[1]} / heard: " in output.out
    # Each was cut out of the file where it is: the tone, with silence kept around it.
    folder = tmp_path / "out" / "long_text"
    for number in range(1, 10):
        wave, fs = soundfile.read(folder / f"{number:06d}.wav")
        sound = np.flatnonzero(np.abs(wave) > 0.05)
        expected = len(TEXTS[(number - 1) % 3]) / 10
        assert (sound[-1] - sound[0]) / fs == pytest.approx(expected, abs=0.05)
        assert np.abs(wave[sound[0] : sound[-1]]).mean() > 0.1


def test_a_piece_that_is_not_spoken_is_a_fault(monkeypatch, tmp_path):
    tts = Hum()
    spoken = list(tts.stream([text + "\n" for text in TEXTS], seed=0))
    monkeypatch.setattr(tts, "stream", lambda lines, seed: iter(spoken[:-1]))
    lines = [voice.Line(n, text) for n, text in enumerate(TEXTS, 1)]
    with pytest.raises(RuntimeError, match="are not the text"):
        long_text.read_long_text(tts, lines, 13, tmp_path, 0, 1)
