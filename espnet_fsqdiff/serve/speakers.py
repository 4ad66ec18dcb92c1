"""Voices in memory, and what a request is answered with."""

import base64
import io
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.serve.picture import draw_mel
from espnet_fsqdiff.serve.request import SpeechRequest
from espnet_fsqdiff.speech_files import json_scores


@dataclass(frozen=True)
class Answer:
    """Speech, and what there is to say about it.

    Attributes:
        wav: A .wav file, 16 bit.
        picture: The mel as a PNG file; None if it was not asked for.
        about: The rest, as JSON can hold it: `voice`, `fs`, `seconds`, `took`, `rtf`,
            `complete`, `sentences` with `text`, `start` and `end` in seconds, and
            `scores` of each sentence's takes, None for a take without one.
    """

    wav: bytes
    picture: Optional[bytes]
    about: Dict[str, Any]

    def as_json(self) -> Dict[str, Any]:
        """All of it, files in base64."""
        files = {"wav": self.wav, "picture": self.picture or b""}
        coded = {name: base64.b64encode(b).decode() for name, b in files.items()}
        return {**self.about, **coded}


class Speakers:
    """Speaks with voices by name, a few of them in memory. Not for several threads.

    Args:
        names: Names there are, the default first.
        load: Loads one.
        max_loaded: Held in memory; the one not used for longest gives way.
    """

    def __init__(
        self, names: Sequence[str], load: Callable[[str], Any], max_loaded: int = 2
    ):
        self.names: List[str] = list(names)
        self._load = load
        self._max_loaded = max_loaded
        self._loaded: "OrderedDict[str, Any]" = OrderedDict()

    def get(self, name: str) -> Any:
        """The voice of that name, loaded if need be.

        Raises:
            InputError: It cannot be loaded.
        """
        if name not in self._loaded:
            while len(self._loaded) >= self._max_loaded:
                self._loaded.popitem(last=False)
            self._loaded[name] = self._load(name)
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def speak(self, request: SpeechRequest, picture: bool = True) -> Answer:
        """Speak what is asked for.

        Raises:
            InputError: It cannot be spoken.
        """
        tts = self.get(request.voice)
        start = time.perf_counter()
        spoken = tts(request.text, **request.options)
        took = time.perf_counter() - start
        wav = np.asarray(spoken["wav"], dtype=np.float32)
        seconds = len(wav) / spoken["fs"]
        sentences = [
            {key: sentence[key] for key in ("text", "start", "end")}
            for sentence in spoken["sentences"]
        ]
        about = {
            "voice": request.voice,
            "fs": int(spoken["fs"]),
            "seconds": seconds,
            "took": took,
            "rtf": took / seconds,
            "complete": bool(spoken.get("complete", True)),
            "sentences": sentences,
        }
        if spoken.get("scores") is not None:
            about["scores"] = json_scores(spoken["scores"])
        drawn = None
        if picture:
            of_mel = len(spoken["tokens"]) / tts.tokenizer.rate_hz
            drawn = draw_mel(spoken["mel"], of_mel)
        return Answer(_wav_file(wav, spoken["fs"]), drawn, about)


def _wav_file(wav: np.ndarray, fs: int) -> bytes:
    import soundfile

    peak = np.abs(wav).max(initial=0.0)
    if not 0 < peak < np.inf:
        raise InputError("the wave made is empty, silent or not finite")
    file = io.BytesIO()
    soundfile.write(file, wav / max(1.0, peak), fs, format="WAV", subtype="PCM_16")
    return file.getvalue()
