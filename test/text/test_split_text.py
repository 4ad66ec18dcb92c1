import itertools
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.sentences import Piece, split_text


def texts(text, fits=10_000, **options):
    return [piece.text for piece in split_text(text, fits, **options)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith paid $3.50 to Mrs. Jones.", "She took 2.5 of it."],
        ['"Really?" he asked her then.', '"Yes!"', '"I see it now," she said.'],
        ["J. R. R. Tolkien wrote it, e.g. in 1937.", "It sold well."],
        ["See No. 5 at 10 a.m. Monday.", "It works... or not!", "Well, who knows?"],
        ["He lives in the U.S. Army base.", "He works in the U.S.", "The end is here."],
        ["They met on Main St. near here.", "He lives on Main St.", "It is quiet."],
        ["Apples, pears, etc. were sold.", "We sell apples, etc.", "They are good."],
        ["1. Take the eggs.", "2. Boil them in water."],
        ["So am I.", "He knew of it (see p. 3.).", "It was late in the day."],
        ["Hello there, all of you...", "It ended there."],
    ],
)
def test_sentences(sentences):
    assert texts(" ".join(sentences), min_chars=0) == sentences


def test_boundaries():
    text = (
        "One thing here.\nAnother thing there!\n\n  A new paragraph,\r\n \r\nlast one"
    )
    assert list(split_text(text, 1000)) == [
        Piece("One thing here.", "sentence"),
        Piece("Another thing there!", "paragraph"),
        Piece("A new paragraph,", "paragraph"),
        Piece("last one", "end"),
    ]
    assert list(split_text(" \n\n ", 10)) == list(split_text("", 10)) == []


def test_long_sentence_is_halved_at_clauses_then_at_words():
    text = (
        "He ran, though he was tired, and nobody cared; not even his mother, who had "
        "seen it all before"
    )
    pieces = list(split_text(text, 60))
    assert pieces == [
        Piece("He ran, though he was tired, and nobody cared;", "clause"),
        Piece("not even his mother, who had seen it all before", "end"),
    ]
    pieces = list(split_text("one two three four five six seven eight", 20))
    assert [p.boundary for p in pieces] == ["word", "end"]
    assert [p.text for p in pieces] == ["one two three four", "five six seven eight"]
    assert "".join(texts("a" * 50, 20)) == "a" * 50
    with pytest.raises(InputError, match="cannot hold even 'a'"):
        list(split_text("a", lambda text: False))


def test_short_pieces_join_a_neighbour_of_their_paragraph():
    assert texts("Yes. No. I said that I do not know.") == [
        "Yes. No. I said that I do not know."
    ]
    assert texts("I said that I do not know. No.") == ["I said that I do not know. No."]
    assert texts("No.\n\nI said that I do not know.") == [
        "No.",
        "I said that I do not know.",
    ]
    # Not where they would not fit.
    assert texts("No. I said that I do not know.", 27) == [
        "No.",
        "I said that I do not know.",
    ]


def test_rows_of_signs_are_never_alone():
    pieces = texts("The first part of it.\n\n* * *\n\nThe second part of it.\n\n---\n")
    assert pieces == ["The first part of it. * * *", "The second part of it. ---"]
    # What speaks them is never asked about them alone.
    asked = []
    pieces = split_text(
        "***\n\nOne. -- Two.", lambda piece: asked.append(piece) or True
    )
    assert [piece.text for piece in pieces] == ["*** One. -- Two."]
    assert all(any(map(str.isalnum, piece)) for piece in asked)


CUTS = st.lists(st.integers(0, 200), max_size=5)
MARKS = [" ", "\n", "\n\n", ". ", "! ", "? ", ", ", "; ", " - ", '"', "...", "Mr. "]
WRITTEN = st.lists(
    st.sampled_from([*MARKS, "U.S. ", "No. 5", "The ", "x" * 40])
    | st.text(st.characters(codec="utf-8"), max_size=8),
    max_size=60,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(WRITTEN, st.integers(1, 60), st.integers(0, 20), CUTS)
@example("One \n\nTwo", 60, 0, [4])
def test_nothing_is_lost(text, most, least, cuts):
    pieces = list(split_text(text, most, least))
    assert "".join("".join(texts(text, most)).split()) == "".join(text.split())
    for piece in pieces:
        assert 0 < len(piece.text) <= most
        assert piece.text == " ".join(piece.text.split())
    inner = {"word", "clause", "sentence", "paragraph"}
    assert {piece.boundary for piece in pieces[:-1]} <= inner
    assert not pieces or pieces[-1].boundary == "end"
    # Wherever a stream is cut, the pieces are the same.
    cuts = sorted(min(cut, len(text)) for cut in cuts)
    blocks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    assert list(split_text(blocks, most, least)) == pieces


@pytest.mark.parametrize(
    "block",
    [
        "He came. She went, and so on. ",
        "words without any stop ",
        *("x", "a.b. ", " \n", "*", "* ", "*\n\n"),
    ],
)
def test_constant_memory(block):
    repeats = 8_000 // len(block)

    def stream(times):
        return itertools.repeat(block * repeats, times)

    def peak(times):
        tracemalloc.start()
        for piece in split_text(stream(times), lambda text: len(text) <= 200):
            assert len(piece.text) <= 200 or "*" in piece.text
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(8) < 1.2 * peak(2) + 20_000


def test_it_is_lazy():
    pieces = split_text(itertools.repeat("One more sentence. "), 100)
    first = list(itertools.islice(pieces, 3))
    assert first == [Piece("One more sentence.", "sentence")] * 3
