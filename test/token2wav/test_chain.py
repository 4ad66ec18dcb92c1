"""Tokens to waves: batches, prompts, seeds; parts that do not fit are refused."""

import numpy as np
import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav import GriffinLim, TokenToWave, by_name, load_chain
from espnet_fsqdiff.token2wav.mel import check_same_mel, completed, log_mel

MEL = dict(fs=24000, n_fft=1024, n_shift=480, n_mels=20, fmin=0, fmax=None)
MEL |= dict(win_length=None, window="hann")
TOKENS = [torch.tensor([5, 1, 8]), torch.tensor([2]), torch.tensor([7, 7, 0, 3])]


class Flow:
    """A mel maker with the interface of Token2Mel: a frame says what it was made of."""

    mel = MEL
    frames_per_token = 2
    num_codes = 9
    max_frames = 100

    def __init__(self, takes_prompts=True):
        self.takes_prompts = takes_prompts
        self.calls = []

    def __call__(self, tokens, lengths, prompt_mel=None, spk_embed=None, seeds=None):
        self.calls.append(dict(prompt_mel=prompt_mel, spk_embed=spk_embed))
        made = torch.full((*tokens.shape, 2, 20), 99.0)
        for row, ids, n, seed in zip(made, tokens, lengths, seeds):
            row[:n] = ids[:n, None, None] + 0.01 * seed
            row[:n, :, 0] = torch.arange(2 * n).view(-1, 2)
        return made.flatten(1, 2)


class Hum:
    """A vocoder: a sample for each frame, the mean of it."""

    fs = 24000

    def __init__(self, mel=MEL):
        self.mel = mel
        self.batches = []

    def __call__(self, mel):
        return mel[:, 1:].mean(1)

    def batch(self, mels):
        self.batches.append(len(mels))
        return [self(mel) for mel in mels]


def test_each_of_a_batch_is_as_alone():
    chain = TokenToWave(Flow(), vocoder := Hum())
    sounds = chain(TOKENS, seeds=[3, 4, 5])
    assert vocoder.batches == [3] and chain.fs == 24000
    assert chain.num_codes == 9 and chain.max_tokens == 50
    for ids, seed, sound in zip(TOKENS, [3, 4, 5], sounds):
        (alone,) = chain([ids.numpy()], seeds=[seed])
        assert torch.equal(sound.mel, alone.mel)
        assert torch.equal(sound.wave, alone.wave)
        assert sound.mel.shape == (2 * len(ids), 20)
        expected = ids.repeat_interleave(2) + 0.01 * seed
        torch.testing.assert_close(sound.wave, expected)
    assert list(chain([])) == []


