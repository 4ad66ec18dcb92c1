"""Text as it is compared, and error rates."""

import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.text import error_rates, normalize_text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello, World!", "hello world"),
        ("Don’t  stop\tnow.", "don't stop now"),
        ("'Tis the dogs' 'bone'", "tis the dogs bone"),
        ("a well-known — fact…", "a well known fact"),
        ("in 1,000 or 3.5 days.", "in 1,000 or 3.5 days"),
        ("snake_case", "snake case"),
        ("Café", "café"),
        ("?!", ""),
    ],
)
def test_normalize_text(text, expected):
    assert normalize_text(text) == expected
    assert normalize_text(expected) == expected


def test_error_rates_by_hand():
    # 7 + 3 characters; "cat" -> "cut" is one edit of each kind, "no" -> "" two
    # characters and a word.
    rates = error_rates(["The cat.", "No!"], ["the cut", ""])
    assert rates["cer"] == pytest.approx((1 + 2) / (7 + 2))
    assert rates["wer"] == pytest.approx((1 + 1) / (2 + 1))


def test_error_rates_extremes():
    assert error_rates(["Same here"], ["same, here"]) == {"cer": 0.0, "wer": 0.0}
    assert error_rates(["a"], ["a b c d"])["wer"] == pytest.approx(3.0)


def test_error_rates_weigh_by_length():
    rates = error_rates(["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"])
    assert rates["wer"] == pytest.approx(1 / 10)


def test_reference_without_words_is_named():
    with pytest.raises(InputError, match=r"'\.\.\.'"):
        error_rates(["fine", "..."], ["fine", "x"])


def test_numbers_of_texts_must_agree():
    with pytest.raises(ValueError):
        error_rates(["a"], [])
