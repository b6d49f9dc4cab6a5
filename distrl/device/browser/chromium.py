"""One Chromium with its own driver, profile and processes. Blocking; every call ends by its deadline.

    Chromium.start -> chromedriver (a session of its own) -> chromium and its children
    Chromium.run / command / open -> WebDriver over HTTP on 127.0.0.1 -> the page

It talks the WebDriver protocol directly: each request has its own time-out, so no thread outlives a deadline.
Deadlines are moments of `time.monotonic()`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distrl.errors import ConfigError, DeviceHungError, DeviceLostError, DeviceRejectedError

VIEWPORT: Final = (500, 320)
"""Width and height of the browser's window in page pixels: what the MiniWoB pages are laid out for."""

FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # Runs as root in containers; only the package's own local pages are ever opened.
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-smooth-scrolling",
    "--disable-frame-rate-limit",  # A screenshot waits for two frames: 50 ms at 60 frames per second, 20 ms without.
    "--disable-gpu-vsync",
    "--mute-audio",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # A page that asks for the network gets none.
)

_INSTALL = "run scripts/install-browser (on Debian: apt-get install -y chromium chromium-driver)"
_PORT_LINE = re.compile(rb"successfully on port (\d+)")
_KILL_WAIT_S = 20.0
_REFUSALS = frozenset(
    {"javascript error", "invalid argument", "unknown command", "session not created", "invalid selector"}
)
_TIMEOUTS = frozenset({"timeout", "script timeout"})


@dataclass(frozen=True)
class BrowserPrograms:
    """The two programs a page needs; they must be of the same version."""

    chromium: str
    chromedriver: str


def find_programs(chromium: Path | None = None, chromedriver: Path | None = None) -> BrowserPrograms:
    """Finds Chromium and its driver where the settings say, or on the PATH.

    Raises:
        ConfigError: one of them is not there; the message says how to install it.
    """
    return BrowserPrograms(
        chromium=_find("chromium", chromium, ("chromium", "chromium-browser", "google-chrome")),
        chromedriver=_find("chromedriver", chromedriver, ("chromedriver",)),
    )


def _find(setting: str, path: Path | None, names: tuple[str, ...]) -> str:
    if path is not None:
        found = shutil.which(str(path))
        if found is None:
            raise ConfigError(f"device.{setting} is {path}, which is not a program; correct the path or {_INSTALL}")
        return found
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise ConfigError(f"a browser device needs {setting}, and there is no {names[0]} on the PATH; {_INSTALL}")