def test_what_follows_a_prompt_is_returned_without_it():
    flow = Flow()
    chain = TokenToWave(flow, Hum(), spk_embed := torch.ones(4))
    wave = np.sin(np.arange(16000 // 25 * 3) / 9).astype(np.float32)
    prompt = chain.prompt(np.array([4, 4, 6]), wave, 16000)
    sounds = chain(TOKENS, [prompt] * 3, seeds=[0, 0, 0])
    for ids, sound in zip(TOKENS, sounds):
        assert torch.equal(sound.wave, ids.repeat_interleave(2).float())
        # Frames of the prompt came before.
        assert sound.mel[:, 0].tolist() == list(range(6, 6 + 2 * len(ids)))
    given = flow.calls[-1]
    assert [mel.shape for mel in given["prompt_mel"]] == [(6, 20)] * 3
    assert given["spk_embed"] == [spk_embed] * 3
    # The mel is that of the wave at the mel maker's rate.
    again = np.interp(np.arange(len(wave) * 1.5) / 1.5, np.arange(len(wave)), wave)
    expected = log_mel(again, MEL)[:6]
    inner = (prompt.mel - expected)[1:-1, :4].abs()
    assert inner.max() < 0.1


def test_a_mel_maker_without_prompts_gets_their_tokens_alone():
    flow = Flow(takes_prompts=False)
    chain = TokenToWave(flow, Hum())
    prompt = chain.prompt(np.array([4, 6]), np.zeros(0), 16000)
    assert prompt.mel is None
    (sound,) = chain([torch.tensor([1])], [prompt], seeds=[0])
    assert sound.wave.tolist() == [1.0, 1.0]
    assert flow.calls[-1]["prompt_mel"] is None


@pytest.mark.parametrize("takes_prompts", [True, False])
def test_each_goes_on_from_its_own_prompt(takes_prompts):
    flow = Flow(takes_prompts)
    chain = TokenToWave(flow, Hum())
    wave = np.sin(np.arange(4000) / 9).astype(np.float32)
    prompts = [chain.prompt(ids, wave, 24000) for ids in ([4], [4, 6, 1], [2, 2])]
    seeds = [3, 4, 5]
    for *row, sound in zip(TOKENS, prompts, seeds, chain(TOKENS, prompts, seeds)):
        (alone,) = chain(*([value] for value in row))
        assert torch.equal(sound.mel, alone.mel)
        first = 2 * len(row[1].tokens)
        frames = list(range(first, first + 2 * len(row[0])))
        assert sound.mel[:, 0].tolist() == frames
    with pytest.raises(ValueError):
        chain(TOKENS, prompts[:2], seeds)


def test_speakers_of_a_batch_go_before_that_of_the_chain():
    flow = Flow()
    chain = TokenToWave(flow, Hum(), torch.ones(4))
    speakers = [torch.full((4,), float(i)) for i in range(3)]
    chain(TOKENS, seeds=[0, 0, 0], spk_embeds=speakers)
    assert flow.calls[-1]["spk_embed"] == speakers


@pytest.mark.parametrize("length", [300, 1280, 2400])
def test_a_prompt_has_the_frames_of_its_tokens(length):
    wave = np.sin(np.arange(length) / 9).astype(np.float32)
    prompt = TokenToWave(Flow(), Hum()).prompt([1, 2, 3], wave, 24000)
    assert prompt.mel.shape == (6, 20) and prompt.mel.isfinite().all()


def test_a_fault_of_a_batch_names_the_utterance():
    chain = TokenToWave(Flow(), Hum())
    sounds = by_name(chain, "abc", TOKENS, seeds=[3, 4, 5], spk_embeds=None)
    assert torch.equal(sounds[1].mel, chain([TOKENS[1]], seeds=[4])[0].mel)
    rows = [TOKENS[0], torch.tensor([]), TOKENS[2]]
    with pytest.raises(InputError, match="^b: an utterance without tokens"):
        by_name(chain, "abc", rows, seeds=[3, 4, 5])
    with pytest.raises(InputError, match="^three are too many"):
        by_name(few, "abc", TOKENS, seeds=[3, 4, 5])


def few(tokens, seeds):
    """A chain whose fault is of no one utterance."""
    if len(tokens) > 1:
        raise InputError("three are too many")
    return tokens


def test_nothing_makes_no_sound():
    with pytest.raises(InputError, match="without tokens"):
        TokenToWave(Flow(), Hum())([torch.tensor([1]), torch.tensor([])], seeds=[0, 0])


@pytest.mark.parametrize(
    "change", [dict(n_shift=256), dict(fs=22050), dict(fmax=8000), dict(htk=True)]
)
def test_a_vocoder_of_other_mels_is_refused_naming_both(change):
    with pytest.raises(InputError) as caught:
        TokenToWave(Flow(), Hum({**MEL, **change}))
    message, (name,) = str(caught.value), change
    assert f"differ in {name}" in message.replace("fmax, ", "") and "\n" not in message
    assert "24000 Hz, n_fft 1024, hop 480" in message and "trained on these" in message


def test_what_is_left_open_is_no_difference():
    full = dict(MEL, win_length=1024, fmax=12000, fmin=None)
    check_same_mel(MEL, full)
    assert completed(MEL) == completed(full)


def test_griffin_lim_says_its_mel():
    vocoder = GriffinLim(**MEL, num_iters=1)
    check_same_mel(MEL, vocoder.mel)
    mels = [torch.randn(4, 20), torch.randn(6, 20)]
    for mel, wave in zip(mels, vocoder.batch(mels)):
        assert torch.equal(wave, vocoder(mel)) and wave.dtype == torch.float32
    with pytest.raises(InputError, match="HTK"):
        GriffinLim(**MEL, htk=True)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(vocoder="gan"), "vocoder 'gan' is unknown; choose one of griffin_lim, "),
        (dict(vocoder="trained"), "goes with vocoder_train_config and vocoder_file"),
        (dict(vocoder_file="x"), "vocoder_train_config and vocoder_file go together"),
        (dict(token2mel_config="x"), "token2mel_config and token2mel_file go together"),
        (dict(token2mel_conf=dict(num_steps=3)), "goes with token2mel_config"),
        (dict(vocoder_conf=dict(iters=3)), "has no option iters; it has num_iters, se"),
        (dict(vocoder="parallel_wavegan"), "parallel_wavegan needs model_file"),
        (
            dict(vocoder="griffin_lim", vocoder_train_config="x", vocoder_file="y"),
            "vocoder is griffin_lim; it goes with",
        ),
        (
            dict(vocoder="cosyvoice2", token2mel_config="x", token2mel_file="y"),
            "makes waves of tokens; leave token2mel_config out",
        ),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(InputError, match=message) as caught:
        load_chain(Flow(), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**33])
