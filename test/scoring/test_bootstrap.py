"""Intervals by the bootstrap: coverage, pairing, seeds."""

import numpy as np
import pytest

from espnet_fsqdiff.scoring.bootstrap import (
    Counts,
    contrast,
    interval,
    pooled_seed_variance,
)


def counts(values, seeds=None, root=False):
    values = np.asarray(values, dtype=float)
    seeds = tuple(range(len(values))) if seeds is None else seeds
    return Counts(values, np.ones_like(values), seeds, root)


def drawn(generator, seeds, utterances, of_seed, of_utterance, of_both):
    """Crossed random effects around 1."""
    return (
        1
        + of_seed * generator.standard_normal((seeds, 1))
        + of_utterance * generator.standard_normal((1, utterances))
        + of_both * generator.standard_normal((seeds, utterances))
    )


@pytest.mark.parametrize(
    "of_seed, of_utterance, of_both",
    [(0.05, 0.1, 0.3), (0.3, 0.1, 0.1), (0.0, 1.0, 0.1), (0.0, 0.0, 1.0)],
)
def test_coverage(of_seed, of_utterance, of_both):
    generator = np.random.default_rng(1)
    trials, held = 200, 0
    for trial in range(trials):
        values = drawn(generator, 3, 20, of_seed, of_utterance, of_both)
        found = contrast([(1.0, counts(values))], seed=trial, resamples=300)
        held += found.low <= 1 <= found.high
    # Two standard errors of the share are 3 %.
    assert 0.90 <= held / trials <= 1.0


def test_interval_of_many_is_that_of_the_mean():
    generator = np.random.default_rng(2)
    values = generator.standard_normal((1, 400))
    found = interval(counts(values))
    error = values.std(ddof=1) / 20
    assert found.over == "utterances"
    assert found.estimate == pytest.approx(values.mean())
    assert found.high - found.estimate == pytest.approx(1.966 * error, rel=0.06)


def test_three_seeds_alone_give_the_t_interval():
    values = np.array([[1.0], [2.0], [4.0]])
    found = interval(counts(values))
    assert found.over == "seeds"
    reach = 4.3027 * values.std(ddof=1) / 3**0.5
    assert found.high - found.estimate == pytest.approx(reach, rel=0.06)


def test_pairing_narrows_the_difference():
    generator = np.random.default_rng(3)
    a = drawn(generator, 3, 40, 0.2, 0.5, 0.01)
    paired = contrast([(1.0, counts(a + 0.05)), (-1.0, counts(a))])
    assert paired.estimate == pytest.approx(0.05)
    assert paired.high - paired.low < 1e-9
    alone = interval(counts(a))
    assert alone.high - alone.low > 0.1
    # Other seeds are other trainings: nothing is paired but the utterances.
    other = contrast([(1.0, counts(a + 0.05, (7, 8, 9))), (-1.0, counts(a))])
    assert other.high - other.low > 0.1


def test_difference_covers():
    generator = np.random.default_rng(4)
    trials, held = 200, 0
    for trial in range(trials):
        shared = 0.5 * generator.standard_normal((1, 30))
        a = drawn(generator, 3, 30, 0.05, 0, 0.3) + shared
        b = drawn(generator, 3, 30, 0.05, 0, 0.3) + shared
        found = contrast(
            [(1.0, counts(a)), (-1.0, counts(b))], seed=trial, resamples=300
        )
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / trials <= 1.0


def test_seed_of_the_resampling_decides():
    values = drawn(np.random.default_rng(5), 3, 15, 0.1, 0.2, 0.3)
    assert interval(counts(values), seed=1) == interval(counts(values), seed=1)
    assert interval(counts(values), seed=1) != interval(counts(values), seed=2)


def test_ratio_of_sums_and_its_root():
    num, den = np.array([[1.0, 3.0]]), np.array([[10.0, 2.0]])
    assert Counts(num, den, (0,)).figure() == pytest.approx(4 / 12)
    assert Counts(num, den, (0,), root=True).figure() == pytest.approx((4 / 12) ** 0.5)
    assert np.isnan(Counts(num, 0 * den, (0,)).figure())


def test_one_number_has_no_interval():
    found = interval(counts([[3.0]]))
    assert found == (3.0, 3.0, 3.0, "nothing") and not found.is_known


def test_one_training_varies_as_those_beside_it():
    generator = np.random.default_rng(6)
    trials, held = 200, 0
    for trial in range(trials):
        many = drawn(generator, 3, 30, 0.3, 0.1, 0.1)
        one = drawn(generator, 1, 30, 0.3, 0.1, 0.1)
        found = contrast(
            [(1.0, counts(one, (9,))), (-1.0, counts(many))], seed=trial, resamples=300
        )
        held += found.low <= 0 <= found.high
    assert found.over == "seeds and utterances"
    assert 0.90 <= held / trials <= 1.0


def test_one_training_each_leaves_the_utterances():
    one, other = counts([[1.0, 2.0, 3.0]], (1,)), counts([[1.0, 1.0, 2.0]], (5,))
    assert contrast([(1.0, one), (-1.0, other)]).over == "utterances"


def test_spread_over_seeds_is_pooled_with_its_degrees_of_freedom():
    # Variances of the figures over seeds: 2 (1 degree of freedom) and 9 (2).
    two = counts([[0.0, 2.0], [2.0, 4.0]])
    three = counts([[3.0, 3.0], [6.0, 6.0], [9.0, 9.0]])
    found = pooled_seed_variance([two, counts([[5.0, 7.0]]), three])
    assert found == pytest.approx((20 / 3, 3))
    assert pooled_seed_variance([counts([[5.0, 7.0]])]) is None


@pytest.mark.parametrize(
    "of_seed, of_both, most", [(0.3, 0.1, 0.99), (0.05, 0.3, 1.0), (0.0, 1.0, 1.0)]
)
def test_two_trained_once_vary_as_others_do(of_seed, of_both, most):
    generator = np.random.default_rng(7)
    trials, held = 200, 0
    for trial in range(trials):
        ones = [drawn(generator, 1, 30, of_seed, 0.1, of_both) for _ in range(2)]
        others = [drawn(generator, 3, 30, of_seed, 0.1, of_both) for _ in range(4)]
        found = contrast(
            # The same name of a seed makes them no pair: codebooks differ.
            [(1.0, counts(ones[0])), (-1.0, counts(ones[1]))],
            seed=trial,
            resamples=300,
            spread=pooled_seed_variance([counts(x) for x in others]),
        )
        held += found.low <= 0 <= found.high
    assert found.over == "seeds and utterances"
    assert 0.90 <= held / trials <= most


def test_spread_of_others_is_for_those_trained_once_alone():
    generator = np.random.default_rng(8)
    many = counts(drawn(generator, 3, 30, 0.1, 0.1, 0.1))
    one = counts(drawn(generator, 1, 30, 0.1, 0.1, 0.1), (9,))
    wide = pooled_seed_variance([counts([[0.0], [9.0]])])
    for terms in ([(1.0, many)], [(1.0, many), (-1.0, one)]):
        assert contrast(terms, spread=wide) == contrast(terms)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="utterances in one contrast"):
        contrast([(1.0, counts([[1.0, 2.0]])), (1.0, counts([[1.0]]))])
    with pytest.raises(ValueError, match="for 2 seeds"):
        counts([[1.0]], (1, 2))
    with pytest.raises(ValueError, match="nothing"):
        contrast([])
