"""The web application: addresses, the bounded queue, what is refused and how."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.serve.request import LIMITS, parse_request
from espnet_fsqdiff.serve.speakers import Answer, Speakers

PAGE = Path(__file__).parent / "page"
FILES = {"/": "page.html", "/page.js": "page.js", "/page.css": "page.css"}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# The page may load what comes from here, and nothing else.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A character is at most 12 bytes in JSON (two \\uXXXX); options are short.
BYTES_PER_CHAR = 12
BYTES_OF_OPTIONS = 4096
BODY_SECONDS = 10.0


class Refused(Exception):
    """A request that is answered with a status and one line."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Desk:
    """Takes requests to speak: one at a time, a few wait, more are refused.

    Args:
        speakers: Who speaks.
        max_chars: Longest text.
        max_waiting: Requests under way or waiting.
    """

    def __init__(self, speakers: Speakers, max_chars: int, max_waiting: int):
        self.speakers = speakers
        self.max_chars = max_chars
        self.max_waiting = max_waiting
        self.waiting = 0
        # One thread: voices are not for several, and torch uses all cores by itself.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="speak")
        self._turn = asyncio.Lock()

    async def voices(self, request: Request) -> Response:
        """GET /voices."""
        limits = {
            name: {"least": least, "most": most, "whole": whole}
            for name, (least, most, whole) in LIMITS.items()
        }
        about = {
            "voices": self.speakers.names,
            "max_chars": self.max_chars,
            "options": limits,
        }
        return JSONResponse(about, headers=HEADERS)

    async def speak(self, request: Request) -> Response:
        """POST /speak."""
        as_wav = "audio/wav" in request.headers.get("accept", "")
        try:
            answer = await self._answer(request, picture=not as_wav)
            if as_wav:
                return Response(answer.wav, media_type="audio/wav", headers=HEADERS)
            return JSONResponse(answer.as_json(), headers=HEADERS)
        except Refused as e:
            return _fault(e.status, str(e))
        except InputError as e:
            return _fault(400, str(e))
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:
            logging.exception("a request failed")
            return _fault(500, "this is a fault of the program: see what it printed")

    async def _answer(self, request: Request, picture: bool) -> Answer:
        body = await self._body(request)
        asked = parse_request(body, self.speakers.names, self.max_chars)
        if self.waiting >= self.max_waiting:
            raise Refused(503, f"{self.waiting} requests are waiting; try again soon")
        self.waiting += 1
        try:
            async with self._turn:
                if await request.is_disconnected():
                    raise ClientDisconnect()
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(
                    self._executor, self.speakers.speak, asked, picture
                )
        finally:
            self.waiting -= 1

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        # Another site's page may not send this kind without asking first.
        if kind.lower() != "application/json":
            raise Refused(415, "send JSON, with Content-Type: application/json")
        most = BYTES_PER_CHAR * self.max_chars + BYTES_OF_OPTIONS

        async def read() -> bytes:
            body = bytearray()
            async for block in request.stream():
                body += block
                if len(body) > most:
                    raise Refused(
                        413,
                        f"the request is too long; at most {self.max_chars} characters "
                        "of text are allowed",
                    )
            return bytes(body)

        try:
            return await asyncio.wait_for(read(), BODY_SECONDS)
        except asyncio.TimeoutError:
            raise Refused(408, "the request took too long to arrive") from None


def _fault(status: int, message: str) -> Response:
    headers = {**HEADERS, "Retry-After": "5"} if status == 503 else HEADERS
    line = " ".join(message.split())
    return JSONResponse({"error": line}, status_code=status, headers=headers)


def build_app(
    speakers: Speakers, hosts: Sequence[str], max_chars: int, max_waiting: int
) -> Starlette:
    """Make the application.

    Args:
        speakers: Who speaks.
        hosts: Names by which the server may be called, so that no other site's name
            can be made to mean this machine; `*` for any.
        max_chars: Longest text.
        max_waiting: Requests under way or waiting.
    """
    desk = Desk(speakers, max_chars, max_waiting)
    routes = [_file(address, name) for address, name in FILES.items()]
    routes += [
        Route("/voices", desk.voices, methods=["GET"]),
        Route("/speak", desk.speak, methods=["POST"]),
    ]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return Starlette(routes=routes, middleware=[guard])


def _file(address: str, name: str) -> Route:
    """A file of the page, read now and not by what a request says."""
    content = (PAGE / name).read_bytes()
    kind = KINDS[Path(name).suffix]

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return Route(address, send, methods=["GET"])
