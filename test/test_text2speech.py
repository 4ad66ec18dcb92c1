"""Text to speech from toy parts: batches, speed, seeds, faults, waves on disk."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from espnet_fsqdiff.codebook import FSQCodebook
from espnet_fsqdiff.data.datadir import read_table
from espnet_fsqdiff.diffusion import SCHEDULES, CDCDLoss, CDCDNetwork, Sampling
from espnet_fsqdiff.duration import DurationTable
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ
from espnet_fsqdiff.lm import LMLoss, LMSampling, Qwen2Decoder, TokenLM
from espnet_fsqdiff.manner import Manner
from espnet_fsqdiff.nets.dit import DiT
from espnet_fsqdiff.nets.heads import JointHead
from espnet_fsqdiff.nets.text_encoder import TextEncoder
from espnet_fsqdiff.synthesis import TAKE_STEP
from espnet_fsqdiff.takes import choose_takes
from espnet_fsqdiff.text2speech import Text2Speech
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.text_to_token import Spoken
from espnet_fsqdiff.tokenizer import SpeechTokenizer, SpeechTokenizerModel
from espnet_fsqdiff.tokenizer.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from espnet_fsqdiff.wav_io import WaveWriter

FS, HOP = 16000, 160
SYMBOLS = ["<sos/eos>", "<space>", *"abc"]
TEXTS = ["abc", "a cab", "b abba cab"]
NAMES = ["utt_a", "utt_b", "utt_c"]


class Buzz:
    """A vocoder that is fast: the loudness of the mel on a tone."""

    fs = FS

    def __init__(self, mel):
        self.mel = mel

    def batch(self, mels):
        return [self(mel) for mel in mels]

    def __call__(self, mel):
        loudness = mel.mean(-1).repeat_interleave(HOP)
        return loudness.tanh() * torch.sin(torch.arange(len(loudness)) / 10)


def make_tokenizer(levels=(3, 3, 3)):
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    torch.manual_seed(1)
    feats = LogMelFbank(fs=FS, n_fft=512, hop_length=HOP, n_mels=20, fmin=0, fmax=8000)
    model = SpeechTokenizerModel(
        feats,
        ConvNeXtEncoder(80, output_size=16, num_blocks=1),
        FSQ(levels),
        ConvNeXtDecoder(len(levels), 80, hidden_size=16, num_blocks=1),
        None,
        frames_per_token=4,
        ctc_weight=0.0,
    ).eval()
    return SpeechTokenizer(model, vocoder=Buzz(feats.get_parameters()))


def make_model():
    from espnet_fsqdiff.tasks.cdcd import ESPnetCDCDModel

    torch.manual_seed(0)
    codebook = FSQCodebook((3, 3, 3))
    network = CDCDNetwork(
        TextEncoder(len(SYMBOLS), dim=16, num_layers=1),
        DiT(3, 16, dim=32, depth=1, num_heads=2, max_frames=64),
        JointHead(32, codebook),
    )
    # Far from where training starts, so that text and noise matter.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return ESPnetCDCDModel(network, CDCDLoss(SCHEDULES["linear"]())).eval()


def make_lm(lay_text=False, stop_bias=0.0):
    from espnet_fsqdiff.tasks.token_lm import ESPnetTokenLMModel

    torch.manual_seed(0)
    codebook = FSQCodebook((3, 3, 3))
    network = TokenLM(
        codebook,
        TextEncoder(len(SYMBOLS), dim=16, num_layers=1, positions=False),
        Qwen2Decoder(32, num_layers=1, num_heads=2),
        JointHead(32, codebook),
        lay_text,
        max_frames=64,
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(network.stop.bias, stop_bias)
    return ESPnetTokenLMModel(network, codebook, LMLoss()).eval()


@pytest.fixture(scope="module")
def parts():
    return dict(
        model=make_model(),
        text_tokenizer=TextTokenizer("char", SYMBOLS),
        duration=DurationTable(SYMBOLS, [1.0, 2.0, 3.0, 4.0, 2.5]),
        tokenizer=make_tokenizer(),
    )


def make(parts, text_expansion="duration", **options):
    options = {"num_steps": 4, **options}
    return Text2Speech(**{**parts, "text_expansion": text_expansion, **options})


def speak(tts, text, name):
    return tts.speak([text], [name])[0]


@pytest.mark.parametrize("text_expansion", ["filler", "uniform", "duration"])
def test_a_batch_is_as_each_alone(parts, text_expansion):
    tts = make(parts, text_expansion)
    for text, name, result in zip(TEXTS, NAMES, tts.speak(TEXTS, NAMES)):
        alone = tts.speak([text], [name])[0]
        assert torch.equal(result["tokens"], alone["tokens"])
        torch.testing.assert_close(result["wav"], alone["wav"])
        frames = len(result["tokens"])
        ids = tts.text_tokenizer.encode(text)
        assert frames == round(parts["duration"].total(ids))
        assert result["feat_gen"].shape == (4 * frames, 20)
        assert result["wav"].shape == (4 * HOP * frames,)
        assert result["fs"] == FS and result["rtf"] > 0
        if text_expansion == "filler":
            assert result["durations"] is None
        else:
            assert len(result["durations"]) == len(ids)
            assert result["durations"].sum() == frames
        if text_expansion == "uniform":
            assert np.ptp(result["durations"]) <= 1


def test_compiled_says_the_same(parts, monkeypatch):
    # The eager back end traces as all do, and needs no C++ compiler.
    compiled = []

    def compile_eager(function, **options):
        compiled.append(options)
        return real(function, backend="eager", **options)

    real = torch.compile
    monkeypatch.setattr(torch, "compile", compile_eager)
    fresh = {**parts, "model": make_model()}
    expected = make(parts).speak(TEXTS, NAMES)
    tts = make(fresh, compile=True)
    assert compiled == [{"dynamic": True}]
    for one, other in zip(tts.speak(TEXTS, NAMES), expected):
        assert torch.equal(one["tokens"], other["tokens"])


def test_the_text_is_heard(parts):
    tts = make(parts)
    one, other = tts.speak(["abab", "baba"])
    assert len(one["tokens"]) == len(other["tokens"])
    assert not torch.equal(one["tokens"], other["tokens"])


def test_speed_changes_the_length(parts):
    plain, fast, slow = (
        len(make(parts, speed=speed)(TEXTS[2])["wav"]) for speed in (1.0, 1.5, 0.7)
    )
    assert fast == pytest.approx(plain / 1.5, rel=0.05)
    assert slow == pytest.approx(plain / 0.7, rel=0.05)


def test_the_seed_changes_the_tokens_and_the_name_does_not(parts):
    tokens = speak(make(parts), TEXTS[2], "utt_a")["tokens"]
    assert not torch.equal(
        tokens, speak(make(parts, seed=1), TEXTS[2], "utt_a")["tokens"]
    )
    assert torch.equal(tokens, speak(make(parts), TEXTS[2], "utt_b")["tokens"])


@pytest.mark.parametrize(
    "text, message",
    [
        ("abz", "^utt_b: .*'z'"),
        ("", "^utt_b: .*empty"),
        ("  ", "^utt_b: .*empty"),
        ("abc" * 40, "^utt_b: .* frames, the model holds 64; split the text"),
    ],
)
def test_texts_that_cannot_be_spoken_name_the_utterance(parts, text, message):
    with pytest.raises(InputError, match=message):
        make(parts).speak([TEXTS[0], text, TEXTS[1]], NAMES)


def test_a_speed_that_is_none_is_refused(parts):
    with pytest.raises(InputError, match="^the speed is 0"):
        speak(make(parts, speed=0), TEXTS[0], "utt_a")


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("speed", "fast", "speed is 'fast'; give a number"),
        ("speed", 1e-300, "the text takes .* frames"),
        ("seed", 1.5, "seed is 1.5; give a whole number"),
        ("seed", 2**62 + 1, "seed is"),
        ("num_steps", "4", "num_steps is '4'; give a whole number"),
        ("num_steps", 10**7, "num_steps is 10000000; give 1 to 1000"),
        ("guidance_scale", float("nan"), "guidance_scale is nan; give a number"),
        ("temperature", [], r"temperature is \[\]; give a number"),
        ("num_takes", 10**9, "num_takes is 1000000000; give 1 to 64"),
    ],
)
def test_options_of_other_types_are_refused(parts, option, value, message):
    tts = make(parts)
    with pytest.raises(InputError, match=message):
        tts(TEXTS[0], **{option: value})


def test_a_model_of_too_large_weights_is_named(parts):
    model = make_model()
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 1e38)
    with pytest.raises(InputError, match="the model makes numbers that are not finite"):
        speak(make({**parts, "model": model}), TEXTS[0], "utt_a")


def test_a_tokenizer_with_other_codes_is_refused(parts):
    with pytest.raises(InputError, match="has 81 codes, the model 27"):
        make({**parts, "tokenizer": make_tokenizer((3, 3, 3, 3))})


@pytest.mark.parametrize("text_expansion", ["filler", "uniform", "alignment"])
def test_a_rollout_has_the_lengths_given(parts, text_expansion):
    # A speed must not change true lengths.
    tts = make(parts, text_expansion, speed=2.0)
    lengths = [17, 9, 40]
    tokens = tts.rollout(TEXTS, NAMES, lengths)
    assert [len(t) for t in tokens] == lengths
    assert all(t.dtype == torch.int64 and 0 <= t.min() <= t.max() < 27 for t in tokens)


def test_a_rollout_lays_text_as_the_alignment_says(parts):
    first, second = np.array([1, 10, 1, 1, 1]), np.array([1, 1, 1, 10, 1])
    tts = make(parts, "alignment")
    one, other, again = (
        tts.rollout(["abc"], ["utt_a"], [14], [laid])[0]
        for laid in (first, second, first)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    # A model that sees no alignment in training is given none here.
    tts = make(parts, "uniform")
    one, other = (
        tts.rollout(["abc"], ["utt_a"], [14], [laid])[0] for laid in (first, second)
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("laid", [[1, 10, 1, 1], [1, 10, 1, 1, 2]], ids=len)
def test_a_rollout_refuses_an_alignment_of_another_text(parts, laid):
    tts = make(parts, "alignment")
    right = np.array([1, 10, 1, 1, 1])
    with pytest.raises(InputError, match="^utt_b: its durations do not fit"):
        tts.rollout(["abc"] * 2, NAMES[:2], [14] * 2, [right, np.array(laid)])


def test_too_few_tokens_name_the_utterance(parts):
    with pytest.raises(InputError, match="^utt_a: .* 5 symbols, 4 frames"):
        make(parts).rollout(["abc"], ["utt_a"], [4])


def make_with_lm(parts, text_expansion="prefix", stop_bias=0.0, **options):
    model = make_lm(text_expansion != "prefix", stop_bias)
    parts = {**parts, "model": model, "text_expansion": text_expansion}
    return Text2Speech(**parts, **options)


@pytest.mark.parametrize("text_expansion", ["prefix", "duration"])
def test_a_language_model_speaks_too(parts, text_expansion):
    tts = make_with_lm(parts, text_expansion, temperature=0.9, min_ratio=0.8)
    assert tts.sampling == LMSampling(temperature=0.9, min_ratio=0.8)
    results = tts.speak(TEXTS, NAMES)
    for text, name, result in zip(TEXTS, NAMES, results):
        alone = tts.speak([text], [name])[0]
        assert torch.equal(result["tokens"], alone["tokens"])
        torch.testing.assert_close(result["wav"], alone["wav"])
        frames = len(result["tokens"])
        assert result["wav"].shape == (4 * HOP * frames,)
        predicted = round(parts["duration"].total(tts.text_tokenizer.encode(text)))
        if text_expansion == "duration":
            assert frames == predicted == result["durations"].sum()
            assert result["complete"]
        else:
            assert int(0.8 * predicted) <= frames <= 2 * predicted
            assert result["durations"] is None
    lengths = [17, 9, 40]
    assert [len(t) for t in tts.rollout(TEXTS, NAMES, lengths)] == lengths


def test_speech_without_an_end_is_told_by_name(parts, caplog):
    tts = make_with_lm(parts, stop_bias=-50.0, max_ratio=1.5)
    result = speak(tts, "abc", "utt_a")
    assert not result["complete"] and len(result["tokens"]) == 18  # 1.5 x 12
    assert "utt_a: no end within 18 tokens" in caplog.text
    caplog.clear()
    tts = make_with_lm(parts, stop_bias=50.0, min_ratio=0.5)
    result = speak(tts, "abc", "utt_a")
    assert result["complete"] and len(result["tokens"]) == 6
    assert not caplog.text


def test_options_are_those_of_the_model(parts):
    with pytest.raises(InputError, match="num_steps is no option of this model's"):
        make_with_lm(parts, num_steps=4)
    with pytest.raises(InputError, match="top_p is no option of this model's"):
        make(parts, top_p=0.5)
    with pytest.raises(InputError, match="this model is not compiled"):
        make_with_lm(parts, compile=True)
    with pytest.raises(InputError, match="^utt_a: .* the model holds 64; split"):
        speak(make_with_lm(parts), "abc" * 40, "utt_a")


def test_the_command_has_every_option_of_sampling():
    from dataclasses import fields

    from espnet_fsqdiff.bin.tts_inference import get_parser

    options = {action.dest for action in get_parser()._actions}
    for kind in (Sampling, LMSampling):
        assert {field.name for field in fields(kind)} <= options


def test_waves_are_written(tmp_path):
    writer = WaveWriter(tmp_path, FS)
    wav = torch.sin(torch.arange(800) / 5)
    for name, gain in (("utt_b", 0.5), ("utt_c", 4.0), ("utt_a", 0.25)):
        writer(name, gain * wav)
    writer.close()
    scp = read_table(tmp_path / "wav.scp")
    assert list(scp) == ["utt_a", "utt_b", "utt_c"]
    # What would clip is scaled down, what would not is left as it is.
    for name, peak in (("utt_a", 0.25), ("utt_b", 0.5), ("utt_c", 1.0)):
        info = soundfile.info(scp[name])
        assert info.subtype == "PCM_16" and info.samplerate == FS
        back, _ = soundfile.read(scp[name])
        np.testing.assert_allclose(back, peak * wav.numpy(), atol=1e-3)
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == [
        *("utt_a.wav", "utt_b.wav", "utt_c.wav", "wav.scp")
    ]


def test_what_was_said_of_other_waves_goes_before_the_first_is_written(tmp_path):
    for name in ("wav.scp", "stats.json", "rollout.txt"):
        (tmp_path / name).write_text("of waves before")
    WaveWriter(tmp_path, FS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wav",
    [np.zeros(100), np.zeros(0), np.array([0.1, np.nan]), np.array([0.1, np.inf])],
    ids=["silent", "empty", "nan", "infinite"],
)
def test_broken_waves_are_refused_by_name(tmp_path, wav):
    writer = WaveWriter(tmp_path, FS)
    with pytest.raises(InputError, match="^utt_a: .* empty, silent or not finite"):
        writer("utt_a", wav)
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize("text_expansion", ["prefix", "duration"])
def test_takes_of_a_language_model(parts, text_expansion):
    tts = make_with_lm(parts, text_expansion, temperature=0.9, min_ratio=0.8)
    alone = [tts("a cab", seed=k * TAKE_STEP)["tokens"] for k in range(3)]
    result = tts("a cab", num_takes=3)
    (scores,) = result["scores"]
    assert torch.equal(result["tokens"], alone[scores.index(max(scores))])
    ids = torch.from_numpy(tts.text_tokenizer.encode("a cab"))
    laid = None if result["duration"] is None else [result["duration"]] * 3
    expected = tts.model.log_likelihood([ids] * 3, alone, laid)
    assert scores == pytest.approx(expected, rel=1e-4) and max(scores) < 0


def test_a_take_without_an_end_loses():
    kept = [Spoken(torch.zeros(3), complete) for complete in (False, True, False)]
    plans = [SimpleNamespace(durations=None, ids=[0], text="a", prompt=None)] * 3
    model = SimpleNamespace(log_likelihood=lambda *_: [-1.0, -5.0, -2.0])
    tts = SimpleNamespace(tokenizer=SimpleNamespace(has_ctc=False), model=model)
    manner = Manner(1.0, 0, None, None, num_takes=3)
    _, chosen, scores = choose_takes(tts, plans, kept, manner)
    assert chosen == [kept[1]] and scores == [[-1.0, -5.0, -2.0]]


def test_a_language_model_goes_on_from_a_prompt(parts):
    tone = np.sin(np.arange(8000) / 20) * np.linspace(0.1, 0.5, 8000)
    options = dict(prompt_wav=tone, prompt_fs=FS, prompt_text="abc")
    for text_expansion in ("prefix", "duration"):
        tts = make_with_lm(parts, text_expansion, temperature=0.9, min_ratio=0.8)
        one, other = tts("a cab"), tts("a cab", **options)
        assert len(other["tokens"]) > 0
        assert one["tokens"].tolist() != other["tokens"].tolist()
