"""Resident memory of one process that answers many requests to speak.

    python -m benchmarks.server_memory --model VOICE.zip
    python -m benchmarks.server_memory --model VOICE.zip --http

Texts are of one to three sentences, words and lengths drawn anew for every request.
With --http they go through the local page's server in the same process, picture
included. Prints the memory after every --every requests, and how much it grew from the
first of these figures to the last.
"""

import argparse
import json
import random
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple, Union

# Words that every recipe's voice has heard.
WORDS = (
    "the happy woman followed yellow pencil old man found small green house over river "
    "by morning children never carry heavy paper into quiet garden seven horses"
).split()


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="as fsqdiff-tts takes it")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--num_steps", type=int, default=4)
    parser.add_argument("--num_takes", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--http", action="store_true", help="through the server")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def make_text(random_: random.Random) -> str:
    """One to three sentences of one to eight words."""
    sentences = [
        " ".join(random_.choices(WORDS, k=random_.randint(1, 8)))
        for _ in range(random_.randint(1, 3))
    ]
    # A blank line ends a sentence for every voice, also one that knows no stops.
    return "\n\n".join(sentences)


def resident(process: Union[int, str] = "self") -> float:
    """Resident memory of a process now, this one by default, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) * 1024 / 1e6


def measure(
    speak: Callable[[str], float], requests: int, every: int, seed: int = 0
) -> Iterator[Tuple[int, float, float]]:
    """Ask again and again.

    Args:
        speak: Speaks a text, returns the seconds of speech.
        requests: How many.
        every: Measure after so many.
        seed: Of the texts.

    Yields:
        Requests so far, MB resident, real-time factor since the last figure.
    """
    random_ = random.Random(seed)
    spoken, start = 0.0, time.perf_counter()
    for number in range(1, requests + 1):
        spoken += speak(make_text(random_))
        if number % every == 0:
            yield number, resident(), (time.perf_counter() - start) / spoken
            spoken, start = 0.0, time.perf_counter()


@contextmanager
def through_http(load: Callable, options: dict) -> Iterator[Callable[[str], float]]:
    """A function that speaks by asking a server in this process."""
    from http.client import HTTPConnection

    from espnet_fsqdiff.serve.server import listen, make_server

    taken, url = listen("127.0.0.1", 0)
    host, port = taken.getsockname()[:2]
    with taken:
        server = make_server(
            ["voice"], load, "127.0.0.1", max_chars=2000, max_waiting=2
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()

        def speak(text: str) -> float:
            connection = HTTPConnection(host, port)
            body = json.dumps({"text": text, **options})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/speak", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {answer['error']}")
            return answer["seconds"]

        try:
            yield speak
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def directly(load: Callable, options: dict) -> Iterator[Callable[[str], float]]:
    """A function that speaks by calling Text2Speech."""
    tts = load("voice")

    def speak(text: str) -> float:
        spoken = tts(text, **options)
        return len(spoken["wav"]) / spoken["fs"]

    yield speak


def main(cmd: Optional[List[str]] = None) -> None:
    """Print a table."""
    args = get_parser().parse_args(cmd)
    from espnet_fsqdiff.bin.tts import load

    way = through_http if args.http else directly
    options = dict(num_steps=args.num_steps, num_takes=args.num_takes)
    found = []
    print("| requests | MB resident | RTF |\n| --: | --: | --: |")
    with way(
        lambda _: load(args.model, args.device, args.backend, batch_size=8), options
    ) as speak:
        for number, megabytes, rtf in measure(
            speak, args.requests, args.every, args.seed
        ):
            found.append(megabytes)
            print(f"| {number} | {megabytes:.0f} | {rtf:.3f} |", flush=True)
    if found:
        print(f"\ngrew by {found[-1] - found[0]:+.0f} MB after the first", flush=True)


if __name__ == "__main__":
    from espnet_fsqdiff.bin.cli import cli

    cli(main)
