"""`distrl phone`: a simulated phone in a web page on this machine, to use by hand.

    GET  /                 the page                 GET  /screen.png   what the phone shows
    GET  /api/state        task, check, elements    GET  /api/tasks    split -> templates
    POST /api/act          {"kind": "tap", "touch": [0.5, 0.3]}, ... "swipe" + "lift", "type" + "text", "erase"
    POST /api/task         {"template": ..., "split": ..., "seed": 0}, or {} to start the same one again
    POST /api/record       {"do": "start" | "finish" | "discard"}

It listens on 127.0.0.1 only, answers only requests addressed to this machine, and obeys only its own page: another
web page in the same browser can neither read it nor drive it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import math
import re
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import typer
from PIL import Image

from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import ActionError, ConfigError, DistrlError, TaskError
from distrl.phone_session import PhoneSession, first_task
from distrl.types import Action, ActionKind

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")
"""What the page may be called by; any other name in a request is a page elsewhere that points here."""
MAX_BODY_BYTES = 65_536
MAX_TEXT = 2_000
"""Characters typed at once."""
SMALLEST, LARGEST = (90, 120), (2160, 4096)
_TOUCHES = (ActionKind.TAP, ActionKind.LONG_PRESS, ActionKind.SWIPE)
_KEYS = (ActionKind.BACK, ActionKind.HOME, ActionKind.ENTER)


def serve_phone(
    *, template: str, split: str, seed: int, size: str, port: int, record: Path | None, dry_run: bool
) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        TaskError: there is no such template, split or seed.
        ConfigError: the size is none, or the port is taken.
        StoreError: demonstrations cannot be recorded to that file.
    """
    pixels = parse_size(size)
    suite = SimSuite()
    task = first_task(suite, template, split, seed)
    if dry_run:
        typer.echo(f"would serve {task.id} on a {pixels[0]}x{pixels[1]} phone at http://{HOST}:{port}/")
        if record is not None:
            typer.echo(f"would record demonstrations to {record}")
        return
    session = PhoneSession(suite, task, size=pixels, record=record)
    try:
        with PhoneServer(session, suite, port=port) as server:
            typer.echo(f"a phone is at {server.url} (Ctrl-C ends it)")
            if record is not None:
                typer.echo(f"demonstrations go to {record}; clone them with: distrl sft CONFIG --demos {record}")
            server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        session.close()


