"""Mel-cepstral distortion, F0 error and alignment."""

import math

import numpy as np
import pytest

from espnet_fsqdiff.scoring.acoustic import (
    align,
    compare_acoustics,
    summarize,
    world_features,
)

from .conftest import harmonic_tone, moving_tone


def best_sum(cost):
    """The smallest sum over a path, by the plain recursion."""
    total = np.full(cost.shape, np.inf)
    for i in range(cost.shape[0]):
        for j in range(cost.shape[1]):
            ways = [total[i - 1, j - 1]] if i and j else []
            ways += [total[i - 1, j]] if i else []
            ways += [total[i, j - 1]] if j else []
            total[i, j] = cost[i, j] + (min(ways) if ways else 0.0)
    return total[-1, -1]


@pytest.mark.parametrize("lengths", [(1, 1), (1, 5), (6, 1), (7, 11), (12, 5), (9, 9)])
def test_alignment_is_the_best_path(lengths):
    rng = np.random.default_rng(sum(lengths))
    a, b = (rng.standard_normal((n, 3)) for n in lengths)
    i, j = align(a, b)
    assert (i[0], j[0]) == (0, 0) and (i[-1] + 1, j[-1] + 1) == lengths
    steps = set(zip(np.diff(i), np.diff(j)))
    assert steps <= {(1, 1), (1, 0), (0, 1)}
    cost = np.linalg.norm(a[:, None] - b[None], axis=-1)
    assert cost[i, j].sum() == pytest.approx(best_sum(cost))


def test_identical_speech_has_no_distance():
    wave = harmonic_tone(120.0)
    found = compare_acoustics(wave, wave)
    assert found.mcd == pytest.approx(0.0, abs=1e-9)
    assert found.num_voiced > 50 and found.log_f0_rmse == pytest.approx(0.0, abs=1e-9)


def test_distortion_ignores_level_and_grows_with_noise():
    wave = harmonic_tone(120.0)
    noise = np.random.default_rng(0).standard_normal(len(wave))
    values = [
        compare_acoustics(wave, other).mcd
        for other in (0.5 * wave, wave + 0.003 * noise, wave + 0.03 * noise)
    ]
    assert values[0] < 0.3 < values[1] < values[2]


def test_cepstra_are_in_the_convention_of_the_formula():
    # A gain of the amplitude by e adds 1 to c0 and nothing to the others.
    wave = harmonic_tone(120.0)
    quiet, _ = world_features(wave)
    loud, _ = world_features(math.e * wave)
    middle = slice(20, -20)
    difference = (loud - quiet)[middle].mean(axis=0)
    # WORLD's c0 is sqrt(2) times the mean; only k >= 1 enter the distortion.
    assert difference[0] == pytest.approx(math.sqrt(2.0), abs=0.02)
    assert np.abs(difference[1:]).max() < 0.02


@pytest.mark.parametrize("ratio", [1.1, 1.4])
def test_pitch_shift_is_found(ratio):
    found = compare_acoustics(harmonic_tone(120.0), harmonic_tone(120.0 * ratio))
    assert found.log_f0_rmse == pytest.approx(math.log(ratio), abs=0.01)


def test_length_and_unvoiced_frames():
    noise = 0.1 * np.random.default_rng(1).standard_normal(8000)
    found = compare_acoustics(np.full(4000, 1e-3) + noise[:4000], noise)
    assert found.seconds / found.reference_seconds == pytest.approx(2.0)
    scores = summarize([found])
    assert scores["duration_ratio"] == pytest.approx(2.0)
    assert ("log_f0_rmse" in scores) == (found.num_voiced > 0)


def test_summary_pools_voiced_frames():
    same = compare_acoustics(harmonic_tone(120.0), harmonic_tone(120.0))
    shifted = compare_acoustics(harmonic_tone(120.0), harmonic_tone(144.0))
    scores = summarize([same, shifted])
    assert scores["mcd"] == pytest.approx((same.mcd + shifted.mcd) / 2)
    share = shifted.num_voiced / (same.num_voiced + shifted.num_voiced)
    expected = shifted.log_f0_rmse * math.sqrt(share)
    assert scores["log_f0_rmse"] == pytest.approx(expected, rel=1e-6)


def test_frame_by_frame_sees_what_warping_hides():
    wave = moving_tone()
    late = np.pad(wave, (640, 0))[: len(wave)]
    aligned = compare_acoustics(wave, late, warp=False)
    assert aligned.mcd > 2 * compare_acoustics(wave, late).mcd > 0
    assert aligned.num_frames == 161
    same = compare_acoustics(wave, wave, warp=False)
    assert same.mcd == 0 and same.voicing_error == 0 and same.log_f0_rmse == 0


def test_longer_end_is_left_out():
    wave = moving_tone()
    found = compare_acoustics(wave, wave[:-1600], warp=False)
    assert found.num_frames == 141 and found.voicing_error < 0.05


def test_voicing_error_is_the_share_of_lost_voice():
    wave = moving_tone()
    half = len(wave) // 2
    noise = 0.05 * np.random.default_rng(2).standard_normal(half)
    other = np.concatenate([wave[:half], noise])
    found = compare_acoustics(wave, other, warp=False)
    voiced = (world_features(wave)[1] > 0)[found.num_frames // 2 :].sum()
    assert found.voicing_error == pytest.approx(voiced / found.num_frames, abs=0.05)
    assert found.voicing_error > 0.3


@pytest.mark.parametrize("fs, number", [(16000, 25), (24000, 35)])
def test_cepstra_of_each_rate(fs, number):
    wave = moving_tone(fs=fs)
    cepstra, f0 = world_features(wave, fs)
    assert cepstra.shape == (161, number) and f0.shape == (161,)
    voiced = f0[f0 > 0]
    assert len(voiced) > 100 and 95 < voiced.min() < voiced.max() < 165
    raised = moving_tone(fs=fs, pitch=1.2)
    found = compare_acoustics(wave, raised, fs, warp=False)
    assert found.log_f0_rmse == pytest.approx(math.log(1.2), abs=0.02)


def test_other_rates_are_refused():
    with pytest.raises(ValueError, match="22050 Hz; known: .16000, 24000"):
        world_features(np.zeros(1000), 22050)
