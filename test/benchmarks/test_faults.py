"""What the harness of faults compares, draws and judges; stages are not run here."""

import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import damage, disk, kills, moments, records, trees, verdict
from benchmarks.faults.recipe import OUTPUTS, Ended, Recipe, Run, copy_outputs
from benchmarks.faults.watch import Watch

LOG = "INFO: {}epoch results: [train] loss={}, time=1 second, [valid] loss=2"


@pytest.fixture
def outputs(tmp_path):
    """Outputs of a run, twice."""
    for name in ("a", "b"):
        exp = tmp_path / name / "exp" / "model"
        exp.mkdir(parents=True)
        (exp / "tokens.ark").write_bytes(bytes(range(100)))
        (exp / "stats.json").write_text(
            json.dumps({"cer": 0.5, "rtf": name, "rtf_cpu": name})
        )
        (exp / "train.log").write_text(f"{name} {LOG.format(1, 3)}\n")
        (exp / "ave.pth").symlink_to("1epoch.pth")
    return tmp_path / "a", tmp_path / "b"


def test_equal_but_for_speeds_and_logs(outputs):
    assert trees.differences(*outputs) == []


def test_digests_of_bytes_have_to_be_there(outputs):
    for name, output in zip("ab", outputs, strict=True):
        (output / "exp/model/.data").write_text(name)
        (output / "exp/model/.done_x").write_text(name)
    assert trees.differences(*outputs) == []
    (outputs[1] / "exp/model/.data").unlink()
    assert trees.differences(*outputs) == ["missing: exp/model/.data"]


def test_restarts_are_joined_and_losses_compared(outputs):
    log = outputs[1] / "exp/model/train.log"
    log.rename(log.with_name("train.1.log"))
    log.write_text(f"{LOG.format(2, 3)}\n")
    (outputs[0] / "exp/model/train.log").write_text(
        f"{LOG.format(1, 3)}\n{LOG.format(2, 3)}\n"
    )
    assert trees.differences(*outputs) == []
    log.write_text(f"{LOG.format(2, 3.5)}\n")
    assert trees.differences(*outputs) == ["exp/model/train.log: other losses"]


def test_every_difference_is_found(outputs):
    _, found = outputs
    model = found / "exp/model"
    damage.damage(model / "tokens.ark", "flip")
    (model / "stats.json").write_text(json.dumps({"cer": 0.25, "rtf": 1}))
    (model / "ave.pth").unlink()
    (model / "tokens.tmp.0.ark").touch()
    assert trees.differences(*outputs) == [
        "missing: exp/model/ave.pth",
        "left over: exp/model/tokens.tmp.0.ark",
        "exp/model/stats.json: cer differs",
        "exp/model/tokens.ark: other bytes (100, 100)",
    ]


def test_weights_are_compared_bit_for_bit(tmp_path):
    torch = pytest.importorskip("torch")
    for name, zero, seconds in (("a", 0.0, 1), ("b", 0.0, 2), ("c", -0.0, 1)):
        states = {"model": {"w": torch.tensor([zero])}, "time": seconds}
        (tmp_path / name).mkdir()
        torch.save(states, tmp_path / name / "x.pth")
    folders = [tmp_path / name for name in "abc"]
    assert trees.differences(folders[0], folders[1]) == []
    assert trees.differences(folders[0], folders[2]) == ["x.pth: /model/w differs"]


def test_reports_are_compared_but_for_speeds(tmp_path):
    row = "<tr><th scope='row'>{}<small>x</small></th><td>{}</td></tr>"
    curves = "<img src='data:image/svg+xml;base64,{}'>"

    def write(name, cer="0.1", rtf="0.5", time="0:00:01", picture="aGE="):
        folder = tmp_path / name / "exp/report/test"
        folder.mkdir(parents=True)
        table = (
            f"| CER | {cer} |\n| Real-time factor | {rtf} |\n| 1 | data | {time} |\n"
        )
        (folder / "results.md").write_text(table)
        page = row.format("CER", cer) + row.format("Real-time factor", rtf)
        page += f"<td>{time}</td>" + curves.format(picture)
        (folder / "index.html").write_text(page)
        return tmp_path / name

    first = write("a")
    other = write("b", rtf="0.25", time="1:23:45", picture="Ym9v")
    assert trees.differences(first, other) == []
    wrong = trees.differences(first, write("c", cer="0.2"))
    names = ["exp/report/test/index.html", "exp/report/test/results.md"]
    assert [line.split(": ")[0] for line in wrong] == names
    (other / names[0]).write_text("")
    (wrong,) = trees.differences(first, other)
    assert wrong.startswith(f"{names[0]}: other bytes")


