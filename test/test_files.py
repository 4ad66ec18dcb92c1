"""Files appear whole or not at all, whoever is killed and however full the disk is."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_fsqdiff import files
from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path, parts_beside, writing_to

ROOT = Path(__file__).resolve().parents[1]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writers_half_is_taken_over(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from espnet_fsqdiff.files import atomic_path, parts_beside\n"
        "with atomic_path(sys.argv[1]) as aside, parts_beside(aside) as parts:\n"
        "    aside.write_text('half of it')\n"
        "    (parts / 'part').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "new" / "x.1.json"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == -signal.SIGKILL
    assert names(path.parent) == ["x.1.tmp.0.json", "x.1.tmp.0.json.parts"]
    with atomic_path(path) as aside, parts_beside(aside) as parts:
        assert aside.read_text() == "" and names(parts) == []
        aside.write_text("whole")
    assert names(path.parent) == ["x.1.json"] and path.read_text() == "whole"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "x.wav"
    with atomic_path(path) as first:
        with atomic_path(path) as second:
            assert first != second
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first" and names(tmp_path) == ["x.wav"]


def test_nothing_is_left_of_a_failure(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as aside:
        aside.write_text("new")
        raise KeyError("y")
    assert names(tmp_path) == ["x.txt"] and path.read_text() == "old"


def test_a_system_without_locks_writes_too(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with atomic_path(tmp_path / "x.txt") as aside:
        assert str(os.getpid()) in aside.name
        aside.write_text("new")
    assert names(tmp_path) == ["x.txt"]


def test_a_full_disk_is_a_fault_that_can_be_mended(tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    message = f"{path}: No space left on device; make room and run this again"
    with pytest.raises(InputError) as caught, atomic_path(path):
        raise OSError(errno.ENOSPC, "said by write(), which knows no name")
    assert str(caught.value) == message
    # As torch and libsndfile say it.
    with pytest.raises(RuntimeError, match="unexpected pos"), atomic_path(path):
        raise RuntimeError("unexpected pos 64 vs 0")
    monkeypatch.setattr(files, "is_full", lambda path: True)
    with pytest.raises(InputError) as caught, atomic_path(path):
        raise RuntimeError("unexpected pos 64 vs 0")
    assert str(caught.value) == message
    assert names(tmp_path) == []


def test_a_disk_that_parts_have_filled_is_full(tmp_path, monkeypatch):
    path, folder = tmp_path / "x.zip", tmp_path / "x.tmp.0.zip.parts"
    monkeypatch.setattr(files, "is_full", lambda path: folder.exists())
    with pytest.raises(InputError, match="No space left on device; make room"):
        with atomic_path(path) as aside, parts_beside(aside):
            raise RuntimeError("unexpected pos 64 vs 0")
    assert names(tmp_path) == []


def test_other_faults_of_a_disk_name_their_file(tmp_path):
    with pytest.raises(InputError, match="y: Permission denied; allow it"):
        with writing_to(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", "y")
    with pytest.raises(FileNotFoundError), writing_to(tmp_path):
        open(tmp_path / "missing")
    assert not files.is_full(tmp_path / "to" / "be" / "made")


def test_a_command_says_it_in_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pack.py"])

    def main():
        raise OSError(errno.ENOSPC, "No space left on device", "exp/x")

    with pytest.raises(SystemExit) as caught:
        cli(main)
    assert caught.value.code == 2
    said = "pack: error: exp/x: No space left on device; make room and run this again"
    assert capsys.readouterr().err == f"{said}\n"
