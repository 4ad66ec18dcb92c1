"""The local page over HTTP: answers, limits, refusals; one server on loopback."""

import base64
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from espnet_fsqdiff.bin import tts  # noqa: E402
from espnet_fsqdiff.errors import InputError  # noqa: E402
from espnet_fsqdiff.serve.request import parse_request  # noqa: E402
from espnet_fsqdiff.serve.server import allowed_hosts, listen  # noqa: E402

MAX_CHARS, MAX_WAITING = 300, 3
JSON = {"Content-Type": "application/json"}


def ask(url, method, path, body=None, headers=JSON):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def speak(url, **asked):
    status, _, body = ask(url, "POST", "/speak", json.dumps(asked))
    return status, json.loads(body)


def test_speech_picture_and_times(served):
    status, answer = speak(served.url, text="Hello there. And you?")
    assert status == 200
    wav, fs = soundfile.read(io.BytesIO(base64.b64decode(answer["wav"])))
    assert (len(wav), fs) == (21 * 160, 16000) and np.abs(wav).max() > 0.4
    assert base64.b64decode(answer["picture"]).startswith(b"\x89PNG\r\n")
    assert answer["seconds"] == len(wav) / fs and answer["complete"]
    assert answer["rtf"] == answer["took"] / answer["seconds"] > 0
    assert answer["sentences"] == [
        {"text": "Hello there. And you?", "start": 0.0, "end": len(wav) / fs}
    ]
    assert answer["voice"] == "high" and "scores" not in answer


def test_options_reach_the_voice_asked_for(served):
    options = dict(speed=0.5, num_steps=4, num_takes=2, seed=0)
    status, answer = speak(served.url, text="abc", voice="low", **options)
    assert status == 200 and answer["voice"] == "low"
    assert answer["seconds"] == 2 * 3 * 0.01 and answer["scores"] == [[-1.0, 0.0]]
    voice = served.voices[-1]
    assert voice.loaded[0] == "low" and voice.calls[-1] == (["abc"], options)


def test_a_score_that_is_not_finite_is_null(served, monkeypatch):
    speak(served.url, text="abc")
    real = served.voices[0]._speak

    def spoken(text, **options):
        return {**real(text, **options), "scores": [[-float("inf"), -1.0]]}

    monkeypatch.setattr(served.voices[0], "_speak", spoken)
    status, answer = speak(served.url, text="abc")
    assert status == 200 and answer["scores"] == [[None, -1.0]]


def test_what_no_answer_can_hold_is_a_fault_in_one_line(served, monkeypatch):
    speak(served.url, text="abc")
    real = served.voices[0]._speak

    def spoken(text, **options):
        times = {"text": text, "start": 0.0, "end": float("inf")}
        return {**real(text, **options), "sentences": [times]}

    monkeypatch.setattr(served.voices[0], "_speak", spoken)
    status, answer = speak(served.url, text="abc")
    assert status == 500 and "fault of the program" in answer["error"]


def test_wave_alone(served):
    status, headers, body = ask(
        served.url, "POST", "/speak", '{"text": "abc"}', {**JSON, "Accept": "audio/wav"}
    )
    assert (status, headers["content-type"]) == (200, "audio/wav")
    assert soundfile.info(io.BytesIO(body)).frames == 480


def test_page_and_its_parts(served):
    for path, kind, part in (
        ("/", "text/html", b"<h1>Speak</h1>"),
        ("/page.js", "text/javascript", b"requestSubmit"),
        ("/page.css", "text/css", b":focus-visible"),
    ):
        status, headers, body = ask(served.url, "GET", path)
        assert status == 200 and headers["content-type"].startswith(kind)
        assert part in body
        assert b"http:" not in body and b"https:" not in body  # works offline
        assert "default-src 'none'" in headers["content-security-policy"]
    about = json.loads(ask(served.url, "GET", "/voices")[2])
    assert about["voices"] == ["high", "low"] and about["max_chars"] == MAX_CHARS
    assert about["options"]["speed"] == {"least": 0.5, "most": 2.0, "whole": False}


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/page.html", 404),
        ("GET", "/../setup.py", 404),
        ("GET", "/%2e%2e/setup.py", 404),
        ("GET", "//etc/passwd", 404),
        ("GET", "/speak", 405),
        ("POST", "/voices", 405),
    ],
)
def test_there_is_nothing_else(served, method, path, status):
    assert ask(served.url, method, path, b"" if method == "POST" else None)[0] == status