def test_seeds_that_numpy_does_not_take(seed):
    with pytest.raises(InputError, match="griffin_lim: seed is .*; give 0 to"):
        load_chain(Flow(), vocoder_conf=dict(seed=seed))


TOKEN2MEL = dict(token2mel_config="x", token2mel_file="y")


@pytest.mark.parametrize(
    "conf, message",
    [
        ("num_steps", "token2mel_conf is 'num_steps'; give options by name"),
        ([["num_steps", 3]], "token2mel_conf is .*; give options by name"),
        (dict(temperature="hot"), "token2mel_conf: temperature is 'hot'; give a num"),
        (dict(num_steps="x"), "token2mel_conf: num_steps is 'x'; give a whole number"),
        (dict(num_steps=2.5), "token2mel_conf: num_steps is 2.5; give a whole number"),
        (dict(guidance_scale="x"), "token2mel_conf: guidance_scale is 'x'; give a n"),
        (dict(guidance_scale=float("nan")), "token2mel_conf: guidance_scale is nan"),
        (dict(nonsense=1), "token2mel_conf: FlowSampling has no option nonsense"),
        (dict(spk_embed=5), "token2mel_conf: spk_embed is 5; give a text"),
    ],
)
def test_token2mel_conf_is_checked(conf, message):
    with pytest.raises(InputError, match=message) as caught:
        load_chain(None, token2mel_conf=conf, **TOKEN2MEL)
    assert "\n" not in str(caught.value)


def test_a_speaker_embedding_is_a_row_of_numbers(tmp_path):
    path = tmp_path / "spk.npy"

    def fault():
        with pytest.raises(InputError, match=f"spk_embed: {path}: ") as caught:
            load_chain(None, token2mel_conf=dict(spk_embed=str(path)), **TOKEN2MEL)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "No such file" in fault()
    path.touch()
    fault()
    np.savez(path.with_suffix(".npz"), a=np.ones(4))
    path.with_suffix(".npz").rename(path)
    fault()
    for wrong in (np.array(["a"]), np.arange(4), np.array([]), np.array([1, np.nan])):
        np.save(path, wrong)
        assert "no finite numbers" in fault()
    path.write_bytes(b"PK\x03\x04 cut")
    fault()


def test_without_any_mel_maker():
    with pytest.raises(InputError, match="this tokenizer has no mel decoder"):
        load_chain(None)
    chain = load_chain(Flow(), vocoder_conf=dict(num_iters=2))
    assert chain.vocoder.num_iters == 2 and chain.vocoder.fs == 24000
