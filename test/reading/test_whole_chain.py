"""Token to mel and a trained vocoder in one packed voice: the same files everywhere."""

import importlib
import json
import zlib
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.packing import pack, unpack
from espnet_fsqdiff.text2speech import Text2Speech
from espnet_fsqdiff.token_io import write_int_table

FS, HOP = 24000, 480
MEL = dict(fs=FS, n_fft=1024, hop_length=HOP, n_mels=16, fmin=0, fmax=None)
TOKEN2MEL = dict(
    feats_extract_conf=MEL,
    codebook_conf=dict(levels=[3, 3, 3]),
    token_encoder_conf=dict(dim=16, num_layers=1),
    backbone="convnext",
    backbone_conf=dict(dim=16, depth=1, max_frames=300),
    loss_conf=dict(prompt_prob=0.5),
)
VOCODER = dict(
    feats_extract_conf=MEL,
    generator_conf=dict(hidden_size=16, num_blocks=1),
    discriminator_conf=dict(
        period=dict(periods=[2], channels=2, max_downsample_channels=4), stft=None
    ),
    criterion_conf=dict(windows=[512], n_mels=[16]),
    model_conf=dict(segment_size=4800),
)
TEXTS = ["Hello there.", "Good night, all of you.", "It is late."]


def write_trained(task, folder, config):
    """config.yaml and model.pth of a model that was never trained."""
    folder.mkdir()
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(config))
    args = task.get_parser().parse_args(
        ["--config", str(file), "--output_dir", str(folder)]
    )
    torch.manual_seed(0)
    model = task.build_model(args)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    options = {k: v for k, v in vars(args).items() if k not in ("config", "required")}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    torch.save(model.state_dict(), folder / "model.pth")


@pytest.fixture(scope="module")
def parts(voice, tmp_path_factory):
    """A voice with a chain of its own: `files` by role, `pack`, and it loaded."""
    from espnet_fsqdiff.tasks.token2mel import Token2MelTask
    from espnet_fsqdiff.tasks.vocoder import VocoderTask

    folder = tmp_path_factory.mktemp("chain")
    write_trained(Token2MelTask, folder / "t2m", TOKEN2MEL)
    write_trained(VocoderTask, folder / "voc", VOCODER)
    files = dict(
        **voice.files,
        token2mel_config=folder / "t2m/config.yaml",
        token2mel_file=folder / "t2m/model.pth",
        vocoder_config=folder / "voc/config.yaml",
        vocoder_file=folder / "voc/model.pth",
    )
    made = pack(folder / "chain.zip", files, "CC0-1.0", "float16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPNET_FSQDIFF_CACHE", str(tmp_path_factory.mktemp("cache")))
        tts = Text2Speech.from_pretrained(made)
    return SimpleNamespace(files=files, pack=made, tts=tts, folder=folder)


def test_a_batch_of_a_packed_chain_is_as_each_alone(parts):
    tts = parts.tts
    assert tts.fs == FS and tts.chain.max_tokens == 150
    for text, result in zip(TEXTS, tts.speak(TEXTS), strict=True):
        (alone,) = tts.speak([text])
        assert torch.equal(result["tokens"], alone["tokens"])
        frames = 2 * len(result["tokens"])
        assert result["feat_gen"].shape == (frames, 16)
        assert result["wav"].shape == (frames * HOP,) and result["fs"] == FS
        for name in ("feat_gen", "wav"):
            torch.testing.assert_close(result[name], alone[name], atol=1e-3, rtol=0)
    assert tts("Hello there. Good night.")["wav"].abs().max() > 0


def test_the_pack_holds_what_speaks_alone(parts, tmp_path):
    roles = unpack(parts.pack, tmp_path / "x")
    states = torch.load(roles["vocoder_file"], weights_only=True)
    assert states and not any(key.startswith("discriminator") for key in states)
    config = yaml.safe_load(open(roles["inference_config"]))
    assert config["vocoder"] == "trained" and "vocoder_conf" not in config
    # In full precision it is the files' own speech.
    whole = pack(tmp_path / "whole.zip", parts.files, "CC0-1.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPNET_FSQDIFF_CACHE", str(tmp_path / "cache"))
        packed = Text2Speech.from_pretrained(whole)
    named = dict(parts.files, vocoder_train_config=parts.files["vocoder_config"])
    for role in ("inference_config", "readme", "vocoder_config"):
        named.pop(role)
    options = dict(num_steps=4, guidance_scale=0.5, normalizer="spoken_english")
    loose = Text2Speech.from_files(**named, **options)
    one, other = packed(TEXTS[0]), loose(TEXTS[0])
    assert torch.equal(one["tokens"], other["tokens"])
    assert torch.equal(one["wav"], other["wav"])


def test_half_of_a_pair_is_refused(parts, tmp_path):
    files = {k: v for k, v in parts.files.items() if k != "vocoder_file"}
    with pytest.raises(InputError, match="--vocoder_file is not given; --vocoder_conf"):
        pack(tmp_path / "a.zip", files, "CC0")


