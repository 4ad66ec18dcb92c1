"""Text cleaners: ESPnet's by name, `lower` and `spoken_english` of our own."""

import re
import unicodedata
import warnings
from typing import Callable, List, Optional, Sequence, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import shown

SPOKEN_ENGLISH = "spoken_english"

# What typography writes for characters that a keyboard has.
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
    }
)


def lower(text: str) -> str:
    """Lower-case, make typographic quotes and dashes plain, collapse white space.

    Nothing is dropped and nothing spelled out: a digit stays a digit.
    """
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return re.sub(r"\s+", " ", text.lower()).strip()


def cleaner_names(cleaner: Union[None, str, Sequence[str]]) -> List[str]:
    """Split `"tacotron,lower"` into names; None, "" and "none" are no cleaner."""
    if cleaner is None:
        return []
    if isinstance(cleaner, str):
        cleaner = re.split(r"[,\s]+", cleaner)
    return [name for name in cleaner if name and name.lower() != "none"]


def build_cleaner(cleaner: Union[None, str, Sequence[str]]) -> Callable[[str], str]:
    """Return a function that applies cleaners one after the other.

    Args:
        cleaner: Names, in a list or separated by commas: `lower`, `spoken_english`
            (:func:`~espnet_fsqdiff.text.english.spoken_english`) or those of
            ESPnet's `TextCleaner`. ESPnet's `tacotron` spells out numbers and
            abbreviations of English, turns `-` into a space and `;` and `:` into
            commas, drops brackets and quotation marks and writes upper case:
            `tacotron,lower` gives lower case.

    Raises:
        InputError: ESPnet does not know a name.
    """
    steps = [_build_step(name) for name in cleaner_names(cleaner)]

    def clean(text: str) -> str:
        for step in steps:
            text = step(text)
        return text.strip()

    return clean


def _build_step(name: str) -> Callable[[str], str]:
    if name == "lower":
        return lower
    if name == SPOKEN_ENGLISH:
        from espnet_fsqdiff.text.english import spoken_english

        return spoken_english
    _import_inflect()
    with warnings.catch_warnings():
        # tacotron_cleaner compares with `is not`; nothing to us.
        warnings.simplefilter("ignore", SyntaxWarning)
        from espnet2.text.cleaner import TextCleaner

    step = TextCleaner(name)
    try:
        step("a")
    except RuntimeError as e:
        raise InputError(
            f"--cleaner {name}: {e}; choose lower, {SPOKEN_ENGLISH}, tacotron or "
            "another of ESPnet's"
        ) from None

    def clean(text: str) -> str:
        try:
            return step(text)
        # Such as a number that inflect has no words for.
        except Exception as e:
            reason = " ".join(str(e).split()) or type(e).__name__
            raise InputError(
                f"cleaner {name}: {shown(text)} is beyond it ({reason}); write it "
                "otherwise"
            ) from e

    return clean


def _import_inflect() -> None:
    """Import inflect, which ESPnet's cleaners need, without checks of its types.

    It has typeguard rewrite each of its functions, which takes seconds of every
    process that cleans a text; with right types it does the same without.
    """
    try:
        import typeguard
    except ImportError:
        return
    theirs = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        import inflect  # noqa: F401
    except ImportError:
        pass  # who needs it says so
    finally:
        typeguard.typechecked = theirs


def _unchanged(target=None, **options):
    """What `typeguard.typechecked` is, as a decorator with or without options."""
    return (lambda function: function) if target is None else target


def build_normalizer(name: Optional[str]) -> Callable[[str], str]:
    """Return what writes a text as it is spoken, before any cleaner.

    Args:
        name: `spoken_english`, or None to leave texts as they are.

    Raises:
        InputError: The name is unknown.
    """
    if name is None:
        return str
    if name != SPOKEN_ENGLISH:
        raise InputError(
            f"normalizer {name!r} is unknown; choose {SPOKEN_ENGLISH} or leave it out"
        )
    return _build_step(name)
