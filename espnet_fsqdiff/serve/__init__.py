"""A local web page that speaks: `fsqdiff-tts --serve`.

It is one static page and one address that takes JSON, on starlette and uvicorn (extra
`serve`). Beside ESPnet they are two packages and 2 MB. gradio would be twenty, among
them pandas and an older pillow than ESPnet's; its page loads fonts from elsewhere, and
its files are kept on disk and fetched by a path in the request. Here everything works
offline, nothing that a request says is opened as a file, and memory is bounded: one
request is spoken at a time, a few may wait, more are refused with status 503.

Addresses:
    GET /         the page
    GET /voices   names of the voices, limits of the options
    POST /speak   JSON {"text": ..., "voice": ..., "speed": ..., "num_steps": ...,
                  "num_takes": ..., "seed": ...}, all but the text optional; JSON with
                  wave and picture in base64, or with `Accept: audio/wav` the wave.
                  Faults: 400, 413, 415, 503 and {"error": one line}.
"""

from typing import Any, Callable, Sequence


def serve(
    voices: Sequence[str],
    load: Callable[[str], Any],
    host: str = "127.0.0.1",
    port: int = 7860,
    max_chars: int = 2000,
    max_waiting: int = 8,
    quiet: bool = False,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        voices: Names to choose from; the first is loaded at once.
        load: Loads a voice by its name: a `Text2Speech`.
        host: Address to listen at; anything but loopback lets others in.
        port: 0 takes a free one.
        max_chars: Longest text of a request.
        max_waiting: Requests under way or waiting; more are refused.
        quiet: Whether to say nothing.

    Raises:
        InputError: The extra is not installed, the address cannot be had, or the first
            voice cannot be loaded.
    """
    import importlib.util
    import sys

    from espnet_fsqdiff.errors import InputError

    for name in ("starlette", "uvicorn", "matplotlib"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"--serve needs {name}: {sys.executable} -m pip install starlette "
                "uvicorn matplotlib"
            )
    from espnet_fsqdiff.serve.server import listen, make_server

    socket, url = listen(host, port)
    with socket:
        server = make_server(voices, load, host, max_chars, max_waiting)
        if not quiet:
            print(f"{url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
        server.run(sockets=[socket])
