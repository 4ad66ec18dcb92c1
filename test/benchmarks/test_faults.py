"""What the harness of faults compares, draws and judges; stages are not run here."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import damage, kills, moments, records, trees, verdict
from benchmarks.faults.recipe import Ended
from benchmarks.faults.watch import Watch

LOG = "INFO: {}epoch results: [train] loss={}, time=1 second, [valid] loss=2"


@pytest.fixture
def outputs(tmp_path):
    """Outputs of a run, twice."""
    for name in ("a", "b"):
        exp = tmp_path / name / "exp" / "model"
        exp.mkdir(parents=True)
        (exp / "tokens.ark").write_bytes(bytes(range(100)))
        (exp / "stats.json").write_text(json.dumps({"cer": 0.5, "rtf": name}))
        (exp / "train.log").write_text(f"{name} {LOG.format(1, 3)}\n")
        (exp / "ave.pth").symlink_to("1epoch.pth")
    return tmp_path / "a", tmp_path / "b"


def test_equal_but_for_speeds_and_logs(outputs):
    assert trees.differences(*outputs) == []


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
        ("pack: error: something is wrong\n", "CULPRIT NOT NAMED"),
        ("Segmentation fault\n", "NO ERROR LINE"),
        ("Traceback (most recent call last)\nKeyError: 1\n", "TRACEBACK"),
    ],
)
def test_a_failure_is_one_line_that_names_the_culprit(output, outcome):
    ended = Ended(1, 0.0, f"Stage 14\n{output}")
    assert verdict.failure(ended, verdict.culprits("exp/model.pth")).outcome == outcome


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
