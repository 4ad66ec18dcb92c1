"""Text as it is compared, and error rates."""

import re
from typing import Dict, NamedTuple, Sequence

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.normalize import lower

# An apostrophe inside a word, a point or comma inside a number, or else anything
# that is neither letter, digit nor space.
_PUNCTUATION = re.compile(
    r"(?P<keep>(?<=[^\W_])'(?=[^\W_])|(?<=\d)[.,](?=\d))|[^\w\s]|_", re.UNICODE
)


def normalize_text(text: str) -> str:
    """Bring text into the form in which a reference and a hypothesis are compared.

    * lower case, typographic quotes and dashes made plain;
    * punctuation becomes a space ("well-known" is two words), except the
      apostrophe inside a word ("don't", but not in "'tis" or "dogs'");
    * numbers stay as they are written ("3.5"); a recognizer that says "three"
      then counts as wrong, so write numbers out in a test text;
    * single spaces, none at the ends.

    Args:
        text: Any text.

    Returns:
        The normalised text, which may be empty.
    """
    text = _PUNCTUATION.sub(lambda m: m["keep"] or " ", lower(text))
    return " ".join(text.split())


class EditCounts(NamedTuple):
    """Edits of one utterance and the length of its reference.

    Attributes:
        char_edits: Characters inserted, deleted or replaced.
        chars: Characters of the reference, spaces between words among them.
        word_edits: Words inserted, deleted or replaced.
        words: Words of the reference.
    """

    char_edits: int
    chars: int
    word_edits: int
    words: int


def edit_counts(reference: str, hypothesis: str) -> EditCounts:
    """Count the edits of one utterance, as `error_rates` does for a corpus.

    The sums over a corpus, edits over lengths, are its error rates.

    Args:
        reference: What was to be said.
        hypothesis: What was recognised, perhaps nothing.

    Raises:
        InputError: The reference has no word.
    """
    import jiwer

    wanted, heard = _with_words(reference), normalize_text(hypothesis)
    counts = []
    for found in (
        jiwer.process_characters(wanted, heard),
        jiwer.process_words(wanted, heard),
    ):
        changed = found.substitutions + found.deletions
        counts += [changed + found.insertions, changed + found.hits]
    return EditCounts(*counts)


def _with_words(reference: str) -> str:
    words = normalize_text(reference)
    if not words:
        raise InputError(
            f"the reference text {reference!r} has no word to compare with; "
            "write its words out or remove the utterance"
        )
    return words


def error_rates(
    references: Sequence[str], hypotheses: Sequence[str]
) -> Dict[str, float]:
    """Compute the error rates of a corpus.

    Both sides are normalised first. The edits of all utterances are counted
    together, so a long utterance weighs more than a short one. The space between
    two words counts as a character.

    Args:
        references: What was to be said, one text an utterance.
        hypotheses: What was recognised, in the same order; may be empty texts.

    Returns:
        `{"cer": ..., "wer": ...}`, edits over reference characters and words:
        fractions, 0 at best, above 1 when much is inserted.

    Raises:
        InputError: A reference has no word.
        ValueError: The two differ in number, or there is none.
    """
    import jiwer

    if not references or len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses")
    reference = [_with_words(t) for t in references]
    hypothesis = [normalize_text(t) for t in hypotheses]
    return {
        "cer": float(jiwer.cer(reference, hypothesis)),
        "wer": float(jiwer.wer(reference, hypothesis)),
    }
