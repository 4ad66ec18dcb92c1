"""What a study has made is kept for what it was made of, and for nothing else."""

import json

import pytest

from espnet_fsqdiff.bin import study as command
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.shards import digest_file
from espnet_fsqdiff.study import measure, progress
from espnet_fsqdiff.study.plan import read_plan, runs_of

PLAN = """
updates: 4
epochs: 2
warmup: 1
seeds: [1]
steps: [5]
variants:
    fsq: {args: --codebook fsq, decode_args: --temperature 1}
"""


@pytest.fixture
def study(tmp_path):
    """Trained, not synthesised; returns what lists the syntheses that are left."""
    (tmp_path / "variants.yaml").write_text(PLAN)
    (tmp_path / "decode.yaml").write_text("prior_std: 1\n")
    (tmp_path / "test_set").mkdir()
    (tmp_path / "test_set/text").write_text("u one two\n")
    (tmp_path / "test_set/wav.scp").write_text("u u.wav\n")
    (run,) = runs_of(read_plan(tmp_path / "variants.yaml"))
    directory = tmp_path / "exp" / run.directory
    directory.mkdir(parents=True)
    (directory / progress.MODEL).touch()
    (tmp_path / "train.yaml").write_text("head: joint\n")
    digest = digest_file(tmp_path / "train.yaml")
    progress.finish_training(run, tmp_path / "exp", {"updates": 4}, digest)
    cmd = ["syntheses", "--plan", tmp_path / "variants.yaml"]
    cmd += ["--expdir", tmp_path / "exp", "--test_set", tmp_path / "test_set"]
    cmd += ["--train_config", tmp_path / "train.yaml", "--lm_config", "none"]
    # There is no language model in the plan, so none is configured.
    cmd += ["--decode_config", tmp_path / "decode.yaml", "--lm_decode_config", "none"]
    return lambda: command.main([str(x) for x in cmd])


def synthesise(tmp_path, rtf=1.0):
    directory = tmp_path / "exp/cdcd_fsq_seed1/steps5"
    (directory / "wav.scp").write_text("u u.wav\n")
    (directory / "stats.json").write_text(json.dumps({"rtf": rtf}))
    return directory


def score(directory, test_set):
    measure.write_scores(directory / measure.RESULT, [])
    digest = measure.score_digest(directory, test_set)
    (directory / measure.SCORED).write_text(f"{digest}\n")


@pytest.mark.parametrize(
    "file, text, message",
    [
        ("variants.yaml", PLAN.replace("ture 1", "ture 2"), "another options .*ure 1,"),
        ("decode.yaml", "prior_std: 2\n", "another decode config"),
        ("test_set/text", "v three\n", "another test set"),
    ],
)
def test_syntheses_of_other_inputs_are_refused(
    study, tmp_path, capsys, file, text, message
):
    study()
    line = capsys.readouterr().out
    assert line.endswith("|--num_steps 5 --seed 1 --temperature 1\n")
    directory = synthesise(tmp_path)
    study()
    assert capsys.readouterr().out == ""
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=f"steps5 was made with {message}"):
        study()
    # Of a study begun before inputs were noted.
    (directory / progress.INPUTS).unlink()
    study()
    # Begun, not finished: what it is made of now counts.
    (directory / "stats.json").unlink()
    study()
    assert len(capsys.readouterr().out.splitlines()) == 1
    synthesise(tmp_path)
    study()
    assert capsys.readouterr().out == ""


def test_scores_go_with_their_waves(study, tmp_path):
    study()
    directory = synthesise(tmp_path)
    assert not measure.is_scored(directory, tmp_path / "test_set")
    score(directory, tmp_path / "test_set")
    assert measure.is_scored(directory, tmp_path / "test_set")
    (directory / "stats.json").unlink()
    study()
    synthesise(tmp_path)
    assert not measure.is_scored(directory, tmp_path / "test_set")


@pytest.mark.parametrize("what", ["waves", "texts"])
def test_scores_of_something_else_are_none(study, tmp_path, what):
    study()
    directory, test_set = synthesise(tmp_path), tmp_path / "test_set"
    score(directory, test_set)
    if what == "waves":
        synthesise(tmp_path, rtf=2.0)
    else:
        (test_set / "text").write_text("u two\n")
    assert not measure.is_scored(directory, test_set)
    # Of a study begun before there were digests.
    (directory / measure.SCORED).unlink()
    assert measure.is_scored(directory, test_set)


@pytest.mark.parametrize("name", ["decode.yaml", "train.yaml"])
def test_a_missing_configuration_is_named(study, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        study()


def test_a_training_of_another_configuration_is_refused(study, tmp_path, capsys):
    def trainings(config):
        command.main(
            ["trainings", "--plan", str(tmp_path / "variants.yaml")]
            + ["--expdir", str(tmp_path / "exp"), "--train_config", str(config)]
            + ["--lm_config", "none"]
        )

    # Its content counts, not its name.
    (tmp_path / "same.yaml").write_bytes((tmp_path / "train.yaml").read_bytes())
    trainings(tmp_path / "same.yaml")
    assert capsys.readouterr().out == ""
    (tmp_path / "train.yaml").write_text("head: factorized\n")
    message = "cdcd_fsq_seed1 was trained with another configuration than .*train.yaml"
    for part in (study, lambda: trainings(tmp_path / "train.yaml")):
        with pytest.raises(InputError, match=message):
            part()
    # Of a study begun before there were digests.
    path = tmp_path / "exp/cdcd_fsq_seed1/training.json"
    figures = json.loads(path.read_text())
    del figures["config"]
    path.write_text(json.dumps(figures))
    trainings(tmp_path / "train.yaml")
    study()