def test_users_may_take_another_vocoder_or_mel_maker(parts, cache):
    tts = Text2Speech.from_pretrained(
        parts.pack, vocoder="griffin_lim", vocoder_conf=dict(num_iters=1)
    )
    assert tts.fs == FS and tts.chain.vocoder.num_iters == 1
    result = tts("abc")
    assert len(result["wav"]) == pytest.approx(len(result["tokens"]) * FS / 25, abs=HOP)
    with pytest.raises(InputError, match="mel maker and vocoder differ in fs, n_fft"):
        Text2Speech.from_pretrained(
            parts.pack, token2mel_config=None, token2mel_file=None
        )
    tts = Text2Speech.from_pretrained(
        parts.pack,
        token2mel_config=None,
        token2mel_file=None,
        vocoder="griffin_lim",
        vocoder_conf=dict(num_iters=1),
    )
    assert tts.fs == 16000
    tts = Text2Speech.from_pretrained(
        parts.pack, token2mel_conf=dict(num_steps=1, solver="midpoint")
    )
    assert tts.chain.mel_maker.sampling.solver == "midpoint"
    with pytest.raises(InputError, match="FlowSampling has no option steps"):
        Text2Speech.from_pretrained(parts.pack, token2mel_conf=dict(steps=1))


def test_it_goes_on_from_a_prompt(parts, monkeypatch):
    tts, given = parts.tts, []
    monkeypatch.setattr(tts, "check_prompts", False)
    generate = tts.chain.mel_maker.model.generate

    def watched(tokens, prompts, *rest):
        given.append((tokens, prompts))
        return generate(tokens, prompts, *rest)

    monkeypatch.setattr(tts.chain.mel_maker.model, "generate", watched)
    wav = np.sin(np.arange(round(1.44 * 16000)) / 9).astype(np.float32) * 0.3
    options = dict(prompt_wav=wav, prompt_fs=16000, prompt_text="hello there my friend")
    result = tts("Good night.", **options)
    (tokens,), (mel,) = given[0]
    assert len(tokens) == 36 + len(result["tokens"]) and mel.shape == (72, 16)
    assert result["wav"].shape == (2 * HOP * len(result["tokens"]),)
    assert result["wav"].isfinite().all()


def test_what_the_mel_maker_does_not_hold_is_too_long(parts):
    with pytest.raises(InputError, match="the model holds 120; split"):
        parts.tts.speak(["a" * 90])
    maker = parts.tts.chain.mel_maker
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maker, "max_frames", 40)
        assert parts.tts.max_frames == 20 and not parts.tts.holds("a" * 30)


def test_the_commands_make_the_same_mels_and_waves(parts, tmp_path):
    from espnet_fsqdiff.bin import generate_mels, resynthesize
    from espnet_fsqdiff.token2wav import load_chain

    rows = {f"utt{i}": np.arange(i, i + 5 + i) % 27 for i in range(3)}
    tokens = tmp_path / "tokens" / "train"
    tokens.mkdir(parents=True)
    offsets = write_ark(tokens / "tokens.ark", rows)
    scp = {utt: f"{tokens}/tokens.ark:{at}" for utt, at in offsets.items()}
    write_table(tokens / "tokens.scp", scp)
    write_int_table(tokens / "tokens.txt", rows)
    (tmp_path / "decode.yaml").write_text(
        "num_steps: 4\nvocoder: griffin_lim\nvocoder_conf: {num_iters: 1}\n"
        "token2mel_conf: {num_steps: 2}\n"
    )
    files = {k: str(v) for k, v in parts.files.items()}
    t2m = ["--inference_config", str(tmp_path / "decode.yaml")]
    t2m += ["--token2mel_config", files["token2mel_config"]]
    t2m += ["--token2mel_file", files["token2mel_file"]]
    cmd = ["--tokenizer_config", files["tokenizer_config"], "--tokenizer_file"]
    cmd += [files["tokenizer_file"], *t2m, "--token_dirs", str(tokens)]
    cmd += ["--output_root", str(tmp_path / "mels")]
    generate_mels.main(cmd)
    generate_mels.main([*cmd, "--merge", "true"])
    mels = dict(kaldiio.load_scp(str(tmp_path / "mels/train/mels.scp")))
    chain = load_chain(
        None,
        vocoder_train_config=files["vocoder_config"],
        vocoder_file=files["vocoder_file"],
        token2mel_config=files["token2mel_config"],
        token2mel_file=files["token2mel_file"],
        token2mel_conf=dict(num_steps=2),
    )
    cmd = ["--train_config", files["tokenizer_config"], "--model_file"]
    cmd += [files["tokenizer_file"], *t2m, "--tokens", str(tokens / "tokens.txt")]
    cmd += ["--vocoder", "trained", "--vocoder_conf", "{}", "--batch_size", "2"]
    cmd += ["--vocoder_train_config", files["vocoder_config"]]
    cmd += ["--vocoder_file", files["vocoder_file"]]
    resynthesize.main([*cmd, "--output_dir", str(tmp_path / "waves")])
    stats = json.loads((tmp_path / "waves" / "stats.json").read_text())
    networks = chain.mel_maker.network, chain.vocoder.generator
    weights = sum(p.numel() for n in networks for p in n.parameters())
    assert stats["parameters"] == weights and stats["bytes"] >= 4 * weights
    assert stats["threads"] == torch.get_num_threads() and stats["rtf_cpu"] > 0
    for utt, row in rows.items():
        (sound,) = chain([row], seeds=[zlib.crc32(utt.encode())])
        torch.testing.assert_close(torch.from_numpy(mels[utt].copy()), sound.mel)
        wav, fs = soundfile.read(tmp_path / "waves" / "wav" / f"{utt}.wav")
        assert fs == FS and len(wav) == 2 * HOP * len(row)
        wave = sound.wave / max(1.0, sound.wave.abs().max())
        np.testing.assert_allclose(wav, wave.numpy(), atol=2e-4)