def parse_size(size: str) -> tuple[int, int]:
    """Reads WIDTHxHEIGHT in pixels; raises `ConfigError` when it is none a phone can have."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size.strip().lower(), re.ASCII)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (SMALLEST[0] <= width <= LARGEST[0] and SMALLEST[1] <= height <= LARGEST[1]):
        raise ConfigError(
            f"--size is WIDTHxHEIGHT in pixels from {SMALLEST[0]}x{SMALLEST[1]} to {LARGEST[0]}x{LARGEST[1]}, "
            f"for example 540x1200; got {size!r}"
        )
    return width, height


class PhoneServer(ThreadingHTTPServer):
    """Serves one session on 127.0.0.1; requests take turns at the phone. Port 0 picks a free one.

    Raises `ConfigError` when the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: PhoneSession, suite: SimSuite, *, port: int) -> None:
        self.session = session
        self.suite = suite
        self.turn = threading.Lock()
        try:
            super().__init__((HOST, port), PhoneRequest)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigError(
                f"port {port} on this machine cannot be used ({error.strerror}); choose another with --port, or "
                "--port 0 for any free one"
            ) from None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closed its connection is no error worth a traceback."""


class PhoneRequest(BaseHTTPRequestHandler):
    """One request of the page."""

    server: PhoneServer
    server_version, sys_version = "distrl", ""
    protocol_version = "HTTP/1.1"
    timeout = 30.0

    def do_GET(self) -> None:
        """Serves the page, the screen, and what is known beside it."""
        answers: dict[str, Callable[[], None]] = {
            "/": self._send_page,
            "/screen.png": self._send_screen,
            "/api/state": lambda: self._send_json(HTTPStatus.OK, self._view()),
            "/api/tasks": lambda: self._send_json(
                HTTPStatus.OK, {str(split): names for split, names in self.server.suite.splits().items()}
            ),
        }
        answer = answers.get(self.path.partition("?")[0])
        if not self._is_ours():
            self._refuse(HTTPStatus.FORBIDDEN, f"this page answers only to http://{HOST} and http://localhost")
        elif answer is None:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path[:200]!r} here; open /")
        else:
            answer()

    def do_POST(self) -> None:
        """Obeys its own page; what cannot be done is answered with 400 and why."""
        obey = {"/api/act": self._act, "/api/task": self._task, "/api/record": self._record}.get(self.path)
        if not self._is_ours() or not self._is_from_our_page():
            self._refuse(HTTPStatus.FORBIDDEN, "only the page served here may use the phone")
            return
        if obey is None:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path[:200]!r} here")
            return
        try:
            wish = self._read_json()
            with self.server.turn:
                obey(wish)
                view = self.server.session.view()
        except DistrlError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send_json(HTTPStatus.OK, view)

    def log_message(self, format: str, *values: Any) -> None:
        """Says nothing: the page shows what happens."""

    # What the page asks for

    def _act(self, wish: dict[str, Any]) -> None:
        if wish.get("kind") == "erase":
            self.server.session.erase()
        else:
            self.server.session.act(parse_gesture(wish))

    def _task(self, wish: dict[str, Any]) -> None:
        if not wish:
            self.server.session.restart()
            return
        template, split, seed = wish.get("template"), wish.get("split"), wish.get("seed")
        if not isinstance(template, str) or not isinstance(split, str) or type(seed) is not int:
            raise TaskError("a task is chosen by template and split, which are texts, and seed, a whole number")
        self.server.session.choose(template, split, seed)

    def _record(self, wish: dict[str, Any]) -> None:
        self.server.session.record(str(wish.get("do")))

    # Who asks

    def _is_ours(self) -> bool:
        """Whether the request names this machine: a foreign name that resolves here (DNS rebinding) does not."""
        host, _, port = self.headers.get("Host", "").partition(":")
        return host in NAMES and port in ("", str(self.server.server_address[1]))

    def _is_from_our_page(self) -> bool:
        """Whether no other page sent it: browsers name the page's origin with every POST."""
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        same = origin is None or origin == f"http://{self.headers.get('Host')}"
        return same and site in ("same-origin", "none")

    # Reading and answering

    def _read_json(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json":
            self.close_connection = True
            raise ActionError("unparsable", "a request carries JSON: set Content-Type to application/json")
        if not (length.isascii() and length.isdigit()) or int(length[:9]) > MAX_BODY_BYTES:
            self.close_connection = True
            raise ActionError("unparsable", f"a request has a Content-Length of at most {MAX_BODY_BYTES} bytes")
        try:
            wish = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise ActionError("unparsable", "the request's body is no JSON") from None
        if not isinstance(wish, dict):
            raise ActionError("unparsable", "the request's body must be a JSON object")
        return wish

    def _view(self) -> dict[str, Any]:
        with self.server.turn:
            return self.server.session.view()

    def _send_page(self) -> None:
        page, policy = _page()
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, {"Content-Security-Policy": policy})

    def _send_screen(self) -> None:
        with self.server.turn:
            pixels = self.server.session.observation.frame.pixels
        image = io.BytesIO()
        Image.fromarray(pixels).save(image, "PNG", compress_level=1)
        self._send(HTTPStatus.OK, "image/png", image.getvalue())

    def _send_json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode("ascii"))

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if status is not HTTPStatus.BAD_REQUEST:
            self.close_connection = True  # Its body was not read.
        self._send_json(status, {"error": message})

    def _send(self, status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        always = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
        }
        if self.close_connection:
            always["Connection"] = "close"
        self.send_response(status)
        for name, value in {**always, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def parse_gesture(wish: dict[str, Any]) -> Action:
    """The gesture a request asks for; raises `ActionError` saying what is wrong with it."""
    known = [*_TOUCHES, ActionKind.TYPE, *_KEYS]
    if wish.get("kind") not in [str(kind) for kind in known]:
        names = ", ".join((*known, "erase"))
        raise ActionError("unknown_action", f"there is no gesture {wish.get('kind')!r}; there are: {names}")
    kind = ActionKind(wish["kind"])
    if kind is ActionKind.TYPE:
        text = wish.get("text")
        if not isinstance(text, str) or not text or len(text) > MAX_TEXT:
            raise ActionError("empty_text", f"text to type has 1 to {MAX_TEXT} characters; got {str(text)[:80]!r}")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ActionError("unparsable", "text to type must be valid Unicode; it holds half a character")
        return Action(kind, text=text)
    if kind in _KEYS:
        return Action(kind)
    touch = _parse_point("touch", wish.get("touch"))
    return Action(kind, touch=touch, lift=_parse_point("lift", wish.get("lift")) if kind is ActionKind.SWIPE else None)


def _parse_point(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or any(type(number) not in (int, float) for number in value):
        raise ActionError("unparsable", f"{name} is a point [x, y]; got {str(value)[:80]}")
    if not all(math.isfinite(number) and 0 <= number <= 1 for number in value):
        raise ActionError("off_screen", f"{name} lies on the screen, x and y from 0 to 1; got {str(value)[:80]}")
    return float(value[0]), float(value[1])


@cache
def _page() -> tuple[bytes, str]:
    """The page, and the policy under which a browser runs its one script and fetches nothing from elsewhere."""
    page = resources.files("distrl").joinpath("phone_page.html").read_text(encoding="utf-8")
    script, style = (_digest(page, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.encode("utf-8"), policy


def _digest(page: str, tag: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert match is not None, f"the page has one <{tag}>"
    return "sha256-" + base64.b64encode(hashlib.sha256(match[1].encode("utf-8")).digest()).decode("ascii")
