"""The local page's server under load: latency, refusals, memory.

    python -m benchmarks.server_load --model kathleen --seconds 300 --num_clients 1 4 16

Starts `fsqdiff-tts --serve` as a process of its own and asks it over the loopback from
so many clients at once, for so long with each number of them. A client asks anew as
soon as it has its answer; one that was refused (status 503) waits --retry_seconds
first. Texts are those of `benchmarks.server_memory`. Of the server process, the
resident memory is given when a row begins, after its first minute and at its end.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from benchmarks.server_memory import make_text, resident

ANSWERED, REFUSED = 200, 503
# A request that took longer has no answer.
PATIENCE = 300.0
COLUMNS = (
    "clients",
    "requests",
    "answered",
    "refused",
    "failed",
    "p50 s",
    "p90 s",
    "p99 s",
    "refusal p99 s",
    "answered/s",
    "MB at start",
    "after 1 min",
    "at end",
)


class Reply(NamedTuple):
    """What came of a request: HTTP status, 0 for a broken connection; and seconds."""

    status: int
    seconds: float


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="kathleen", help="as fsqdiff-tts takes it")
    parser.add_argument("--num_clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=300, help="for each number")
    parser.add_argument("--retry_seconds", type=float, default=1.0)
    parser.add_argument("--num_steps", type=int, help="by default the voice's own")
    parser.add_argument("--max_waiting", type=int, default=8, help="of fsqdiff-tts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--seed", type=int, default=0, help="of the texts")
    return parser


@contextmanager
def served(command: List[str]) -> Iterator[Tuple[Tuple[str, int], int]]:
    """A server in a process of its own, ended afterwards.

    Args:
        command: Starts it on a free port; its first line on stderr is its address.

    Yields:
        Host and port, and the process's id.

    Raises:
        RuntimeError: It did not start.
    """
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stderr.readline, "")
            url = next((line for line in lines if line.startswith("http://")), None)
            if url is None:
                raise RuntimeError(f"{' '.join(command)}: it did not start")
            # What it says later must not fill the pipe.
            threading.Thread(target=sys.stderr.writelines, args=(lines,)).start()
            host, port = url.split()[0].removeprefix("http://").split(":")
            yield (host, int(port)), process.pid
        finally:
            process.terminate()


def ask(address: Tuple[str, int], text: str, options: dict) -> Reply:
    """Ask for a wave and wait for the whole answer."""
    start = time.perf_counter()
    connection = HTTPConnection(*address, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "Accept": "audio/wav"}
    try:
        body = json.dumps({"text": text, **options})
        connection.request("POST", "/speak", body, headers)
        response = connection.getresponse()
        response.read()
        status = response.status
    except (OSError, HTTPException):
        status = 0
    finally:
        connection.close()
    return Reply(status, time.perf_counter() - start)


def load(
    address: Tuple[str, int],
    num_clients: int,
    seconds: float,
    options: dict,
    retry_seconds: float,
    seed: int = 0,
) -> List[Reply]:
    """Ask from several clients at once.

    Args:
        address: Host and port.
        num_clients: How many ask.
        seconds: No client asks anew after so long; all wait for their last answers.
        options: Of every request, beside the text.
        retry_seconds: How long a client waits that got no speech.
        seed: Of the texts.

    Returns:
        What came of every request.
    """
    end = time.perf_counter() + seconds

    def client(number: int) -> List[Reply]:
        random_, replies = random.Random(f"{seed} {number}"), []
        while time.perf_counter() < end:
            replies.append(ask(address, make_text(random_), options))
            if replies[-1].status != ANSWERED:
                time.sleep(retry_seconds)
        return replies

    with ThreadPoolExecutor(num_clients) as pool:
        return [
            reply
            for replies in pool.map(client, range(num_clients))
            for reply in replies
        ]


def row(
    num_clients: int, replies: List[Reply], wall: float, memory: List[float]
) -> str:
    """A line of the table.

    Args:
        num_clients: How many asked.
        replies: What they got.
        wall: Seconds it took.
        memory: MB when it began, after a minute (NaN if it took none) and at its end.
    """
    counts = Counter(reply.status for reply in replies)
    answered, refused = counts[ANSWERED], counts[REFUSED]

    def percentile(status: int, share: float) -> str:
        times = [reply.seconds for reply in replies if reply.status == status]
        return f"{np.percentile(times, share):.3g}" if times else "-"

    cells = [
        num_clients,
        len(replies),
        answered,
        refused,
        len(replies) - answered - refused,
        *(percentile(ANSWERED, share) for share in (50, 90, 99)),
        percentile(REFUSED, 99),
        f"{answered / wall:.2f}",
        *("-" if np.isnan(value) else f"{value:.0f}" for value in memory),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def measure(address, process: int, num_clients: int, args: argparse.Namespace) -> str:
    """A line of the table for one number of clients."""
    memory = [resident(process), float("nan")]

    def after_a_minute() -> None:
        memory[1] = resident(process)

    timer = threading.Timer(60, after_a_minute)
    timer.start()
    options = {} if args.num_steps is None else {"num_steps": args.num_steps}
    start = time.perf_counter()
    try:
        replies = load(
            address, num_clients, args.seconds, options, args.retry_seconds, args.seed
        )
    finally:
        timer.cancel()
    wall = time.perf_counter() - start
    return row(num_clients, replies, wall, [*memory, resident(process)])


def main(cmd: Optional[List[str]] = None) -> None:
    """Print a table."""
    args = get_parser().parse_args(cmd)
    command = [sys.executable, "-m", "espnet_fsqdiff.bin.tts", "--serve", "--port", "0"]
    for name in ("model", "max_waiting", "device", "backend"):
        command += [f"--{name}", str(getattr(args, name))]
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --: |" * len(COLUMNS), flush=True)
    with served(command) as (address, process):
        for num_clients in args.num_clients:
            print(measure(address, process, num_clients, args), flush=True)


if __name__ == "__main__":
    main()
