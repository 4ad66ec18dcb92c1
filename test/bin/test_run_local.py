import sys

import pytest

from espnet_fsqdiff.bin.run_local import main, parse
from espnet_fsqdiff.errors import InputError


def test_parse():
    call = parse(["--name", "x", "--gpu", "1", "JOB=2:4", "a.JOB.log", "cmd", "JOB"])
    assert (call.name, call.first, call.last) == ("JOB", 2, 4)
    assert (call.log, call.command) == ("a.JOB.log", ["cmd", "JOB"])
    assert parse(["a.log", "cmd", "--gpu", "0"]).command == ["cmd", "--gpu", "0"]
    for bad in [[], ["a.log"], ["JOB=3:1", "a.log", "cmd"]]:
        with pytest.raises(InputError):
            parse(bad)


def test_jobs_and_their_logs(tmp_path):
    main(
        [
            "JOB=1:3",
            f"{tmp_path}/log/a.JOB.log",
            sys.executable,
            "-c",
            "print('no JOB')",
        ]
    )
    for i in (1, 2, 3):
        lines = (tmp_path / f"log/a.{i}.log").read_text().splitlines()
        assert f"no {i}" in lines
        assert lines[-1].startswith("# ended (status 0)")


def test_a_fault_is_passed_on_in_one_line(tmp_path, capsys):
    code = (
        "import sys; print('noise'); sys.stdout.flush();"
        "sys.exit('extract_tokens: error: utt7 is silent') if JOB == 2 else 0"
    )
    with pytest.raises(SystemExit) as e:
        main(["JOB=1:3", f"{tmp_path}/a.JOB.log", sys.executable, "-c", code])
    assert e.value.code == 1
    err = capsys.readouterr().err
    assert (
        err.startswith("extract_tokens: error: utt7 is silent") and "noise" not in err
    )
    assert "a.2.log" in err


def test_another_failure_shows_the_end_of_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([f"{tmp_path}/a.log", sys.executable, "-c", "raise KeyError('deep')"])
    err = capsys.readouterr().err
    assert "KeyError: 'deep'" in err and "status 1" in err


def test_a_command_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="nosuchcommand cannot be started"):
        main([f"{tmp_path}/a.log", "nosuchcommand"])
