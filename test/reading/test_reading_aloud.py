"""Texts of any length and kind: each is spoken whole, or refused for what it is."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.reading import MAX_CHARS

LONG = (
    "Dr. Lee paid $3.50 on 5/4/2023, no more. He was happy, so it seems, and went "
    "home at once; it was late.\n\n* * *\n\nWhy did he go? Nobody knows."
)


def test_a_long_text_in_sentences(tts):
    result = tts(LONG)
    assert {"wav", "fs", "tokens", "duration", "mel", "sentences"} <= set(result)
    assert {"rtf", "rtf_sampling", "complete"} <= set(result)
    wav, sentences = result["wav"], result["sentences"]
    assert wav.dtype == torch.float32 and wav.abs().max() <= 1
    assert len(sentences) > 4  # the model holds 80 symbols
    said = "".join(s["text"] for s in sentences)
    assert "".join(said.split()) == "".join(LONG.split())
    ends = [0.0, *(s["end"] for s in sentences)]
    for sentence, before in zip(sentences, ends):
        assert before <= sentence["start"] < sentence["end"]
    assert ends[-1] * result["fs"] == pytest.approx(len(wav))
    assert result["duration"].sum() == len(result["tokens"])
    assert result["mel"].shape == (4 * len(result["tokens"]), 20)
    # Its sentences are those that `speak` says.
    first = tts.speak([sentences[0]["text"]])[0]
    assert torch.equal(first["tokens"], result["tokens"][: len(first["tokens"])])
    assert result["complete"] and result["rtf"] > result["rtf_sampling"] > 0


def test_each_text_of_a_batch_is_as_alone(tts):
    texts = ["Yes.", LONG, "Five apples."]
    for text, result in zip(texts, tts.batch(texts, seed=3)):
        alone = tts(text, seed=3)
        assert torch.equal(result["tokens"], alone["tokens"])
        torch.testing.assert_close(result["wav"], alone["wav"])
        assert result["sentences"] == alone["sentences"]
    assert tts.batch([]) == []
    with pytest.raises(InputError, match="texts is one string"):
        tts.batch("Yes.")


def test_a_stream_is_the_same_wave(tts):
    parts = list(tts.stream(LONG.splitlines(True), seed=3))
    samples = np.concatenate([part.samples for part in parts])
    np.testing.assert_allclose(samples, tts(LONG, seed=3)["wav"].numpy(), atol=1e-5)
    pieces = [part.piece for part in parts if part.piece is not None]
    assert pieces == list(range(len(tts(LONG)["sentences"])))


def test_a_stream_needs_little_of_ten_megabytes(tts):
    line = "This is a line of a very long text. \n"
    read = 0

    def book():
        nonlocal read
        for _ in range(10**7 // len(line)):
            read += len(line)
            yield line

    parts = tts.stream(book(), seed=1)
    for _ in range(20):
        assert len(next(parts).samples)
    assert read < 20_000


def test_a_text_is_checked_without_being_spoken(tts, monkeypatch):
    monkeypatch.setattr(tts.model, "speak", None)
    tts.check_text([LONG, "\n\n* * *\n", "No."], "book.txt")
    tts.check_text([], "book.txt")
    where = r"^book.txt, sentence 5 \(So it is .*\): .*SNOWMAN"
    with pytest.raises(InputError, match=where):
        tts.check_text([LONG, "\n\nSo it ", "is with a \N{SNOWMAN}.\n"], "book.txt")


def test_what_makes_no_sound_is_named(tts, monkeypatch):
    real = tts.chain.vocoder.batch

    def batch(mels):
        if any(len(mel) > 200 for mel in mels):
            raise InputError("mel 1 is not finite")
        return [wave * (len(wave) > 6000) for wave in real(mels)]

    monkeypatch.setattr(tts.chain.vocoder, "batch", batch)
    short = "It was late, so very late. "
    long = f"{short}And none of all these people knew why it was."
    with pytest.raises(InputError, match="^text 1, sentence 2: mel 1 is not finite"):
        tts.batch([short, long])
    with pytest.raises(InputError, match="^text 1, sentence 1: .* is empty, silent"):
        tts.batch([short, "Go."])
    with pytest.raises(InputError, match="^text, sentence 2: mel 1 is not finite"):
        list(tts.stream(long))


def test_a_speed_that_cannot_be_is_said_once(tts, monkeypatch, caplog):
    text = "It was late, so very late."
    monkeypatch.setattr(tts, "_said_speed", False, raising=False)
    tts(text), tts(text, speed=1.3)
    assert not caplog.records
    for _ in range(2):
        assert len(tts(text, speed=4.0)["tokens"]) == len(tts.encode(text))
    (record,) = caplog.records
    assert "takes 28 frames and not 10" in record.message


@pytest.mark.parametrize("word", ["word ", "x"])
def test_ten_megabytes_at_once_are_refused_quickly(tts, word):
    text = word * (10**7 // len(word))
    start = time.perf_counter()
    with pytest.raises(InputError, match="hours of speech.*stream") as e:
        tts(text)
    assert time.perf_counter() - start < 1.0
    assert len(str(e.value)) < 200 and f"{MAX_CHARS}" in str(e.value)


def test_three_hundred_words(tts):
    words = [f"word {'abcdefghij'[i % 10] * 3}" for i in range(150)]
    text = " ".join(words)
    result = tts(text)
    said = " ".join(s["text"] for s in result["sentences"])
    assert said == text  # every word, in order, once
    symbols = sum(len(tts.encode(s["text"])) for s in result["sentences"])
    assert len(result["tokens"]) == pytest.approx(1.5 * symbols, rel=0.02)


@pytest.mark.parametrize("text", ["a", "I", "Go", "Hm.", "7", "%", "ok!", "e.g."])
def test_the_shortest_texts(tts, text):
    for speed in (1.0, 100.0):
        result = tts(text, speed=speed)
        ids = tts.encode(text)
        # A frame for each symbol at least, edges too: some silence on either side.
        assert len(result["duration"]) == len(ids) >= 3
        assert result["duration"].min() >= 1
        assert len(result["wav"]) == 4 * 160 * len(result["tokens"])
        assert result["wav"].abs().max() > 0


def test_a_text_ends_with_a_mark(tts):
    np.testing.assert_array_equal(tts.encode("Hello there"), tts.encode("Hello there."))
    np.testing.assert_array_equal(
        tts.encode("Hello there?"), tts.encode("Hello there!")
    )


def test_numbers_are_words(tts):
    text = "Call 555-0199 at 3:45 p.m.; 50% of $1,234,567.89 is due on 1/2/2024."
    assert tts(text)["complete"]
    np.testing.assert_array_equal(tts.encode("50%"), tts.encode("fifty percent"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "^text: '' has nothing to speak"),
        (" \n ", "^text: .* has nothing to speak"),
        ("?!... -- ;", "^text: .* has nothing to speak"),
        ("* * *\n\n* * *", "^text: .* has nothing to speak"),
        ("\N{GRINNING FACE}", "^text: .*GRINNING FACE"),
        ("Hi. \N{GRINNING FACE} Bye now, all of you.", "^text: .*GRINNING FACE"),
        ("\u4f60\u597d", "^text: .*CJK"),
        ("a\x00b", "^text: .*U\\+0000"),
        (7, "^text: it is a int; give a string"),
    ],
)
def test_what_cannot_be_spoken_is_named(tts, text, message):
    with pytest.raises(InputError, match=message) as e:
        tts(text)
    assert "\n" not in str(e.value) and len(str(e.value)) < 300


def test_a_text_of_a_batch_is_named(tts):
    with pytest.raises(InputError, match="^text 1: .*SNOWMAN"):
        tts.batch(["Yes.", "\N{SNOWMAN}"])


def test_asterisks_between_long_sentences_are_left_out(tts):
    row = "a" * 75
    result = tts(f"{row}.\n\n* * *\n\n{row}.")
    assert "".join(s["text"] for s in result["sentences"]).count("a") == 150


def test_speed_seed_and_options(tts, monkeypatch):
    plain = tts("Hello there.")
    slow = tts("Hello there.", speed=0.5)
    assert len(slow["tokens"]) == pytest.approx(2 * len(plain["tokens"]), abs=1)
    other = tts(LONG, seed=9)["tokens"]
    assert not torch.equal(tts(LONG)["tokens"], other)
    with monkeypatch.context() as patch:
        real, seen = tts.model.speak, []

        def speak(*args, sampling, **options):
            seen.append(sampling)
            return real(*args, sampling=sampling, **options)

        patch.setattr(tts.model, "speak", speak)
        tts("Hello there.", num_steps=3, guidance_scale=1.5, temperature=0.5)
    (sampling,) = seen
    assert sampling == replace(
        tts.sampling, num_steps=3, guidance_scale=1.5, temperature=0.5
    )
    assert torch.equal(plain["tokens"], tts("Hello there.", num_steps=4)["tokens"])
    for options, message in [
        (dict(speed=0), "the speed is 0"),
        (dict(speed=float("nan")), "the speed is nan"),
        (dict(num_steps=0), "num_steps is 0"),
        (dict(temperature=-1), "temperature is -1"),
        (dict(num_takes=0), "num_takes is 0"),
        (dict(prompt_text="hello"), "prompt_text without prompt_wav"),
    ]:
        with pytest.raises(InputError, match=message):
            tts("Hello there.", **options)