@pytest.mark.parametrize(
    "asked, message",
    [
        ({}, "there is no text"),
        ({"text": " \n"}, "there is no text"),
        ({"text": 5}, "there is no text"),
        ({"text": "x" * 301}, "301 characters, at most 300 are allowed"),
        ({"text": "\ud83d"}, "half a character"),
        ({"text": "a", "voice": "/etc/passwd"}, "no such voice; there are high, low"),
        ({"text": "a", "voice": ["high"]}, "no such voice"),
        ({"text": "a", "speed": 0.1}, "speed must be a number from 0.5 to 2.0"),
        ({"text": "a", "speed": "1"}, "speed must be a number"),
        ({"text": "a", "speed": float("nan")}, "speed must be a number"),
        ({"text": "a", "num_steps": 10**30}, "num_steps must be a whole number"),
        ({"text": "a", "num_takes": True}, "num_takes must be a whole number"),
        ({"text": "a", "seed": 1.5}, "seed must be a whole number"),
        ({"text": "a", "prompt_wav": "/etc/passwd"}, "'prompt_wav' is no option"),
        (["text"], "no JSON object"),
        ({"text": "a \u2603"}, "there is no word for a snowman"),
    ],
)
def test_faults_are_one_line(served, asked, message):
    status, _, body = ask(served.url, "POST", "/speak", json.dumps(asked))
    error = json.loads(body)["error"]
    assert status == 400 and message in error and "\n" not in error


def test_null_is_the_same_as_nothing(served):
    assert speak(served.url, text="abc", speed=None, seed=None)[0] == 200
    assert served.voices[0].calls[-1] == (["abc"], {})


def test_what_is_no_request(served):
    for body, status in ((b"{", 400), (b"[" * 3000, 400), (b"\xff", 400)):
        assert ask(served.url, "POST", "/speak", body)[0] == status
    assert ask(served.url, "POST", "/speak", b"x" * 100_000)[0] == 413
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        assert ask(served.url, "POST", "/speak", b'{"text": "a"}', headers)[0] == 415


def test_another_sites_name_is_refused(served):
    """A page elsewhere whose name is made to mean 127.0.0.1 gets nothing."""
    status, _, _ = ask(served.url, "GET", "/", headers={"Host": "evil.example"})
    assert status == 400


