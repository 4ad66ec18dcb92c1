"""A long text through a toy model: split, spoken in batches, joined in a file."""

from types import SimpleNamespace

import pytest
import soundfile
import torch

pytest.importorskip("espnet2")

from espnet_fsqdiff.joining import join_waves, speak_pieces, write_joined  # noqa: E402
from espnet_fsqdiff.text2speech import Text2Speech  # noqa: E402
from espnet_fsqdiff.text.normalize import build_normalizer  # noqa: E402
from espnet_fsqdiff.text.sentences import split_text  # noqa: E402
from espnet_fsqdiff.text.tokenizer import TextTokenizer  # noqa: E402

SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz"]


class TwoFrames:
    """Every symbol takes two frames."""

    def predict(self, ids):
        return torch.full((len(ids),), 2.0).numpy()


class Text2Tone(Text2Speech):
    """Text, durations and limits are real; the wave of a frame is a tone of 40 ms."""

    def __init__(self, max_frames):
        self.text_tokenizer = TextTokenizer("char", SYMBOLS, cleaner="spoken_english")
        self.duration, self.text_expansion = TwoFrames(), "duration"
        self.speed, self.seed, self.sampling = 1.0, 0, None
        self.normalize, self._adds_stop = build_normalizer(None), False
        self.model = SimpleNamespace(max_frames=max_frames)
        self.chain = SimpleNamespace(max_tokens=10 * max_frames)
        self.said = []

    def speak(self, texts, utt_ids=None, manner=None):
        plans = [self._plan(text, text, manner or self.manner) for text in texts]
        self.said += texts
        return [{"wav": torch.arange(640 * p.num_frames).sin()} for p in plans]


def test_long_text_is_spoken_whole(tmp_path):
    text = (
        "Dr. Lee paid $1,234,567.89 for it, which was far too much for him to pay.\n\n"
        "* * *\n\nWhy? Nobody knew, nobody asked, and nobody will ever find out why; "
        "it was 5/4/2023. "
    ) * 5
    tts = Text2Tone(max_frames=150)
    assert tts.holds("a short one") and not tts.holds("$1,234,567.89")
    # What fits one by one is what `speak` takes without an error.
    waves = speak_pieces(split_text(text.splitlines(True), tts.holds), tts.speak)
    seconds = write_joined(tmp_path / "out.wav", join_waves(waves, 16000), 16000)
    assert "".join("".join(tts.said).split()) == "".join(text.split())
    assert soundfile.info(tmp_path / "out.wav").duration == seconds
    symbols = sum(len(tts.text_tokenizer.encode(piece)) for piece in tts.said)
    assert seconds > 0.08 * symbols
