"""Edits by utterance agree with the error rates of the corpus."""

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.text import EditCounts, edit_counts, error_rates

PAIRS = [
    ("The cat sat.", "the cat sat"),
    ("a big dog", "a pig dog ran"),
    ("nothing heard", ""),
]


def test_by_hand():
    assert edit_counts(*PAIRS[0]) == EditCounts(0, 11, 0, 3)
    assert edit_counts(*PAIRS[1]) == EditCounts(5, 9, 2, 3)
    assert edit_counts(*PAIRS[2]) == EditCounts(13, 13, 2, 2)


def test_sums_are_the_error_rates():
    counts = [edit_counts(*pair) for pair in PAIRS]
    rates = error_rates(*zip(*PAIRS))
    total = [sum(column) for column in zip(*counts)]
    assert rates["cer"] == pytest.approx(total[0] / total[1])
    assert rates["wer"] == pytest.approx(total[2] / total[3])


def test_a_reference_without_words_is_refused():
    with pytest.raises(InputError, match="has no word"):
        edit_counts("?!", "what")
