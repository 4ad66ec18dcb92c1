"""The fuzzer finds what is wrong, and nothing is in a small share of its inputs."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import strategies as st

from benchmarks.fuzz.guard import FAULT, REFUSED, WORKED, Guard, Limits
from benchmarks.fuzz.running import Record, fuzz, row, shared_out, total
from benchmarks.fuzz.target import Case, Target
from espnet_fsqdiff.errors import InputError

MIB = 2**20
LIMITS = Limits(seconds=0.5, resident=50 * MIB, address=1024 * MIB)


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    return Guard(tmp_path_factory.mktemp("root"), LIMITS)


def refuse(message):
    raise InputError(message)


def hold(size):
    return bytearray(b"x") * size


def wait_for_ever():
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass


def test_what_works_and_what_is_refused(guard):
    assert guard(lambda: None, ["utt1"]).kind == WORKED
    assert guard(lambda: (guard.root / "a").write_text("x"), []).kind == WORKED
    assert guard(lambda: hold(20 * MIB), []).kind == WORKED
    assert guard(lambda: refuse("utt1: silent; replace it"), ["utt1"]).kind == REFUSED
    run = guard(lambda: subprocess.run([sys.executable, "-c", ""]), [], may_run=True)
    assert run.kind == WORKED


@pytest.mark.parametrize(
    "call, reason",
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(0), "SystemExit"),
        (lambda: refuse("something is wrong"), "names none of utt1"),
        (wait_for_ever, "no end within the limit"),
        (lambda: hold(200 * MIB), "memory: "),
        (lambda: hold(2048 * MIB), "MemoryError"),
        (lambda: os.system("true"), "it has run"),
        (lambda: subprocess.Popen(["true"]).wait(), "it has run"),
    ],
)
def test_faults_are_told(guard, call, reason):
    outcome = guard(call, ["utt1"])
    assert outcome.kind == FAULT and reason in outcome.reason


def test_writes_elsewhere_are_faults(guard, tmp_path):
    (tmp_path / "there").write_text("x")
    for call in (
        lambda: (tmp_path / "a").write_text("x"),
        lambda: (tmp_path / "b").mkdir(),
        lambda: os.replace(tmp_path / "there", guard.root / "c"),
        lambda: (guard.root / ".." / "d").write_text("x"),
    ):
        outcome = guard(call, [])
        assert outcome.kind == FAULT and "it has done" in outcome.reason


class Numbers(Target):
    """Refuses what ends in 3 and crashes at what ends in 5."""

    name = "numbers"
    share = 1
    names = ("number",)

    def cases(self):
        return st.builds(Case, st.just("number"), st.integers(0, 999))

    def run(self, case, folder):
        (folder / "input").write_text(str(case.content))
        if case.content % 10 == 3:
            raise InputError("number 3: it is unlucky; give another")
        assert case.content % 10 != 5


def test_failures_are_kept_and_counted(guard, tmp_path):
    record = fuzz(Numbers(None), 100, 7, guard, tmp_path)
    counts = record.counts
    assert sum(counts.values()) == 100 and min(counts.values()) >= 1
    kept = tmp_path / f"Numbers_{counts[FAULT]}"
    assert (kept / "input").read_text()[-1] == "5"
    assert "content=" in (kept / "input.txt").read_text()
    assert "AssertionError" in (kept / "traceback.txt").read_text()
    again = fuzz(Numbers(None), 100, 7, guard, tmp_path)
    assert again.counts == counts
    assert not (tmp_path / "running.txt").exists()


def test_inputs_are_shared_out():
    assert shared_out(100, [1, 1, 2]) == [25, 25, 50]
    assert sum(shared_out(101, [3, 7, 11])) == 101


def test_the_table_adds_up():
    first, second = Record("a"), Record("b")
    first.counts.update({WORKED: 2, REFUSED: 3})
    second.counts.update({FAULT: 1})
    assert row(total([first, second])).startswith("| all | 6 | 2 | 3 | 1 |")


def test_a_small_share_of_the_inputs_is_without_fault(tmp_path, capsys):
    from benchmarks.fuzz.__main__ import main

    targets = ["text", "voice", "audio", "data", "tokens", "configs", "checkpoints"]
    targets += ["packs", "durations"]
    options = ["--num_inputs", "100", "--seed", "1", "--output_dir", str(tmp_path)]
    assert main([*options, "--targets", *targets]) == 0
    assert "| all | 100 |" in capsys.readouterr().out
