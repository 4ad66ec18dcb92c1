"""Long text to utterances a model can hold: lazily, with nothing lost."""

import re
from typing import Callable, Iterable, Iterator, List, NamedTuple, Tuple, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text import english_words as table

# What may follow a piece, by the silence it asks for; see `joining.PAUSES`.
WORD, CLAUSE, SENTENCE, PARAGRAPH, END = (
    "word",
    "clause",
    "sentence",
    "paragraph",
    "end",
)

# A row of words without a stop is cut near its middle once it has so many
# characters, so that memory stays bounded.
MAX_CHARS = 4000
# So is a row of characters without a blank.
MAX_WORD_CHARS = 1000
_BLOCK_CHARS = 1 << 16

_CLOSING = "\"')]}\u2019\u201d\u00bb"
_OPENING = "\"'([{\u2018\u201c\u00ab"
_CLAUSE_END = re.compile(rf"[,;:\u2014\u2013][{re.escape(_CLOSING)}]*$|^(?:-+|\u2014)$")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_INSIDE = {*table.TITLES, *table.INNER}
_EITHER = {*table.ANYWHERE, *table.BARE_TITLES}


class Piece(NamedTuple):
    """A part of a text, to be spoken at once.

    Attributes:
        text: Words with single spaces between them.
        boundary: What follows: `word`, `clause`, `sentence`, `paragraph` or `end`.
    """

    text: str
    boundary: str


def split_text(
    text: Union[str, Iterable[str]],
    fits: Union[int, Callable[[str], bool]],
    min_chars: int = 12,
) -> Iterator[Piece]:
    """Cut a text into pieces that a model can hold, in constant memory.

    A piece is a sentence. One that does not fit is halved at the clause mark nearest
    its middle, or at a space if it has none, until its parts fit. Pieces shorter than
    `min_chars` join a neighbour of their paragraph if both fit together; so does a
    piece without letters or digits, such as a row of asterisks, across paragraphs.

    Args:
        text: The whole text, or its parts in order, for example an open file. A blank
            line ends a paragraph, other line ends are spaces.
        fits: Whether the model can hold a piece, `Text2Speech.holds`; or the number of
            characters it can hold. Must be true of any part of what fits; is not asked
            about pieces without letters or digits.
        min_chars: Characters of the shortest piece to leave alone.

    Yields:
        The pieces in order, at least one character each. Their texts are the text, up
        to white space; the last has the boundary `end`. None for an empty text.

    Raises:
        InputError: A single character does not fit.
    """

    def holds(piece: str) -> bool:
        if isinstance(fits, int):
            return len(piece) <= fits
        return not can_sound(piece) or fits(piece)

    sentences = _sentences(_words(_blocks(text)))
    parts = (
        part
        for words, boundary in sentences
        for part in _fitting(words, boundary, holds)
    )
    last = None
    for piece in _merged(parts, holds, min_chars):
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last._replace(boundary=END)


def _blocks(text: Union[str, Iterable[str]]) -> Iterator[str]:
    """The text in blocks of bounded size."""
    for part in [text] if isinstance(text, str) else text:
        for start in range(0, len(part), _BLOCK_CHARS):
            yield part[start : start + _BLOCK_CHARS]


def _words(blocks: Iterable[str]) -> Iterator[Tuple[str, bool]]:
    """Words, and whether each ends a paragraph; wherever the blocks are cut."""
    word, blank, newlines = "", False, 0
    for block in blocks:
        for run in re.findall(r"\s+|\S+", block):
            if run.isspace():
                blank, newlines = True, newlines + run.count("\n")
                continue
            if blank and word:
                yield word, newlines > 1
                word = ""
            word, blank, newlines = word + run, False, 0
            while len(word) > MAX_WORD_CHARS:
                yield word[:MAX_WORD_CHARS], False
                word = word[MAX_WORD_CHARS:]
    if word:
        yield word, True


