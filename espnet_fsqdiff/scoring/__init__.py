"""How good the speech is: error rates, acoustic distances, and the report."""

from espnet_fsqdiff.scoring.acoustic import AcousticComparison, compare_acoustics
from espnet_fsqdiff.scoring.curves import read_curves
from espnet_fsqdiff.scoring.recognizer import (
    AbsRecognizer,
    PocketsphinxRecognizer,
    recognize_files,
    recognizer_choices,
)
from espnet_fsqdiff.scoring.text import error_rates, normalize_text

__all__ = [
    "AbsRecognizer",
    "AcousticComparison",
    "PocketsphinxRecognizer",
    "compare_acoustics",
    "error_rates",
    "normalize_text",
    "read_curves",
    "recognize_files",
    "recognizer_choices",
]
