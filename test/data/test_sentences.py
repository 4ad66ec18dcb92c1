import pytest

from espnet_fsqdiff.data.sentences import (
    draw_sentences,
    sentences_from_lines,
    vocabulary,
)
from espnet_fsqdiff.errors import InputError


@pytest.mark.parametrize(
    "domain, low, high", [("small", 100, 200), ("open", 300, 2000)]
)
def test_vocabulary(domain, low, high):
    words = vocabulary(domain)
    assert low <= len(words) <= high
    sentences = draw_sentences(3000, 0, domain)
    assert {w for s in sentences for w in s.split()} <= words
    lengths = [len(s.split()) for s in sentences]
    assert min(lengths) >= 5 and max(lengths) <= 11
    # Nothing that a text tokenizer of plain letters does not know.
    assert set("".join(sentences)) <= set("abcdefghijklmnopqrstuvwxyz ")


def test_no_sentence_twice_and_every_word_is_used():
    sentences = draw_sentences(1090)
    assert len(set(sentences)) == 1090
    assert {w for s in sentences for w in s.split()} == vocabulary()


def test_seeds_and_growth():
    assert draw_sentences(50, 1) == draw_sentences(50, 1)
    assert draw_sentences(50, 1) != draw_sentences(50, 2)
    assert draw_sentences(500, 1)[:50] == draw_sentences(50, 1)


def test_limits():
    with pytest.raises(InputError, match="at most"):
        draw_sentences(10**7)
    with pytest.raises(InputError, match="no such domain"):
        draw_sentences(1, domain="tiny")


def test_sentences_from_lines():
    lines = ["one  two", "", "one two", "three", "four five"]
    drawn = sentences_from_lines(lines, 3, 0)
    assert sorted(drawn) == ["four five", "one two", "three"]
    with pytest.raises(InputError, match="has 3 different"):
        sentences_from_lines(lines, 4)
