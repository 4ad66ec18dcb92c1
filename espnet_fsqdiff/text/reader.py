"""Written texts to the symbols that a voice speaks."""

from typing import Optional

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.normalize import build_normalizer
from espnet_fsqdiff.text.tokenizer import TextTokenizer

MARKS = ".,?!;:"


class TextReader:
    """Reads what is to be spoken.

    Args:
        text_tokenizer: Text to the symbol ids of the model that speaks.
        heard_tokenizer: Text to those of the tokenizer's recognition head; None if it
            has none.
        normalizer: `spoken_english` to write numbers and the like as words first; None
            for nothing.
    """

    def __init__(
        self,
        text_tokenizer: TextTokenizer,
        heard_tokenizer: Optional[TextTokenizer] = None,
        normalizer: Optional[str] = None,
    ):
        self.normalize = build_normalizer(normalizer)
        symbols = text_tokenizer.token_list or ()
        self._adds_stop = normalizer is not None and "." in symbols
        self.text_tokenizer = text_tokenizer
        self.heard_tokenizer = heard_tokenizer
        if normalizer is not None:
            # The words are right; marks the model does not know give way.
            text_tokenizer.fit_marks = True
            if heard_tokenizer is not None:
                heard_tokenizer.fit_marks = True

    def encode(self, text: str, name: str = "text") -> np.ndarray:
        """A written text to symbol ids (S,), normalised if the voice wants it so.

        Raises:
            InputError: If it cannot be spoken.
        """
        words = self.spoken(text, name)
        return self.text_tokenizer.encode(words, utt_id=name)

    def spoken(self, text: str, name: str = "text") -> str:
        """A written text as it is spoken, if the voice has a normaliser.

        It then also gets a stop at its end if it has no mark there, as sentences have
        that models are trained on: short words come out clearer.

        Raises:
            InputError: If nothing in it can be spoken.
        """
        try:
            words = self.normalize(text)
        except InputError as e:
            raise InputError(f"{name}: {e}") from None
        if text.strip() and not words:
            raise InputError(
                f"{name}: {text[:60]!r} has nothing to speak; write what is to be said"
            )
        if self._adds_stop and words[-1:] not in MARKS:
            words += "."
        return words

    def sounds(self, text: str) -> bool:
        """Whether there is anything in a text that `speak` would not pass over."""
        try:
            return bool(self.normalize(text).strip())
        except InputError:
            return True  # `speak` names what cannot be spoken

    def heard_symbols(self, text: str) -> np.ndarray:
        """A text to the symbol ids (S,) of the tokenizer's recognition head."""
        return self.heard_tokenizer.encode(self.spoken(text))
