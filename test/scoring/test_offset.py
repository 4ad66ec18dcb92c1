"""The offset of a copy is found, whatever its phases are."""

import numpy as np
import pytest

from espnet_fsqdiff.scoring.offset import find_offset, in_time

from .conftest import moving_tone


def other_phases(wave, seed=0, size=512, hop=128):
    """Speech of the same magnitudes and random phases, as a vocoder may make it."""
    from scipy.signal import istft, stft

    _, _, spectrum = stft(wave, nperseg=size, noverlap=size - hop)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, spectrum.shape)
    _, copy = istft(
        np.abs(spectrum) * np.exp(1j * phases), nperseg=size, noverlap=size - hop
    )
    return copy[: len(wave)]


@pytest.mark.parametrize("fs", [16000, 24000])
@pytest.mark.parametrize("ms", [-20, -7.5, 0, 0.5, 12])
def test_shift_is_found(fs, ms):
    wave = moving_tone(fs=fs)
    shift = round(ms * fs / 1000)
    late = np.pad(wave, (max(0, shift), 0))[max(0, -shift) :]
    assert find_offset(wave, late, fs) == shift
    a, b = in_time(wave, late, shift)
    np.testing.assert_array_equal(a, b)
    assert len(a) >= len(wave) - abs(shift)


def test_steps_are_half_a_millisecond():
    wave = moving_tone()
    found = find_offset(wave, np.pad(wave, (37, 0)), 16000)  # 2.3 ms
    assert found in (32, 40)


@pytest.mark.parametrize("ms", [-10, 0, 5, 15])
def test_shift_is_found_without_the_phases(ms):
    """The samples of such a copy are no longer those of the recording."""
    wave = moving_tone(1.0)
    shift = 16 * ms
    copy = other_phases(wave)
    assert np.corrcoef(wave, copy)[0, 1] < 0.7
    late = np.pad(copy, (max(0, shift), 0))[max(0, -shift) :]
    assert abs(find_offset(wave, late, 16000) - shift) <= 16


def test_level_and_polarity_do_not_count():
    wave = moving_tone()
    assert find_offset(wave, np.pad(-0.1 * wave, (80, 0)), 16000) == 80


def test_what_does_not_move_has_no_offset():
    assert find_offset(np.zeros(1600), np.zeros(1600), 16000) == 0
    assert find_offset(np.ones(3), np.ones(3), 16000) == 0
