"""Flow matching on tones: statistics, training, loading, generation, faults."""

import shutil

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.states import for_inference
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.tasks.token2mel import Token2MelPreprocessor, Token2MelTask
from espnet_fsqdiff.token2mel import Token2Mel

FS, HOP, N_MELS, SPEAKER = 8000, 160, 10, 4
CONFIG = dict(
    feats_extract_conf=dict(
        fs=FS, n_fft=512, hop_length=HOP, n_mels=N_MELS, fmin=0, fmax=None
    ),
    codebook_conf=dict(levels=[3, 3, 3]),
    token_encoder_conf=dict(dim=16, num_layers=1),
    backbone_conf=dict(dim=16, depth=1, dropout=0.1),
    model_conf=dict(ema_decay=0.9, cpu_autocast="off", valid_times=2),
    optim="adamw",
    optim_conf=dict(lr=1.0e-2),
    batch_type="numel",
    batch_bins=50,
    num_workers=0,
    max_epoch=1,
    best_model_criterion=[["valid", "loss", "min"]],
    keep_nbest_models=1,
    num_att_plot=0,
    use_matplotlib=False,
    use_tensorboard=False,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sets `train` (8 tones) and `valid` (2): waves, tokens, speaker embeddings."""
    import soundfile

    root = tmp_path_factory.mktemp("token2mel")
    rng = np.random.default_rng(0)
    for name, size in (("train", 8), ("valid", 2)):
        wavs, tokens, speakers = {}, {}, {}
        for i in range(size):
            utt = f"{name}_{i}"
            n = int(rng.integers(FS // 2, FS))
            tokens[utt] = rng.integers(0, 27, round(25 * n / FS))
            wave = 0.3 * np.sin(np.arange(n) * rng.uniform(0.1, 1.0))
            wavs[utt] = root / f"{utt}.wav"
            soundfile.write(wavs[utt], wave + rng.normal(0, 0.01, n), FS)
            speakers[utt] = rng.normal(size=SPEAKER).astype(np.float32)
        write_table(root / name / "wav.scp", wavs)
        ark = root / name / "tokens.ark"
        at = write_ark(ark, tokens)
        write_table(root / name / "tokens.scp", {u: f"{ark}:{at[u]}" for u in at})
        for utt, vector in speakers.items():
            np.save(root / f"{utt}.npy", vector)
        write_table(root / name / "xvector.scp", {u: root / f"{u}.npy" for u in wavs})
    return root


def command(data, exp, *options, stats=None, speakers=False, **config):
    file = exp.with_name(f"{exp.name}.yaml")
    file.write_text(yaml.safe_dump({**CONFIG, **config}), encoding="utf-8")
    words = ["--config", file, "--output_dir", exp, *options]
    for name in ("train", "valid"):
        option = f"--{name}_data_path_and_name_and_type"
        words += [option, f"{data / name}/wav.scp,speech,sound"]
        words += [option, f"{data / name}/tokens.scp,speech_token,kaldi_ark"]
        if speakers:
            words += [option, f"{data / name}/xvector.scp,spk_embed,npy"]
        at = stats / name / "speech_token_shape" if stats else data / name / "wav.scp"
        words += [f"--{name}_shape_file", at]
    if stats:
        words += ["--mel_stats_file", stats / "train" / "feats_stats.npz"]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def stats(data, tmp_path_factory):
    """What the statistics stage leaves."""
    out = tmp_path_factory.mktemp("token2mel_stats") / "stats"
    collect = ("--collect_stats", "true")
    config = dict(batch_type="unsorted", batch_size=3)
    Token2MelTask.main(cmd=command(data, out, *collect, **config))
    return out


KINDS = {
    "convnext": dict(backbone="convnext"),
    "dit": dict(
        backbone="dit",
        backbone_conf=dict(dim=32, depth=1, num_heads=2),
        loss_conf=dict(prompt_prob=0.5),
        spk_embed_dim=SPEAKER,
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, data, stats, tmp_path_factory):
    """Directory of a training of one epoch, moved from where it was made; its kind."""
    made = tmp_path_factory.mktemp("token2mel_made") / "exp"
    config = KINDS[request.param]
    speakers = "spk_embed_dim" in config
    Token2MelTask.main(
        cmd=command(data, made, stats=stats, speakers=speakers, **config)
    )
    exp = made.parent / "moved"
    shutil.move(made, exp)
    return exp, config


def load(exp):
    return load_model(Token2MelTask, exp / "config.yaml", exp / "valid.loss.ave.pth")


def items_of(data, args, names):
    """What the task's own preprocessing makes of utterances."""
    import kaldiio
    import soundfile

    preprocess = Token2MelTask.build_preprocess_fn(args, train=False)
    tokens = dict(kaldiio.load_ark(str(data / "valid" / "tokens.ark")))
    items = []
    for name in names:
        item = {
            "speech": soundfile.read(data / f"{name}.wav", dtype="float32")[0],
            "speech_token": tokens[name],
        }
        if args.spk_embed_dim is not None:
            item["spk_embed"] = np.load(data / f"{name}.npy")
        items.append((name, preprocess(name, item)))
    return items


def batch_of(data, args, names=("valid_0", "valid_1")):
    collate = Token2MelTask.build_collate_fn(args, train=False)
    names, batch = collate(items_of(data, args, names))
    return dict(batch, utt_id=names)


def test_statistics_are_those_of_mels_made_one_by_one(data, stats, trained):
    exp, _ = trained
    model, args = load(exp)
    import soundfile

    mels = []
    for path in sorted(data.glob("train_*.wav")):
        wave = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
        mels.append(model.feats_extract(wave, torch.tensor([wave.size(1)]))[0][0])
    mel = torch.cat(mels)
    network = model.ema.network
    torch.testing.assert_close(network.mel_mean, mel.mean(0), atol=1e-3, rtol=1e-3)
    std = mel.std(0, unbiased=False)
    torch.testing.assert_close(network.mel_std, std, atol=1e-3, rtol=1e-3)
    assert args.mel_stats_file is None


def test_token_counts_are_collected(data, stats):
    for name in ("train", "valid"):
        scp = (data / name / "tokens.scp").read_text().split()[::2]
        lines = (stats / name / "speech_token_shape").read_text().split()
        assert sorted(lines[::2]) == sorted(scp)
        assert all(12 <= int(n) <= 25 for n in lines[1::2])


def test_training_follows_and_saves(trained):
    exp, _ = trained
    model, _ = load(exp)
    states = torch.load(exp / "1epoch.pth", weights_only=True)
    assert all(v.isfinite().all() for v in states.values())
    raw = {k for k in states if k.startswith("network.")}
    assert raw and {f"ema.{k}" for k in raw} < set(states)
    assert not torch.equal(
        states["network.output.weight"], states["ema.network.output.weight"]
    )
    assert model.ema.num_updates > 1


def test_the_average_alone_is_enough(trained, data, tmp_path):
    exp, config = trained
    states = torch.load(exp / "valid.loss.ave.pth", weights_only=True)
    cut = for_inference(states)
    assert not any(k.startswith("network.") for k in cut)
    torch.save(cut, tmp_path / "cut.pth")
    mels = [
        speak(Token2Mel.from_files(exp / "config.yaml", file, num_steps=2), config)
        for file in (exp / "valid.loss.ave.pth", tmp_path / "cut.pth")
    ]
    assert torch.equal(*mels)
    del cut["ema.network.nothing"]
    torch.save(cut, tmp_path / "less.pth")
    with pytest.raises(InputError, match="less.pth does not fit .* missing"):
        Token2Mel.from_files(exp / "config.yaml", tmp_path / "less.pth")


def speak(token2mel, config, **options):
    torch.manual_seed(0)
    tokens = torch.randint(27, (2, 6))
    if "spk_embed_dim" in config:
        options["spk_embed"] = torch.randn(2, SPEAKER)
    return token2mel(tokens, torch.tensor([6, 4]), seeds=[5, 6], **options)


def test_mels_from_python(trained):
    exp, config = trained
    files = (exp / "config.yaml", exp / "valid.loss.ave.pth")
    token2mel = Token2Mel.from_files(*files, num_steps=3, solver="midpoint")
    assert token2mel.fs == FS and token2mel.frames_per_token == 2
    assert token2mel.num_codes == 27
    assert token2mel.spk_embed_dim == config.get("spk_embed_dim")
    assert token2mel.mel["n_shift"] == HOP and token2mel.mel["fmax"] is None
    mel = speak(token2mel, config)
    assert mel.shape == (2, 12, N_MELS) and mel.dtype == torch.float32
    assert (mel[1, 8:] == 0).all() and mel[1, :8].std() > 0.1
    assert torch.equal(mel, speak(token2mel, config))
    prompts = [mel[0, :4], None]
    if "loss_conf" in config:
        prompted = speak(token2mel, config, prompt_mel=prompts)
        torch.testing.assert_close(prompted[0, :4], prompts[0])
    else:
        with pytest.raises(InputError, match="was trained without prompt mels"):
            speak(token2mel, config, prompt_mel=prompts)
    others = [dict(num_steps=1), dict(guidance_scale=0.0), dict(temperature=0.5)]
    for options in others:
        other = speak(Token2Mel.from_files(*files, **options), config)
        assert not torch.allclose(other, mel, atol=1e-3)
    with pytest.raises(
        InputError, match="FlowSampling has no option steps; it has num_"
    ):
        Token2Mel.from_files(*files, steps=3)


@torch.no_grad()
def test_validation_is_the_same_each_time(trained, data):
    exp, _ = trained
    model, args = load(exp)
    batch = batch_of(data, args)
    first, stats, weight = model(**batch)
    torch.rand(3)
    second, _, _ = model(**batch)
    assert (
        weight == 2 and torch.equal(first, second) and torch.equal(first, stats["loss"])
    )
    # An utterance's score is its own, whatever stands beside it.
    alone = [
        model(**batch_of(data, args, [name]))[0] for name in ("valid_1", "valid_0")
    ]
    torch.testing.assert_close(sum(alone) / 2, first, atol=1e-5, rtol=1e-4)
    for p in model.network.parameters():
        p.normal_()
    assert torch.equal(model(**batch)[0], first)
    model.train()
    assert not torch.equal(model(**batch)[0], model(**batch)[0])


def test_every_parameter_is_trained(trained, data):
    """Gradients of several processes can be averaged."""
    exp, _ = trained
    model, args = load(exp)
    model.train()
    model(**batch_of(data, args))[0].backward()
    missing = [k for k, p in model.network.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad is None for p in model.ema.parameters())


def test_flow_matching_learns(data, stats, tmp_path):
    """Resumed from epoch to epoch, it makes more of the mels than at first."""
    exp = tmp_path / "exp"
    losses = []
    for epochs in (1, 6):
        words = ("--resume", "true", "--max_epoch", str(epochs))
        Token2MelTask.main(cmd=command(data, exp, *words, stats=stats))
        model, args = load_model(
            Token2MelTask, exp / "config.yaml", exp / f"{epochs}epoch.pth"
        )
        with torch.no_grad():
            losses.append(model(**batch_of(data, args))[0].item())
    # At first v = 0, and the loss is E[x_1^2] + E[x_0^2] = 2.
    assert losses[1] < losses[0] - 0.1 and losses[0] < 2.5


def preprocess(spk_embed_dim=None, **changes):
    data = {
        "speech": np.sin(np.arange(FS)).astype(np.float32),
        "speech_token": np.full(25, 3, dtype=np.int32),
        **changes,
    }
    return Token2MelPreprocessor(27, 2, FS, HOP, spk_embed_dim)("utt_a", data)


def test_tokens_become_int64():
    data = preprocess(spk_embed_dim=4, spk_embed=np.ones(4))
    assert data["speech_token"].dtype == np.int64


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(speech_token=np.full(25, 27)), r"outside the codebook 0\.\.26"),
        (dict(speech_token=np.zeros(0, np.int32)), "tokens are none or outside"),
        (
            dict(speech_token=np.full(27, 3)),
            "27 tokens are 54 mel frames, its audio is",
        ),
        (dict(speech=np.ones((FS, 2))), "its audio has 2 channels"),
        (dict(speech=np.zeros(FS)), "is silent"),
        # One second recorded at 12 kHz.
        (dict(speech=np.sin(np.arange(12000))), "at 8000 Hz .* at about 12000 Hz"),
        (dict(spk_embed=np.ones(4)), r"shape \(4,\), the model takes None"),
        (dict(spk_embed_dim=4), r"shape None, the model takes \(4,\)"),
        (dict(spk_embed_dim=4, spk_embed=np.ones((1, 4))), r"shape \(1, 4\)"),
    ],
)
def test_faults_name_the_utterance(options, message):
    with pytest.raises(InputError, match=f"^utt_a: .*{message}"):
        preprocess(**options)


