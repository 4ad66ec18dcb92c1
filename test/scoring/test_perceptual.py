"""PESQ and STOI: their ends, their order, and what they say of too little."""

import sys

import numpy as np
import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.perceptual import (
    installed,
    intelligibility,
    versions,
    wideband_pesq,
)

from .conftest import moving_tone


def noisy(wave, *levels):
    """Copies with more and more noise."""
    noise = np.random.default_rng(0).standard_normal(len(wave))
    return [wave + level * noise for level in levels]


def test_pesq():
    pytest.importorskip("pesq")
    wave = moving_tone(2.0)
    assert wideband_pesq(wave, wave) == pytest.approx(4.64, abs=0.01)
    assert wideband_pesq(wave, 0.3 * wave) == pytest.approx(4.64, abs=0.05)
    values = [wideband_pesq(wave, copy) for copy in noisy(wave, 1e-5, 1e-4, 1e-3)]
    assert 4.6 > values[0] > values[1] > values[2] >= 1.0


def test_pesq_of_too_little_is_none():
    pytest.importorskip("pesq")
    wave = moving_tone(0.2)
    assert wideband_pesq(wave, wave) is None


@pytest.mark.parametrize("extended", [False, True])
def test_stoi(extended):
    pytest.importorskip("pystoi")
    wave = moving_tone(2.0)
    assert intelligibility(wave, wave, extended) == pytest.approx(1.0, abs=1e-3)
    assert intelligibility(wave, 0.3 * wave, extended) == pytest.approx(1, abs=1e-3)
    copies = noisy(wave, 0.003, 0.03, 0.3)
    values = [intelligibility(wave, copy, extended) for copy in copies]
    assert 1 > values[0] > values[1] > values[2] > -1


def test_extended_stoi_leaves_the_global_generator_alone():
    pytest.importorskip("pystoi")
    wave = moving_tone(1.0)
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    values = {intelligibility(wave, noisy(wave, 0.01)[0], True) for _ in range(2)}
    assert len(values) == 1 and np.random.rand() == expected


def test_stoi_of_too_little_is_none():
    pytest.importorskip("pystoi")
    short = moving_tone(0.3)
    assert intelligibility(short, short) is None
    assert intelligibility(short[:10], short[:10]) is None
    # Long enough, but most of it is a pause.
    paused = np.pad(short, (0, 16000))
    assert intelligibility(paused, paused) is None
    with pytest.raises(ValueError, match="100 and 101"):
        intelligibility(np.ones(100), np.ones(101))


@pytest.mark.parametrize("package", ["pesq", "pystoi"])
def test_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert not installed(package) and versions()[package] is None
    measure = dict(pesq=wideband_pesq, pystoi=intelligibility)[package]
    with pytest.raises(InputError, match=f"pip install {package}"):
        measure(np.ones(8000), np.ones(8000))