def test_moments_fall_everywhere_and_can_be_drawn_again():
    timeline = moments.Timeline(10.0, (1.0, 4.0, 4.1, 9.0))

    def draw(number):
        return moments.draw_moments(timeline, 2, 7, 6, number)

    drawn = [moment for number in range(300) for moment in draw(number)]
    assert draw(5) == draw(5) and {len(draw(n)) for n in range(20)} == {1, 2}
    times = [0.0, *timeline.changes]
    by_time = [times[m.after] + m.delay for m in drawn if m.kind == "time"]
    assert np.histogram(by_time, bins=5, range=(0, 10))[0].min() > 20
    written = [m.after for m in drawn if m.kind == "write"]
    assert set(written) == {1, 2, 3, 4} and len(written) > 100
    assert all(m.delay == 0 for m in drawn if m.kind == "write")


def test_a_moment_waits_for_its_change_and_then_its_delay():
    moment = moments.Moment.at_time(4.05, (1.0, 4.0, 4.1))
    assert moment.after == 2 and moment.delay == pytest.approx(0.05)
    clock = moments.Clock(moment)
    assert not clock.has_come(20.0, 1)  # a slow machine
    assert not clock.has_come(21.0, 2)
    assert clock.has_come(21.06, 2)


def test_kills_are_shared_out():
    assert moments.share_out(100, range(1, 15)) == {
        s: 7 + (s < 3) for s in range(1, 15)
    }


def test_watch_sees_files_in_new_folders(tmp_path):
    watch = Watch([tmp_path / "exp"])
    (tmp_path / "exp" / "new").mkdir()
    assert watch.look() == 0  # folders alone; the new one is watched from now on
    aside = tmp_path / "exp" / "new" / "x.tmp"
    aside.write_text("1")  # comes, is written
    os.replace(aside, tmp_path / "exp" / "new" / "x")
    (tmp_path / "elsewhere").touch()
    assert watch.look() == 3
    watch.close()


@pytest.mark.parametrize("way", damage.WAYS)
def test_damage_leaves_no_sign_but_the_content(tmp_path, way):
    path = tmp_path / "x.ark"
    path.write_bytes(bytes(200))
    before = path.stat().st_mtime_ns
    time.sleep(0.01)
    damage.damage(path, way)
    if way == "remove":
        assert not path.exists()
        return
    content = path.read_bytes()
    assert path.stat().st_mtime_ns == before
    assert content[:100] == bytes(100)
    assert len(content) == (100 if way == "truncate" else 200)
    assert way == "truncate" or content != bytes(200)


@pytest.mark.parametrize(
    "output, outcome",
    [
        ("pack: error: exp/model.pth cannot be read; train again\n", "refused"),
        ("pack: error: /x/exp/model.pth: cut off; copy it\n", "refused"),
        ("pack: error: something is wrong\n", "CULPRIT NOT NAMED"),
        ("pack: error: exp/other/model.pth is damaged\n", "CULPRIT NOT NAMED"),
        ("pack: error: exp/model.pth.zip is damaged\n", "CULPRIT NOT NAMED"),
        ("Segmentation fault\n", "NO ERROR LINE"),
        ("Traceback (most recent call last)\nKeyError: 1\n", "TRACEBACK"),
    ],
)
def test_a_failure_is_one_line_that_names_the_culprit(output, outcome):
    ended = Ended(1, 0.0, f"Stage 14\n{output}")
    assert verdict.failure(ended, verdict.culprits("exp/model.pth")).outcome == outcome


def test_an_utterance_stands_for_its_audio_alone():
    ended = Ended(1, 0.0, "pack: error: utt_1: silent; remove it\n")
    for path, outcome in (
        ("data/utt_1.flac", "refused"),
        ("data/utt.flac", "CULPRIT NOT NAMED"),
        ("data/utt_1.json", "CULPRIT NOT NAMED"),
    ):
        assert verdict.failure(ended, verdict.culprits(path)).outcome == outcome


def test_a_traceback_in_the_log_of_a_job_is_one():
    ended = Ended(1, 0.0, "pack: error: x is damaged\n", f"{verdict.TRACEBACK}:\n")
    assert verdict.failure(ended, ["x"]).outcome == "TRACEBACK"


def test_a_success_with_a_damaged_file():
    name = "dump/tokens.1.ark"
    assert verdict.success([], name).outcome == "repaired"
    assert verdict.success([f"{name}: other bytes"], name).outcome == "not read"
    wrong = [f"{name}: other bytes", "exp/x.pth: w differs"]
    assert verdict.success(wrong, name) == ("SILENTLY OTHER", wrong[1])


def test_cases_name_files_that_their_stage_can_meet():
    for case in damage.cases(range(1, 15)):
        assert case.way in damage.WAYS
        assert not Path(case.name).is_absolute()
    assert len({case.key for case in damage.cases(range(1, 15))}) > 100