class Chromium:
    """A running browser showing one page. Not shared between threads, but `kill` may be called from any."""

    def __init__(self, device: str, programs: BrowserPrograms, *, scale: int) -> None:
        self._device = device
        self._programs = programs
        self._scale = scale
        self._lock = threading.Lock()
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._session = ""
        self._folder = tempfile.mkdtemp(prefix="distrl-browser-")
        # An interpreter that exits without `kill` must not leave a browser behind.
        self._started: list[subprocess.Popen[bytes]] = []
        self._connections: list[http.client.HTTPConnection] = []
        self._finalizer = weakref.finalize(self, _remove, self._started, self._connections, self._folder)

    @property
    def started(self) -> bool:
        """Whether there is a page to talk to."""
        return bool(self._session)

    @property
    def driver_pid(self) -> int | None:
        """Process id of the driver, which is also the id of its process session; None before `start`."""
        return None if self._process is None else self._process.pid

    @property
    def folder(self) -> str:
        """Where this browser keeps its profile and temporary files; removed by `kill`."""
        return self._folder

    def start(self, until: float) -> None:
        """Starts driver and browser."""
        with self._lock:
            if self._killed:
                raise DeviceLostError(self._device, "the browser was closed while it started")
            self._process = process = subprocess.Popen(  # noqa: S603 - a program the settings name, and no shell.
                [self._programs.chromedriver, "--port=0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": self._folder},
                start_new_session=True,  # Everything it starts is found again, and Ctrl-C is ours to handle.
            )
            self._started.append(process)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._read_port(process, until))
        self._connections.append(self._connection)
        options = {
            "binary": self._programs.chromium,
            "args": [*FLAGS, f"--user-data-dir={self._folder}/profile"],
        }
        capabilities = {"goog:chromeOptions": options, "unhandledPromptBehavior": "dismiss"}
        answer = self._request("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}}, until)
        self._session = f"/session/{answer['sessionId']}"
        width, height = VIEWPORT
        self.command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": self._scale, "mobile": False},
            until,
        )

    def open(self, url: str, until: float) -> None:
        """Loads `url` and waits for it."""
        self._set_timeouts(until)
        self._request("POST", f"{self._session}/url", {"url": url}, until)

    def run(self, script: str, until: float, *arguments: Any) -> Any:
        """Runs JavaScript in the page and returns what it returns, as JSON values."""
        body = {"script": script, "args": list(arguments)}
        return self._request("POST", f"{self._session}/execute/sync", body, until)

    def wait_for(self, script: str, until: float, *arguments: Any) -> Any:
        """Runs JavaScript that calls its last argument when it is done, and returns what it passes."""
        self._set_timeouts(until)
        body = {"script": script, "args": list(arguments)}
        return self._request("POST", f"{self._session}/execute/async", body, until)

    def command(self, name: str, parameters: dict[str, Any], until: float) -> dict[str, Any]:
        """Sends one command of the Chrome DevTools Protocol."""
        body = {"cmd": name, "params": parameters}
        answer: dict[str, Any] = self._request("POST", f"{self._session}/goog/cdp/execute", body, until) or {}
        return answer

    def kill(self) -> None:
        """Ends this browser's processes, and only its own, and removes its files; never raises."""
        with self._lock:
            self._killed = True
        self._finalizer()

    def _read_port(self, process: subprocess.Popen[bytes], until: float) -> int:
        """The port that the driver chose; it says so on its standard output."""
        assert process.stdout is not None
        said = b""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise DeviceHungError(self._device, f"{self._programs.chromedriver} did not start in time")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise DeviceLostError(
                    self._device, f"{self._programs.chromedriver} ended at once, saying {said[-300:]!r}; {_INSTALL}"
                )
            said += chunk
            found = _PORT_LINE.search(said)
            if found:
                return int(found[1])

    def _set_timeouts(self, until: float) -> None:
        """Lets the driver itself give up at the deadline, so that its session survives a slow page."""
        left_ms = max(1, int((until - time.monotonic()) * 1000))
        self._request("POST", f"{self._session}/timeouts", {"pageLoad": left_ms, "script": left_ms}, until)

    def _request(self, method: str, path: str, body: dict[str, Any], until: float) -> Any:
        """One WebDriver request; its failure is a `DeviceError` by cause."""
        if self._connection is None:
            raise DeviceLostError(self._device, "the browser is not running; recover the device first")
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise DeviceHungError(self._device, f"no time was left before {path}; raise the deadline")
        connection = self._connection
        connection.timeout = left_s
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json; charset=utf-8"})
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        except TimeoutError:
            connection.close()
            raise DeviceHungError(self._device, f"the browser did not answer {path} within {left_s:.3g} s") from None
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            connection.close()
            raise DeviceLostError(self._device, f"the browser is gone ({type(error).__name__}: {error})") from error
        if response.status != http.HTTPStatus.OK:
            self._raise(path, value)
        return value

    def _raise(self, path: str, value: dict[str, Any]) -> None:
        """Turns a WebDriver error into ours."""
        code = str(value.get("error", "unknown error"))
        lines = str(value.get("message", "")).splitlines() or [""]
        message = f"{path.rsplit('/', 1)[-1]}: {code}: {lines[0]}"
        if code in _TIMEOUTS:
            raise DeviceHungError(self._device, message)
        if code == "session not created":
            message += f"; Chromium and its driver must be of one version: {_INSTALL}"
        if code in _REFUSALS:
            raise DeviceRejectedError(self._device, message)
        raise DeviceLostError(self._device, message)


def _remove(started: list[subprocess.Popen[bytes]], connections: list[http.client.HTTPConnection], folder: str) -> None:
    """Kills the started drivers with all their descendants, reaps them, and removes the folder."""
    for process in started:
        give_up_at = time.monotonic() + _KILL_WAIT_S
        while (alive := _alive(process.pid, folder)) and time.monotonic() < give_up_at:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)  # The kernel needs a moment to end them; asked again until none is left.
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    for connection in connections:
        connection.close()  # After the processes: whoever still waits for an answer has been told.
    shutil.rmtree(folder, ignore_errors=True)


def _alive(session: int, folder: str) -> list[int]:
    """Running processes of that process session, or with that folder on their command line (crash handlers).

    The session id stays taken until the driver is reaped, so it cannot name a stranger. Without /proc, the driver
    alone is ended, and Chromium ends with it.
    """
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, entry_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state == "Z":
                continue
            if int(entry_session) == session or folder.encode() in (entry / "cmdline").read_bytes():
                pids.append(int(entry.name))
    return pids