@pytest.mark.parametrize("command", ["resynthesize", "tts_inference"])
@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_an_utterance(tmp_path, command, batch_size):
    main = importlib.import_module(f"espnet_fsqdiff.bin.{command}").main
    names = ["train_config", "model_file", "output_dir"]
    names += ["tokens"] * (command == "resynthesize")
    if command == "tts_inference":
        names += ["tokenizer_file", "duration_file", "data_dir"]
    cmd = [f"--{name}={tmp_path}/{name}" for name in names]
    with pytest.raises(InputError, match=f"^--batch_size {batch_size}: .* at least 1"):
        main([*cmd, f"--batch_size={batch_size}"])
    assert not (tmp_path / "output_dir").exists()


def test_each_utterance_has_the_voice_of_its_embedding(parts, tmp_path):
    from espnet_fsqdiff.bin import resynthesize, tts_inference
    from espnet_fsqdiff.tasks.token2mel import Token2MelTask
    from espnet_fsqdiff.token2wav import load_chain

    write_trained(Token2MelTask, tmp_path / "t2m", {**TOKEN2MEL, "spk_embed_dim": 4})
    made = ["--token2mel_config", str(tmp_path / "t2m/config.yaml")]
    made += ["--token2mel_file", str(tmp_path / "t2m/model.pth")]
    made += ["--token2mel_conf", "num_steps=2", "--vocoder_conf", "num_iters=1"]
    texts = {f"utt{i}": text.strip(".").lower() for i, text in enumerate(TEXTS)}
    write_table(tmp_path / "text", texts)
    rows = {utt: np.arange(i, i + 5 + i) % 27 for i, utt in enumerate(texts)}
    write_int_table(tmp_path / "tokens.txt", rows)
    voices = {utt: np.eye(4)[i] for i, utt in enumerate(texts)}
    offsets = write_ark(tmp_path / "v.ark", voices, np.float32)
    scp = {utt: f"{tmp_path}/v.ark:{at}" for utt, at in offsets.items()}
    write_table(tmp_path / "xvector.scp", scp)
    speakers = ["--spk_embeds", str(tmp_path / "xvector.scp")]
    files = {k: str(v) for k, v in parts.files.items()}
    names = ("train_config", "model_file", "tokenizer_config", "tokenizer_file")

    cmd = ["--train_config", files["tokenizer_config"]]
    cmd += ["--model_file", files["tokenizer_file"], *made]
    cmd += ["--tokens", str(tmp_path / "tokens.txt")]
    cmd += ["--output_dir", str(tmp_path / "copies")]
    with pytest.raises(InputError, match="needs a speaker embedding of size 4"):
        resynthesize.main(cmd)
    resynthesize.main([*cmd, *speakers, "--batch_size", "2"])
    chain = load_chain(
        None,
        vocoder_conf=dict(num_iters=1),
        token2mel_config=tmp_path / "t2m/config.yaml",
        token2mel_file=tmp_path / "t2m/model.pth",
        token2mel_conf=dict(num_steps=2),
    )
    for utt, row in rows.items():
        voice = torch.from_numpy(voices[utt])
        seeds = [zlib.crc32(utt.encode())]
        (sound,) = chain([row], seeds=seeds, spk_embeds=[voice])
        (other,) = chain([row], seeds=seeds, spk_embeds=[voice.roll(1)])
        wave = (sound.wave / max(1.0, sound.wave.abs().max())).numpy()
        wav, _ = soundfile.read(tmp_path / "copies" / "wav" / f"{utt}.wav")
        np.testing.assert_allclose(wav, wave, atol=2e-4)
        assert not torch.allclose(sound.mel, other.mel, atol=1e-3)

    cmd = [
        word
        for name in (*names, "duration_file")
        for word in (f"--{name}", files[name])
    ]
    cmd += [*made, *speakers, "--data_dir", str(tmp_path), "--num_steps", "2"]
    for size in ("1", "3"):
        out = ["--output_dir", str(tmp_path / size), "--batch_size", size]
        tts_inference.main([*cmd, *out])
    for utt in texts:
        alone, together = (
            soundfile.read(tmp_path / size / "wav" / f"{utt}.wav")[0] for size in "13"
        )
        np.testing.assert_allclose(alone, together, atol=1e-3)