def test_outputs_outside_the_recipes_own_files(tmp_path):
    class Folder:
        folder = tmp_path / "b"

        def left_behind(self):
            return ["torch_1234"]

    for name in ("a/exp/x", "b/exp/x", "b/exp/y.tmp", "b/conf/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    wrong = kills.outcome(Folder(), tmp_path / "a")
    assert wrong == ["left over: exp/y.tmp", "left over: tmp/torch_1234"]


def test_records_survive_a_torn_line_and_become_tables(tmp_path):
    path = tmp_path / "warm.jsonl"
    kept = records.Records(path)
    kept.add(part="measure", key="6", seconds=2.0, changes=[])
    for number, equal in ((1, True), (2, False)):
        kept.add(
            part="kill",
            key=f"0 6 {number}",
            stage=6,
            kills=number,
            recovered=True,
            equal=equal,
            seconds=3.0,
        )
    damaged = dict(part="damage", stage=6, message="a | b")
    for key, found in (("flip x", "refused"), ("flip y", "SILENTLY OTHER")):
        kept.add(key=f"6: {key}", outcome=found, **damaged)
    with open(path, "a") as f:
        f.write('{"part": "kill", "key"')
    again = records.Records(path)
    assert again.all == kept.all
    assert again.has("kill", "0 6 2") and not again.has("kill", "0 6 3")
    text = "\n".join(records.summary(again, {6: "training"}))
    assert "| 6 training | 3 | 2 | 3 of 3 | 1 of 3 | 2.0 | 3.0 |" in text
    assert "| 6: flip x | refused | a \\| b |" in text
    assert "| 6 training | 2 | 1 refused, 1 SILENTLY OTHER |" in text
    assert records.failures(again) == ["0 6 2", "6: flip y"]


class Stage:
    """Stands for a recipe whose stage 2 makes exp/b of data/a.

    Args:
        folder: Of the recipe.
        careless: Whether it writes before it finds data/a at fault.
    """

    def __init__(self, folder, careless):
        self.folder = folder
        self.careless = careless

    def restore(self, state):
        for name in OUTPUTS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        copy_outputs(state, self.folder)

    def left_behind(self):
        return []

    def run(self, stage):
        given, made = self.folder / "data/a", self.folder / "exp/b"
        sound = given.exists() and given.read_text() == "sound"
        if sound and not made.exists():
            made.parent.mkdir(exist_ok=True)
            made.write_text("made")
        elif not sound and self.careless:
            made.parent.mkdir()
            made.write_text("half")
        return Ended(0 if sound else 1, 0.0, "" if sound else "x: error: data/a: no\n")


@pytest.mark.parametrize(
    "careless, outcome", [(False, "refused"), (True, "OTHER AFTERWARDS")]
)
@pytest.mark.parametrize("way", ["remove", "truncate"])
def test_a_stage_that_stopped_is_run_again(tmp_path, careless, outcome, way):
    states = tmp_path / "states"
    for name in ("after_01/data/a", "after_02/data/a", "after_02/exp/b"):
        (states / name).parent.mkdir(parents=True)
        (states / name).write_text("sound" if name.endswith("a") else "made")
    recipe = Stage(tmp_path / "recipe", careless)
    found = damage.judge(recipe, states, damage.Case(2, "inputs", "data/a", way))
    assert found.outcome == outcome


def test_what_was_asked_for_and_is_not_in_the_records(tmp_path):
    kept = records.Records(tmp_path / "warm.jsonl")
    kept.add(part="kill", key="0 6 1", stage=6, kills=2)
    assert kills.lacking([6, 7], 4, kept) == ["7: 0 of 2 kills"]
    assert disk.lacking([6], 1, 0, kept) == ["6: 59.5% of what it writes: no result"]
    first, *others = damage.lacking([4], kept)
    assert first == "4: remove dump/tiny/raw/train/text: no result"
    kept.add(part="damage", key=first.removesuffix(": no result"))
    assert damage.lacking([4], kept) == others


def test_a_fault_of_the_harness_is_not_a_lack_of_a_disk(tmp_path, monkeypatch):
    @contextmanager
    def folder(path):
        path.mkdir()
        yield path

    def fail(*_):
        raise FileNotFoundError("a bug")

    monkeypatch.setattr(disk, "small_disk", folder)
    monkeypatch.setattr(disk, "_run_stage", fail)
    with pytest.raises(FileNotFoundError, match="a bug"):
        disk.run_disks(tmp_path / "disk", None, tmp_path, [6], 1, 0, None)


def test_logs_of_jobs_are_those_of_this_run(tmp_path):
    recipe = Recipe(tmp_path / "work")
    before = recipe.folder / "exp/before.log"
    before.parent.mkdir()
    before.write_text("of before\n")
    os.utime(before, (1, 1))
    script = "mkdir -p dump; echo of a job > dump/job.log; echo said"
    recipe.command = lambda stage: ["sh", "-c", script]
    ended = Run(recipe, 1).wait()
    assert (ended.output, ended.logs) == ("said\n", "of a job\n")
