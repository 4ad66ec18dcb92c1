"""The vocoder's task: training, going on, loading, tuning to given mels."""

import shutil

import numpy as np
import pytest
import torch
import yaml

from benchmarks import distributed
from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.states import for_inference
from espnet_fsqdiff.tasks.trainer import read_checkpoint
from espnet_fsqdiff.tasks.vocoder import VocoderTask
from espnet_fsqdiff.vocoder import TrainedVocoder

from .conftest import FS, HOP, MEL_CONF, N_MELS, voice

CONFIG = dict(
    feats_extract_conf=MEL_CONF,
    generator_conf=dict(hidden_size=16, num_blocks=1),
    discriminator_conf=dict(
        period=dict(periods=[2], channels=2, max_downsample_channels=4), stft=None
    ),
    criterion_conf=dict(windows=[512], n_mels=[20]),
    # Five steps an epoch: the discriminators start in the middle of the first.
    model_conf=dict(segment_size=20 * HOP, discriminator_start=2, ema_decay=0.9),
    optim="adamw",
    optim_conf=dict(lr=2e-3),
    optim2="adamw",
    optim2_conf=dict(lr=2e-3),
    scheduler="warmuplr",
    scheduler_conf=dict(warmup_steps=3),
    batch_type="unsorted",
    batch_size=2,
    num_workers=0,
    max_epoch=2,
    best_model_criterion=[["valid", "mel_loss", "min"]],
    keep_nbest_models=1,
    num_att_plot=0,
    use_matplotlib=False,
    use_tensorboard=False,
)
MODEL = "valid.mel_loss.ave.pth"


@pytest.fixture(scope="module")
def data(tmp_path_factory, wave_mel):
    """Sets `train` (10 waves) and `valid` (2), with mels that are 10 dB too quiet."""
    root = tmp_path_factory.mktemp("voices")
    for name, size in (("train", 10), ("valid", 2)):
        waves = [voice(0.5 + 0.05 * i, i) for i in range(size)]
        write_waves(root / name, waves)
        mels = {
            f"{name}_{i}": wave_mel.whole(torch.from_numpy(wave)).numpy() - 0.5
            for i, wave in enumerate(waves)
        }
        write_mels(root / name, mels)
    return root


def write_waves(folder, waves, fs=FS):
    """A set of waves (L_i,), named as its folder."""
    import soundfile

    wavs = {f"{folder.name}_{i}": folder / f"{i}.wav" for i in range(len(waves))}
    write_table(folder / "wav.scp", wavs)
    for file, wave in zip(wavs.values(), waves):
        soundfile.write(file, wave, fs)
    lengths = {utt: len(wave) for utt, wave in zip(wavs, waves)}
    write_table(folder / "utt2num_samples", lengths)


def write_mels(folder, mels):
    import kaldiio

    kaldiio.save_ark(str(folder / "feats.ark"), mels, scp=str(folder / "feats.scp"))


def command(data, exp, *options, feats=False, **config):
    file = exp.with_name(f"{exp.name}.yaml")
    file.write_text(yaml.safe_dump({**CONFIG, **config}), encoding="utf-8")
    words = ["--config", file, "--output_dir", exp, "--resume", "true", *options]
    for name in ("train", "valid"):
        option = f"--{name}_data_path_and_name_and_type"
        words += [option, f"{data / name}/wav.scp,speech,sound"]
        if feats:
            words += [option, f"{data / name}/feats.scp,feats,kaldi_ark"]
        words += [f"--{name}_shape_file", data / name / "utt2num_samples"]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def exp_dir(data, tmp_path_factory):
    """A training of two epochs without a break."""
    exp = tmp_path_factory.mktemp("voc") / "exp"
    VocoderTask.main(cmd=command(data, exp))
    return exp


def valid(exp, key="mel_loss"):
    stats = read_checkpoint(exp / "checkpoint.pth")["reporter"]["stats"]
    return [stats[epoch]["valid"][key] for epoch in sorted(stats)]


def assert_same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        for our, their in zip(ours, theirs, strict=True):
            assert_same(our, their)
    else:
        assert ours == theirs


def assert_same_training(ours, theirs):
    ours, theirs = (read_checkpoint(exp / "checkpoint.pth") for exp in (ours, theirs))
    for part in ("model", "optimizers", "schedulers"):
        assert_same(ours[part], theirs[part])


def test_both_networks_are_trained(exp_dir):
    states = read_checkpoint(exp_dir / "checkpoint.pth")
    steps = [
        max(int(state["step"]) for state in optimizer["state"].values())
        for optimizer in states["optimizers"]
    ]
    assert steps == [10, 10]
    # All but the tensor that is touched waited for two steps.
    waited = states["optimizers"][1]["state"].values()
    assert sorted({int(state["step"]) for state in waited}) == [8, 10]
    train = states["reporter"]["stats"][2]["train"]
    assert {"spectral_loss", "feature_loss", "discriminator_loss"} <= set(train)
    assert (exp_dir / MODEL).exists()
    assert valid(exp_dir)[1] < valid(exp_dir)[0]


