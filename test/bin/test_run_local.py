import signal
import subprocess
import sys
import time

import pytest

from espnet_fsqdiff.bin.run_local import GRACE, main, parse
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


def stopped(tmp_path, code, after=lambda process: None):
    """Exit status of run_local, and what its job wrote, when it is sent SIGTERM."""
    log = tmp_path / "log"
    job = [sys.executable, "-c", "import signal, sys, time\n" + code]
    process = subprocess.Popen(
        [sys.executable, "-m", "espnet_fsqdiff.bin.run_local", str(log), *job]
    )
    wait_for(lambda: log.exists() and "ready" in log.read_text().splitlines())
    process.terminate()
    after(process)
    return process.wait(timeout=60), log.read_text().splitlines()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


SAVES = """
def save(*_):
    print('asked', flush=True)
    time.sleep({seconds})
    print('saved', flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print('ready', flush=True)
time.sleep(60)
"""


def test_a_job_that_is_stopped_has_time_to_save(tmp_path):
    assert GRACE >= 60
    status, written = stopped(tmp_path, SAVES.format(seconds=1))
    assert status == 128 + signal.SIGTERM
    assert written[-2:] == ["asked", "saved"]


def test_a_second_signal_kills(tmp_path):
    def again(process):
        wait_for(lambda: "asked" in (tmp_path / "log").read_text().splitlines())
        process.terminate()

    start = time.monotonic()
    status, written = stopped(tmp_path, SAVES.format(seconds=30), again)
    assert status == 128 + signal.SIGTERM
    assert written[-1] == "asked" and time.monotonic() - start < 25
