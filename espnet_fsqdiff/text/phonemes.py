"""Phonemes as units that can be heard: marks belong to the sound they mark."""

import unicodedata
from typing import Iterable, List

JOINED = "_joined"
STRESS = "ˈˌ"


def join_marks(phonemes: Iterable[str]) -> List[str]:
    """Put marks that stand alone to the phoneme they belong to.

    espeak's transcription cut into single characters has stress before the vowel
    and length or syllabicity after it as symbols of their own: m ˈ o ː ɹ. They take
    no time, but CTC gives every symbol a frame, and at 25 Hz frames are scarce:
    m ˈoː ɹ.

    Args:
        phonemes: Symbols; the space between words and punctuation among them.

    Returns:
        Symbols, stress put before and other marks behind their phoneme. A mark
        with no phoneme to go to stays alone.
    """
    joined: List[str] = []
    stress = ""
    for symbol in phonemes:
        if _is_stress(symbol):
            stress += symbol
        elif _is_mark(symbol) and joined and not stress and _is_sound(joined[-1]):
            joined[-1] += symbol
        elif stress and not _is_sound(symbol):
            joined += [stress, symbol]
            stress = ""
        else:
            joined.append(stress + symbol)
            stress = ""
    return joined + [stress] if stress else joined


def _is_stress(symbol: str) -> bool:
    """Whether a symbol is only stress marks."""
    return bool(symbol) and set(symbol) <= set(STRESS)


def _is_mark(symbol: str) -> bool:
    """Whether a symbol is only modifiers (ː, ʰ) and combining characters."""
    if not symbol or set(symbol) & set(STRESS):
        return False
    return all(unicodedata.category(c) in ("Lm", "Mn") for c in symbol)


def _is_sound(symbol: str) -> bool:
    """Whether a symbol has a letter; `<space>` and punctuation have none."""
    if symbol.startswith("<"):
        return False
    return any(unicodedata.category(c) in ("Ll", "Lu", "Lo") for c in symbol)


class JoinedPhonemes:
    """A phoneme tokenizer of ESPnet with its marks joined.

    Args:
        tokenizer: Has `text2tokens(text) -> list of symbols`.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def text2tokens(self, text: str) -> List[str]:
        """Cut a text into phonemes, see :func:`join_marks`."""
        return join_marks(self.tokenizer.text2tokens(text))
