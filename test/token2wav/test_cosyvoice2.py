"""CosyVoice 2's tokenizer in onnxruntime, and its token-to-wave by its own package."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.external.cosyvoice2 import CosyVoice2TokenToWave
from espnet_fsqdiff.token2wav.external.whisper_mel import whisper_log_mel
from espnet_fsqdiff.tokenizer import load_tokenizer

FS = 16000


def tone(seconds=1.0, fs=FS, hertz=300):
    return np.sin(np.arange(int(seconds * fs)) * 2 * np.pi * hertz / fs) * 0.3


def test_the_mel_is_whispers():
    wav = torch.from_numpy(tone() + np.random.default_rng(0).normal(0, 0.01, FS))
    stft = torch.stft(
        wav, 400, 160, window=torch.hann_window(400).double(), return_complex=True
    )
    power = stft[..., :-1].abs() ** 2
    import librosa

    bins = torch.from_numpy(librosa.filters.mel(sr=FS, n_fft=400, n_mels=128))
    log = (bins.double() @ power).clamp(min=1e-10).log10()
    expected = (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0
    found = whisper_log_mel(wav.numpy())
    assert found.shape == (128, 100) and found.dtype == np.float32
    torch.testing.assert_close(
        torch.from_numpy(found), expected.float(), atol=2e-3, rtol=0
    )


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A file of the signature of speech_tokenizer_v2.onnx: a token every 4 frames.

    The token is the loudest bin of the frame, and 6000 more from the length's middle.
    """
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    def constant(name, values):
        array = np.array(values, dtype=np.int64)
        return onnx.numpy_helper.from_array(array, name)

    nodes = [
        helper.make_node("Slice", ["feats", "zero", "end", "axis", "step"], ["some"]),
        helper.make_node("ArgMax", ["some"], ["loudest"], axis=1, keepdims=0),
        helper.make_node("Cast", ["feats_length"], ["length"], to=TensorProto.INT64),
        helper.make_node("Mul", ["length", "hundred"], ["offset"]),
        helper.make_node("Add", ["loudest", "offset"], ["wide"]),
        helper.make_node("Mod", ["wide", "codes"], ["small"]),
        helper.make_node("Cast", ["small"], ["indices"], to=TensorProto.INT32),
    ]
    made = helper.make_graph(
        nodes,
        "tokenizer",
        [
            helper.make_tensor_value_info("feats", TensorProto.FLOAT, [1, 128, "T"]),
            helper.make_tensor_value_info("feats_length", TensorProto.INT32, [1]),
        ],
        [helper.make_tensor_value_info("indices", TensorProto.INT32, [1, "N"])],
        [
            constant("zero", [0]),
            constant("end", [2**31]),
            constant("axis", [2]),
            constant("step", [4]),
            constant("hundred", [100]),
            constant("codes", [6561]),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path_factory.mktemp("cosyvoice") / "speech_tokenizer_v2.onnx"
    onnx.save(model, str(path))
    return path


def test_waves_of_any_rate_become_tokens(graph):
    tokenizer = load_tokenizer(None, graph)
    assert (tokenizer.fs, tokenizer.rate_hz, tokenizer.num_codes) == (16000, 25.0, 6561)
    assert not tokenizer.has_ctc
    one = tokenizer.encode(tone(), FS)
    assert one.dtype == torch.int64 and one.shape == (25,)
    # 100 frames: the graph was told of them.
    loudest = whisper_log_mel(tone())[:, ::4].argmax(0)
    assert one.tolist() == ((loudest + 100 * 100) % 6561).tolist()
    resampled = tokenizer.encode(tone(fs=24000), 24000)
    assert (resampled - one).abs().float().mean() < 1
    both = tokenizer.encode_batch([tone(), tone(0.4)], FS, ["a", "b"])
    assert torch.equal(both[0], one) and both[1].shape == (10,)
    assert tokenizer.encode(tone(0.005), FS).shape == (1,)


@pytest.mark.parametrize(
    "wav, message",
    [
        (np.zeros(1600), "^utt: its wave is silent"),
        (tone(31), "^utt: its wave has 31.0 s; .* up to 30 s"),
        (np.ones((2, 800)), "^utt: .* one channel"),
        (np.zeros(0), "^utt: its wave is empty"),
    ],
)
def test_waves_that_are_refused(graph, wav, message):
    with pytest.raises(InputError, match=message):
        load_tokenizer(None, graph).encode_batch([wav], FS, ["utt"])


def test_files_that_are_no_such_graph(graph, tmp_path):
    with pytest.raises(InputError, match="none.onnx: no such file"):
        load_tokenizer(None, tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="onnxruntime refuses it"):
        load_tokenizer(None, tmp_path / "broken.onnx")
    import onnx

    model = onnx.load(str(graph))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 80
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(InputError, match=r"takes a mel \(1, 128, F\)"):
        load_tokenizer(None, tmp_path / "other.onnx")
    tokenizer = load_tokenizer(None, graph)
    with pytest.raises(InputError, match="no recognition head"):
        tokenizer.encode_batch([tone()], FS, return_ctc=True)


def test_token_extraction_with_it(graph, tmp_path):
    import soundfile

    from espnet_fsqdiff.bin import extract_tokens
    from espnet_fsqdiff.data.datadir import DataDir
    from espnet_fsqdiff.token_io import read_tokens

    wav = {}
    for i, seconds in enumerate((1.0, 0.6)):
        wav[f"utt{i}"] = str(tmp_path / f"{i}.wav")
        soundfile.write(wav[f"utt{i}"], tone(seconds), FS)
    names = {utt: "words" for utt in wav}
    (tmp_path / "test").mkdir()
    DataDir(wav, names, dict.fromkeys(wav, "speaker")).write(tmp_path / "test")
    cmd = ["--tokenizer", "cosyvoice2", "--onnx_file", str(graph)]
    cmd += ["--data_dirs", str(tmp_path / "test"), "--output_root", str(tmp_path / "t")]
    extract_tokens.main(cmd)
    extract_tokens.main([*cmd, "--merge", "true"])
    tokens = read_tokens(tmp_path / "t/test/tokens.scp", 6561)
    assert [len(row) for row in tokens.values()] == [25, 15]
    assert not (tmp_path / "t/test/durations.txt").exists()
    with pytest.raises(InputError, match="--model_file does not belong"):
        extract_tokens.main([*cmd, "--model_file", "x"])
    with pytest.raises(InputError, match="fsqdiff: --train_config is missing"):
        extract_tokens.main(cmd[4:])


# --- token to wave ------------------------------------------------------------------


class FlowThen:
    """As in CosyVoice 2's release: the prompt comes first and is cut off."""

    def __init__(self):
        self.calls = []

    def inference(
        self,
        token,
        token_len,
        prompt_token,
        prompt_token_len,
        prompt_feat,
        prompt_feat_len,
        embedding,
        finalize,
    ):
        assert token.dtype == prompt_token.dtype == torch.int32
        assert token_len.tolist() == [token.shape[1]] and finalize
        assert prompt_token_len.tolist() == [prompt_token.shape[1]]
        assert prompt_feat_len.tolist() == [prompt_feat.shape[1]]
        self.calls.append((prompt_token, prompt_feat, embedding))
        mel = token.repeat_interleave(2, 1).float()[:, None].expand(-1, 80, -1)
        return mel + torch.randn(mel.shape), None


class FlowNow(FlowThen):
    """As later: it may stream."""

    def inference(self, streaming, **options):
        assert streaming is False
        return super().inference(**options)


class Hift:
    def inference(self, speech_feat, cache_source):
        assert cache_source.shape == (1, 1, 0)
        return speech_feat.mean(1).repeat_interleave(480, 1), None


class Heard:
    """The prompt as the front ends take it: samples or a file."""

    def of_samples(self, source_speech_16k, prompt_speech_16k, resample_rate):
        assert resample_rate == 24000 and prompt_speech_16k.ndim == 2
        return self.found(prompt_speech_16k.shape[1])

    def of_file(self, source_speech_16k, prompt_wav, resample_rate):
        import soundfile

        wav, fs = soundfile.read(prompt_wav)
        assert fs == FS and resample_rate == 24000
        return self.found(len(wav))

    @staticmethod
    def found(samples):
        n = samples // 640
        return dict(
            flow_prompt_speech_token=torch.full((1, n), 3, dtype=torch.int32),
            prompt_speech_feat=torch.ones(1, 2 * n, 80),
            flow_embedding=torch.ones(1, 192),
        )


@pytest.fixture(params=["then", "now"])
def package(request, monkeypatch):
    """A module of the interface of `cosyvoice`, of its release or of today."""
    then = request.param == "then"

    class CosyVoice2:
        sample_rate = 24000

        def __init__(self, model_dir, load_jit, load_trt, fp16):
            assert (load_jit, load_trt, fp16) == (False, False, False)
            heard = Heard()
            vc = heard.of_samples if then else heard.of_file
            self.frontend = SimpleNamespace(frontend_vc=vc)
            self.model = SimpleNamespace(
                flow=FlowThen() if then else FlowNow(), hift=Hift(), device="cpu"
            )

    cli = ModuleType("cosyvoice.cli.cosyvoice")
    cli.CosyVoice2 = CosyVoice2
    for name in ("cosyvoice", "cosyvoice.cli"):
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace(name=name)
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "cosyvoice.cli.cosyvoice", cli)


def test_tokens_are_heard_in_the_voice_of_a_recording(package, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "me.wav", tone(2.0, 22050), 22050)
    chain = CosyVoice2TokenToWave.from_directory(tmp_path, tmp_path / "me.wav")
    tokens = [np.array([5, 6, 7]), torch.tensor([8])]
    sounds = chain(tokens, seeds=[1, 2])
    assert chain.fs == 24000 and chain.num_codes == 6561
    for row, seed, sound in zip(tokens, [1, 2], sounds):
        assert sound.mel.shape == (2 * len(row), 80)
        assert sound.wave.shape == (960 * len(row),)
        (alone,) = chain([row], seeds=[seed])
        assert torch.equal(alone.wave, sound.wave)
    assert not torch.equal(chain(tokens[:1], seeds=[9])[0].wave, sounds[0].wave)
    prompt_token, prompt_feat, embedding = chain.cosyvoice.model.flow.calls[0]
    assert prompt_token.tolist() == [[3] * 50] and prompt_feat.shape == (1, 100, 80)
    assert embedding.shape == (1, 192)
    # Or in that of a prompt, whose tokens are taken as they are.
    other = chain.prompt(torch.tensor([1, 2]), tone(0.08), FS)
    chain(tokens, [chain.voice, other], seeds=[0, 0])
    heard = [call[0].tolist() for call in chain.cosyvoice.model.flow.calls[-2:]]
    assert heard == [[[3] * 50], [[1, 2]]]


def test_without_a_voice_or_package(package, tmp_path, monkeypatch):
    chain = CosyVoice2TokenToWave.from_directory(tmp_path)
    with pytest.raises(
        InputError, match="in the voice of a recording; give prompt_wav"
    ):
        chain([torch.tensor([1])])
    with pytest.raises(InputError, match="leave --spk_embeds out"):
        chain([torch.tensor([1])], spk_embeds=[torch.ones(192)])
    with pytest.raises(InputError, match="nowhere: no such directory"):
        CosyVoice2TokenToWave.from_directory(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not on cuda"):
        CosyVoice2TokenToWave.from_directory(tmp_path, device="cuda")
    monkeypatch.delitem(sys.modules, "cosyvoice")
    with pytest.raises(InputError, match="needs cosyvoice, .* clone github.com"):
        CosyVoice2TokenToWave.from_directory(tmp_path)
