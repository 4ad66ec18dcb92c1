"""Audio files: of other shapes than they say, cut, damaged, of odd samples."""

import io
import struct
from pathlib import Path
from typing import Dict

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.material import FS, Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.values import damaged, junk

FORMATS = {
    "wav PCM_16": ("WAV", "PCM_16"),
    "wav PCM_U8": ("WAV", "PCM_U8"),
    "wav PCM_24": ("WAV", "PCM_24"),
    "wav FLOAT": ("WAV", "FLOAT"),
    "wav DOUBLE": ("WAV", "DOUBLE"),
    "wav ULAW": ("WAV", "ULAW"),
    "wav MS_ADPCM": ("WAV", "MS_ADPCM"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "nist": ("NIST", "PCM_16"),
}
RATES = (1, 2, 7, 100, 8000, 11025, 16000, 44100, 192000, 655350, 2**31 - 1)
SAMPLES = ("noise", "silence", "offset", "nan", "inf", "huge", "tiny", "one")


def encoded(kind: str, rate: int, channels: int, size: int, what: str) -> bytes:
    """The bytes of an audio file; those of nothing where the format has it not."""
    import soundfile

    wave = np.random.default_rng(size).uniform(-0.5, 0.5, (size, channels))
    if kind == "ogg" and not (8000 <= rate <= 48000 and channels < 9 and size):
        return b""  # libsndfile's encoder does not survive these
    if what == "silence":
        wave[:] = 0
    elif what == "offset":
        wave[:] = 0.25
    elif what in ("nan", "inf", "huge", "tiny") and size:
        wave[size // 2] = dict(nan=np.nan, inf=np.inf, huge=1e30, tiny=1e-38)[what]
    elif what == "one":
        wave = wave[:1]
    form, subtype = FORMATS[kind]
    file = io.BytesIO()
    try:
        soundfile.write(file, wave, rate, format=form, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError, RuntimeError, TypeError):
        return b""
    return file.getvalue()


class Audio(Target):
    """`load_audio`, the tokenizer and a voice with the file as its prompt."""

    name = "audio files"
    share = 20
    names = ("utt1", "prompt_wav")

    def __init__(self, material: Material):
        super().__init__(material)
        self.sound: Dict[str, bytes] = {
            kind: encoded(kind, FS, 1, FS // 2, "noise") for kind in FORMATS
        }

    def cases(self):
        shaped = st.builds(
            encoded,
            st.sampled_from(sorted(FORMATS)),
            st.sampled_from(RATES),
            st.sampled_from([1, 1, 2, 3, 8, 255, 1024]),
            st.sampled_from([0, 1, 2, 100, 999, 8000]),
            st.sampled_from(SAMPLES),
        )
        broken = st.one_of([damaged(self.sound[kind]) for kind in sorted(FORMATS)])
        content = st.one_of(
            shaped, shaped, broken, broken, st.sampled_from(HEADERS), junk()
        )
        kinds = st.sampled_from(["load", "load", "load", "encode", "prompt"])
        return st.builds(Case, kinds, content)

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.data.audio import load_audio

        path = folder / "audio.wav"
        path.write_bytes(case.content)
        tts = self.material.tts
        if case.kind == "prompt":
            tts.check_prompts = False
            tts("hello.", prompt_wav=path, prompt_text="a word.")
            return
        wave = load_audio(path, FS, "utt1")
        assert wave.dtype == np.float32 and np.isfinite(wave).all(), "odd samples"
        if case.kind == "encode":
            tts.tokenizer.encode_batch([wave], FS, ["utt1"])


def _wav(rate=FS, channels=1, bits=16, code=1, length=100, data=b"\1\2" * 50) -> bytes:
    """A .wav by hand, whose header says what it is told to."""
    block = max(1, channels * bits // 8)
    head = struct.pack(
        "<HHIIHH", code, channels, rate, rate * block % 2**32, block % 65536, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head
    body += b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


HEADERS = (
    _wav(),
    _wav(rate=0),
    _wav(rate=2**32 - 1),
    _wav(channels=0),
    _wav(channels=65535),
    _wav(bits=0),
    _wav(bits=1),
    _wav(bits=65535),
    _wav(code=0),
    _wav(code=3),
    _wav(code=3, bits=32, data=b"\0\0\xc0\x7f" * 25),
    _wav(code=65534),
    _wav(length=0),
    _wav(length=2**32 - 1),
    _wav(length=2**31 - 1),
    _wav(data=b""),
    _wav()[:44],
    _wav()[:20],
    b"RIFF",
    b"RIFF\0\0\0\0WAVE",
    b"RIFF\xff\xff\xff\xffWAVE" + b"junk\xff\xff\xff\xff" * 3,
    b"RIFF\x10\0\0\0WAVE" + b"junk\0\0\0\0" * 20000,
    b"fLaC",
    b"fLaC" + bytes(100),
    b"fLaC\x80\xff\xff\xff" + b"\xff" * 100,
    b"OggS" + bytes(100),
    b"ID3" + bytes(100),
)