def test_fault_of_the_program_is_hidden_and_the_server_lives(served, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("secret")

    monkeypatch.setattr(served.voices[0], "batch", fail)
    status, answer = speak(served.url, text="abc")
    assert status == 500 and "fault of the program" in answer["error"]
    assert "secret" not in answer["error"]
    monkeypatch.undo()
    assert speak(served.url, text="abc")[0] == 200


def test_overload_is_refused_and_passes(served, monkeypatch):
    """So many are accepted, the others are told to come back; then all is well."""
    go, batch = threading.Event(), served.voices[0].batch
    running, most = [], []

    def wait(*args, **options):
        running.append(1)
        most.append(len(running))
        assert go.wait(20)
        running.pop()
        return batch(*args, **options)

    monkeypatch.setattr(served.voices[0], "batch", wait)
    results = []

    def request():
        results.append(ask(served.url, "POST", "/speak", '{"text": "abc"}'))

    threads = [threading.Thread(target=request) for _ in range(MAX_WAITING + 5)]
    for thread in threads:
        thread.start()
    # Five are refused at once, while the others wait.
    for _ in range(2000):
        if len(results) == 5:
            break
        threading.Event().wait(0.01)
    assert [status for status, _, _ in results] == [503] * 5
    assert all(headers["retry-after"] == "5" for _, headers, _ in results)
    assert "3 requests are waiting" in json.loads(results[0][2])["error"]
    go.set()
    for thread in threads:
        thread.join(20)
    assert sorted(status for status, _, _ in results) == [200] * 3 + [503] * 5
    assert max(most) == 1  # one at a time
    assert speak(served.url, text="abc")[0] == 200


def test_who_has_gone_is_not_spoken_to(served, monkeypatch):
    go, batch, said = threading.Event(), served.voices[0].batch, []

    def wait(texts, **options):
        said.extend(texts)
        assert go.wait(20)
        return batch(texts, **options)

    monkeypatch.setattr(served.voices[0], "batch", wait)
    first = threading.Thread(target=speak, args=(served.url,), kwargs={"text": "one"})
    first.start()
    while not said:
        threading.Event().wait(0.01)
    host, _, port = served.url.removeprefix("http://").partition(":")
    body = b'{"text": "gone"}'
    with socket.create_connection((host, int(port))) as s:
        s.sendall(
            b"POST /speak HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        threading.Event().wait(0.3)
    threading.Event().wait(0.3)
    go.set()
    first.join(20)
    assert speak(served.url, text="two")[0] == 200
    assert said == ["one", "two"]


def test_few_voices_are_held(served):
    """Those not used for longest give way."""
    from espnet_fsqdiff.serve.speakers import Speakers

    loaded = []

    def load(name):
        loaded.append(name)
        return object()

    speakers = Speakers(["a", "b", "c"], load, max_loaded=2)
    for name in "abacab":
        speakers.get(name)
    assert loaded == ["a", "b", "c", "b"]
    assert len(speakers._loaded) == 2


def test_addresses():
    taken, url = listen("127.0.0.1", 0)
    with taken:
        port = taken.getsockname()[1]
        assert url == f"http://127.0.0.1:{port}"
        with pytest.raises(InputError, match=f"--port {port}: Address already in use"):
            listen("127.0.0.1", port)
    with pytest.raises(InputError, match="give another"):
        listen("no such host", 0)
    assert "*" not in allowed_hosts("127.0.0.1") + allowed_hosts("::1")
    assert "localhost" in allowed_hosts("127.0.0.1")
    assert allowed_hosts("0.0.0.0") == ["*"]


def test_faults_before_it_serves(tone, monkeypatch):
    with pytest.raises(InputError, match="broken: no such voice"):
        tts.main(["--serve", "--port", "0", "--model", "broken"])
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match="--serve needs uvicorn: .* -m pip install"):
        tts.main(["--serve", "--port", "0"])


def test_until_ctrl_c(tmp_path, python_env):
    """The program itself: it says where it is, answers, and ends."""
    model = tmp_path / "my.voice.zip"
    model.touch()
    code = f"""
import signal, sys, types
# Ignored where the tests themselves run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
sys.modules["espnet_fsqdiff.text2speech"] = types.SimpleNamespace(
    Text2Speech=conftest.Tone)
sys.modules["espnet_fsqdiff.pretrained"] = types.SimpleNamespace(voices=lambda: [])
from espnet_fsqdiff.bin.tts import entry
entry()
"""
    cmd = ["--serve", "--port", "0", "--model", str(model), "--max_chars", "5"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *cmd],
        env=python_env,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        url = process.stderr.readline().split()[0]
        assert url.startswith("http://127.0.0.1:")
        status, answer = speak(url, text="abc")
        assert status == 200 and answer["voice"] == "my.voice"
        assert speak(url, text="abcdef")[0] == 400
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err


def test_largest_text_is_accepted_however_it_is_written():
    text = "\U0001f600" * MAX_CHARS
    body = json.dumps({"text": text}).encode()  # 12 bytes a character
    assert parse_request(body, ["high"], MAX_CHARS).text == text
