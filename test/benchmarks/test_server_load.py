"""The benchmark of load counts what it says it counts, on servers of its own."""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from benchmarks import server_load
from benchmarks.server_load import Reply, load, row, served


@pytest.fixture
def overloaded():
    """A server that speaks one request at a time and refuses others."""
    turn, asked = threading.Lock(), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, body))
            mine = turn.acquire(blocking=False)
            if mine:
                time.sleep(0.05)
                turn.release()
            self.send_response(200 if mine else 503)
            self.end_headers()
            self.wfile.write(b"RIFF")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(address=server.server_address, asked=asked)
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_client_is_answered(overloaded):
    replies = load(overloaded.address, 1, 0.4, {"num_steps": 2}, 0.0)
    assert {reply.status for reply in replies} == {200}
    assert 2 <= len(replies) <= 8
    assert all(0.05 <= reply.seconds < 2 for reply in replies)
    path, body = overloaded.asked[0]
    assert path == "/speak" and b'"num_steps": 2' in body and b'"text": "' in body
    assert len({body for _, body in overloaded.asked}) == len(replies)


def test_many_are_refused_and_wait(overloaded):
    replies = load(overloaded.address, 4, 0.4, {}, retry_seconds=0.1)
    assert len(replies) == len(overloaded.asked)
    statuses = [reply.status for reply in replies]
    assert set(statuses) == {200, 503}
    # Who is refused waits a tenth of a second each time.
    assert statuses.count(503) <= 4 * 5
    assert len({body for _, body in overloaded.asked}) > 3


def test_nobody_there_is_a_failure():
    replies = load(("127.0.0.1", 9), 1, 0.05, {}, retry_seconds=0.1)
    assert [reply.status for reply in replies] == [0]


def test_a_row_of_the_table():
    replies = [Reply(200, s / 100) for s in range(1, 101)] + [Reply(503, 0.01)] * 3
    cells = row(4, [*replies, Reply(0, 1.0)], 50.0, [100.4, float("nan"), 103.0])
    assert cells == (
        "| 4 | 104 | 100 | 3 | 1 | 0.505 | 0.901 | 0.99 | 0.01 | 2.00 | 100 | - | 103 |"
    )
    assert cells.count("|") == len(server_load.COLUMNS) + 1
    assert "| 0 | - | - | - | - | 0.00 |" in row(1, [], 1.0, [1.0, 2.0, 3.0])


def test_the_server_is_a_process_that_ends():
    code = "import sys, time; print('x\\nhttp://127.0.0.1:7 (end)', file=sys.stderr, "
    code += "flush=True); time.sleep(60)"
    with served([sys.executable, "-c", code]) as (address, process):
        assert address == ("127.0.0.1", 7)
        assert server_load.resident(process) > 1
    with pytest.raises(OSError):
        server_load.resident(process)
    with pytest.raises(RuntimeError, match="it did not start"):
        with served([sys.executable, "-c", "pass"]):
            pass
