"""Material for the tests of scoring: readings by flite, and tones."""

import shutil
import subprocess

import numpy as np
import pytest

SENTENCES = {
    "utt1": "The weather is very cold today.",
    "utt2": "She will come back to the house in the morning.",
}


def harmonic_tone(f0, seconds=0.6, fs=16000, formant=1200.0):
    """Return a voiced sound with a spectral peak at `formant` Hz."""
    t = np.arange(int(seconds * fs)) / fs
    wave = np.zeros_like(t)
    for k in range(1, int(fs / 2 / f0)):
        wave += np.exp(-np.abs(k * f0 - formant) / 800.0) * np.sin(
            2 * np.pi * k * f0 * t
        )
    return 0.3 * wave / np.abs(wave).max()


def moving_tone(seconds=0.8, fs=16000, pitch=1.0):
    """Return syllables: a voiced sound whose F0, spectral peak and level move."""
    t = np.arange(round(seconds * fs)) / fs
    f0 = pitch * (130 + 30 * np.sin(2 * np.pi * 1.3 * t))
    phase = 2 * np.pi * np.cumsum(f0) / fs
    formant = 1200 + 700 * np.sin(2 * np.pi * 2.1 * t)
    wave = np.zeros_like(t)
    # No harmonic above 7 kHz, so that it is the same at every rate.
    for k in range(1, 40):
        wave += np.exp(-np.abs(k * f0 - formant) / 800.0) * np.sin(k * phase)
    level = np.sin(np.pi * 3.7 * t) ** 2 + 0.02
    return 0.3 * level * wave / np.abs(wave).max()


@pytest.fixture(scope="session")
def flite_dir(tmp_path_factory):
    """A directory with a reading of every sentence by flite's voice rms."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt-get install flite)")
    directory = tmp_path_factory.mktemp("flite")
    for utt, text in SENTENCES.items():
        command = ["flite", "-voice", "rms", "-t", text, "-o", f"{directory}/{utt}.wav"]
        subprocess.run(command, check=True)
    return directory
