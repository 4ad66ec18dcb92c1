"""How each written form of English is said: one function for what one pattern finds.

Their arguments are matches of the patterns in `english_rules`, their results words.
"""

import re

from espnet_fsqdiff.text import english_words as table
from espnet_fsqdiff.text.english_numbers import (
    cardinal,
    digits,
    number,
    ordinal,
    plural,
    quantity,
    year,
)

# Characters around a match that decide how it is said.
_NEAR = 40
# Of a quotation that is looked through.
_QUOTED = 400


def letters(word: str) -> str:
    """Name the letters of a word; a lone `a` would be read as the article."""
    return " ".join("eh" if c in "aA" else c.lower() for c in word if c.isalpha())


def with_stop(m: re.Match, words: str) -> str:
    """Words for an abbreviation with a stop, which may also end the sentence."""
    rest = m.string[m.end() : m.end() + _NEAR].lstrip("\"')]")
    following = re.match(r"\s+([A-Z][a-z]*)", rest)
    if not rest or following and following[1] in table.STARTERS:
        return f"{words}."
    return words


def _before(m: re.Match) -> str:
    return m.string[max(0, m.start() - _NEAR) : m.start()]


# Parts of addresses said letter by letter.
_SPELLED_PARTS = {d for d in table.TOP_DOMAINS if len(d) == 2} - {"me", "in"}
_SPELLED_PARTS |= {"www", "html", "php"}


def address(m: re.Match) -> str:
    """Web and mail addresses, with every sign but the protocol's."""
    text = re.sub(r"^\w+://|^mailto:", "", m[0])
    text, stop = re.fullmatch(r"(.*?)(/*[.,;:!?')]*)", text).groups()
    words = []
    for part in re.findall(r"[A-Za-z]+|[0-9]|.", text):
        if part.isalpha():
            words.append(letters(part) if part in _SPELLED_PARTS else part)
        else:
            words.append(digits(part) or table.ADDRESS_WORDS.get(part, ""))
    # Lower case: nothing in it is an acronym.
    return " ".join(words).lower() + stop.lstrip("/")


def weekdays(m: re.Match) -> str:
    """`Mon-Fri`."""
    return f"{table.DAYS[m[1]]} to {table.DAYS[m[2]]}"


def months(m: re.Match) -> str:
    """`Jan-Mar`; capitals, for the rules of what may follow: `May-June 2020`."""
    first, last = (table.MONTHS[m[i]].capitalize() for i in (1, 2))
    return f"{first} to {last}"


def day_month(m: re.Match) -> str:
    """`25 December 2023`."""
    words = f"the {ordinal(m[1])} of {table.MONTHS[m[2]]}"
    return f"{words} {year(m[3])}" if m[3] else words


def month_day(m: re.Match) -> str:
    """`December 25, 2023`, `March 3-5`."""
    words = f"{table.MONTHS[m[1]]} {ordinal(m[2])}"
    if m[3]:
        words += f" to {ordinal(m[3])}"
    return f"{words}, {year(m[4])}" if m[4] else words


def iso_date(m: re.Match) -> str:
    """`2023-12-25`, `2023/12/25`."""
    return _date(m[0], m[1], m[3], m[4])


def numeric_date(m: re.Match) -> str:
    """`12/25/2023`, the month first unless it can be none; `25.12.2023`."""
    month, day = (m[1], m[3])
    if m[2] == "." or int(month) > 12:
        month, day = day, month
    return _date(m[0], m[4], month, day)


