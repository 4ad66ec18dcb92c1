"""Text to text tokens and their numbers, with nothing dropped in silence."""

from contextlib import contextmanager
from pathlib import Path
from typing import Container, Iterator, List, Optional, Sequence, Union

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
from espnet_fsqdiff.option_types import fits, shown
from espnet_fsqdiff.text.normalize import (
    SPOKEN_ENGLISH,
    build_cleaner,
    cleaner_names,
)
from espnet_fsqdiff.text.phonemes import JOINED, JoinedPhonemes

EDGE_SYMBOL = "<sos/eos>"
TOKEN_TYPES = ("char", "bpe", "phn")
MAX_NAMED = 20  # unknown symbols in one message
# What a punctuation mark becomes where the token list does not have it.
WEAKER_MARKS = {";": ",", ":": ",", "!": ".", "?": ".", ",": "", ".": "", "'": ""}


def read_token_list(path: Union[str, Path]) -> List[str]:
    """Read a token list, one symbol a line; its index is its line from 0.

    Raises:
        InputError: The file is missing, has an empty line or a symbol twice.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such token list; run stage 4 (text token list)")
    try:
        symbols = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 (byte {e.start}); make it again") from None
    if symbols[-1] == "":
        symbols.pop()
    return check_token_list(symbols, str(path))


def check_token_list(symbols: Sequence[str], where: str = "token list") -> List[str]:
    """Return the list; raise InputError on an empty or repeated symbol, or another."""
    if not fits(symbols, Sequence[str]):
        raise InputError(f"{where} is {shown(symbols)}; give a list of symbols")
    symbols = list(symbols)
    if len(set(symbols)) < len(symbols):
        twice = next(s for i, s in enumerate(symbols) if s in symbols[:i])
        raise InputError(f"{where}: symbol {twice!r} is there twice; make it again")
    if "" in symbols or not symbols:
        raise InputError(f"{where}: an empty symbol or none at all; make it again")
    return symbols


def write_token_list(path: Union[str, Path], symbols: Sequence[str]) -> None:
    """Write a token list that :func:`read_token_list` reads."""
    with atomic_path(path) as aside:
        aside.write_text("".join(f"{s}\n" for s in symbols), encoding="utf-8")


class TextTokenizer:
    """Clean text, cut it into symbols, number them.

    Args:
        token_type: `char`, `bpe` or `phn`.
        token_list: The symbols, or the file that holds them; None for a
            tokenizer that only cuts.
        cleaner: Names of cleaners, see :func:`build_cleaner`.
        g2p: Pronunciation of ESPnet's `PhonemeTokenizer`, for `phn`; with
            `_joined` behind its name, see :func:`join_marks`.
        bpemodel: Sentencepiece model, for `bpe`.
        edge_symbol: Symbol put before and after every text by `encode`; None
            for none.

    Attributes:
        fit_marks: Whether `encode` may put other punctuation for what the list does
            not have; by default with the cleaner `spoken_english` alone.

    Raises:
        InputError: Unknown type or names, missing files or options, or a token
            list without the edge symbol.
    """

    def __init__(
        self,
        token_type: str,
        token_list: Union[None, str, Path, Sequence[str]] = None,
        cleaner: Union[None, str, Sequence[str]] = None,
        g2p: Optional[str] = None,
        bpemodel: Union[None, str, Path] = None,
        edge_symbol: Optional[str] = EDGE_SYMBOL,
    ):
        self.token_type = token_type
        self.edge_symbol = edge_symbol
        self._clean = build_cleaner(cleaner)
        self.fit_marks = SPOKEN_ENGLISH in cleaner_names(cleaner)
        self._cutter = _build_cutter(token_type, g2p, bpemodel)
        if isinstance(token_list, (str, Path)):
            self.token_list = read_token_list(token_list)
        else:
            self.token_list = check_token_list(token_list) if token_list else None
        self._ids = {s: i for i, s in enumerate(self.token_list or ())}
        if self._ids and edge_symbol is not None and edge_symbol not in self._ids:
            where = "the token list"
            if isinstance(token_list, (str, Path)):
                where = str(token_list)
            raise InputError(
                f"{where} has no edge symbol {edge_symbol}; run stage 4 again"
            )

    @property
    def vocab_size(self) -> int:
        """Number of symbols in the token list."""
        return len(self._ids)

    def text2tokens(self, text: str, utt_id: Optional[str] = None) -> List[str]:
        """Clean and cut one text.

        Args:
            text: Raw text.
            utt_id: Names the utterance in messages.

        Returns:
            Symbols without edge symbols; the space between words is `<space>`
            for `char`.

        Raises:
            InputError: Nothing is left of the text, or `spoken_english` has found a
                character that cannot be spoken.
        """
        try:
            clean = self._clean(text)
        except InputError as e:
            raise InputError(f"{_name(utt_id)}{e}") from None
        tokens = [t for t in self._cutter.text2tokens(clean) if t] if clean else []
        if not tokens:
            raise InputError(
                f"{_name(utt_id)}the text {_quote(text)} is empty after cleaning; "
                "write what is said or remove the utterance"
            )
        return tokens

    def unknown(self, tokens: Sequence[str]) -> List[str]:
        """Return the symbols that are not in the token list, each once.

        The edge symbol counts as unknown: it is no part of a text.
        """
        return [
            t
            for t in dict.fromkeys(tokens)
            if t not in self._ids or t == self.edge_symbol
        ]

    def encode(self, text: str, utt_id: Optional[str] = None) -> np.ndarray:
        """Turn a text into token numbers.

        If `fit_marks`, marks that the list does not have give way to those that it
        has, see :func:`known_marks`.

        Args:
            text: Raw text.
            utt_id: Names the utterance in messages.

        Returns:
            Token ids int64 `(T_text,)`, the edge symbol first and last unless
            `edge_symbol` is None.

        Raises:
            InputError: The text is empty or has a symbol the list does not know.
        """
        if not self._ids:
            raise InputError("this tokenizer was made without a token list; give one")
        tokens = self.text2tokens(text, utt_id)
        if self.fit_marks:
            tokens = known_marks(tokens, self._ids)
        unknown = self.unknown(tokens)
        if unknown:
            raise InputError(
                f"{_name(utt_id)}{unknown_message(unknown)} in {_quote(text)}; "
                f"{mend(unknown)}"
            )
        if self.edge_symbol is not None:
            tokens = [self.edge_symbol, *tokens, self.edge_symbol]
        return np.array([self._ids[t] for t in tokens], dtype=np.int64)


def known_marks(tokens: Sequence[str], known: Container[str]) -> List[str]:
    """Put weaker marks for those that a token list does not have.

    `;` and `:` become a comma, `!` and `?` a stop; what remains unknown goes.
    """
    fitted = []
    for token in tokens:
        while token not in known and token in WEAKER_MARKS:
            token = WEAKER_MARKS[token]
        if token:
            fitted.append(token)
    return fitted


def unknown_message(unknown: Sequence[str]) -> str:
    """Name symbols that the token list does not know."""
    named = [repr(t) for t in unknown[:MAX_NAMED]]
    more = ["..."] if len(unknown) > MAX_NAMED else []
    return f"not in the token list: {' '.join(named + more)}"


def mend(unknown: Sequence[str]) -> str:
    """Say what to do about unknown symbols."""
    if any(c.isdigit() for t in unknown for c in t):
        return "spell the number out or use a cleaner that does (spoken_english)"
    return "correct the text, or choose a --cleaner that replaces it"


def _name(utt_id: Optional[str]) -> str:
    return "" if utt_id is None else f"{utt_id}: "


def _quote(text: str, most: int = 80) -> str:
    """A text in quotes, shortened to fit a line."""
    return repr(text if len(text) <= most else f"{text[:most]}...")


@contextmanager
def _no_downloads(unless: bool) -> Iterator[None]:
    """Keep nltk from fetching what g2p_en wants, which ESPnet imports for any g2p."""
    try:
        import nltk
    except ImportError:
        unless = True
    if unless:
        yield
        return
    theirs = nltk.download
    nltk.download = lambda *args, **options: False
    try:
        yield
    finally:
        nltk.download = theirs


def _build_cutter(
    token_type: str, g2p: Optional[str], bpemodel: Union[None, str, Path]
):
    """Return ESPnet's tokenizer of a type.

    ESPnet's `build_tokenizer` imports every type there is, phonemes with their
    dictionaries among them (10 s); so each class is imported alone.
    """
    if token_type == "char":
        from espnet2.text.char_tokenizer import CharTokenizer

        return CharTokenizer()
    if token_type == "bpe":
        if bpemodel is None or not Path(bpemodel).is_file():
            raise InputError(
                f"token_type bpe: no sentencepiece model {bpemodel}; run stage 4 "
                "(text token list) or give --bpemodel"
            )
        from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer

        return SentencepiecesTokenizer(bpemodel)
    if token_type == "phn":
        with _no_downloads(unless=(g2p or "").startswith("g2p_en")):
            from espnet2.text.phoneme_tokenizer import PhonemeTokenizer, g2p_choices

        theirs = g2p and g2p.removesuffix(JOINED)
        if theirs is None or theirs not in g2p_choices:
            raise InputError(
                f"token_type phn: --g2p {g2p} is unknown to ESPnet; choose one of "
                f"{', '.join(filter(None, g2p_choices))}, with {JOINED} behind it to "
                "keep stress and length marks with their phonemes"
            )
        try:
            tokenizer = PhonemeTokenizer(g2p_type=theirs)
            tokenizer.text2tokens("a")
        except (ImportError, LookupError, RuntimeError) as e:
            # g2p_en fetches dictionaries, espeak_ng_* needs espeak-ng.
            reason = " ".join(str(e).replace("*", "").split())[:200]
            raise InputError(
                f"--g2p {g2p} does not work here ({reason}); install what it needs "
                "(espeak_ng_*: apt-get install espeak-ng, pip install phonemizer)"
            ) from None
        return tokenizer if theirs == g2p else JoinedPhonemes(tokenizer)
    raise InputError(
        f"token type {token_type} is unknown; choose one of {', '.join(TOKEN_TYPES)}"
    )
