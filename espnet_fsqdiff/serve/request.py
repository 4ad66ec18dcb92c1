"""What may be asked for, and how it is checked."""

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, Sequence

from espnet_fsqdiff.errors import InputError

# Option of Text2Speech: least value, greatest, whether it is a whole number.
LIMITS = {
    "speed": (0.5, 2.0, False),
    "num_steps": (1, 100, True),
    "num_takes": (1, 8, True),
    "seed": (0, 2**31 - 1, True),
}


@dataclass(frozen=True)
class SpeechRequest:
    """A checked request.

    Attributes:
        text: What to say.
        voice: Name of a voice that there is.
        options: Options of `Text2Speech`, those that were given.
    """

    text: str
    voice: str
    options: Dict[str, Any]


def parse_request(body: bytes, voices: Sequence[str], max_chars: int) -> SpeechRequest:
    """Read and check the JSON of a request.

    Args:
        body: JSON object with `text` and, if wanted, `voice` and the names of `LIMITS`.
        voices: Names there are; the first is the default.
        max_chars: Longest text.

    Raises:
        InputError: If anything about it is wrong.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the request is no JSON") from None
    if not isinstance(asked, dict):
        raise InputError("the request is no JSON object")
    unknown = set(asked) - {"text", "voice", *LIMITS}
    if unknown:
        names = ", ".join(["text", "voice", *LIMITS])
        raise InputError(f"{min(unknown)[:40]!r} is no option; there are {names}")
    options = {
        name: _number(name, asked[name])
        for name in LIMITS
        if asked.get(name) is not None
    }
    voice = asked.get("voice", voices[0])
    if voice not in voices:
        raise InputError(f"there is no such voice; there are {', '.join(voices)}")
    return SpeechRequest(_text(asked.get("text"), max_chars), voice, options)


def _text(text: Any, max_chars: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputError("there is no text; type what to say")
    if len(text) > max_chars:
        raise InputError(
            f"the text has {len(text)} characters, at most {max_chars} are allowed; "
            "shorten it, or speak it with fsqdiff-tts --text_file"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the text holds half a character (a lone surrogate)") from None
    return text


def _number(name: str, value: Any) -> float:
    least, most, whole = LIMITS[name]
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        value = math.nan
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name} must be {kind} from {least} to {most}")
    return value
