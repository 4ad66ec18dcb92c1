"""Miniature corpora: real speech by flite, in the layout of the published ones."""

import shutil

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.bin.make_mini_corpus import speak
from espnet_fsqdiff.data.audio import resample

SENTENCES = ("one two", "good morning", "he is here", "see you soon")


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """Four short sentences as waves at 16 kHz."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt install flite)")
    folder = tmp_path_factory.mktemp("flite")
    waves = []
    for number, sentence in enumerate(SENTENCES):
        speak(sentence, "kal16", folder / f"{number}.wav")
        wave, rate = soundfile.read(folder / f"{number}.wav", dtype="float32")
        assert rate == 16000
        waves.append(wave)
    return waves


@pytest.fixture
def record(spoken):
    """A function that writes speech to any file, at any rate."""

    def write(path, rate, number=0, repeats=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = resample(spoken[number % len(spoken)], 16000, rate)
        soundfile.write(path, np.tile(wave, repeats), rate)

    return write


@pytest.fixture
def put():
    """A function that writes a text file."""

    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """An empty recipe directory, which is the current one."""
    folder = tmp_path / "recipe"
    (folder / "local").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder
