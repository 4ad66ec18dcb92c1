"""Prompts: what stands before a text, and what does not belong together."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from espnet_fsqdiff import prompting
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.prompting import Prompt, check_transcript, transcript_sigmas

FS = 16000
SAID = "hello there my friend"  # 24 symbols with stop and edges: 36 frames predicted
SECONDS = 36 / 25


def hum(seconds=SECONDS, fs=FS, pitch=150):
    time = np.arange(round(seconds * fs)) / fs
    loud = 0.3 * (1 + np.sin(2 * np.pi * 3 * time)) / 2
    return (loud * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def heard(ids, sure=6.0, frames=None, size=35, seed=0):
    """Log-probabilities of a head that hears these symbols at even distances."""
    frames = frames or 2 * len(ids)
    logits = np.random.default_rng(seed).normal(0, 1, (frames, size))
    logits[:, 0] += sure
    logits[np.arange(len(ids)) * frames // len(ids), ids + 1] += 2 * sure
    return torch.from_numpy(logits).log_softmax(-1).float()


@pytest.fixture
def trusting(tts, monkeypatch):
    """The voice without the check by its recognition head, which was never trained."""
    monkeypatch.setattr(tts, "check_prompts", False)
    return tts


@pytest.fixture
def hearing(tts, monkeypatch):
    """The voice whose head hears SAID in a hum, and nothing in all else."""
    real = tts.tokenizer.encode_batch

    def encode_batch(wavs, fs, utt_ids, return_ctc):
        tokens, log_probs = real(wavs, fs, utt_ids, return_ctc)
        if np.allclose(wavs[0], hum()):
            ids, (frames, size) = tts.heard_symbols(SAID), log_probs[0].shape
            log_probs = [heard(ids, frames=frames, size=size)]
        return tokens, log_probs

    monkeypatch.setattr(tts.tokenizer, "encode_batch", encode_batch)
    return tts


def test_speech_goes_on_from_the_prompt(trusting):
    plain = trusting("Good night.")
    result = trusting("Good night.", prompt_wav=hum(), prompt_fs=FS, prompt_text=SAID)
    assert len(result["tokens"]) == pytest.approx(len(plain["tokens"]), abs=1)
    assert result["duration"].sum() == len(result["tokens"])
    assert len(result["duration"]) == len(trusting.encode("Good night."))
    assert result["mel"].shape == (4 * len(result["tokens"]), 20)
    prompt = prompting.make_prompt(trusting, hum(), SAID, FS, check=False)
    other = prompt._replace(tokens=(prompt.tokens + 5) % 27)
    one, changed = (
        trusting.speak(["Good night."], manner=replace(trusting.manner, prompt=p))
        for p in (prompt, other)
    )
    assert torch.equal(one[0]["tokens"], result["tokens"])
    assert not torch.equal(one[0]["tokens"], changed[0]["tokens"])
    # Sentence by sentence, and in a batch, each after the same prompt.
    options = dict(prompt_wav=hum(), prompt_fs=FS, prompt_text=SAID)
    texts = ["Good night.", "It is late, and so good night to all of you here."]
    both = trusting.batch(texts, **options)
    assert torch.equal(both[0]["tokens"], result["tokens"])
    assert torch.equal(both[1]["tokens"], trusting(texts[1], **options)["tokens"])


def test_each_goes_on_from_its_own_prompt(trusting):
    tts = trusting
    texts = ["Good night.", "It is late, and so good night to all."]
    pair = [
        prompting.make_prompt(tts, hum(pitch=pitch), SAID, FS, check=False)
        for pitch in (150, 900)
    ]
    pair[1] = pair[1]._replace(tokens=(pair[1].tokens + 5) % 27, kappa=1.3)
    both = tts.speak(texts, prompts=pair)
    for text, prompt, result in zip(texts, pair, both):
        (alone,) = tts.speak([text], manner=replace(tts.manner, prompt=prompt))
        assert torch.equal(result["tokens"], alone["tokens"])
        torch.testing.assert_close(result["wav"], alone["wav"])
    swapped = tts.speak(texts, prompts=pair[::-1])
    assert not torch.equal(swapped[0]["tokens"], both[0]["tokens"])
    with pytest.raises(ValueError, match="2 prompts for 1 utterances"):
        tts.speak(texts[:1], prompts=pair)
    # With true lengths.
    lengths = [17, 60]
    rolled = tts.rollout(texts, ["a", "b"], lengths, prompts=pair)
    assert [len(tokens) for tokens in rolled] == lengths
    for i, tokens in enumerate(rolled):
        row = ([texts[i]], ["a"], [lengths[i]])
        assert torch.equal(tokens, tts.rollout(*row, prompts=[pair[i]])[0])
        assert not torch.equal(tokens, tts.rollout(*row)[0])


def test_any_rate_and_files(trusting, tmp_path):
    lengths = []
    for fs in (8000, 22050, 44100):
        prompt = prompting.make_prompt(trusting, hum(fs=fs), SAID, fs, check=False)
        lengths.append(prompt.num_frames)
    soundfile.write(tmp_path / "stereo.flac", np.stack([hum(fs=48000)] * 2, 1), 48000)
    prompt = prompting.make_prompt(
        trusting, str(tmp_path / "stereo.flac"), SAID, check=False
    )
    assert max(lengths + [prompt.num_frames]) - min(lengths) <= 1
    assert prompt.durations.sum() == prompt.num_frames
    with pytest.raises(InputError, match="prompt_wav: no audio file"):
        trusting("Hi.", prompt_wav=str(tmp_path / "none.wav"), prompt_text=SAID)


@pytest.mark.parametrize(
    "factor, kappa", [(0.7, 0.8), (0.9, 0.9), (1.0, 1.0), (1.6, 1.1)]
)
def test_the_pace_is_the_prompts(trusting, factor, kappa):
    wav = hum(SECONDS * factor)
    prompt = prompting.make_prompt(trusting, wav, SAID, FS, check=False)
    assert prompt.kappa == pytest.approx(kappa, abs=0.03)
    text = "It is late, so good night."
    plain = len(trusting(text)["tokens"])
    result = trusting(text, prompt_wav=wav, prompt_fs=FS, prompt_text=SAID)
    assert len(result["tokens"]) == pytest.approx(kappa * plain, rel=0.04)


def test_edges_give_way_to_one_space():
    tokens, laid = torch.arange(9), np.array([2, 3, 1, 3])
    prompt = Prompt(tokens, np.array([0, 5, 6, 0]), laid, 1.0, edges=True, joint=1)
    ids, frames, own = prompt.before(np.array([0, 7, 0]), np.array([2, 4, 1]))
    np.testing.assert_array_equal(ids, [0, 5, 6, 1, 7, 0])
    np.testing.assert_array_equal(frames, [2, 3, 1, 5, 4, 1])
    np.testing.assert_array_equal(own, [2, 4, 1])
    prompt = prompt._replace(ids=np.array([5, 6, 7, 8]), edges=False)
    ids, frames, own = prompt.before(np.array([7, 9]), np.array([2, 4]))
    np.testing.assert_array_equal(ids, [5, 6, 7, 8, 1, 7, 9])
    np.testing.assert_array_equal(frames, [2, 3, 1, 3, 1, 2, 4])
    assert frames[4:].sum() == own.sum()


@pytest.fixture
def without_edges(trusting, monkeypatch):
    """The voice as one that was trained without edge symbols."""
    monkeypatch.setattr(trusting.text_tokenizer, "edge_symbol", None)
    return trusting


def test_without_edges_the_space_takes_a_frame_of_the_text(without_edges, monkeypatch):
    tts, text = without_edges, "It is late, so good night."
    prompt = prompting.make_prompt(tts, hum(), SAID, FS, check=False)
    assert (prompt.edges, prompt.joint, prompt.lead) == (False, 1, 1)
    row = [text], ["a"], [60]
    (tokens,) = tts.rollout(*row, prompts=[prompt])
    assert len(tokens) == 60
    laid = np.full(26, 2)
    laid[5] = 10
    monkeypatch.setattr(tts, "text_expansion", "alignment")
    (tokens,) = tts.rollout(*row, [laid], prompts=[prompt])
    assert len(tokens) == 60
    monkeypatch.setattr(tts, "text_expansion", "duration")
    # What is said to be held is held, to the last frame.
    manner = replace(tts.manner, prompt=prompt)
    (spoken,) = tts.speak([text], manner=manner)
    for room in (0, 1):
        most = prompt.num_frames + len(spoken["tokens"]) - room
        monkeypatch.setattr(type(tts), "max_frames", most)
        assert tts.holds(text, manner) == (not room)
    with pytest.raises(InputError, match="split the text"):
        tts.speak([text], manner=manner)


def test_a_transcript_is_told_from_others():
    rng = np.random.default_rng(1)
    ids = np.concatenate([[0], rng.integers(1, 30, 22), [0]])
    wrong = np.concatenate([[0], rng.integers(1, 30, 22), [0]])
    for sure in (3.0, 6.0):  # a poor head and a good one
        check_transcript(heard(ids, sure), ids)
        assert transcript_sigmas(heard(ids, sure), ids) > 8
        with pytest.raises(InputError, match="not what is heard in prompt_wav"):
            check_transcript(heard(ids, sure), wrong)
    for seed in range(5):
        assert transcript_sigmas(heard(ids, 0.0, seed=seed), ids) < 4
    # More symbols than frames.
    assert transcript_sigmas(heard(ids)[:5], ids) == -np.inf


def test_the_right_transcript_passes_and_a_wrong_one_or_noise_does_not(hearing):
    options = dict(prompt_fs=FS, prompt_text=SAID)
    good = hearing("Good night.", prompt_wav=hum(), **options)
    assert good["wav"].abs().max() > 0
    wrong = {**options, "prompt_text": "twenty zebras jump up"}
    with pytest.raises(InputError, match="not what is heard in prompt_wav"):
        hearing("Good night.", prompt_wav=hum(), **wrong)
    noise = np.random.default_rng(0).normal(0, 0.1, len(hum())).astype(np.float32)
    with pytest.raises(InputError, match="not what is heard .* no clear speech"):
        hearing("Good night.", prompt_wav=noise, **options)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(prompt_wav=np.zeros(20000)), "^prompt_wav: .* is silent"),
        (dict(prompt_wav=np.zeros(0)), "^prompt_wav: .* empty"),
        (dict(prompt_wav=np.full(20000, np.nan)), "^prompt_wav: .* NaN"),
        (dict(prompt_wav=np.ones((2, 20000))), "^prompt_wav: .* one channel"),
        (dict(prompt_fs=None), "give prompt_fs in Hz"),
        (dict(prompt_fs=0), "prompt_fs is 0"),
        (dict(prompt_fs={}), "prompt_fs is {}; give a number"),
        (dict(prompt_text=["a"]), "prompt_text is .*; give a text"),
        (dict(prompt_wav={}), "prompt_wav: its wave is a dict; give samples"),
        (dict(prompt_text=None), "^prompt_text is empty"),
        (dict(prompt_text=" "), "^prompt_text is empty"),
        (dict(prompt_text="..."), "^prompt_text: .* nothing to speak"),
        (dict(prompt_text="\N{SNOWMAN}"), "^prompt_text: .*SNOWMAN"),
        (dict(prompt_wav=hum(0.5)), "prompt_wav of 0.5 s is too short"),
        (dict(prompt_text="hi"), "prompt_wav of 1.4 s is too long for its tran"),
        (dict(prompt_wav=hum(3.0)), "3.0 s, more than half .* at most 2.4 s"),
    ],
)
def test_prompts_that_cannot_be_are_refused_in_one_line(tts, change, message):
    options = dict(prompt_wav=hum(), prompt_fs=FS, prompt_text=SAID)
    with pytest.raises(InputError, match=message) as e:
        tts("Good night.", **{**options, **change})
    assert "\n" not in str(e.value)


def test_a_model_trained_without_prompts_says_so(tts, monkeypatch):
    monkeypatch.setattr(tts.model.loss, "prompt_prob", 0.0)
    with pytest.raises(InputError, match="trained without prompts .* prompt_prob"):
        tts("Good night.", prompt_wav=hum(), prompt_fs=FS, prompt_text=SAID)
