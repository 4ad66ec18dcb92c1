"""The recipe's shell and stages, and what importing the theory needs."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from espnet_fsqdiff.bin import fsq_optimality
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.theory import verdicts
from espnet_fsqdiff.theory.experiments import counterexamples, distance, paths, toy
from espnet_fsqdiff.theory.experiments.common import (
    QUICK,
    Work,
    parallel,
    read_table,
    write_table,
)

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/fsq_optimality/theory1"


@pytest.fixture
def recipe(tmp_path):
    for name in ("TEMPLATE/fsqdiff1", "fsq_optimality/theory1"):
        shutil.copytree(
            ROOT / "egs" / name,
            tmp_path / "egs" / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("exp"),
        )
    return tmp_path / "egs/fsq_optimality/theory1"


def run(recipe, *options):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["./run.sh", *options],
        cwd=recipe,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )


def test_a_stage_runs_alone_and_again(recipe):
    options = ["--quick", "true", "--stage", "1", "--stop_stage", "1", "--nj", "1"]
    done = run(recipe, *options)
    assert done.returncode == 0, done.stderr
    table = recipe / "exp/quick/tables/path_kl.csv"
    first = table.read_bytes()
    with open(table, newline="") as f:
        rows = list(csv.DictReader(f))
    assert {r["schedule"] for r in rows} == set(paths.SCHEDULES)
    for row in rows:
        closed, error = float(row["closed form"]), float(row["standard error"])
        assert float(row["quadrature"]) == pytest.approx(closed, rel=1e-8)
        assert abs(float(row["simulated"]) - closed) < 4 * error
    assert run(recipe, *options).returncode == 0
    assert table.read_bytes() == first
    seconds = (recipe / "exp/quick/wall_seconds.txt").read_text().splitlines()
    assert [line.split()[:2] for line in seconds] == [["1", "paths"]] * 2


@pytest.mark.parametrize(
    "options, error",
    [
        (["--stage", "7"], "run stage 2 (distance) first: --stage 2"),
        (["--stage", "8"], "run stage 1 (path KL) first: --stage 1"),
        (["--stage", "4", "--counts", "none.txt"], "none.txt: no such file"),
        (["--stage", "x"], "option --stage is a number"),
        (["--quick", "yes"], "true or false"),
        (["--nonsense", "1"], "unknown option"),
    ],
)
def test_faults_are_one_line_with_the_mend(recipe, options, error):
    done = run(recipe, *options)
    assert done.returncode == 2 and error in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_stages_and_options(recipe):
    done = run(recipe, "--help")
    assert done.returncode == 0
    for name in fsq_optimality.STAGES:
        assert f" {name} " in done.stdout
    for option in ("stage", "stop_stage", "quick", "expdir", "counts", "nj"):
        assert f"--{option} (" in done.stdout


def test_the_theory_needs_neither_espnet_nor_pictures():
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('espnet2', 'espnet', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "import espnet_fsqdiff.theory, espnet_fsqdiff.theory.figures\n"
        "import espnet_fsqdiff.theory.experiments.toy\n"
        "from espnet_fsqdiff.theory import path_kl, grid_accuracy\n"
        "print(round(100 * grid_accuracy([2, 2], 0.3).item(), 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "38.18\n", done.stderr


def test_tables_come_back_as_written(tmp_path):
    work = Work(tmp_path, QUICK)
    rows = [{"a": 1 / 3, "b": None, "c": "x"}, {"a": 2.0, "b": 0.5, "c": "y"}]
    write_table(work, "e8", {"a": "{:.2f}", "b": "{:g}", "c": "{}"}, rows)
    assert read_table(work, "e8") == rows
    text = (tmp_path / "tables/e8.md").read_text().splitlines()
    assert text[2:] == ["| 0.33 |  | x |", "| 2.00 | 0.5 | y |"]
    with pytest.raises(InputError, match="run stage 4"):
        read_table(work, "priors")


def test_processes_give_what_one_gives():
    arguments = [(2, 2, 30, seed) for seed in range(3)]
    alone = parallel(distance.random_distances, arguments, 1, "test")
    both = parallel(distance.random_distances, arguments, 2, "test")
    assert all((a == b).all() for a, b in zip(alone, both))


def test_random_distances_are_those_of_the_definition(monkeypatch):
    whole = distance.random_distances(3, 3, 4, seed=0)
    assert whole.shape == (4,) and (whole < 1).all()
    monkeypatch.setattr(distance, "LOOKED_AT", 20)
    part = distance.random_distances(3, 3, 4, seed=0)
    assert abs(part - whole).max() < 0.15 and (part != whole).any()


def test_every_toy_codebook_is_of_its_grid():
    for setting in toy.settings(Work(Path("."), QUICK)):
        for name in setting.codebooks:
            points = toy.toy_codebook(name, setting.levels, 0).points
            size = 1
            for level in setting.levels:
                size *= level
            assert points.shape == (size, len(setting.levels))
            assert points.abs().max() <= 1


def test_a_toy_training_gives_its_tables():
    setting = toy.settings(Work(Path("."), replace(QUICK, toy_updates=2)))[1]
    result = toy.train(setting, "perturbed", 0)
    frames = setting.config.frames
    for steps in setting.config.sampling_steps:
        shape = (setting.config.num_samples, frames)
        assert result["samples"][steps].shape == shape
    floors = toy._floors(setting)
    rows = toy._rows(setting, "perturbed", [result], floors)
    assert all(r["of true pairs"] == floors["of true pairs"] for r in rows)
    assert all(r["low, pairs"] <= r["log KL, pairs"] for r in rows)
    assert [r["steps"] for r in rows] == list(setting.config.sampling_steps)
    assert all(r["low"] <= r["log KL"] <= r["high"] for r in rows)


def test_a_killed_toy_goes_on_and_a_changed_one_starts_anew(tmp_path, monkeypatch):
    setting = toy.settings(Work(tmp_path, replace(QUICK, toy_updates=1)))[1]
    path = tmp_path / "part.json"
    first = toy.train_once(path, setting, "fsq", 0)
    trained = []
    monkeypatch.setattr(toy, "train", lambda *a: trained.append(a) or first)
    again = toy.train_once(path, setting, "fsq", 0)
    assert not trained and again["cross_entropy"] == first["cross_entropy"]
    for steps, x in first["samples"].items():
        assert torch.equal(again["samples"][steps], x)
    toy.train_once(path, replace(setting, renamed=True), "fsq", 0)
    assert len(trained) == 1


def test_search_rows_compare_with_the_grid():
    row = counterexamples.search(3, 2, "accuracy", 0.3, 1, 30, 1000)
    assert row["beats the grid"] == "yes" and 0 < row["gain"] < 1e-4
    row = counterexamples.search(2, 3, "mixed", 1.0, 1, 20, 2000)
    assert row["beats the grid"] == "no"


def criteria(**changes):
    grid = {"toy": "t", "codebook": "fsq", "D": 1.0, "A": 0.5}
    grid |= {"log KL": -5.0, "cross-entropy": 1.0}
    return [grid, {**grid, **changes}]


def test_a_criterion_is_right_where_more_of_it_is_better():
    table = criteria(codebook="e8", D=1.1, A=0.4, **{"log KL": -4.0})
    found = verdicts.criteria_table({"criteria": table})
    by = {(r["criterion"], r["outcome"]): r for r in found}
    assert by["D", "log KL"]["wrong"] == by["A", "log KL"]["right"] == 1
    assert by["D", "cross-entropy"]["undecided"] == 1
    table = criteria(codebook="permuted", **{"log KL": -4.0})
    for row in verdicts.criteria_table({"criteria": table}):
        assert row["right"] == row["wrong"] == row["undecided"] == 0


def test_verdicts_follow_the_numbers():
    row = {"closed form": 1.0, "quadrature": 1.0, "deviation / s.e.": 1.0}
    assert verdicts.path_kl_verdict({"path_kl": [row]}).verdict == "holds as printed"
    row["deviation / s.e."] = -9.0
    assert verdicts.path_kl_verdict({"path_kl": [row]}).verdict == "not confirmed"
    grids = [
        {"closed form, %": 38.181, "Monte Carlo, %": 38.2, "standard error": 0.016},
        {"closed form, %": 17.04, "Monte Carlo, %": 17.04, "standard error": 0.008},
    ]
    grids[0]["paper, %"], grids[1]["paper, %"] = 38.18, None
    drawn = {"base": 2, "drawn": "uniform", "codebooks": 9, "largest, %": 37.0}
    drawn |= {"paper's largest, %": 37.39, "beat the grid": 0}
    tables = {"accuracy_printed": grids, "accuracy_random": [drawn]}
    printed = verdicts.printed_accuracy_verdict(tables)
    assert printed.verdict.startswith("holds at the r")
    assert "at most 1.2 standard errors on 2 grids" in printed.evidence
    for changed, key, value in (
        (grids[0], "paper, %", 38.3),
        (grids[1], "Monte Carlo, %", 17.1),
        (drawn, "beat the grid", 1),
    ):
        kept, changed[key] = changed[key], value
        assert verdicts.printed_accuracy_verdict(tables).verdict == "differs"
        changed[key] = kept
    row = {"best - grid": -1e-12}
    line = verdicts.line_verdict({"accuracy_line": [row]})
    assert line.verdict == "holds as printed"
    row["best - grid"] = 1e-3
    line = verdicts.line_verdict({"accuracy_line": [row]})
    assert line.verdict == "does not hold"
    toys = [
        {"toy": "t", "codebook": b, "steps": 25, "low": low, "high": low + 0.5}
        for b, low in (("fsq", -5.0), ("perturbed", -4.0))
    ]
    assert verdicts.toy_verdict({"toy": toys}).verdict == "holds"
    toys[1]["low"] = -4.8
    assert verdicts.toy_verdict({"toy": toys}).verdict == "not seen"
