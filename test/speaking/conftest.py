"""A voice that is a tone, with the interface of Text2Speech."""

import os
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.joining import Part

ROOT = Path(__file__).resolve().parents[2]


class Tone:
    """Speaks 10 ms a character; cannot say a snowman."""

    fs = 16000
    tokenizer = types.SimpleNamespace(rate_hz=25.0)

    def __init__(
        self, model="tone", device="cpu", backend="torch", batch_size=8, **chain
    ):
        self.loaded = (model, device, backend)
        self.chain = chain
        self.batch_size = batch_size
        self.calls = []

    @classmethod
    def from_pretrained(cls, model, **options):
        if str(model).endswith("broken"):
            raise InputError(f"{model}: no such voice")
        return cls(model, **options)

    def __call__(self, text, **options):
        return self.batch([text], **options)[0]

    def batch(self, texts, **options):
        self.calls.append((list(texts), options))
        for i, text in enumerate(texts):
            if "\u2603" in text:
                raise InputError(f"text {i}: there is no word for a snowman")
        return [self._speak(text, **options) for text in texts]

    def _speak(self, text, speed=1.0, num_takes=None, **_):
        length = int(160 * len(text) / (speed or 1.0))
        seconds = length / self.fs
        spoken = {
            "wav": 0.5 * np.sin(np.arange(length) / 5).astype(np.float32),
            "fs": self.fs,
            "mel": np.random.default_rng(0).normal(size=(max(1, length // 160), 20)),
            "tokens": np.arange(max(1, length // 640)),
            "complete": True,
            "sentences": [{"text": text, "start": 0.0, "end": seconds}],
        }
        if (num_takes or 1) > 1:
            spoken["scores"] = [np.linspace(-1, 0, num_takes).tolist()]
        return spoken

    def check_text(self, lines, name):
        sentences = "".join(lines).split(". ")
        for i, sentence in enumerate(sentences, start=1):
            if "\u2603" in sentence:
                raise InputError(f"{name}, sentence {i}: no word for a snowman")

    def stream(self, lines, **options):
        for i, line in enumerate([lines] if isinstance(lines, str) else lines):
            yield Part(self.batch([line], **options)[0]["wav"], i)


@pytest.fixture
def tone(monkeypatch, tmp_path):
    """The tone is every voice; two are in the box. Yields those that are loaded."""
    loaded = []

    class Kept(Tone):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            loaded.append(self)

    module = types.SimpleNamespace(Text2Speech=Kept)
    monkeypatch.setitem(sys.modules, "espnet_fsqdiff.text2speech", module)
    box = []
    for name in ("high", "low"):
        path = tmp_path / "box" / f"{name}.zip"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        box.append(
            types.SimpleNamespace(name=name, path=path, card=f"# A {name} tone\n\nCC0")
        )
    module = types.SimpleNamespace(voices=lambda: box)
    monkeypatch.setitem(sys.modules, "espnet_fsqdiff.pretrained", module)
    return loaded


class Served(types.SimpleNamespace):
    """A server: its `url`, and the `voices` that are loaded."""


@pytest.fixture
def served(tone):
    """`fsqdiff-tts --serve` with the tone, on a free port of the loopback."""
    from espnet_fsqdiff.bin.tts import load
    from espnet_fsqdiff.serve.server import listen, make_server

    taken, url = listen("127.0.0.1", 0)
    with taken:
        server = make_server(
            ["high", "low"],
            lambda name: load(name, "cpu", "torch", 8),
            "127.0.0.1",
            max_chars=300,
            max_waiting=3,
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield Served(url=url, voices=tone)
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def python_env():
    """Environment of a fresh interpreter that finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
