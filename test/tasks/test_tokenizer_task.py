"""The tokenizer's task on tones: statistics, training, loading, its faults."""

import pickle
import shutil
from argparse import Namespace

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask
from espnet_fsqdiff.text.tokenizer import write_token_list
from espnet_fsqdiff.tokenizer import SpeechTokenizer

FS = 16000
SYMBOLS = ["<sos/eos>", "<space>", *"abcde"]
CONFIG = dict(
    feats_extract_conf=dict(
        fs=FS, n_fft=512, hop_length=160, n_mels=20, fmin=0, fmax=8000
    ),
    encoder_conf=dict(output_size=16, num_blocks=1),
    quantizer_conf=dict(levels=[3, 3, 3]),
    decoder_conf=dict(hidden_size=16, num_blocks=1),
    recognizer_conf=dict(hidden_size=16, num_blocks=1),
    optim="adamw",
    batch_type="unsorted",
    batch_size=4,
    num_workers=0,
    max_epoch=1,
    best_model_criterion=[["valid", "loss", "min"]],
    keep_nbest_models=1,
    num_att_plot=0,
    use_matplotlib=False,
    use_tensorboard=False,
)


def tone(seconds, frequency, rng):
    time = np.arange(int(seconds * FS)) / FS
    return 0.3 * np.sin(2 * np.pi * frequency * time) + rng.normal(0, 0.01, time.size)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sets `train` (8 tones) and `valid` (2), a token list."""
    import soundfile

    root = tmp_path_factory.mktemp("data")
    write_token_list(root / "symbols.txt", SYMBOLS)
    rng = np.random.default_rng(0)
    for name, size in (("train", 8), ("valid", 2)):
        wavs, texts, lengths = {}, {}, {}
        for i in range(size):
            utt = f"{name}_{i}"
            wav = tone(rng.uniform(0.6, 1.2), rng.uniform(100, 900), rng)
            wavs[utt] = root / f"{utt}.wav"
            soundfile.write(wavs[utt], wav, FS)
            texts[utt] = "".join(rng.choice(list("abcde"), 4))
            lengths[utt] = wav.size
        write_table(root / name / "wav.scp", wavs)
        write_table(root / name / "text", texts)
        write_table(root / name / "utt2num_samples", lengths)
    return root


def command(data, exp, *options, **config):
    file = exp.with_name(f"{exp.name}.yaml")
    file.write_text(yaml.safe_dump({**CONFIG, **config}), encoding="utf-8")
    words = ["--config", file, "--output_dir", exp, *options]
    words += ["--token_list", data / "symbols.txt"]
    for name in ("train", "valid"):
        option = f"--{name}_data_path_and_name_and_type"
        words += [option, f"{data / name}/wav.scp,speech,sound"]
        words += [option, f"{data / name}/text,text,text"]
        words += [f"--{name}_shape_file", data / name / "utt2num_samples"]
    return [str(word) for word in words]


def build(data, exp, **config):
    """Build a model and its optimizer through the task, without training."""
    options = ("--iterator_type", "none", "--dry_run", "true")
    FSQTokenizerTask.main(cmd=command(data, exp, *options, **config))


@pytest.fixture(scope="module")
def stats_dir(data, tmp_path_factory):
    """What the statistics stage leaves."""
    out = tmp_path_factory.mktemp("stats") / "stats"
    FSQTokenizerTask.main(cmd=command(data, out, "--collect_stats", "true"))
    return out


@pytest.fixture(scope="module")
def exp_dir(data, stats_dir, tmp_path_factory):
    """A training of one epoch, moved away from where it was made."""
    exp = tmp_path_factory.mktemp("exp") / "made"
    mel_stats = stats_dir / "train" / "feats_stats.npz"
    FSQTokenizerTask.main(cmd=command(data, exp, "--mel_stats_file", str(mel_stats)))
    moved = tmp_path_factory.mktemp("elsewhere") / "exp"
    shutil.move(exp, moved)
    return moved


def mels_of(data, tokenizer, name):
    import soundfile

    for path in sorted(data.glob(f"{name}_*.wav")):
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
        yield tokenizer.feats_extract(wav, torch.tensor([wav.size(1)]))[0][0]


def test_statistics_are_those_of_the_training_mels(data, exp_dir):
    model, _ = load_model(
        FSQTokenizerTask, exp_dir / "config.yaml", exp_dir / "valid.loss.ave.pth"
    )
    mel = torch.cat(list(mels_of(data, model.tokenizer, "train")))
    found = model.tokenizer
    torch.testing.assert_close(found.mel_mean, mel.mean(0), atol=0.01, rtol=0)
    std = mel.std(0, unbiased=False)
    torch.testing.assert_close(found.mel_std, std, atol=0.01, rtol=0)


def test_shapes_are_collected(stats_dir, data):
    lines = (stats_dir / "train" / "speech_shape").read_text().splitlines()
    true = (data / "train" / "utt2num_samples").read_text().splitlines()
    assert sorted(lines) == true


def test_the_saved_configuration_stands_alone(exp_dir):
    text = (exp_dir / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert config["token_list"] == SYMBOLS
    assert config["mel_stats_file"] is None


def test_a_trained_tokenizer_gives_tokens(exp_dir):
    tokenizer = SpeechTokenizer.from_pretrained(exp_dir)
    assert tokenizer.rate_hz == 25 and tokenizer.num_codes == 27 and tokenizer.has_ctc
    wav = tone(0.8, 300, np.random.default_rng(1))
    tokens = tokenizer.encode(wav, FS)
    assert abs(len(tokens) - 20) <= 1
    assert 0 <= tokens.min() and tokens.max() < 27
    assert torch.equal(tokens, SpeechTokenizer.from_pretrained(exp_dir).encode(wav, FS))
    mel = tokenizer.decode_mel(tokens)
    assert mel.shape == (4 * len(tokens), 20) and mel.isfinite().all()
    assert tokenizer.text_tokenizer.encode("ab").tolist() == [0, 2, 3, 0]


def test_a_residual_quantizer_in_place_of_fsq(data, tmp_path):
    """One epoch, resumed for another; vectors saved, tokens decoded."""
    exp = tmp_path / "exp"
    config = dict(
        quantizer="rvq",
        quantizer_conf=dict(dim=8, num_books=2, book_size=3, commitment_weight=0.5),
        ctc_weight=0.2,
    )
    embed = "tokenizer.quantizer.vq.layers.0._codebook.embed"
    tables = []
    for epochs in (1, 2):
        words = ("--resume", "true", "--max_epoch", str(epochs))
        FSQTokenizerTask.main(cmd=command(data, exp, *words, **config))
        states = torch.load(exp / f"{epochs}epoch.pth", weights_only=True)
        tables.append(states[embed])
    assert tables[0].unique(dim=0).shape == (3, 8)
    # It went on from the vectors of the first epoch, and moved them.
    move = (tables[1] - tables[0]).abs().max()
    assert 0 < move < 0.5 * tables[0].std()
    tokenizer = SpeechTokenizer.from_pretrained(exp)
    assert tokenizer.num_codes == 9
    wavs = [tone(s, 300, np.random.default_rng(1)) for s in (0.8, 0.5)]
    tokens = tokenizer.encode_batch(wavs, FS)
    for wav, found in zip(wavs, tokens):
        assert 0 <= found.min() and found.max() < 9
        assert torch.equal(found, tokenizer.encode(wav, FS))
    mel = tokenizer.decode_mel(tokens[0])
    assert mel.shape == (4 * len(tokens[0]), 20) and mel.isfinite().all()
    with pytest.raises(InputError, match="token 9 is outside the codebook 0..8"):
        tokenizer.decode_mel(np.array([9]))


ENCODERS = {
    "convnext": {},
    "conformer": dict(
        attention_heads=2, linear_units=32, cnn_module_kernel=7, input_layer="linear"
    ),
    "e_branchformer": dict(
        attention_heads=2,
        linear_units=32,
        cgmlp_linear_units=32,
        cgmlp_conv_kernel=7,
        input_layer="linear",
    ),
    "transformer": dict(attention_heads=2, linear_units=32, input_layer="linear"),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_builds_and_runs(data, tmp_path, encoder):
    conf = dict(CONFIG["encoder_conf"], **ENCODERS[encoder])
    build(data, tmp_path / "exp", encoder=encoder, encoder_conf=conf)
    config = yaml.safe_load((tmp_path / "exp" / "config.yaml").read_text())
    assert config["encoder"] == encoder
    file = tmp_path / "exp" / "model.pth"
    torch.manual_seed(0)
    built = FSQTokenizerTask.build_model(Namespace(**config))
    torch.save(built.state_dict(), file)
    model, _ = load_model(FSQTokenizerTask, tmp_path / "exp" / "config.yaml", file)
    rng = np.random.default_rng(0)
    lengths = torch.tensor([FS, FS // 2])
    speech = torch.zeros(2, FS)
    for i, n in enumerate(lengths.tolist()):
        speech[i, :n] = torch.from_numpy(tone(n / FS, 200 * (i + 1), rng))
    text = torch.tensor([[0, 2, 3, 0], [0, 4, 0, 0]])
    loss, stats, weight = model(
        speech=speech,
        speech_lengths=lengths,
        text=text,
        text_lengths=torch.tensor([4, 3]),
    )
    assert loss.isfinite() and weight == 2
    assert set(stats) == {"loss", "mel_loss", "ctc_loss", "perplexity"}
    assert 1 <= stats["perplexity"] <= 27
    tokens = SpeechTokenizer(model.tokenizer).encode_batch(
        [speech[0].numpy(), speech[1, : FS // 2].numpy()], FS
    )
    assert [abs(len(t) - n) <= 1 for t, n in zip(tokens, (25, 13))] == [True, True]


def test_the_token_rate_has_to_divide_the_mel_rate(data, tmp_path):
    with pytest.raises(InputError, match="no multiple of token_rate 30;"):
        build(data, tmp_path / "exp", token_rate=30)


def test_missing_statistics_name_their_stage(data, tmp_path):
    with pytest.raises(InputError, match="none.npz is missing; .* statistics stage"):
        build(data, tmp_path / "exp", mel_stats_file=str(tmp_path / "none.npz"))


def test_an_unknown_character_names_the_utterance(data, tmp_path):
    bad = tmp_path / "data"
    shutil.copytree(data, bad)
    text = bad / "train" / "text"
    lines = text.read_text().splitlines()
    text.write_text("\n".join([*lines[:3], "train_3 abz", *lines[4:]]) + "\n")
    with pytest.raises(InputError, match="^train_3: .*'z'"):
        FSQTokenizerTask.main(cmd=command(bad, tmp_path / "exp"))


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def without_a_key(states, path):
    states.pop("tokenizer.mel_mean")
    torch.save(states, path)


def with_a_key(states, path):
    torch.save({**states, "tokenizer.surprise": torch.zeros(1)}, path)


def misshapen(states, path):
    torch.save({**states, "tokenizer.mel_mean": torch.zeros(21)}, path)


def no_dict(states, path):
    torch.save(list(states.values()), path)


def truncated(states, path):
    torch.save(states, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(states, path):
    path.write_bytes(b"")


def with_an_object(states, path):
    torch.save({**states, "planted": Planted(path.with_name("planted"))}, path)


def a_pickle(states, path):
    path.write_bytes(pickle.dumps(Planted(path.with_name("planted")), protocol=2))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (without_a_key, r"1 missing \(tokenizer.mel_mean\)"),
        (with_a_key, r"1 unknown \(tokenizer.surprise\)"),
        (misshapen, r"1 misshapen \(tokenizer.mel_mean \(21,\) for \(20,\)\)"),
        (no_dict, "holds no state dict"),
        (truncated, "cannot be read"),
        (empty, "cannot be read"),
        (with_an_object, "cannot be read"),
        (a_pickle, "cannot be read"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_unfit_weights_are_refused(exp_dir, tmp_path, spoil, message):
    states = torch.load(exp_dir / "valid.loss.ave.pth", weights_only=True)
    file = tmp_path / "unfit.pth"
    spoil(states, file)
    with pytest.raises(InputError, match=message) as error:
        load_model(FSQTokenizerTask, exp_dir / "config.yaml", file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)
    assert not (tmp_path / "planted").exists()


def test_a_config_of_another_version_is_refused(exp_dir, tmp_path):
    config = yaml.safe_load((exp_dir / "config.yaml").read_text())
    del config["match_variance"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="has no match_variance; it was written by"):
        load_model(
            FSQTokenizerTask,
            tmp_path / "config.yaml",
            exp_dir / "valid.loss.ave.pth",
        )


def test_missing_files_are_named(exp_dir, tmp_path):
    with pytest.raises(InputError, match="none.pth is missing; train the model"):
        SpeechTokenizer.from_pretrained(exp_dir, tmp_path / "none.pth")
    with pytest.raises(InputError, match="config.yaml is missing"):
        SpeechTokenizer.from_pretrained(tmp_path)
