"""Written texts to symbols, with and without a normaliser."""

import numpy as np
import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.reader import TextReader
from espnet_fsqdiff.text.tokenizer import TextTokenizer

SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz.,"]


def tokenizer(symbols=SYMBOLS):
    return TextTokenizer("char", symbols, cleaner=["lower"])


def test_a_normaliser_writes_words_and_ends_them():
    reader = TextReader(tokenizer(), tokenizer(SYMBOLS[:-2]), "spoken_english")
    assert reader.spoken("Take 2!") == "take two!"
    assert reader.spoken("Take 2") == "take two."
    np.testing.assert_array_equal(reader.encode("2!"), reader.encode("two."))
    # The recognition head's symbols are its own: it knows no stops.
    assert len(reader.heard_symbols("2!")) == len(reader.encode("2!")) - 1
    assert reader.sounds("2") and not reader.sounds("...")
    with pytest.raises(InputError, match="^utt_a: '...' has nothing to speak"):
        reader.encode("...", "utt_a")


def test_without_one_texts_are_taken_as_they_are():
    reader = TextReader(tokenizer())
    assert reader.spoken("Take two") == "Take two"
    with pytest.raises(InputError, match="utt_a.*'2'"):
        reader.encode("Take 2", "utt_a")