def _sentences(words: Iterable[Tuple[str, bool]]) -> Iterator[Tuple[List[str], str]]:
    """Words of one sentence after the other, and the boundary behind it."""
    sentence: List[str] = []
    chars, paragraph = 0, False
    for word, ends_paragraph in words:
        if sentence and (paragraph or ends_sentence(sentence, word)):
            yield sentence, PARAGRAPH if paragraph else SENTENCE
            chars, sentence = 0, []
        elif chars >= MAX_CHARS and len(sentence) > 1:
            cut = _middle(sentence)
            yield sentence[:cut], _boundary_inside(sentence, cut)
            sentence = sentence[cut:]
            chars = sum(map(len, sentence))
        chars += len(word)
        sentence.append(word)
        paragraph = ends_paragraph
    if sentence:
        yield sentence, PARAGRAPH


def ends_sentence(sentence: List[str], following: str) -> bool:
    """Whether a sentence ends between its words so far and the next word.

    A stop ends none behind a title, an initial or a number of a list; behind other
    abbreviations only if the next word is one that starts sentences; and no mark does
    if the next word is lower case.
    """
    bare = sentence[-1].rstrip(_CLOSING)
    following = following.lstrip(_OPENING)
    if not bare or bare[-1] not in ".!?\u2026" or following[:1].islower():
        return False
    if bare[-1] != "." or bare.endswith(".."):
        return True
    word = bare[:-1].lstrip(_OPENING)
    starts = following.rstrip(".,;:!?\"'").split("'")[0] in table.STARTERS
    if len(sentence) == 1 and re.fullmatch(r"[0-9]+|[A-Za-z]", word):
        return False
    if word in table.NUMBERED and following[:1].isdigit():
        return False
    if word in _EITHER or re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word):
        return starts and word.lower() not in table.INNER
    return word not in _INSIDE and not re.fullmatch("[A-HJ-Z]", word)


def _fitting(
    words: List[str], boundary: str, holds: Callable[[str], bool]
) -> Iterator[Piece]:
    """Halve a sentence until its parts fit."""
    todo = [(words, boundary)]
    while todo:
        words, boundary = todo.pop()
        text = " ".join(words)
        if holds(text):
            yield Piece(text, boundary)
            continue
        if len(words) == 1:
            if len(text) == 1:
                raise InputError(f"the model cannot hold even {text!r}; use another")
            half = len(text) // 2
            todo += [([text[half:]], boundary), ([text[:half]], WORD)]
        else:
            cut = _middle(words)
            inside = _boundary_inside(words, cut)
            todo += [(words[cut:], boundary), (words[:cut], inside)]


def _middle(words: List[str]) -> int:
    """Where to cut a sentence: the best place near its middle, counted in words.

    A clause mark within the middle half goes before a space nearer to the middle.
    """
    ends, total = [], 0
    for word in words:
        total += len(word) + 1
        ends.append(total)

    def distance(cut: int) -> float:
        off = abs(ends[cut - 1] / total - 0.5)
        return off if _CLAUSE_END.search(words[cut - 1]) else off + 0.25

    return min(range(1, len(words)), key=distance)


def _boundary_inside(words: List[str], cut: int) -> str:
    return CLAUSE if _CLAUSE_END.search(words[cut - 1]) else WORD


def _merged(
    pieces: Iterable[Piece], holds: Callable[[str], bool], min_chars: int
) -> Iterator[Piece]:
    """Join short pieces with a neighbour."""
    last, last_sounds = None, False
    for piece in pieces:
        sounds = can_sound(piece.text)
        if last is not None:
            joined = f"{last.text} {piece.text}"
            short = min(len(last.text), len(piece.text)) < min_chars
            short = short and last.boundary != PARAGRAPH
            join = short or not (sounds and last_sounds)
            # Signs alone fit any model: only their number stops them.
            if join and len(joined) <= MAX_CHARS and holds(joined):
                last, last_sounds = Piece(joined, piece.boundary), sounds or last_sounds
                continue
            yield last
        last, last_sounds = piece, sounds
    if last is not None:
        yield last


def can_sound(text: str) -> bool:
    """Whether a text has letters or digits."""
    return _LETTER_OR_DIGIT.search(text) is not None
