"""Recognizers and the cache of what they heard."""

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.data.audio import load_audio, resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.recognizer import (
    AbsRecognizer,
    PocketsphinxRecognizer,
    recognize_files,
)
from espnet_fsqdiff.scoring.text import error_rates

from .conftest import SENTENCES, harmonic_tone


class CountingRecognizer(AbsRecognizer):
    """Hears how long an utterance is, and counts its calls."""

    fs = 16000

    def __init__(self, option=1):
        self.option = option
        self.calls = 0

    def settings(self):
        return {"option": self.option}

    def recognize(self, wave):
        self.calls += 1
        return str(len(wave))


def write_tones(directory, number=3):
    wavs = {}
    for i in range(number):
        wavs[f"utt{i}"] = directory / f"{i}.wav"
        soundfile.write(wavs[f"utt{i}"], harmonic_tone(100, 0.1 * (i + 1)), 16000)
    return wavs


def test_files_are_recognised_once(tmp_path):
    wavs = write_tones(tmp_path)
    first, again, other = (CountingRecognizer(n) for n in (1, 1, 2))
    texts = recognize_files(wavs, first, cache_dir=tmp_path / "cache")
    assert texts == {"utt0": "1600", "utt1": "3200", "utt2": "4800"}
    assert first.calls == 3
    assert recognize_files(wavs, again, cache_dir=tmp_path / "cache") == texts
    assert again.calls == 0
    # Another content or another setting is another key; the name does not count.
    wavs["utt0"].rename(tmp_path / "renamed.wav")
    wavs["utt0"] = tmp_path / "renamed.wav"
    soundfile.write(wavs["utt1"], harmonic_tone(150, 0.5), 16000)
    texts = recognize_files(wavs, again, cache_dir=tmp_path / "cache")
    assert again.calls == 1 and texts["utt1"] == "8000"
    recognize_files(wavs, other, cache_dir=tmp_path / "cache")
    assert other.calls == 3


def test_pool_keeps_order_and_resamples(tmp_path):
    wavs = write_tones(tmp_path, 4)
    soundfile.write(wavs["utt2"], harmonic_tone(100, 0.3, 24000), 24000)
    texts = recognize_files(wavs, CountingRecognizer(), nj=2)
    assert list(texts.items()) == [
        ("utt0", "1600"), ("utt1", "3200"), ("utt2", "4800"), ("utt3", "6400")
    ]  # fmt: skip


def test_silent_file_is_named(tmp_path):
    wavs = write_tones(tmp_path, 2)
    soundfile.write(wavs["utt1"], np.zeros(1600), 16000)
    with pytest.raises(InputError, match="utt1.*silent"):
        recognize_files(wavs, CountingRecognizer())


def test_pocketsphinx_on_flite(flite_dir, tmp_path):
    pytest.importorskip("pocketsphinx")
    recognizer = PocketsphinxRecognizer()
    waves = {utt: load_audio(flite_dir / f"{utt}.wav", 16000, utt) for utt in SENTENCES}
    heard = {utt: recognizer.recognize(wave) for utt, wave in waves.items()}
    rates = error_rates(list(SENTENCES.values()), [heard[u] for u in SENTENCES])
    assert rates["cer"] < 0.25
    # Neither what came before nor the level counts.
    assert recognizer.recognize(0.01 * waves["utt1"]) == heard["utt1"]
    # At another rate it is resampled.
    path = tmp_path / "utt1.flac"
    soundfile.write(path, resample(waves["utt1"], 16000, 24000), 24000)
    texts = recognize_files({"utt1": path}, recognizer)
    assert error_rates([SENTENCES["utt1"]], [texts["utt1"]])["cer"] < 0.3