def _date(written: str, of_year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return written
    words = f"{table.MONTH_NAMES[int(month) - 1]} {ordinal(day)}"
    return f"{words}, {year(of_year) if len(of_year) == 4 else cardinal(of_year)}"


def time(m: re.Match) -> str:
    """`10:30`, `14:00`, `9:05 p.m.`, `5pm`, `10:30:15`."""
    hour, minute, second, half = m[1], m[2], m[3], m[4]
    words = cardinal(str(int(hour)))
    if minute and int(minute):
        words += " oh" * (minute[0] == "0") + f" {cardinal(str(int(minute)))}"
    elif not half:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second:
        words += f" and {quantity(str(int(second)))} seconds"
    if not half:
        return words
    words += f" {letters(half + 'm')}"
    return with_stop(m, words) if m[0].endswith(".") else words


def money(m: re.Match) -> str:
    """`$3.50`, `£5-10`, `$1.5bn`, `100 EUR`."""
    one, several, cent, cents = table.MONEY[m["sign"]]
    low, high = m["low"], m["high"]
    scale = table.SCALES.get(m["scale"] or "", "")
    whole, _, hundredths = low.replace(",", "").partition(".")
    # "a $5 bill": the sum is an adjective.
    article = "a " if m["article"] else ""
    single = article or (low == "1" and not scale and not high)
    if high or scale or article or len(hundredths) != 2 or not cent:
        amount = number(low) + (f" to {number(high)}" if high else "")
        words = f"{article}{amount} {scale} {one if single else several}"
    else:
        parts = []
        if int(whole or 0) or not int(hundredths):
            name = one if int(whole or 0) == 1 else several
            parts.append(f"{cardinal(whole or '0')} {name}")
        if int(hundredths):
            name = cent if int(hundredths) == 1 else cents
            parts.append(f"{cardinal(str(int(hundredths)))} {name}")
        words = " and ".join(parts)
    return f"minus {words}" if m["minus"] else words


def measure(m: re.Match) -> str:
    """A quantity with its unit: `5 km`, `3/4 mi`, `100 km/h`, `5-10%`, `12"`."""
    if m[3] == '"' and (m[2] or not _is_inch(m.string, m.start(3))):
        return m[0]
    unit, joint = table.UNITS[m[3]], m[2]
    one, several = unit if isinstance(unit, tuple) else (unit, plural(unit))
    # "a 10 km run", "a 10-km run": an adjective.
    is_one = m[1].lstrip("-") == "1" or joint == "-"
    is_one = is_one or bool(re.search(r"\b[Aa]n? $", _before(m)))
    is_one = is_one or ("/" in m[1] and " " not in m[1])
    if "/" in m[1] and " " not in m[1] and one != several:
        one = f"of {'an' if one[0] in 'aeiou' else 'a'} {one}"
    words = f"{quantity(m[1])} {one if is_one else several}"
    return f"{words} per {per_name(m[4])}" if m[4] else words


def _is_inch(text: str, at: int) -> bool:
    """Whether a quotation mark behind a digit is one of inches: closes no quotation."""
    inside = False
    text = text[max(0, at - _QUOTED) : at]
    for m in re.finditer('"', text):
        before, after = text[: m.start()][-1:], text[m.end() : m.end() + 1]
        if inside:
            inside = False
        elif not before or before in " ([-":
            inside = bool(after.strip())
    return not inside


def height(m: re.Match) -> str:
    """`5'10"`."""
    feet = f"{cardinal(m[1])} {'foot' if m[1] == '1' else 'feet'}"
    return f"{feet} {cardinal(m[2])}" if m[2] else feet


def years(m: re.Match) -> str:
    """`1914-18`, `1999-2005`."""
    last = year(m[2]) if len(m[2]) == 4 else cardinal(m[2].lstrip("0") or "0")
    if len(m[2]) == 2 and m[2][0] == "0":
        last = f"oh {last}"
    return f"{year(m[1])} to {last}"


def phone(m: re.Match) -> str:
    """Groups of digits, digit by digit."""
    groups = ", ".join(digits(group) for group in re.findall("[0-9]+", m[0]))
    return f"plus {groups}" if m[0].startswith("+") else groups


def dotted(m: re.Match) -> str:
    """Versions (`2.0.1`) and network addresses (`192.168.1.1`)."""
    parts = m[1].split(".")
    joint = " dot " if len(parts) == 4 else " point "
    return joint.join(cardinal(part) for part in parts)


_ROMAN = {"I": 1, "V": 5, "X": 10}


def roman(m: re.Match) -> str:
    """`Henry VIII` is the eighth, `Chapter IV` four; a lone I, V, X needs the name."""
    before, numeral = m[1], m[2]
    values = [_ROMAN[c] for c in numeral]
    value = sum(
        -v if v < following else v for v, following in zip(values, [*values[1:], 0])
    )
    following = re.match(" ([a-z]+)", m.string[m.end() : m.end() + _NEAR])
    speaks = numeral == "I" and following and following[1] not in table.AFTER_NUMERALS
    if before in table.NUMBERED_THINGS and (before == "War" or not speaks):
        return f"{before} {cardinal(str(value))}"
    if before in table.RULERS and numeral != "I":
        return f"{before} the {ordinal(str(value))}"
    if len(numeral) > 1 and before not in table.CAPITAL_WORDS:
        return f"{before} {cardinal(str(value))}"
    return m[0]


def abbreviation(m: re.Match) -> str:
    """`etc.`, `Inc.`, ..."""
    words = table.ANYWHERE.get(m[1]) or table.ANYWHERE[m[1].lower()]
    return with_stop(m, words)


def title(m: re.Match) -> str:
    """Dr. and St. stand before a name (doctor, saint) or after one."""
    words = table.TITLES[m[1]]
    if m[1] in ("Dr", "St") and "." in m[0]:
        after_name = re.search(r"[A-Z][a-z]+ $|[0-9](?:st|nd|rd|th) $", _before(m))
        following = re.match(r"\w+", m.string[m.end() : m.end() + _NEAR])
        if after_name and following and following[0] in table.STARTERS:
            return m[0]
    return f"{words} "


def symbol(m: re.Match) -> str:
    """A symbol that nothing else has read."""
    return f" {table.SYMBOL_WORDS[m[0]]} "


def per_name(unit: str) -> str:
    """The unit behind a stroke: `h` is hour."""
    name = table.UNITS.get(unit, unit)
    return name[0] if isinstance(name, tuple) else name
