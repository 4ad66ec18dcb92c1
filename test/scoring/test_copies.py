"""Measures of copies, and what is kept of them."""

import math
import sys
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.data.audio import resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring import copies
from espnet_fsqdiff.scoring.cache import ContentCache, keep_result, read_result
from espnet_fsqdiff.scoring.copies import compare_copy, compare_files

from .conftest import moving_tone

SECONDS = 1.2


def tone(fs=16000, **options):
    return moving_tone(SECONDS, fs, **options), fs


def test_equal_copy_has_the_best_of_all():
    found = compare_copy(tone(24000), tone(24000))
    assert found.offset == 0 and found.seconds == pytest.approx(SECONDS)
    assert found.mcd == found.mcd_warped == found.mcd_24k == 0
    assert found.squared_log_f0 == found.voicing_errors == 0
    assert found.num_voiced > 150 and found.num_frames == 241
    if copies.installed("pesq"):
        assert found.pesq == pytest.approx(4.64, abs=0.01)
    if copies.installed("pystoi"):
        assert found.stoi == pytest.approx(1, abs=1e-3)
        assert found.estoi == pytest.approx(1, abs=1e-3)


def test_late_copy_loses_nothing():
    wave, fs = tone(24000)
    found = compare_copy((wave, fs), (np.pad(wave, (240, 0)), fs))
    assert found.offset == pytest.approx(0.010)
    assert found.mcd < 0.1 and found.mcd_24k < 0.1
    assert found.voicing_errors <= 2
    if copies.installed("pystoi"):
        assert found.stoi > 0.999


def test_rates_meet_and_full_band_needs_both():
    wave, fs = tone(24000)
    low = resample(wave, fs, 16000)
    found = compare_copy((wave, fs), (low, 16000))
    assert found.mcd_24k is None and found.mcd == 0 and found.num_frames == 241
    # Back at 24 kHz the band above 8 kHz is lost, which 16 kHz does not show.
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(wave))
    full = wave + noise
    dull = resample(resample(full, fs, 16000), 16000, fs)
    found = compare_copy((full, fs), (dull, fs))
    assert found.mcd_24k > 2 * found.mcd


def test_noise_and_pitch_are_seen():
    wave, fs = tone()
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(wave))
    same, noisy = (compare_copy((wave, fs), (wave + x, fs)) for x in (0, noise))
    assert noisy.mcd > 3 > same.mcd
    raised = compare_copy((wave, fs), tone(pitch=1.1))
    rmse = math.sqrt(raised.squared_log_f0 / raised.num_voiced)
    assert rmse == pytest.approx(math.log(1.1), abs=0.01)


def test_another_length_is_no_copy():
    wave, fs = tone()
    with pytest.raises(ValueError, match="0.90 s is no copy of 1.20 s"):
        compare_copy((wave, fs), (wave[: int(0.9 * fs)], fs))


def test_missing_packages_leave_their_measures_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    monkeypatch.setitem(sys.modules, "pystoi", None)
    found = compare_copy(tone(), tone())
    assert found.pesq is found.stoi is found.estoi is None and found.mcd == 0
    assert copies.settings()["pesq"] is None


@pytest.fixture
def files(tmp_path):
    """Recordings and the copies of one system."""
    wave, fs = tone()
    references, system = {}, {}
    for number, utt in enumerate(("a", "b")):
        references[utt] = str(tmp_path / f"{utt}.wav")
        soundfile.write(references[utt], wave * (0.5 + 0.5 * number), fs)
        system[utt] = str(tmp_path / f"{utt}_copy.wav")
        soundfile.write(system[utt], wave, fs)
    return references, {"x": system}


def test_files_are_compared_once(files, tmp_path, monkeypatch):
    references, systems = files
    calls = []
    compare = copies.compare_copy
    monkeypatch.setattr(
        copies, "compare_copy", lambda a, b: calls.append(1) or compare(a, b)
    )
    found = compare_files(references, systems, cache_dir=tmp_path / "cache")
    assert list(found["x"]) == ["a", "b"] and len(calls) == 2
    assert compare_files(references, systems, cache_dir=tmp_path / "cache") == found
    assert len(calls) == 2
    # Other content, of either side, is compared anew.
    soundfile.write(systems["x"]["b"], tone(pitch=1.1)[0], 16000)
    again = compare_files(references, systems, cache_dir=tmp_path / "cache")
    assert len(calls) == 3
    assert again["x"]["a"] == found["x"]["a"] and again["x"]["b"] != found["x"]["b"]
    monkeypatch.setattr(copies, "_VERSION", copies._VERSION + 1)
    compare_files(references, systems, cache_dir=tmp_path / "cache")
    assert len(calls) == 5


def test_pool_gives_the_same(files):
    references, systems = files
    assert compare_files(references, systems, nj=2) == compare_files(
        references, systems
    )


def test_faults_are_named(files):
    references, systems = files
    soundfile.write(systems["x"]["b"], tone()[0][:8000], 16000)
    with pytest.raises(InputError, match="x b: .*b_copy.wav: 0.50 s is no copy"):
        compare_files(references, systems)
    systems["x"]["b"] = "nowhere.wav"
    with pytest.raises(InputError, match="b: no audio file nowhere.wav"):
        compare_files(references, systems)


def test_cache_tells_apart_where_files_end(tmp_path):
    for name, content in {"a": "12", "b": "3", "c": "1", "d": "23"}.items():
        (tmp_path / name).write_text(content)
    cache = ContentCache(tmp_path / "cache", {"n": 1})
    ab, cd, a = (
        cache.path(*(tmp_path / n for n in names)) for names in ("ab", "cd", "a")
    )
    assert len({ab, cd, a, cache.path(tmp_path / "b", tmp_path / "a")}) == 4
    assert read_result(ab) is None
    keep_result(ab, asdict(compare_copy(tone(), tone())))
    assert read_result(ab)["mcd"] == 0
