"""Speech tokenizer: wave -> tokens -> mel."""

from espnet_fsqdiff.tokenizer.model import SpeechTokenizerModel, TokenizerOutput
from espnet_fsqdiff.tokenizer.speech_tokenizer import SpeechTokenizer, load_tokenizer

__all__ = [
    "SpeechTokenizer",
    "SpeechTokenizerModel",
    "TokenizerOutput",
    "load_tokenizer",
]
