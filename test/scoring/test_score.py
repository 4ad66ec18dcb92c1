"""The command: scores, tables, page, and faults in what it is given."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.bin.score import main
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring import recognizer_choices
from espnet_fsqdiff.scoring.report import evenly_spread

from .conftest import harmonic_tone
from .test_curves import line
from .test_recognizer import CountingRecognizer

TEXTS = {"utt1": "One & two.", "utt2": "Three."}


class Parrot(CountingRecognizer):
    """Understands original pitch, and nothing else."""

    def recognize(self, wave):
        crossings = np.count_nonzero(np.diff(np.signbit(wave)))
        return "one two" if crossings / len(wave) < 0.5 else ""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Originals, two systems and the small files; returns the arguments."""
    monkeypatch.setitem(recognizer_choices, "pocketsphinx", Parrot)
    for number, name in enumerate(("ref", "resyn", "syn")):
        (tmp_path / name).mkdir()
        with open(tmp_path / name / "wav.scp", "w") as scp:
            for utt in TEXTS:
                path = tmp_path / name / f"{utt}.wav"
                wave = harmonic_tone(110 + 10 * number, 0.4 + 0.1 * number)
                soundfile.write(path, wave, 16000)
                scp.write(f"{utt} {path}\n")
    text = "".join(f"{utt} {text}\n" for utt, text in TEXTS.items())
    (tmp_path / "ref" / "text").write_text(text)
    stats = '{"rtf": 0.5, "rollout_token_accuracy": 0.25, "num_steps": 16, "x": NaN}'
    (tmp_path / "syn" / "stats.json").write_text(stats)
    (tmp_path / "tokens.json").write_text('{"used_codes": 9, "perplexity": 4.5}')
    (tmp_path / "duration.json").write_text('{"mean_relative_error": 0.07}')
    (tmp_path / "wall.txt").write_text(
        "10 diffusion 5\n6 tokenizer 1\n6 tokenizer 2.5\n13 scoring 7\n14 pack 1\n"
    )
    (tmp_path / "train.log").write_text(line(1, "2", "3") + line(2, "1", "2"))
    return [
        f"--ref_dir={tmp_path}/ref",
        f"--system=resynthesis={tmp_path}/resyn",
        f"--system=synthesis={tmp_path}/syn",
        f"--token_stats={tmp_path}/tokens.json",
        f"--duration_stats={tmp_path}/duration.json",
        f"--wall_seconds={tmp_path}/wall.txt",
        f"--curves=tokenizer={tmp_path}/train.log",
        f"--outdir={tmp_path}/report",
        "--title=A <title>",
        "--num_examples=1",
        "--wall_before=13",
    ]


def test_all_files(recipe, tmp_path, capsys):
    main(recipe)
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert list(scores) == [
        "original", "resynthesis", "synthesis", "tokens", "duration", "wall_seconds"
    ]  # fmt: skip
    assert set(scores["original"]) == {"cer", "wer"}
    distances = {"mcd", "log_f0_rmse", "duration_ratio"}
    assert set(scores["resynthesis"]) == {"cer", "wer"} | distances
    stats = {"rtf", "rollout_token_accuracy", "num_steps"}
    assert set(scores["synthesis"]) == {"cer", "wer"} | distances | stats
    assert scores["original"]["wer"] == pytest.approx(2 / 3)  # "one two" for "three"
    assert scores["synthesis"]["rtf"] == 0.5
    assert scores["synthesis"]["duration_ratio"] == pytest.approx(0.6 / 0.4)
    assert scores["synthesis"]["mcd"] > 0
    expected = np.log(130 / 110)
    assert scores["synthesis"]["log_f0_rmse"] == pytest.approx(expected, rel=0.1)
    assert scores["tokens"] == {"used_codes": 9, "perplexity": 4.5}
    assert scores["duration"] == {"mean_relative_error": 0.07}
    assert scores["wall_seconds"] == {"6": 2.5, "10": 5.0}

    table = (tmp_path / "report" / "results.md").read_text()
    assert "| | original | resynthesis | synthesis |" in table
    assert "| Real-time factor | – | – | 0.500 |" in table

    page = (tmp_path / "report" / "index.html").read_text()
    assert "<h1>A &lt;title&gt;</h1>" in page and "{body}" not in page
    assert page.count("src='data:audio/flac;base64,") == 3
    assert page.count("src='data:image/png;base64,") == 1
    assert page.count("src='data:image/svg+xml;base64,") == 1
    assert not re.search(r"(src|href)=['\"]?(?!data:|')", page)  # self-contained

    out = capsys.readouterr().out
    assert "| CER |" in out
    assert out.rstrip().endswith(str(tmp_path / "report" / "index.html"))
    assert not list((tmp_path / "report").glob("*.tmp.*"))


def test_what_is_unknown_is_absent(recipe, tmp_path):
    main([recipe[0], recipe[1], recipe[7], "--num_examples=0"])
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert set(scores) == {"original", "resynthesis"}
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Examples" not in page and "Training" not in page


def test_sound_without_words_is_an_error_rate(recipe, tmp_path):
    noise = 0.1 * (-1.0) ** np.arange(8000)
    noise[::7] = 0.05
    for utt in TEXTS:
        soundfile.write(tmp_path / "syn" / f"{utt}.wav", noise, 16000)
    main(recipe)
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert scores["synthesis"]["cer"] == 1.0
    assert "no word understood" in (tmp_path / "report" / "index.html").read_text()


def test_missing_utterance_is_named(recipe, tmp_path):
    scp = tmp_path / "syn" / "wav.scp"
    scp.write_text(scp.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="syn/wav.scp: utterance utt2"):
        main(recipe)


@pytest.mark.parametrize(
    "wave, reason",
    [
        (np.zeros(1600), "silent"),
        (np.zeros(0), "empty"),
        (np.full(1600, np.nan), "NaN"),
        (None, "no audio file"),
    ],
)
def test_bad_audio_is_named(recipe, tmp_path, wave, reason):
    path = tmp_path / "syn" / "utt2.wav"
    path.unlink()
    if wave is not None:
        soundfile.write(path, wave, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=f"synthesis utt2.*{reason}"):
        main(recipe)
    assert not (tmp_path / "report" / "scores.json").exists()


def test_faults_of_small_files(recipe, tmp_path):
    with pytest.raises(InputError, match="--system nothing"):
        main([*recipe, "--system=nothing"])
    with pytest.raises(InputError, match="cannot be called tokens"):
        main([*recipe, f"--system=tokens={tmp_path}/syn"])
    with pytest.raises(InputError, match="nowhere/wav.scp.*12: synthesis"):
        main([*recipe, f"--system=other={tmp_path}/nowhere"])
    (tmp_path / "wall.txt").write_text("6 tokenizer\n")
    with pytest.raises(InputError, match="wall.txt:1"):
        main(recipe)
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(InputError, match="tokens.json.*stage 7"):
        main(recipe)


def test_examples_are_spread_over_the_set():
    utts = [f"u{i}" for i in range(10)]
    assert evenly_spread(utts, 2) == ["u2", "u7"]
    assert evenly_spread(utts, 20) == utts
    assert evenly_spread([], 3) == []


def test_processes_that_compare_need_no_torch():
    code = "import sys, espnet_fsqdiff.bin.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