def test_a_resumed_training_ends_as_one_without_a_break(data, exp_dir, tmp_path):
    exp = tmp_path / "exp"
    VocoderTask.main(cmd=command(data, exp, max_epoch=1))
    VocoderTask.main(cmd=command(data, exp))
    assert_same_training(exp, exp_dir)
    assert valid(exp) == valid(exp_dir)


def test_a_cut_off_checkpoint_is_put_back(data, exp_dir, tmp_path):
    exp = tmp_path / "exp"
    shutil.copytree(exp_dir, exp, symlinks=True)
    checkpoint = exp / "checkpoint.pth"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    VocoderTask.main(cmd=command(data, exp))
    assert_same_training(exp, exp_dir)


# Per kind and sampling rate: what makes a mel frame of 20 ms.
SIZES = {
    16000: dict(istft=dict(), hifigan=[8, 5, 4, 2]),
    22050: dict(istft=dict(frames_per_mel=3), hifigan=[7, 7, 3, 3]),
    24000: dict(istft=dict(frames_per_mel=2), hifigan=[8, 5, 4, 3]),
}


@pytest.mark.parametrize("kind", ["istft", "hifigan"])
@pytest.mark.parametrize("fs", SIZES)
def test_an_epoch_of_any_generator_and_rate(tmp_path, kind, fs):
    hop = fs // 50
    for name, size in (("train", 4), ("valid", 1)):
        write_waves(tmp_path / name, [voice(0.3, i, fs) for i in range(size)], fs)
    if kind == "istft":
        conf = dict(hidden_size=16, num_blocks=1, **SIZES[fs][kind])
    else:
        conf = dict(channels=16, upsample_scales=SIZES[fs][kind])
        conf.update(resblock_kernel_sizes=[3], resblock_dilations=[[1, 3]])
    exp = tmp_path / "exp"
    config = dict(
        feats_extract_conf=dict(MEL_CONF, fs=fs, n_fft=4 * hop, hop_length=hop),
        generator=kind,
        generator_conf=conf,
        model_conf=dict(segment_size=10 * hop, discriminator_start=1, ema_decay=0.5),
        max_epoch=1,
    )
    VocoderTask.main(cmd=command(tmp_path, exp, **config))
    states = read_checkpoint(exp / "checkpoint.pth")
    train = states["reporter"]["stats"][1]["train"]
    assert {"spectral_loss", "feature_loss", "discriminator_loss"} <= set(train)
    assert states["model"]["ema.num_updates"] == 2
    vocoder = load(exp)
    wave = vocoder(torch.randn(7, N_MELS) - 2)
    assert vocoder.fs == fs and wave.shape == (7 * hop,)
    assert wave.isfinite().all() and wave.std() > 0


def train_as(rank, world, words, exp):
    torch.set_num_threads(1)
    VocoderTask.main(cmd=[*words, *distributed.joining(rank, world, exp)])


def test_two_processes_train_as_one_with_the_joint_batch(tmp_path):
    """Of waves as long as a segment, so that nothing is drawn at random."""
    for name, size in (("train", 8), ("valid", 4)):
        write_waves(tmp_path / name, [voice(20 * HOP / FS, i) for i in range(size)], FS)
    # A step of a weight whose gradient is noise is small with this `eps`.
    optim = dict(lr=2e-3, eps=1e-3)
    config = dict(optim_conf=optim, optim2_conf=optim, batch_size=4)
    config["unused_parameters"] = True
    states = []
    for world in (1, 2):
        exp = tmp_path / f"exp_{world}"
        words = command(tmp_path, exp, **config)
        told = [(rank, world, words, exp) for rank in range(world)]
        assert distributed.run_processes(train_as, told) == [0] * world
        states.append(read_checkpoint(exp / "checkpoint.pth"))
    alone, both = states
    steps = [
        max(int(state["step"]) for state in optimizer["state"].values())
        for optimizer in both["optimizers"]
    ]
    assert steps == [4, 4]
    torch.testing.assert_close(both["model"], alone["model"], atol=1e-5, rtol=1e-4)
    for name in ("spectral_loss", "feature_loss", "discriminator_loss"):
        ours, theirs = (s["reporter"]["stats"][2]["train"][name] for s in states)
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(
    "option, value",
    [("accum_grad", 2), ("grad_noise", True), ("skip_discriminator_prob", 0.5)],
)
def test_what_the_gan_trainer_cannot_do_is_refused(data, tmp_path, option, value):
    with pytest.raises(InputError, match=f"{option} is not for the training"):
        VocoderTask.main(cmd=command(data, tmp_path / "exp", **{option: value}))


def load(exp, model_file=None):
    return TrainedVocoder.from_files(exp / "config.yaml", model_file or exp / MODEL)


