"""Numbers in English words, by num2words, as an American voice says them."""

import re
from functools import lru_cache

# More digits than this are codes, not amounts: read one by one.
MAX_DIGITS = 15

# Amounts, also with commas or without a digit before the point.
NUMBER = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
FRACTION = r"(?:[0-9]+ )?[0-9]+/[0-9]+"
# 5, -5, 1,250.5, 5-10, 3/4, 3 1/2
QUANTITY = rf"(?<![\w.])-?(?:{FRACTION}(?![/\w])|{NUMBER}(?: ?- ?{NUMBER}(?![-0-9]))?)"


@lru_cache(maxsize=4096)
def _spell(number: int, to: str) -> str:
    # Its 60 languages take 0.2 s to load: only if there is a number.
    from num2words import num2words

    words = num2words(number, lang="en", to=to)
    return " ".join(re.sub(r"[-,]|\band\b", " ", words).split())


def digits(text: str) -> str:
    """Read the digits of a text one by one: `007` is zero zero seven."""
    return " ".join(_spell(int(d), "cardinal") for d in re.findall("[0-9]", text))


def cardinal(text: str) -> str:
    """Read a whole number; leading zeros or many digits make it a code."""
    text = text.replace(",", "")
    if len(text) > MAX_DIGITS or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    return _spell(int(text), "cardinal")


def ordinal(text: str) -> str:
    """Read a whole number as an ordinal: `22` is twenty second."""
    text = text.replace(",", "")
    if len(text) > MAX_DIGITS:
        return f"{digits(text)}th"
    return _spell(int(text), "ordinal")


def year(text: str) -> str:
    """Read a year: `1905` is nineteen oh five, `2008` two thousand eight."""
    return _spell(int(text), "year")


def number(text: str) -> str:
    """Read a number with sign, commas and decimals."""
    if text.startswith("-"):
        return f"minus {number(text[1:])}"
    whole, _, decimals = text.partition(".")
    words = [cardinal(whole)] if whole else []
    if decimals:
        words += ["point", digits(decimals)]
    return " ".join(words)


def fraction(text: str) -> str:
    """Read `3/4`, `3 1/2`; what is not a common fraction is one number over another."""
    whole, _, part = text.rpartition(" ")
    top, bottom = part.split("/")
    if 0 < int(top) < int(bottom) <= 100:
        words = f"{cardinal(top)} {_denominator(int(bottom), int(top) > 1)}"
        if whole and top == "1":
            words = f"a {_denominator(int(bottom), False)}"
    else:
        relation = "out of" if top == bottom else "over"
        words = f"{cardinal(top)} {relation} {cardinal(bottom)}"
    return f"{cardinal(whole)} and {words}" if whole else words


def _denominator(bottom: int, several: bool) -> str:
    word = {2: "half", 4: "quarter"}.get(bottom) or _spell(bottom, "ordinal")
    return plural(word) if several else word


def quantity(text: str) -> str:
    """Read what the pattern `QUANTITY` finds."""
    if text.startswith("-"):
        return f"minus {quantity(text[1:])}"
    if "/" in text:
        return fraction(text)
    return " to ".join(number(part.strip()) for part in text.split("-"))


def several(text: str) -> str:
    """Read `20s`, `1,000s`: twenties, thousands."""
    words = plural(cardinal(text))
    one = re.fullmatch("one (hundreds|thousands|millions|billions)", words)
    return one[1] if one else words


def decade(text: str) -> str:
    """Read `1990` or `90` as the plural of its years: nineteen nineties."""
    return plural(year(text) if len(text) == 4 else cardinal(text))


def plural(words: str) -> str:
    """Plural of a number word or a regular noun, put to the last word."""
    for end, instead in (("half", "halves"), ("ty", "ties"), ("x", "xes")):
        if words.endswith(end):
            return words[: -len(end)] + instead
    return f"{words}s"
