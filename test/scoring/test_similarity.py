"""Voices are compared by a speaker model of ESPnet's; here a tiny one, untrained."""

import pickle
from argparse import Namespace

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_fsqdiff.bin.score import main
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring import recognizer_choices, similarity
from espnet_fsqdiff.scoring.similarity import SpeakerModel, similarities
from espnet_fsqdiff.tasks.speaker import SpeakerBuilder

from .conftest import harmonic_tone
from .test_recognizer import CountingRecognizer

CONFIG = dict(
    frontend="melspec_torch",
    frontend_conf=dict(n_mels=16, log=True, normalize="mn"),
    specaug=None,
    specaug_conf={},
    normalize=None,
    normalize_conf={},
    encoder="ecapa_tdnn",
    encoder_conf=dict(ndim=16, model_scale=2, output_size=24),
    pooling="chn_attn_stat",
    pooling_conf={},
    projector="rawnet3",
    projector_conf=dict(output_size=8),
    loss="aamsoftmax",
    loss_conf={},
    spk_num=3,
    input_size=None,
    init="must_not_be_read.pth",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """config.yaml and weights."""
    folder = tmp_path_factory.mktemp("speakers")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    torch.manual_seed(0)
    model = SpeakerBuilder.build_model(Namespace(**CONFIG))
    torch.save(model.state_dict(), folder / "model.pth")
    return folder / "config.yaml", folder / "model.pth"


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Audio files of tones: the name is pitch and formant."""
    folder = tmp_path_factory.mktemp("waves")
    paths = {}
    for f0, formant in ((110, 700), (113, 700), (240, 2600)):
        paths[f0] = str(folder / f"{f0}.wav")
        soundfile.write(paths[f0], harmonic_tone(f0, 1.0, formant=formant), 16000)
    loud = folder / "loud.flac"
    soundfile.write(loud, 0.5 * harmonic_tone(110, 1.0, 24000, 700), 24000)
    return {**paths, "resampled": str(loud)}


def test_like_voices_are_alike(files, waves):
    systems = {
        "same": {"a": waves[110], "b": waves[240]},
        "near": {"a": waves[113], "b": waves[240]},
        "far": {"a": waves[240], "b": waves[110]},
    }
    references = {"a": waves[110], "b": waves[240]}
    found = similarities(systems, references, SpeakerModel(*files))
    np.testing.assert_allclose(found["same"], 1, atol=1e-5)
    assert found["far"][0] < found["near"][0] < 1
    # Equal both ways round.
    np.testing.assert_allclose(found["far"][0], found["far"][1], atol=1e-5)
    # Other processes are sent a model that was loaded before.
    model = SpeakerModel(*files)
    model.load()
    assert similarities(systems, references, pickle.loads(pickle.dumps(model))) == found


def root_of_threads(item):
    """In place of an embedding: the cosine is the number of threads."""
    return np.array([torch.get_num_threads() ** 0.5])


def test_processes_share_the_cores(files, waves, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr(similarity, "_embed_file", root_of_threads)
    args = {"x": {"a": waves[113]}}, {"a": waves[110]}, SpeakerModel(*files)
    ours = torch.get_num_threads()
    assert similarities(*args, nj=2) == {"x": [pytest.approx(1)]}
    torch.set_num_threads(2)
    try:
        assert similarities(*args, nj=1) == {"x": [pytest.approx(2)]}
    finally:
        torch.set_num_threads(ours)


def test_any_rate_is_taken(files, waves):
    model = SpeakerModel(*files)
    found = similarities({"x": {"a": waves["resampled"]}}, {"a": waves[110]}, model)
    assert found["x"][0] > 0.99


def damage_config(config, weights):
    config.write_text("frontend: [")


def lose_key(config, weights):
    states = torch.load(weights, weights_only=True)
    del states["projector.fc.weight"]
    torch.save(states, weights)


def not_numbers(config, weights):
    states = torch.load(weights, weights_only=True)
    torch.save({k: v * float("nan") for k, v in states.items()}, weights)


@pytest.mark.parametrize(
    "harm, message",
    [
        (damage_config, "config.yaml: not yaml"),
        (lambda config, weights: config.unlink(), "config.yaml is missing"),
        (lambda config, weights: weights.unlink(), "model.pth"),
        (lose_key, "projector.fc.weight"),
        (not_numbers, "model.pth"),
    ],
)
def test_faults_of_the_model_are_named(harm, message, files, tmp_path, waves):
    copies = [tmp_path / file.name for file in files]
    for file, copy in zip(files, copies):
        copy.write_bytes(file.read_bytes())
    harm(*copies)
    with pytest.raises(InputError, match=message):
        similarities({"x": {"a": waves[110]}}, {"a": waves[110]}, SpeakerModel(*copies))


@pytest.mark.parametrize("prompted", [True, False])
def test_the_command_compares_with_prompts_or_originals(
    prompted, files, waves, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(recognizer_choices, "pocketsphinx", CountingRecognizer)
    for name, pitch in (("ref", 110), ("syn", 113)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wav.scp").write_text(f"a {waves[pitch]}\n")
    (tmp_path / "ref" / "text").write_text("a hello\n")
    if prompted:
        (tmp_path / "ref" / "prompt_wav.scp").write_text(f"a {waves[240]}\n")
        (tmp_path / "ref" / "prompt_text").write_text("a good night\n")
    config, weights = files
    options = [f"--ref_dir={tmp_path}/ref", f"--system=synthesis={tmp_path}/syn"]
    options += [f"--outdir={tmp_path}/report", f"--spk_config={config}"]
    with pytest.raises(InputError, match="give --spk_config and --spk_file"):
        main(options)
    main([*options, f"--spk_file={weights}"])
    (row,) = [r for r in capsys.readouterr().out.splitlines() if "similarity" in r]
    original, synthesis = row.strip("| ").split(" | ")[1:]
    model = SpeakerModel(*files)
    wanted = waves[240 if prompted else 110]
    for shown, pitch in ((original, 110), (synthesis, 113)):
        (expected,) = similarities({"x": {"a": waves[pitch]}}, {"a": wanted}, model)[
            "x"
        ]
        if pitch == 110 and not prompted:
            assert shown == "–"  # they are what is compared with
        else:
            assert float(shown) == pytest.approx(expected, abs=5e-4)