def build(data, exp, *options, **config):
    """Build a model through the task, without training."""
    words = ("--iterator_type", "none", "--dry_run", "true")
    Token2MelTask.main(cmd=command(data, exp, *words, *options, **config))


@pytest.mark.parametrize(
    "tokenizer, message",
    [
        (dict(quantizer_conf=dict(levels=[5, 5])), "FSQ levels are .5, 5., the model"),
        (dict(quantizer_conf=dict(levels=[3, 3, 3, 3])), "FSQ levels are"),
        (dict(quantizer="rvq", quantizer_conf=dict(dim=4)), "residual quantizer"),
        (
            dict(quantizer_conf=dict(levels=[3, 3, 3]), token_rate=50.0),
            "makes 50 tokens a second, the model takes 25",
        ),
        (dict(quantizer_conf=dict(levels=[3, 3, 3]), token_rate=25.0), None),
    ],
    ids=["levels", "more", "rvq", "rate", "fits"],
)
def test_the_tokenizer_has_to_fit(data, tmp_path, tokenizer, message):
    file = tmp_path / "tokenizer.yaml"
    file.write_text(yaml.safe_dump(tokenizer))
    if message:
        with pytest.raises(InputError, match=message):
            build(data, tmp_path / "exp", "--tokenizer_config", file)
        return
    build(data, tmp_path / "exp", "--tokenizer_config", file)
    saved = yaml.safe_load((tmp_path / "exp" / "config.yaml").read_text())
    assert saved["tokenizer_config"] is None


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(token_rate=30), "50 mel frames a second are no multiple of token_rate"),
        (
            dict(feats_extract_conf=dict(fs=FS, hop_length=HOP, center=False)),
            "center is False; vocoders take True for granted",
        ),
        (
            dict(feats_extract_conf=dict(fs=FS, hop_length=HOP, log_base=None)),
            "log_base is None; vocoders take 10.0",
        ),
        (dict(mel_stats_file="none.npz"), "none.npz is missing; .* statistics stage"),
    ],
)
def test_unfit_options_are_refused(data, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        build(data, tmp_path / "exp", **changes)
