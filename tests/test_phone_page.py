"""The phone in a web page: gestures over real HTTP, recorded demonstrations, and nobody else at the controls."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading

import numpy as np
import pytest
from PIL import Image

from distrl.config import RunConfig
from distrl.device.sim.state import dump
from distrl.device.sim.tasks.demonstrations import run_oracle
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import ActionError, ConfigError, StoreError, TaskError
from distrl.phone_page import MAX_BODY_BYTES, PhoneServer, _page, parse_gesture, parse_size, serve_phone
from distrl.phone_session import PhoneSession, first_task
from distrl.sft import recorded_demonstrations
from distrl.store import Store
from distrl.types import Action, ActionKind, Ending

SUITE = SimSuite()
SIZE = (180, 400)
HOSTILE = "\"><img src=x onerror=alert(1)></script><script>alert('ü😀')</script>\n$(reboot) `id`; --"


class Page:
    """A browser without a screen."""

    def __init__(self, server: PhoneServer) -> None:
        self.port = server.server_address[1]

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            sent = {"Content-Type": "application/json"} if data is not None else {}
            connection.request(method, path, data, {**sent, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path="/api/state"):
        status, _, body = self.ask("GET", path)
        assert status == 200
        return json.loads(body)

    def post(self, path, body, status=200):
        found, _, answer = self.ask("POST", f"/api/{path}", body)
        assert found == status, answer
        return json.loads(answer)

    def act(self, action: Action):
        wish = {"kind": str(action.kind)}
        wish |= {name: list(point) for name in ("touch", "lift") if (point := getattr(action, name)) is not None}
        return self.post("act", {**wish, "text": action.text} if action.text else wish)


def session(template, *, record=None, split="train", seed=0):
    return PhoneSession(SUITE, first_task(SUITE, template, split, seed), size=SIZE, record=record)


@pytest.fixture
def serve():
    """Starts a server around a session; ends all of them."""
    running = []

    def start(phone: PhoneSession) -> Page:
        server = PhoneServer(phone, SUITE, port=0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread, phone))
        return Page(server)

    yield start
    for server, thread, phone in running:
        server.shutdown()
        thread.join()
        server.server_close()
        phone.close()


def oracle(task):
    return [step.action for step in run_oracle(SUITE, task, size=SIZE)]


def test_the_page_shows_the_task_the_screen_and_the_check(serve):
    phone = session("clock.add_alarm")
    page = serve(phone)
    state = page.get()
    task = first_task(SUITE, "clock.add_alarm", "train", 0)
    assert state["task"] == {
        "template": task.template, "split": "train", "seed": 0, "level": task.level, "instruction": task.instruction,
    }  # fmt: skip
    assert (state["steps"], state["budget"], state["check"]["success"]) == (0, task.max_steps, False)
    assert state["recording"] == "unavailable"
    status, headers, body = page.ask("GET", "/screen.png?n=1")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(body))), phone.observation.frame.pixels)
    assert [e["bounds"] for e in state["elements"]] == [list(e.bounds) for e in phone.observation.elements]
    assert page.get("/api/tasks")["held_out_app"] == list(SUITE.splits()["held_out_app"])


def test_gestures_do_the_task_and_the_check_follows_live(serve):
    page = serve(session("contacts.add"))
    task = first_task(SUITE, "contacts.add", "train", 0)
    views = [page.act(action) for action in oracle(task)]
    assert [view["check"]["success"] for view in views] == [False] * (len(views) - 1) + [True]
    assert views[-1]["steps"] == len(views)
    assert page.post("task", {})["steps"] == 0  # Restarted.
    assert not page.get()["check"]["success"]


def test_a_side_effect_shows_at_once(serve):
    page = serve(session("settings.wifi"))
    page.post("act", {"kind": "home"})
    task = first_task(SUITE, "settings.bluetooth", "train", 0)
    page.post("task", {"template": "settings.bluetooth", "split": "train", "seed": 0})
    view = page.get()
    while not any("Airplane" in element["label"] for element in view["elements"]):
        view = page.act(oracle(task)[view["steps"]])
    bounds = next(e["bounds"] for e in view["elements"] if "Airplane" in e["label"])
    point = [(bounds[0] + bounds[2]) / 2 / SIZE[0], (bounds[1] + bounds[3]) / 2 / SIZE[1]]
    check = page.post("act", {"kind": "tap", "touch": point})["check"]
    assert check["side_effects"]
    assert not check["success"]


def test_a_recorded_demonstration_is_what_sft_clones(serve, tmp_path):
    record = tmp_path / "demos.sqlite"
    page = serve(session("contacts.add", record=record))
    task = first_task(SUITE, "contacts.add", "train", 0)
    steps = run_oracle(SUITE, task, size=SIZE)
    page.act(Action(ActionKind.HOME))  # Before recording: not part of it.
    assert page.post("record", {"do": "start"})["recording"] == "on"
    for step in steps:
        if step.action.kind is ActionKind.TYPE:  # Letter by letter, as keys are pressed.
            for letter in step.action.text:
                view = page.act(Action(ActionKind.TYPE, text=letter))
        else:
            view = page.act(step.action)
    assert (view["recording"], view["recorded"]) == ("off", 1)
    assert f"Saved {len(steps)} steps" in view["notice"]
    with Store(record, max_frame_bytes=2**40, read_only=True) as store:
        (kept,) = store.get_many(store.ids())
    assert (kept.success, kept.ending, kept.task) == (True, Ending.TERMINATED, task)
    assert [step.action for step in kept.steps] == [step.action for step in steps]
    hashes = [step.observation.frame.content_hash for step in kept.steps]
    assert hashes == [step.observation.frame.content_hash for step in steps]
    texts = [step.decision.text for step in kept.steps]
    assert [step.reward for step in kept.steps] == [0.0] * (len(steps) - 1) + [1.0]
    assert kept.steps[-1].history == tuple(texts[-5:-1])
    (cloned,) = recorded_demonstrations(record, RunConfig())
    assert [step.text for step in cloned] == texts
    assert all(bytes(step.decision.token_ids.astype(np.uint8)).decode() == step.decision.text for step in kept.steps)


def test_finishing_early_says_done_and_is_no_success_and_discarding_keeps_nothing(tmp_path):
    record = tmp_path / "demos.sqlite"
    phone = session("clock.add_alarm", record=record)
    phone.record("start")
    with pytest.raises(TaskError, match="no recorded gesture"):
        phone.record("finish")
    phone.act(Action(ActionKind.HOME))
    phone.record("finish")
    phone.record("start")
    phone.act(Action(ActionKind.HOME))
    phone.record("discard")
    with pytest.raises(TaskError, match="started, finished or discarded; got 'None'"):
        phone.record("None")
    phone.close()
    with Store(record, max_frame_bytes=2**40, read_only=True) as store:
        (kept,) = store.get_many(store.ids())
    assert (kept.success, kept.ending) == (False, Ending.TERMINATED)
    assert [step.decision.text for step in kept.steps] == ["home", "done"]
    assert list(recorded_demonstrations(record, RunConfig())) == []


def test_another_task_drops_the_recording_and_says_so(tmp_path):
    phone = session("clock.add_alarm", record=tmp_path / "demos.sqlite")
    for leave in (phone.restart, lambda: phone.choose("settings.wifi", "train", 1)):
        phone.record("start")
        phone.act(Action(ActionKind.HOME))
        leave()
        view = phone.view()
        assert (view["recording"], view["notice"], view["steps"]) == ("off", "The recording was dropped.", 0)
    phone.restart()
    assert (phone.view()["notice"], phone.view()["recorded"]) == ("", 0)
    phone.close()


@pytest.mark.parametrize("last", [ActionKind.HOME, ActionKind.TYPE])
def test_a_recording_ends_as_truncated_with_its_budget(tmp_path, last):
    phone = session("settings.wifi", record=tmp_path / "demos.sqlite")
    phone.record("start")
    budget = phone.view()["budget"]
    for _ in range(budget - 1):
        phone.act(Action(ActionKind.HOME))
    phone.act(Action(last, text="x" if last is ActionKind.TYPE else ""))
    if last is ActionKind.TYPE:
        phone.act(Action(ActionKind.TYPE, text="y"))  # Typing goes on: still the same step.
        assert phone.view()["recording"] == "on"
        phone.act(Action(ActionKind.BACK))
    assert phone.view()["recording"] == "off"
    phone.close()
    with Store(tmp_path / "demos.sqlite", max_frame_bytes=2**40, read_only=True) as store:
        (kept,) = store.get_many(store.ids())
    assert (kept.ending, len(kept.steps), kept.success) == (Ending.TRUNCATED, budget, False)
    assert kept.steps[-1].action.text == ("xy" if last is ActionKind.TYPE else "")


def test_a_touch_beside_all_elements_is_recorded_by_pixel():
    phone = session("settings.wifi")
    observation = phone.observation
    width, height = SIZE
    free = next(
        (x, y)
        for y in range(0, height, 7)
        for x in range(0, width, 7)
        if not any(b[0] <= x < b[2] and b[1] <= y < b[3] for b in (e.bounds for e in observation.elements))
    )
    phone.act(Action(ActionKind.TAP, touch=((free[0] + 0.5) / width, (free[1] + 0.5) / height)))
    x, y = (int((free[axis] + 0.5) / SIZE[axis] * 1000) for axis in (0, 1))
    assert phone.view()["actions"] == [f"tap {x} {y}"]


def test_backspace_presses_the_key_on_the_phone():
    phone = session("contacts.add")
    with pytest.raises(ActionError, match="no keyboard"):
        phone.choose("clock.add_alarm", "train", 0)
        phone.erase()
    phone.choose("contacts.add", "train", 0)
    for action in oracle(first_task(SUITE, "contacts.add", "train", 0)):
        phone.act(action)
        if action.kind is ActionKind.TYPE:
            break
    typed = action.text
    assert any(e["label"] == typed for e in phone.view()["elements"])
    phone.erase()
    assert any(e["label"] == typed[:-1] for e in phone.view()["elements"])


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("act", {"kind": "hop"}, "there is no gesture 'hop'; there are: tap"),
        ("act", {"kind": "complete"}, "there is no gesture 'complete'"),
        ("act", {"kind": ["tap"]}, "there is no gesture"),
        ("act", {"kind": "tap"}, "touch is a point"),
        ("act", {"kind": "tap", "touch": [0.5]}, "touch is a point"),
        ("act", {"kind": "tap", "touch": [True, 0.5]}, "touch is a point"),
        ("act", {"kind": "tap", "touch": [1.01, 0.5]}, "touch lies on the screen"),
        ("act", b'{"kind": "tap", "touch": [NaN, 0.5]}', "touch lies on the screen"),
        ("act", {"kind": "swipe", "touch": [0.5, 0.5]}, "lift is a point"),
        ("act", {"kind": "type"}, "text to type has 1 to"),
        ("act", {"kind": "type", "text": "x" * 2001}, "text to type has 1 to"),
        ("act", b'{"kind": "type", "text": "\\ud800"}', "valid Unicode"),
        ("act", b"{", "no JSON"),
        ("act", b"[" * 50_000, "no JSON"),
        ("act", b"\xff\xfe", "no JSON"),
        ("act", [], "must be a JSON object"),
        ("act", b" " * (MAX_BODY_BYTES + 1), "at most"),
        ("task", {"template": "clock.add_alarm"}, "template and split, which are texts"),
        ("task", {"template": "clock.add_alrm", "split": "train", "seed": 0}, "Did you mean 'clock.add_alarm'"),
        ("task", {"template": "clock.add_alarm", "split": "trian", "seed": 0}, "'trian' is no split"),
        ("task", {"template": "clock.add_alarm", "split": "held_out_app", "seed": 0}, "not in the split"),
        ("task", {"template": "clock.add_alarm", "split": "train", "seed": -1}, "a seed lies between 0"),
        ("record", {"do": "start"}, "distrl phone --record"),
    ],
)
def test_bad_input_is_answered_with_400_and_why_and_changes_nothing(serve, path, body, message):
    phone = session("clock.add_alarm")
    page = serve(phone)
    before = page.get(), dump(phone._state)
    assert message in page.post(path, body, status=400)["error"]
    assert (page.get(), dump(phone._state)) == before


def test_a_request_of_another_type_is_refused(serve):
    page = serve(session("clock.add_alarm"))
    status, _, body = page.ask("POST", "/api/act", b'{"kind": "home"}', **{"Content-Type": "text/plain"})
    assert (status, "application/json" in json.loads(body)["error"]) == (400, True)
    assert page.ask("GET", "/../etc/passwd")[0] == 404
    assert page.ask("POST", "/api/other", {})[0] == 404
    assert page.get()["steps"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_web_pages_cannot_drive_the_phone(serve, headers):
    page = serve(session("clock.add_alarm"))
    status, _, body = page.ask("POST", "/api/act", {"kind": "home"}, **headers)
    assert (status, page.get()["steps"]) == (403, 0)
    assert json.loads(body)["error"]
    if "Host" in headers:  # A name that was rebound to this machine may not even look.
        assert page.ask("GET", "/api/state", **headers)[0] == 403


def test_its_own_page_can_drive_the_phone_by_either_name(serve):
    page = serve(session("clock.add_alarm"))
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{page.port}"
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert page.ask("POST", "/api/act", {"kind": "home"}, **headers)[0] == 200


def test_the_page_fetches_nothing_from_elsewhere_and_runs_only_its_own_script(serve):
    status, headers, body = serve(session("clock.add_alarm")).ask("GET", "/")
    page, policy = _page()
    assert (status, body) == (200, page)
    assert headers["Content-Security-Policy"] == policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    text = body.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "innerHTML" not in text  # Text is set as text: a hostile instruction is shown, not run.
    assert text.count("<script>") == 1


def test_hostile_text_travels_as_data(serve):
    page = serve(session("contacts.add"))
    for action in oracle(first_task(SUITE, "contacts.add", "train", 0)):
        if action.kind is ActionKind.TYPE:
            break
        page.act(action)
    view = page.post("act", {"kind": "type", "text": HOSTILE})
    assert json.loads(view["actions"][-1].removeprefix("type ")) == HOSTILE
    assert any(element["label"] == HOSTILE.replace("\n", " ") for element in view["elements"])
    assert HOSTILE.encode() not in page.ask("GET", "/")[2]


def test_a_taken_port_is_named_with_its_remedy():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        phone = session("clock.add_alarm")
        with pytest.raises(ConfigError, match=rf"port {port} .* choose another with --port"):
            PhoneServer(phone, SUITE, port=port)


def test_it_listens_on_this_machine_only():
    with PhoneServer(session("clock.add_alarm"), SUITE, port=0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_sizes_and_starts_are_checked_before_anything_is_served(tmp_path, capsys):
    assert parse_size(" 540X1200 ") == (540, 1200)
    for bad in ("540", "540x", "0x0", "89x1200", "540x99999", "५४०x१२००", "-540x1200"):
        with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
            parse_size(bad)
    wish = {"template": "", "split": "held_out_app", "seed": 3, "size": "180x400", "port": 0, "dry_run": True}
    serve_phone(**wish, record=tmp_path / "demos.sqlite")
    shown = capsys.readouterr().out
    assert SUITE.splits()["held_out_app"][0] in shown
    assert not list(tmp_path.iterdir())
    with pytest.raises(TaskError, match="no split"):
        serve_phone(**{**wish, "split": "all"}, record=None)
    with pytest.raises(StoreError):
        serve_phone(**{**wish, "dry_run": False}, record=tmp_path / "none" / "demos.sqlite")


def test_a_gesture_reads_as_the_action_it_names():
    assert parse_gesture({"kind": "swipe", "touch": [0, 1], "lift": [1, 0.25]}) == Action(
        ActionKind.SWIPE, touch=(0.0, 1.0), lift=(1.0, 0.25)
    )
    assert parse_gesture({"kind": "long_press", "touch": [0.5, 0.5], "lift": [2, 2]}).lift is None
    assert parse_gesture({"kind": "back"}) == Action(ActionKind.BACK)
