"""English as it is spoken: numbers, dates, money, units, abbreviations, symbols.

num2words spells the numbers. It is maintained, pure Python, loads in 0.2 s, and knows
cardinals, ordinals and years of any size. Looked at besides:

* NeMo text processing: whole grammars of written English, but 0.8 GB with pynini and
  transformers, and minutes for compiling them at the first call;
* wetext (WeTextProcessing without pynini): 45 MB, 10 s to load; reads 1,234 as
  `thousand two hundred and thirty four`, raises on some texts (`#1 fan @home`);
* inflect, which ESPnet's `tacotron` cleaner uses: seconds to load, no years.

What number words do not cover is in the rules of `english_rules`, applied in their
order, and in the tables of `english_words`.
"""

import re

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text import english_words as table
from espnet_fsqdiff.text.characters import plain
from espnet_fsqdiff.text.english_forms import letters
from espnet_fsqdiff.text.english_rules import RULES


def spoken_english(text: str) -> str:
    """Write an English text as it is spoken.

    `Dr. Lee paid $3.50 on 5/4/2023.` becomes `doctor lee paid three dollars and fifty
    cents on may fourth, twenty twenty three.`

    Args:
        text: One utterance of written English, in any typography.

    Returns:
        Lower case: letters a to z, the apostrophe within words, single spaces and
        . , ? ! ; : between them. Empty if nothing in the text can be spoken.
        Spoken text stays as it is.

    Raises:
        InputError: A character of another script, an emoji or a control character,
            by name; see :func:`plain`.
    """
    text = plain(text)
    for rule in RULES:
        text = rule.pattern.sub(rule.speak, text)
    return _tidy(_capitals(text).lower())


def read_english(text: str, name: str = "text") -> str:
    """Return :func:`spoken_english`, with the text's name in every error.

    Raises:
        InputError: Nothing in the text can be spoken, or a character cannot.
    """
    try:
        words = spoken_english(text)
    except InputError as e:
        raise InputError(f"{name}: {e}") from None
    if not words:
        short = text if len(text) <= 60 else f"{text[:60]}..."
        raise InputError(
            f"{name}: {short!r} has nothing to speak; write what is to be said"
        )
    return words


def _capitals(text: str) -> str:
    """Spell acronyms; a text all in capitals only where there are no vowels."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    shouted = len(words) > 2 and all(word.isupper() for word in words)

    def speak(m: re.Match) -> str:
        word, more = m[1], m[2] or ""
        vowels = set(word) & set("AEIOUY")
        if word == "OK":
            return f"okay{more}"
        before, after = (
            m.string[max(0, m.start() - 40) : m.start()],
            m.string[m.end() :],
        )
        if word in table.SHOUTED_WORDS and (
            re.search(r"\b(?:I|[A-Z]{2,}),? $", before)
            or re.match(r",? [A-Z]{2,}\b", after)
        ):
            return m[0]
        said = word in table.CAPITAL_WORDS or (vowels and (shouted or len(word) > 3))
        if said and word not in table.SPELLED:
            return m[0]
        return letters(word) + ("'s" if more else "")

    return re.sub(r"\b([A-Z]{2,})('?s)?\b", speak, text)


def _tidy(text: str) -> str:
    """Only letters, apostrophes within words, and single marks that end something."""
    text = re.sub(r"[(){}\[\]|]|(?<!\w)-+(?=\s)|--+|(?<=\w)-+\s", " , ", text)
    text = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", text)
    text = re.sub(r"[^a-z'.,?!;:]+", " ", text)
    text = re.sub(r" ?[.,?!;:][ .,?!;:]*", _one_mark, text)
    text = text.strip(" .,?!;:") and text.strip(" ").lstrip(".,?!;: ")
    return text


def _one_mark(m: re.Match) -> str:
    """The strongest of a row of marks."""
    return next(mark for mark in "?!.;:," if mark in m[0]) + " "
