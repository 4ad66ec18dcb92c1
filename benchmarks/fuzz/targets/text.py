"""Texts: the text front end alone, and a voice that speaks them."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.material import FS, SYMBOLS, Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.values import ODD, texts

MAX_SPOKEN_CHARS = 400


class TextFrontEnd(Target):
    """Normalizer, cleaners, cutting into sentences, symbols."""

    name = "text front end"
    share = 30
    names = ("text",)

    def __init__(self, material: Material):
        super().__init__(material)
        from espnet_fsqdiff.text.normalize import build_normalizer
        from espnet_fsqdiff.text.tokenizer import TextTokenizer

        self.normalize = build_normalizer("spoken_english")
        cleaners = (None, "lower", "spoken_english", "tacotron,lower")
        self.tokenizers = {
            str(name): TextTokenizer("char", SYMBOLS, name) for name in cleaners
        }

    def cases(self):
        kinds = ["spoken_english", "split", *self.tokenizers]
        return st.builds(Case, st.sampled_from(kinds), texts())

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.errors import InputError
        from espnet_fsqdiff.text.sentences import split_text

        text = case.content
        if case.kind == "split":
            pieces = list(split_text(text, 60))
            kept = "".join("".join(p.text for p in pieces).split())
            assert kept == "".join(text.split()), "split_text has lost characters"
        elif case.kind == "spoken_english":
            try:
                self.normalize(text)
            except InputError as e:
                raise InputError(f"text: {e}") from None
        if case.kind in self.tokenizers:
            self.tokenizers[case.kind].encode(text, utt_id="text")


class Voice(Target):
    """`Text2Speech`, called with texts, options and prompts."""

    name = "Text2Speech"
    share = 8

    def cases(self):
        spoken = texts(MAX_SPOKEN_CHARS)
        options = st.dictionaries(
            st.sampled_from(
                ["speed", "num_steps", "guidance_scale", "seed", "temperature"]
            ),
            st.one_of(
                st.sampled_from(
                    [1, 2, 0.5, 1.5, 0, -1, 1e-9, 1e9, 10**12, float("nan")]
                ),
                ODD,
            ),
            max_size=2,
        )
        sizes = st.integers(0, 3 * FS)
        return st.one_of(
            st.builds(Case, st.just("call"), st.tuples(spoken, options)),
            st.builds(Case, st.just("batch"), st.lists(spoken, max_size=3)),
            st.builds(Case, st.just("stream"), st.lists(spoken, max_size=4)),
            st.builds(Case, st.just("type"), ODD),
            st.builds(
                Case,
                st.just("prompt"),
                st.tuples(spoken, st.sampled_from(PROMPTS), sizes, spoken, ODD),
            ),
        )

    def run(self, case: Case, folder: Path) -> None:
        tts, content = self.material.tts, case.content
        if case.kind == "call":
            check_speech(tts(content[0], **content[1]), tts)
        elif case.kind == "type":
            check_speech(tts(content), tts)
        elif case.kind == "batch":
            for result in tts.batch(content):
                check_speech(result, tts)
        elif case.kind == "stream":
            for part in tts.stream(content):
                assert np.isfinite(part.samples).all(), "the wave is not finite"
        else:
            text, kind, size, transcript, rate = content
            wave = make_prompt(kind, size)
            fs = rate if kind == "odd rate" else FS
            tts.check_prompts = False
            made = tts(text, prompt_wav=wave, prompt_text=transcript, prompt_fs=fs)
            check_speech(made, tts)


PROMPTS = ("noise", "zeros", "nan", "int16", "stereo", "loud", "odd rate", "list")


def make_prompt(kind: str, size: int):
    """Samples of a kind; some of them no wave."""
    wave = np.random.default_rng(size).standard_normal(size).astype(np.float32) / 4
    if kind == "zeros":
        return np.zeros(size)
    if kind == "nan":
        wave[size // 2 :] = np.nan
    elif kind == "int16":
        return (wave * 30000).astype(np.int16)
    elif kind == "stereo":
        return np.stack([wave, wave])
    elif kind == "loud":
        return wave * 1e30
    elif kind == "list":
        return wave.tolist()
    return wave


def check_speech(result, tts) -> None:
    """What a voice returns is speech."""
    wav = result["wav"].numpy()
    assert len(wav) and np.isfinite(wav).all(), "the wave is empty or not finite"
    assert np.abs(wav).max() <= 1, "the wave leaves [-1, 1]"
    tokens = result["tokens"].numpy()
    assert ((0 <= tokens) & (tokens < tts.tokenizer.num_codes)).all(), "odd tokens"
