"""What is written short in English: patterns, in the order in which they are spoken.

Later rules see the words of earlier ones, so the special comes before the general:
addresses, dates, times, money, units, abbreviations, then what numbers and symbols are
left.
"""

import re
from typing import Callable, List, NamedTuple

from espnet_fsqdiff.text import english_forms as forms
from espnet_fsqdiff.text import english_numbers as numbers
from espnet_fsqdiff.text import english_words as table


class Rule(NamedTuple):
    """What is written so, is said so."""

    pattern: re.Pattern
    speak: Callable[[re.Match], str]


def _any(words) -> str:
    """A pattern for any of the words, the longest first."""
    return "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))


# The start of a word; digits before it become words of their own further down.
_NEW = r"(?<![A-Za-z_])"
_DOMAIN = rf"(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}(?:{_any(table.TOP_DOMAINS)})"
_MONTH = rf"({_any(table.MONTHS)})"
_DAY = r"(0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?"
_WEEKDAY = rf"(?:{_any(day.capitalize() for day in table.DAYS.values())})"
# The stop of a short month; of a whole one it would end the sentence.
_DOT = r"(?:\.(?=,| [a-z0-9]))?"
_YEAR = r"([12][0-9]{3})"
_HALF = r"(?: ?([aApP])(?:\.[mM]\.|[mM]\b))"
_SCALE = rf"(?: ?(?P<scale>{_any(table.SCALES)})(?!\w))?"
_SIGN = rf"(?P<sign>{_any(s for s in table.MONEY if not s.isalpha())})"
_CODE = rf"(?P<sign>{_any(s for s in table.MONEY if s != '$')})(?!\w)"
# What stands behind < and > in a formula, and not in a tag.
_TERM = r"(?:-| minus )?(?:[A-Za-z]|[0-9.]+)(?![\w>])"
# Abbreviations that are no other word in capitals.
_SMALL = [word for word in table.ANYWHERE if word.islower()]
_UNIT = rf"({_any(table.UNITS)})(?![\w'])"
_PER = rf"(?:/({_any([*table.UNITS, *table.PER])})(?!\w))?"


def _rule(pattern: str, speak) -> Rule:
    """A rule; `speak` may also be the words themselves."""
    if isinstance(speak, str):
        return Rule(re.compile(pattern), lambda m: speak)
    return Rule(re.compile(pattern), speak)


