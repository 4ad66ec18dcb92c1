"""Offline recognizers that judge how well speech can be understood."""

import re
from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, Union

import numpy as np

from espnet_fsqdiff.data.audio import Notices, load_audio
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.cache import ContentCache, keep_result, read_result
from espnet_fsqdiff.scoring.parallel import parallel_map


class AbsRecognizer(ABC):
    """What a recognizer has to offer to judge speech here.

    An instance is sent to other processes, so it should hold little more than
    its settings and load its model when first used.

    Attributes:
        fs: Sampling rate of the audio it wants, in Hz.
    """

    fs: int

    @abstractmethod
    def settings(self) -> Dict[str, Any]:
        """Return all that its results depend on: versions, model, options.

        The dictionary is written as JSON into the key of the cache.
        """

    @abstractmethod
    def recognize(self, wave: np.ndarray) -> str:
        """Recognise one utterance.

        The result must depend on `wave` alone, not on what came before.

        Args:
            wave: Samples `(n,)` at `fs`, finite and not silent.

        Returns:
            The words; "" if none were understood.
        """


class PocketsphinxRecognizer(AbsRecognizer):
    """PocketSphinx with the US-English model of its wheel.

    Args:
        level_db: Level to which the audio is brought before it is recognised (RMS
            relative to full scale, in dB; less where that would clip).
        **decoder_conf: Options of `pocketsphinx.Decoder`.

    Raises:
        InputError: pocketsphinx is not installed.
    """

    fs = 16000

    # The search is bounded and the second pass over the flat lexicon left out: about
    # half the time of the decoder's own settings. CER within 0.011 of theirs, WER
    # within 0.02, to either side (34 readings of a person and 34 of flite, and
    # Griffin-Lim copies of both).
    default_conf = {"maxhmmpf": 5000, "maxwpf": 40, "fwdflat": False}

    def __init__(self, level_db: float = -20.0, **decoder_conf: Any):
        self.level_db = level_db
        self.decoder_conf = {**self.default_conf, **decoder_conf}
        try:
            self._version = version("pocketsphinx")
        except PackageNotFoundError:
            raise InputError(
                "pocketsphinx is not installed; pip install pocketsphinx"
            ) from None
        self._decoder = None

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_decoder": None}

    def settings(self) -> Dict[str, Any]:
        return {
            "recognizer": "pocketsphinx",
            "version": self._version,
            "model": "en-us",
            "level_db": self.level_db,
            "decoder": self.decoder_conf,
        }

    def _pcm(self, wave: np.ndarray) -> bytes:
        """Return 16-bit samples at the level wanted, without offset."""
        wave = wave.astype(np.float64)
        wave = wave - wave.mean()
        gain = 10 ** (self.level_db / 20) / np.sqrt(np.mean(wave**2))
        gain = min(gain, 0.99 / np.abs(wave).max())
        return (gain * wave * 32767).astype("<i2").tobytes()

    def recognize(self, wave: np.ndarray) -> str:
        if self._decoder is None:
            from pocketsphinx import Decoder

            self._decoder = Decoder(
                samprate=self.fs, loglevel="FATAL", **self.decoder_conf
            )
        # The front end tracks noise and cepstral mean from one utterance to the
        # next: results would depend on the order.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(self._pcm(wave), no_search=False, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        if hypothesis is None:
            return ""
        # "read(2)" is the second pronunciation of "read".
        return re.sub(r"\(\d+\)", "", hypothesis.hypstr).strip()


recognizer_choices: Dict[str, Type[AbsRecognizer]] = {
    "pocketsphinx": PocketsphinxRecognizer,
}


# The recognizer of this process, set by `_start`.
_recognizer: Optional[AbsRecognizer] = None


def _start(recognizer: AbsRecognizer) -> None:
    global _recognizer
    _recognizer = recognizer


def _recognize_file(item: Tuple[str, str, Optional[Path]]) -> str:
    utt, audio, kept = item
    assert _recognizer is not None
    quiet = Notices(lambda message: None)
    text = _recognizer.recognize(load_audio(audio, _recognizer.fs, utt, quiet))
    if kept is not None:
        keep_result(kept, {"text": text})
    return text


def recognize_files(
    wavs: Mapping[str, Union[str, Path]],
    recognizer: AbsRecognizer,
    nj: int = 1,
    cache_dir: Union[None, str, Path] = None,
    desc: str = "recognise",
) -> Dict[str, str]:
    """Recognise many audio files.

    Args:
        wavs: Audio file by utterance id, at any sampling rate.
        recognizer: Who does it.
        nj: Number of processes.
        cache_dir: Where texts are kept; a file whose content was recognised with
            the same settings is not recognised again. None keeps nothing.
        desc: Name of the bar.

    Returns:
        The recognised text by utterance id.

    Raises:
        InputError: A file is missing, damaged, empty or silent.
    """
    cache = ContentCache(cache_dir, recognizer.settings()) if cache_dir else None
    texts: Dict[str, str] = {}
    todo: List[Tuple[str, str, Optional[Path]]] = []
    for utt, audio in wavs.items():
        if not Path(audio).is_file():
            raise InputError(f"{utt}: no audio file {audio}; correct wav.scp")
        kept = cache.path(audio) if cache else None
        known = read_result(kept) if kept else None
        if known is None:
            todo.append((utt, str(audio), kept))
        else:
            texts[utt] = known["text"]
    done = parallel_map(
        _recognize_file, todo, nj, desc, initializer=_start, initargs=(recognizer,)
    )
    texts.update({utt: text for (utt, _, _), text in zip(todo, done)})
    return {utt: texts[utt] for utt in wavs}