def test_a_trained_vocoder_speaks(exp_dir, wave_mel):
    vocoder = load(exp_dir)
    assert vocoder.fs == FS and vocoder.mel == wave_mel.get_parameters()
    mels = [wave_mel.whole(torch.from_numpy(voice(s, 3))) for s in (0.4, 0.7)]
    waves = vocoder.batch(mels)
    for mel, wave in zip(mels, waves):
        assert wave.shape == (len(mel) * HOP,) and wave.dtype == torch.float32
        assert not wave.requires_grad
        torch.testing.assert_close(vocoder(mel), wave, atol=1e-5, rtol=0)
    assert vocoder.batch([]) == []


def test_the_average_speaks(exp_dir):
    states = torch.load(exp_dir / MODEL, weights_only=True)
    weights = load(exp_dir).generator.state_dict()
    assert_same(weights, {k: states[f"ema.network.{k}"] for k in weights})
    assert any(not torch.equal(weights[k], states[f"network.{k}"]) for k in weights)


@pytest.mark.parametrize("precision, tolerance", [("float32", 0), ("float16", 0.01)])
def test_a_pack_holds_the_generator_alone(exp_dir, tmp_path, precision, tolerance):
    states = torch.load(exp_dir / MODEL, weights_only=True)
    cut = for_inference(states, precision)
    assert {key.split(".")[0] for key in cut} == {"ema"}
    torch.save(cut, tmp_path / "model.pth")
    mel = torch.randn(9, N_MELS) - 2
    whole, packed = load(exp_dir)(mel), load(exp_dir, tmp_path / "model.pth")(mel)
    torch.testing.assert_close(
        packed, whole, atol=tolerance * whole.abs().max(), rtol=0
    )


def without_a_key(states):
    states.pop("ema.network.head.bias")


def with_a_key(states):
    states["ema.network.surprise"] = torch.zeros(1)


def of_another_model(states):
    states["tokenizer.mel_mean"] = torch.zeros(1)


def misshapen(states):
    states["ema.network.head.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (without_a_key, r"1 missing \(head.bias\)"),
        (with_a_key, r"1 unknown \(surprise\)"),
        (of_another_model, r"1 unknown \(tokenizer.mel_mean\)"),
        (misshapen, r"1 misshapen \(head.bias \(3,\) for \(642,\)\)"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_unfit_weights_are_refused(exp_dir, tmp_path, spoil, message):
    states = dict(torch.load(exp_dir / MODEL, weights_only=True))
    spoil(states)
    torch.save(states, tmp_path / "unfit.pth")
    with pytest.raises(InputError, match=message):
        load(exp_dir, tmp_path / "unfit.pth")


@pytest.mark.parametrize(
    "mel, message",
    [
        (torch.zeros(5, N_MELS + 1), r"mel 0 has the shape \(5, 21\); .* \(frames, 20"),
        (torch.zeros(0, N_MELS), r"mel 0 has the shape \(0, 20\)"),
        (torch.zeros(1, 5, N_MELS), r"mel 0 has the shape \(1, 5, 20\)"),
        (torch.full((5, N_MELS), torch.nan), "mel 0 is not finite"),
    ],
)
def test_a_wrong_mel_is_refused(exp_dir, mel, message):
    with pytest.raises(InputError, match=message):
        load(exp_dir)(mel)


def test_tuning_to_given_mels(data, exp_dir, tmp_path):
    """It starts from the first training, and its input is what is given."""
    exp = tmp_path / "exp"
    options = ("--init_param", str(exp_dir / MODEL))
    VocoderTask.main(
        cmd=command(data, exp, *options, feats=True, optim_conf=dict(lr=0.0))
    )
    states = read_checkpoint(exp / "checkpoint.pth")["model"]
    first = read_checkpoint(exp_dir / "checkpoint.pth")["model"]
    for key in (k for k in first if k.startswith("network.")):
        assert torch.equal(states[key], first[key])
    assert states["ema.num_updates"] == 20
    # Mels that are 10 dB too quiet are heard as such by what is not tuned to them.
    assert valid(exp)[0] > valid(exp_dir)[1] + 0.05


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda mel: mel[:-8], r"^train_3: .* of \d+ frames is \d+ samples long"),
        (lambda mel: mel[:, :-1], r"^train_3: .* shape \(\d+, 19\), not \(frames, 20"),
        (lambda mel: mel * np.float32("nan"), "^train_3: its given mel is not finite"),
    ],
    ids=["short", "narrow", "nan"],
)
def test_given_mels_have_to_fit_their_waves(data, tmp_path, spoil, message):
    import kaldiio

    bad = tmp_path / "data"
    shutil.copytree(data, bad)
    mels = dict(kaldiio.load_scp(str(data / "train" / "feats.scp")))
    mels["train_3"] = spoil(mels["train_3"])
    write_mels(bad / "train", mels)
    with pytest.raises(InputError, match=message):
        VocoderTask.main(cmd=command(bad, tmp_path / "exp", feats=True))
