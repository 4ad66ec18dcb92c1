"""A process that answers many requests does not grow."""

from pathlib import Path

import pytest
from test_text2speech import SYMBOLS, make, make_model, make_tokenizer

from espnet_fsqdiff.duration import DurationTable
from espnet_fsqdiff.text.tokenizer import TextTokenizer

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_flat(monkeypatch):
    """Texts and with them all shapes differ from request to request."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.server_memory import measure

    tts = make(
        dict(
            model=make_model(),
            text_tokenizer=TextTokenizer("char", SYMBOLS),
            duration=DurationTable(SYMBOLS, [1.0, 2.0, 3.0, 4.0, 2.5]),
            tokenizer=make_tokenizer(),
        ),
        num_steps=2,
    )

    def speak(text):
        # The words of the toy are of a, b and c.
        words = "".join(c if c.isspace() else "abc"[ord(c) % 3] for c in text[:20])
        spoken = tts(words)
        return len(spoken["wav"]) / spoken["fs"]

    found = [megabytes for _, megabytes, _ in measure(speak, 200, every=40)]
    assert len(found) == 5
    assert max(found) - found[0] < 15
