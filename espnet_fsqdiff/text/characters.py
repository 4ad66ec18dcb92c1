"""Characters: typography made plain, and what cannot be spoken refused by name."""

import re
import unicodedata
from functools import lru_cache
from typing import Optional

from espnet_fsqdiff.errors import InputError

# Symbols that a language's rules speak; the rest of Unicode's symbols are refused.
SYMBOLS = "°£€¥₹₩¢±×÷≤≥≠≈√∞§"

# Looked up before and after Unicode's own compatibility mapping (NFKC), which knows
# full-width forms, ligatures, ellipses and blanks of all widths.
_TABLE = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bb\u02bc\u00b4`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u2039\u203a", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013", "-"),
    **dict.fromkeys("\u2014\u2015", " - "),
    **dict.fromkeys("\u2022\u2023\u00b7\u25cf\u25e6\u25aa\u2027", " , "),
    **dict.fromkeys("\u2122\u00ae", ""),
    "\u2212": " minus ",
    "\u2044": "/",
    "\u00a9": " copyright ",
    "\u2116": "No. ",
    "\u00bf": "",
    "\u00a1": "",
    "\u3002": ". ",
    "\u3001": ", ",
    "\u00b2": "^2",
    "\u00b3": "^3",
    # Letters that Unicode does not take apart.
    "ß": "ss",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "th",
    "Ð": "Th",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
}
# Three and a half is 3 1/2, which NFKC would write 31/2.
_TABLE |= {c: f" {unicodedata.normalize('NFKC', c)}" for c in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_TRANSLATION = str.maketrans(_TABLE)
_MICRO = re.compile("[\u00b5\u03bc](?=[A-Za-z])")
# Characters named in one message.
_MAX_NAMED = 3


def plain(text: str) -> str:
    """Write a text with ASCII and `SYMBOLS` alone.

    Typographic quotes, dashes, ellipses, blanks, full-width forms, ligatures and
    fractions become what a keyboard has; accents of Latin letters go; invisible
    characters (zero-width, direction marks, soft hyphens) go; white space becomes
    single spaces.

    Raises:
        InputError: A character cannot be spoken: another script, an emoji, a control
            character. The message names up to three by their Unicode names.
    """
    text = _MICRO.sub("micro", text).translate(_TRANSLATION)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_TRANSLATION)
    if not text.isascii() or not text.isprintable():
        mapped = {c: _map(c) for c in dict.fromkeys(text)}
        strange = [c for c, to in mapped.items() if to is None]
        if strange:
            raise InputError(_refusal(strange))
        text = "".join([mapped[c] for c in text])
    return " ".join(text.split())


@lru_cache(maxsize=None)
def _map(char: str) -> Optional[str]:
    """What stands for one character; None if it cannot be spoken."""
    if char.isspace():
        return " "
    if " " < char < "\x7f" or char in SYMBOLS:
        return char
    category = unicodedata.category(char)
    name = unicodedata.name(char, "")
    if category == "Cf" or name.startswith(("COMBINING", "VARIATION SELECTOR")):
        # Enclosing marks (category Me) make signs of their own: keycaps, bans.
        return "" if category in ("Cf", "Mn") else None
    if name.startswith("LATIN"):
        letter, *marks = unicodedata.normalize("NFKD", char)
        if letter.isascii() and all(map(unicodedata.combining, marks)):
            return letter
    return None


def _refusal(strange) -> str:
    names = []
    for char in strange[:_MAX_NAMED]:
        code = f"U+{ord(char):04X}"
        control = unicodedata.category(char) == "Cc"
        name = unicodedata.name(char, "control" if control else "unnamed")
        names.append(f"{char!r} {name}" if char.isprintable() else f"{code} {name}")
    more = len(strange) - len(names)
    return (
        f"{', '.join(names)}{f' and {more} more' if more else ''} cannot be spoken by "
        "this model; write English words instead, or leave it out"
    )
