"""The server around the application."""

import ipaddress
import socket
import sys
from typing import Any, Callable, List, Sequence, Tuple

import uvicorn

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.serve.app import build_app
from espnet_fsqdiff.serve.speakers import Speakers

# Connections beside the requests that wait: a browser holds several open.
SPARE_CONNECTIONS = 64


def listen(host: str, port: int) -> Tuple[socket.socket, str]:
    """Take an address before anything else is done.

    Returns:
        The socket, and the page's address for people.

    Raises:
        InputError: It cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        taken = socket.create_server((host, port), family=family)
    except OSError as e:
        raise InputError(
            f"--host {host} --port {port}: {e.strerror}; give another"
        ) from None
    shown = f"[{host}]" if ":" in host else host
    return taken, f"http://{shown}:{taken.getsockname()[1]}"


def allowed_hosts(host: str) -> List[str]:
    """Names in the Host header that mean this server; any, if it is open to others."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return ["localhost", "127.0.0.1", "[::1]", host] if loopback else ["*"]


def make_server(
    voices: Sequence[str],
    load: Callable[[str], Any],
    host: str,
    max_chars: int,
    max_waiting: int,
) -> uvicorn.Server:
    """Load the first voice and make the server, to be run on a socket.

    Args: see `serve`.

    Raises:
        InputError: The voice cannot be loaded.
    """
    hosts = allowed_hosts(host)
    if hosts == ["*"]:
        sys.stderr.write(f"--host {host}: whoever reaches this machine can use it\n")
    speakers = Speakers(voices, load)
    speakers.get(voices[0])
    app = build_app(speakers, hosts, max_chars, max_waiting)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=max_waiting + SPARE_CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
    )
