"""The corpus of the mini recipe, spoken by flite."""

import shutil
from pathlib import Path

import pytest
import soundfile

from espnet_fsqdiff.bin import make_mini_corpus
from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.errors import InputError

needs_flite = pytest.mark.skipif(not shutil.which("flite"), reason="flite is missing")


@needs_flite
def test_mini_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = ["--num_train", "3", "--num_valid", "2", "--num_test", "2"]
    make_mini_corpus.main([*sizes, "--nj", "2"])
    sets = {n: DataDir.read(f"data/{n}") for n in ["train", "valid", "test"]}
    assert [len(s) for s in sets.values()] == [3, 2, 2]
    assert len({t for s in sets.values() for t in s.text.values()}) == 7
    for path in sets["train"].wav.values():
        info = soundfile.info(path)
        assert info.samplerate == 16000 and 1.0 < info.duration < 6.0
    # What is there is kept, what is missing made, and the test set stays.
    files = sorted(Path("downloads/rms").iterdir())
    first = files[0].stat().st_mtime_ns
    files[1].unlink()
    make_mini_corpus.main(["--num_train", "4", *sizes[2:], "--nj", "2"])
    assert files[0].stat().st_mtime_ns == first and files[1].is_file()
    assert DataDir.read("data/test").text == sets["test"].text
    assert len(DataDir.read("data/train")) == 4


@needs_flite
def test_mini_corpus_from_a_text_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lines.txt").write_text("good morning\ngood night\nsee you\n")
    sizes = ["--num_train", "1", "--num_valid", "1", "--num_test", "1"]
    make_mini_corpus.main([*sizes, "--domain", "open", "--text_file", "lines.txt"])
    texts = [DataDir.read(f"data/{n}").text for n in ["train", "valid", "test"]]
    assert sorted(t for s in texts for t in s.values()) == [
        "good morning",
        "good night",
        "see you",
    ]
    with pytest.raises(InputError, match="--domain open"):
        make_mini_corpus.main([*sizes, "--text_file", "lines.txt"])


@needs_flite
def test_mini_corpus_faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no voice nobody"):
        make_mini_corpus.main(["--voice", "nobody"])
    with pytest.raises(InputError, match="--num_test 0"):
        make_mini_corpus.main(["--num_test", "0"])


def test_mini_corpus_without_flite(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="apt-get install flite"):
        make_mini_corpus.main([])