RULES: List[Rule] = [
    # Addresses come first: all their signs are said.
    _rule(r"(?<![\w@])(?:https?://|www\.)[^\s<>\"]+", forms.address),
    _rule(rf"(?<!\w)(?:mailto:)?[\w.+-]{{1,64}}@{_DOMAIN}\b", forms.address),
    _rule(rf"(?<![\w@.-]){_DOMAIN}\b(?:/[^\s<>\"]*)?", forms.address),
    _rule(
        rf"(?<![\w/])(?:{_any(table.IDIOMS)})(?![\w/])", lambda m: table.IDIOMS[m[0]]
    ),
    # Telephone numbers and codes in groups of digits.
    _rule(
        r"(?<![\w$£€+-])(?:\+?1[ .-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])"
        r"[0-9]{3}[ .-][0-9]{4}(?![\w-])",
        forms.phone,
    ),
    _rule(r"(?<![\w$£€+-])\+[0-9]{1,3}(?:[ -]?\(?[0-9]+\)?){2,}(?!\w)", forms.phone),
    _rule(
        rf"(?<![\w/-]){_YEAR}([/-])([01]?[0-9])\2([0-3]?[0-9])(?![\w/-])",
        forms.iso_date,
    ),
    _rule(r"(?<![\w$£€-])[0-9]{3}-[0-9]{4}(?![\w-])", forms.phone),
    _rule(r"(?<![\w-])[0-9]+(?:-[0-9]+){2,}(?![\w-])", forms.phone),
    _rule(r"(?<![\w-])0[0-9]{2,4}(?: [0-9]{3,4}){2}(?![\w-])", forms.phone),
    # Dates; first the dash between two of them.
    _rule(rf"\b({_any(table.DAYS)})\.?-({_any(table.DAYS)})\b{_DOT}", forms.weekdays),
    _rule(rf"\b({_WEEKDAY})-(?={_WEEKDAY}\b)", lambda m: f"{m[1]} to "),
    _rule(rf"\b{_MONTH}\.?-{_MONTH}\b", forms.months),
    _rule(
        rf"\b(?P<first>{_MONTH}\.? {_DAY}(?:,? {_YEAR})?) ?- ?(?={_MONTH}\.? {_DAY}\b)",
        lambda m: f"{m['first']} to ",
    ),
    _rule(
        rf"(?<![\w.,/-])(?:the )?{_DAY}(?: of)? {_MONTH}\b{_DOT}(?:,? {_YEAR}\b)?",
        forms.day_month,
    ),
    _rule(
        rf"\b{_MONTH}\.? {_DAY}(?: ?- ?{_DAY})?(?![\w:/%]|[.,][0-9])(?:,? {_YEAR}\b)?",
        forms.month_day,
    ),
    _rule(
        rf"\b{_MONTH}\b\.?,? {_YEAR}(?![\w-])",
        lambda m: f"{table.MONTHS[m[1]]} {numbers.year(m[2])}",
    ),
    _rule(
        rf"(?<![\w./-])([0-9]{{1,2}})(/)([0-9]{{1,2}})/({_YEAR[1:-1]}|[0-9]{{2}})"
        r"(?![\w/])",
        forms.numeric_date,
    ),
    _rule(
        rf"(?<![\w./-])([0-9]{{1,2}})(\.)([0-9]{{1,2}})\.{_YEAR}(?!\w)",
        forms.numeric_date,
    ),
    # Times; first the dash between two of them.
    _rule(r"(?<=[0-9]) ?- ?(?=[0-9]{1,2}(?::[0-9]{2}| ?[ap]\.?m\b))", " to "),
    _rule(
        r"(?:(?<=[0-9] [apAP][mM])|(?<=[0-9][apAP][mM])|(?<=[0-9] [apAP]\.[mM]\.)"
        r"|(?<=[0-9][apAP]\.[mM]\.)) ?- ?(?=[0-9])",
        " to ",
    ),
    _rule(
        r"(?<![\w:.,])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?"
        rf"(?:{_HALF}|(?![\w:]))",
        forms.time,
    ),
    _rule(rf"(?<![\w:.,])(0?[1-9]|1[0-2])()(){_HALF}", forms.time),
    # Money.
    _rule(
        rf"(?P<article>\b[Aa] )?(?P<minus>-)?(?:\bUS)?{_SIGN} ?"
        rf"(?P<low>{numbers.NUMBER})(?: ?- ?(?P=sign)?(?P<high>{numbers.NUMBER}))?"
        rf"{_SCALE}{_PER.replace('/(', '/(?P<per>')}",
        lambda m: forms.money(m)
        + (f" per {forms.per_name(m['per'])}" if m["per"] else ""),
    ),
    _rule(
        rf"(?P<article>\b[Aa] )?(?<![\w.])(?P<minus>-)?(?P<low>{numbers.NUMBER})"
        rf"(?: ?- ?(?P<high>{numbers.NUMBER}))?{_SCALE} ?{_CODE}",
        forms.money,
    ),
    _rule(
        rf"(?P<article>)\b{_CODE} ?(?P<minus>-)?(?P<low>{numbers.NUMBER})"
        rf"(?: ?- ?(?P<high>{numbers.NUMBER}))?{_SCALE}",
        forms.money,
    ),
    # Years and decades.
    _rule(
        r"(?<![\w'])'?(?!1000)([12][0-9]{2}0|[2-9]0)'?s\b",
        lambda m: numbers.decade(m[1]),
    ),
    _rule(
        r"(?<![\w.,$£€/-])(1[0-9]{3}|20[0-9]{2}) ?- ?(1[0-9]{3}|20[0-9]{2}|[0-9]{2})"
        r"(?![\w-]|[.,][0-9])",
        forms.years,
    ),
    # Amounts with units.
    _rule(r"(?<=[0-9\"]) ?x ?(?=[0-9])", " by "),
    _rule(r"(?<=%) ?- ?(?=[0-9])", " to "),
    _rule(r"\b([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)s\b", lambda m: numbers.several(m[1])),
    _rule(r"(?<![\w'.])([0-9]{1,2})'(?: ?([0-9]{1,2})\"?)(?!\w)", forms.height),
    _rule(
        r"(?<![\w'.])([0-9]{1,2})'()(?= (?:tall|long|high|wide|deep|thick)\b)",
        forms.height,
    ),
    _rule(
        rf"({numbers.QUANTITY})([ -]?){_UNIT}{_PER}(?:(?<=[a-z])\.(?=[,;]| [a-z0-9]))?",
        forms.measure,
    ),
    _rule(r"(?<=[0-9]) ?× ?(?=[0-9])", " times "),
    _rule(r"(?<=[0-9]) ?\* ?(?=[0-9])", " times "),
    _rule(r"(?<=[0-9]) / (?=[0-9])", " divided by "),
    _rule(r"(?<=[0-9]) - (?=[0-9.,]+ ?=)", " minus "),
    _rule(r"\^2\b", " squared "),
    _rule(r"\^3\b", " cubed "),
    _rule(r"(?<=\w)\^(?=[\w-])", " to the power of "),
    _rule(r"(?:(?<=[=<>+*^≤≥≠≈×÷])|(?<=[=<>+*^≤≥≠≈×÷] ))-(?=[A-Za-z]\b)", " minus "),
    _rule(r"(?<![<>=!-])<=(?![<>=])", " less than or equal to "),
    _rule(r"(?<![<>=!-])>=(?![<>=])", " greater than or equal to "),
    _rule(r"(?<![!=])!=(?!=)", " not equal to "),
    _rule(rf"(?<=\b[A-Za-z]|[0-9])<(?={_TERM})", " is less than "),
    _rule(
        rf"(?<![<>/-][A-Za-z])(?:(?<=\b[A-Za-z])|(?<=[0-9]))>(?={_TERM})",
        " is greater than ",
    ),
    _rule(r"(?<=[0-9])<(?=-?[0-9])|(?<=\w) < (?=[\w-])", " is less than "),
    _rule(r"(?<=[0-9])>(?=-?[0-9])|(?<=\w) > (?=[\w-])", " is greater than "),
    _rule(r"<(?= ?-?[0-9])", " less than "),
    _rule(r">(?= ?-?[0-9])", " greater than "),
    _rule(r"[~](?=[$£€]?[0-9])", "about "),
    _rule(r"(?<![\w#])([A-G])#(?!\w)", lambda m: f"{forms.letters(m[1])} sharp"),
    _rule(r"#(?=[0-9])", "number "),
    _rule(r"(?<!\w)#(?=[A-Za-z])", "hashtag "),
    # Abbreviations.
    _rule(
        rf"{_NEW}({_any(table.NUMBERED)})\. ?(?=[0-9])",
        lambda m: f"{table.NUMBERED[m[1]]} ",
    ),
    _rule(rf"{_NEW}({_any(table.TITLES)})\. (?=[A-Z])", forms.title),
    _rule(rf"{_NEW}({_any(table.BARE_TITLES)}) (?=[A-Z][a-z])", forms.title),
    _rule(rf"(?i){_NEW}(mr|mrs|ms)\.", lambda m: table.TITLES[m[1].capitalize()]),
    _rule(
        rf"(?i){_NEW}({_any(table.INNER)})\.",
        lambda m: (
            f"{table.INNER[m[1].lower()]},"
            if m[1].lower() in ("e.g", "i.e")
            else table.INNER[m[1].lower()]
        ),
    ),
    _rule(rf"{_NEW}(?i:vs)(?![A-Za-z])", "versus"),
    _rule(rf"{_NEW}((?i:{_any(_SMALL)})|{_any(table.ANYWHERE)})\.", forms.abbreviation),
    _rule(rf"{_NEW}PhD(s?)\b", lambda m: "p h d's" if m[1] else "p h d"),
    _rule(
        rf"{_NEW}({_any(table.DAYS)})\.(?=,| [0-9]| (?:and|or|at|from|to)\b)",
        lambda m: table.DAYS[m[1]],
    ),
    _rule(r"\.{2,}(?= ?[a-z])", ","),
    # Initials and letters with stops.
    _rule(
        rf"{_NEW}(?:[A-Za-z]\.){{2,}}",
        lambda m: forms.with_stop(m, forms.letters(m[0])),
    ),
    _rule(rf"{_NEW}([A-HJ-Z])\.(?= [A-Z])", lambda m: forms.letters(m[1])),
    _rule(r"\b([A-Z][a-z]+) ([IVX]{2,}\b|[IVX]\b(?!'))", forms.roman),
    # What numbers are left.
    _rule(r"(?<![\w.])v(?:er)?\.? ?(?=[0-9])", "version "),
    _rule(r"(?<![\w.])([0-9]+(?:\.[0-9]+){2,})(?![\w])", forms.dotted),
    _rule(
        r"(?i)(?<![\w.,])([0-9]+(?:,[0-9]{3})*)(?:st|nd|rd|th)\b",
        lambda m: numbers.ordinal(m[1]),
    ),
    _rule(
        r"(?:(?<=\b[Ii]n )|(?<=year )|(?<=ince ))(10[1-9][0-9])(?!\w|[.,/-][0-9])",
        lambda m: numbers.year(m[1]),
    ),
    _rule(
        r"(?<![\w.,$-])(1[1-9][0-9]{2}|20[0-9]{2})(?!\w|[.,/:-][0-9])",
        lambda m: numbers.year(m[1]),
    ),
    _rule(
        r"(?<![0-9])([0-9]+):([0-9]+)",
        lambda m: f"{numbers.cardinal(m[1])} to {numbers.cardinal(m[2])}",
    ),
    _rule(r"(?<=[0-9])(?=[A-Za-z])", " "),
    _rule(numbers.QUANTITY, lambda m: numbers.quantity(m[0])),
    _rule(rf"{numbers.NUMBER}", lambda m: f" {numbers.number(m[0])} "),
    _rule(r"(?<=[a-z] )A(?= ?[.,;:!?]|$)", "eh"),
    _rule(rf"[{re.escape(''.join(table.SYMBOL_WORDS))}]", forms.symbol),
]
