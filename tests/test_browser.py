"""Web pages as phones: the parts without a browser first, then a real Chromium."""

import asyncio
import base64
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distrl.config import BrowserDeviceConfig, DeadlinesConfig
from distrl.device.base import Device
from distrl.device.browser import ORACLE_TEMPLATES, BrowserDevice, BrowserSuite, oracle
from distrl.device.browser import suite as suite_module
from distrl.device.browser.chromium import Chromium, find_programs
from distrl.device.browser.demonstrations import page_demonstrator
from distrl.device.browser.page import elements_of
from distrl.errors import (
    ConfigError,
    DeviceHungError,
    DeviceLostError,
    DeviceRejectedError,
    ObservationError,
    TaskError,
)
from distrl.types import Action, ActionKind, Element, Frame, Observation, Task

START_S = 300.0
CALL_S = 120.0


def require(*needs: str) -> None:
    """Skips where a browser is missing; in CI that is a failure, so that these tests are never lost unseen."""
    missing = [
        need for need in needs if (importlib.util.find_spec if need == "miniwob" else shutil.which)(need) is None
    ]
    if missing:
        message = f"needs {', '.join(missing)}: scripts/install-browser, pip install 'distrl[miniwob]'"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module")
def suite():
    require("miniwob")
    return BrowserSuite()


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


# --- what is missing ---


@pytest.mark.parametrize(("absent", "name"), [("chromium", "chromium"), ("chromedriver", "chromedriver")])
def test_a_missing_program_is_a_config_error_that_says_how_to_install_it(monkeypatch, absent, name):
    monkeypatch.setattr(shutil, "which", lambda program: None if absent in program else f"/opt/{program}")
    if absent == "chromium":
        monkeypatch.setattr(shutil, "which", lambda program: "/opt/chromedriver" if program == "chromedriver" else None)
    with pytest.raises(ConfigError, match=f"needs {name}.*apt-get install -y chromium chromium-driver"):
        find_programs()


def test_a_configured_path_that_is_no_program_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"device\.chromium is .*nowhere.*correct the path"):
        find_programs(chromium=tmp_path / "nowhere")


def test_the_configured_programs_are_taken(tmp_path):
    programs = find_programs(program(tmp_path, "a", ""), program(tmp_path, "b", ""))
    assert (Path(programs.chromium).name, Path(programs.chromedriver).name) == ("a", "b")


def test_the_missing_package_is_a_config_error_that_says_how_to_install_it(monkeypatch):
    suite_module.find_pages.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'distrl\[miniwob\]'"):
        BrowserSuite()
    suite_module.find_pages.cache_clear()


def test_a_missing_browser_is_found_when_the_device_is_made_and_not_in_mid_run(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(ConfigError, match="scripts/install-browser"):
        BrowserDevice("page-0")


def test_a_driver_that_ends_at_once_is_a_lost_device_and_says_what_it_said(tmp_path, suite):
    driver = program(tmp_path, "chromedriver", "echo no display; exit 3")
    device = BrowserDevice("page-0", BrowserDeviceConfig(chromium=driver, chromedriver=driver))

    async def play():
        with pytest.raises(DeviceLostError, match=r"page-0: .*no display.*apt-get"):
            await set_up(device, "click-test")
        await device.close()

    asyncio.run(play())


def test_a_driver_that_never_starts_is_a_hung_device_and_is_ended_by_close(tmp_path, suite):
    driver = program(tmp_path, "chromedriver", "exec sleep 1000")
    device = BrowserDevice("page-0", BrowserDeviceConfig(chromium=driver, chromedriver=driver))

    async def play():
        with pytest.raises(DeviceHungError, match="page-0"):
            await set_up(device, "click-test", deadline_s=1.0)
        pid = device.chromium.driver_pid
        assert running(pid)
        await device.close()
        return pid

    assert not running(asyncio.run(play()))


FAKE_DRIVER = """#!{python}
import http.server, json
class Driver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if {code!r} == "silence":
            return self.rfile.read()
        body = json.dumps(dict(value=dict(error={code!r}, message="only this\\nand a long stack"))).encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if {code!r} != "garbage" else b"<" * len(body))
server = http.server.HTTPServer(("127.0.0.1", 0), Driver)
print("fake driver was started successfully on port", server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("session not created", DeviceRejectedError, r"only this; Chromium and its driver must be of one version.*apt"),
        ("javascript error", DeviceRejectedError, r"session: javascript error: only this$"),
        ("script timeout", DeviceHungError, r"session: script timeout: only this$"),
        ("no such window", DeviceLostError, r"session: no such window: only this$"),
        ("garbage", DeviceLostError, r"the browser is gone \(JSONDecodeError"),
        ("silence", DeviceHungError, r"the browser did not answer /session within"),
    ],
)
def test_what_the_driver_answers_is_told_apart_by_cause(tmp_path, code, kind, message):
    driver = tmp_path / "chromedriver"
    driver.write_text(FAKE_DRIVER.format(python=sys.executable, code=code))
    driver.chmod(0o755)
    chromium = Chromium("page-0", find_programs(driver, driver), scale=1)
    try:
        with pytest.raises(kind, match=message):
            chromium.start(time.monotonic() + (3.0 if code == "silence" else CALL_S))
    finally:
        chromium.kill()
    assert not running(chromium.driver_pid)


# --- the suite ---


def test_training_and_held_out_parameters_share_pages_and_never_a_seed(suite):
    assert suite.templates_in("train") == suite.templates_in("held_out_params")
    seeds = {
        split: {suite.make_task("login-user", seed=seed, split=split).params["page_seed"] for seed in range(200)}
        for split in ("train", "held_out_params")
    }
    assert len(seeds["train"]) == len(seeds["held_out_params"]) == 200
    assert not seeds["train"] & seeds["held_out_params"]


def test_held_out_pages_are_never_trained_on(suite):
    assert suite.templates_in("held_out_templates")
    assert not set(suite.templates_in("train")) & set(suite.templates_in("held_out_templates"))
    assert suite.templates_in("held_out_app") == ()
    with pytest.raises(TaskError, match="'click-test' is not a page of split train"):
        suite.make_task("click-test", seed=0, split="train")


def test_an_unknown_page_is_named_with_the_nearest_one(suite):
    with pytest.raises(TaskError, match="'login-usr' is no MiniWoB\\+\\+ page; did you mean login-user"):
        BrowserSuite(train=["login-usr"])


def test_training_on_a_page_usually_held_out_takes_it_out_of_the_held_out_ones(suite):
    chosen = BrowserSuite(train=["click-test"])
    assert chosen.templates_in("train") == ("click-test",)
    assert set(chosen.templates_in("held_out_templates")) == set(suite.templates_in("held_out_templates")) - {
        "click-test"
    }


def test_a_page_in_both_lists_is_refused(suite):
    with pytest.raises(TaskError, match="click-tab is both trained on and held out"):
        BrowserSuite(train=["click-tab"], held_out=["click-tab"])


def test_a_task_is_determined_by_page_split_and_seed(suite):
    task = suite.make_task("click-tab", seed=7, split="train")
    assert task == suite.make_task("click-tab", seed=7, split="train")
    assert (task.id, task.suite, task.level, task.instruction) == ("click-tab/train/7", "browser", 1, "")
    assert suite.level_of("login-user") == 2


# --- the UI tree and the scripted solutions, without a browser ---


def test_nodes_become_android_like_elements_in_screen_pixels():
    nodes = [
        {"tag": "button", "text": "ONE", "box": [4, 60, 44.4, 100], "clickable": True, "id": "subbtn"},
        {"tag": "input", "type": "text", "text": "bo", "box": [0, 0, 9, 9], "editable": True, "focused": True},
        {"tag": "input", "type": "checkbox", "text": "AU", "box": [0, 0, 9, 9], "checked": True},
        {"tag": "input", "type": "submit", "text": "Go", "box": [0, 0, 9, 9], "enabled": False},
        {"tag": "t", "text": "hello", "box": [0, 0, 9, 9]},
        {"tag": "scroll", "box": [0, 0, 9, 9], "scrollable": True},
        {"tag": "div", "text": "", "box": [0, 0, 9, 9], "clickable": True},
    ]
    elements = elements_of(nodes, scale=2)
    classes = ["Button", "EditText", "CheckBox", "Button", "TextView", "ScrollView", "View"]
    assert [element.class_name for element in elements] == classes
    assert [element.index for element in elements] == list(range(7))
    assert elements[0].bounds == (8, 120, 89, 200)
    assert (elements[0].resource_id, elements[0].clickable, elements[4].clickable) == ("subbtn", True, False)
    assert (elements[1].editable, elements[1].focused, elements[1].text) == (True, True, "bo")
    assert (elements[2].checkable, elements[2].checked, elements[1].checkable) == (True, True, False)
    assert (elements[3].enabled, elements[5].scrollable) == (False, True)


def screen(*elements):
    pixels = np.zeros((200, 100, 3), np.uint8)
    return Observation(Frame(pixels), tuple(replace(e, index=i, clickable=True) for i, e in enumerate(elements)))


def next_move(template, instruction, *elements):
    task = Task(template, template, instruction, "train", 0, 1, ("browser",), 9, suite="browser")
    action = oracle(task, screen(*elements))
    return action and (action.text or action.touch)


USER = Element(0, "EditText", (0, 0, 100, 20), editable=True)
PASSWORD = Element(0, "EditText", (0, 40, 100, 60), editable=True)
LOGIN = Element(0, "Button", (0, 80, 50, 100), text="Login")


def test_the_login_script_focuses_then_types_then_goes_on_and_presses_last():
    says = 'Enter the username "bo" and the password "x,Y" into the text fields and press login.'
    filled = replace(USER, text="bo")
    assert next_move("login-user", says, USER, PASSWORD, LOGIN) == (0.5, 0.05)
    assert next_move("login-user", says, replace(USER, focused=True), PASSWORD, LOGIN) == "bo"
    assert next_move("login-user", says, filled, PASSWORD, LOGIN) == (0.5, 0.25)
    assert next_move("login-user", says, filled, replace(PASSWORD, focused=True), LOGIN) == "x,Y"
    assert next_move("login-user", says, filled, replace(PASSWORD, text="•••"), LOGIN) == (0.25, 0.45)


def test_the_checkbox_script_sets_what_is_asked_unsets_the_rest_and_submits():
    submit = Element(0, "Button", (0, 80, 100, 100), text="Submit")
    wanted = Element(0, "CheckBox", (0, 0, 100, 20), text="a b", checkable=True)
    other = Element(0, "CheckBox", (0, 40, 100, 60), text="c", checkable=True)
    says = "Select a b and click Submit."
    assert next_move("click-checkboxes", says, wanted, other, submit) == (0.5, 0.05)
    assert next_move("click-checkboxes", says, replace(wanted, checked=True), other, submit) == (0.5, 0.45)
    assert next_move("click-checkboxes", says, replace(wanted, checked=True), replace(other, checked=True), submit) == (
        0.5,
        0.25,
    )
    nothing = "Select nothing and click Submit."
    assert next_move("click-checkboxes", nothing, wanted, other, submit) == (0.5, 0.45)


def test_a_script_that_finds_nothing_to_do_says_none_and_an_unscripted_page_is_an_error():
    assert next_move("click-test-2", "Click button ONE.") is None
    with pytest.raises(TaskError, match="no scripted solution of 'hot-cold'"):
        next_move("hot-cold", "Find the spot.")


# --- a real Chromium ---


@pytest.fixture(scope="module")
def device():
    require("miniwob", "chromium", "chromedriver")
    device = BrowserDevice("page-0")
    yield device
    asyncio.run(device.close())


async def set_up(device, template, *, seed=0, deadline_s=START_S):
    suite = BrowserSuite(train=[template], held_out=[])
    return await device.reset(suite.make_task(template, seed=seed, split="train"), deadline_s=deadline_s)


async def look(device):
    return await device.observe(deadline_s=CALL_S)


async def act(device, kind, **fields):
    await device.act(Action(kind, **fields), deadline_s=CALL_S)


async def tap(device, element, size=(160, 210)):
    x, y = element.center
    await act(device, ActionKind.TAP, touch=(x / size[0], y / size[1]))


def evaluate(device, script):
    """What a script run in the page returns."""
    return device.chromium.run(script, time.monotonic() + CALL_S)


async def solve(device, task):
    """Plays a task by its script; returns the last verdict and the number of actions."""
    num_steps = 0
    while num_steps < task.max_steps:
        num_steps += 1
        action = oracle(task, await look(device))
        assert action is not None
        await device.act(action, deadline_s=CALL_S)
        verdict = await device.check(task, deadline_s=CALL_S)
        if verdict.success or verdict.failed:
            break
    return verdict, num_steps


def running(pid):
    """Whether a process runs: a zombie that waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def processes_of(chromium):
    """Driver, browser and all their children, by the folder on their command line or their process session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            command = (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if session == chromium.driver_pid or chromium.folder in command:
            found.append(int(entry.name))
    return found


@pytest.mark.browser
def test_it_is_a_device(device):
    assert isinstance(device, Device)


@pytest.mark.browser
@pytest.mark.parametrize("template", ["click-test-2", "login-user"])
def test_the_script_solves_at_least_nine_of_ten_held_out_episodes(device, suite, template):
    async def play():
        wins = 0
        for seed in range(10):
            task = suite.make_task(template, seed=seed, split="held_out_params")
            task = await device.reset(task, deadline_s=START_S)
            wins += (await solve(device, task))[0].success
        return wins

    assert asyncio.run(play()) >= 9


@pytest.mark.browser
@pytest.mark.parametrize("template", ORACLE_TEMPLATES)
def test_every_scripted_page_is_solved_within_half_its_budget_and_not_before_anything_is_done(device, template):
    async def play():
        task = await set_up(device, template)
        before = await device.check(task, deadline_s=CALL_S)
        return task, before, *await solve(device, task)

    task, before, verdict, num_steps = asyncio.run(play())
    assert task.instruction
    assert (before.success, before.failed) == (False, False)
    assert (verdict.success, verdict.failed, verdict.reason) == (True, False, "raw reward 1")
    assert num_steps <= task.max_steps / 2


@pytest.mark.browser
def test_demonstrations_carry_the_instruction_and_end_in_success_or_have_no_steps(suite):
    require("miniwob", "chromium", "chromedriver")
    demonstrate = page_demonstrator(BrowserDeviceConfig(), DeadlinesConfig())
    task, steps = demonstrate(suite.make_task("login-user", seed=5, split="train"))
    assert task.instruction.startswith('Enter the username "')
    assert [action.kind for _, action, _ in steps] == ["tap", "type", "tap", "type", "tap"]
    assert [steps[1][1].text, steps[3][1].text] == re.findall('"([^"]*)"', task.instruction)
    # On this page ONE lies under TWO: the script touches TWO.
    assert demonstrate(suite.make_task("click-test-2", seed=3, split="train"))[1] == []


@pytest.mark.browser
def test_the_same_seed_gives_the_same_page_to_the_pixel_and_another_seed_another(device):
    async def first(seed):
        task = await set_up(device, "click-checkboxes", seed=seed)
        seen = await look(device)
        return task.instruction, seen.elements, seen.frame.content_hash

    async def play():
        return [await first(seed) for seed in (3, 4, 3)]

    once, other, again = asyncio.run(play())
    assert once == again
    assert all(a != b for a, b in zip(once, other, strict=True))


@pytest.mark.browser
def test_a_wrong_touch_fails_the_task_for_good(device):
    async def play():
        task = await set_up(device, "click-test-2", seed=1)
        buttons = {element.text: element for element in (await look(device)).elements}
        await tap(device, buttons["TWO"])
        wrong = await device.check(task, deadline_s=CALL_S)
        seen = await look(device)
        await tap(device, buttons["ONE"])
        await act(device, ActionKind.TAP, touch=(0.5, 0.9))
        return wrong, seen, await device.check(task, deadline_s=CALL_S)

    wrong, seen, later = asyncio.run(play())
    assert (wrong.success, wrong.failed, wrong.reason) == (False, True, "raw reward -1")
    assert {element.text for element in seen.elements} == {"ONE", "TWO"}  # No START button over the final screen.
    assert later == wrong


@pytest.mark.browser
def test_partial_credit_is_success_only_above_the_threshold(device):
    async def play(settings):
        task = await set_up(device, "click-checkboxes", seed=2)
        evaluate(device, "core.endEpisode(0.4, true); return 0;")
        judge = BrowserDevice("judge", settings)
        judge._chromium, judge._task = device.chromium, task
        return await judge.check(task, deadline_s=CALL_S)

    assert asyncio.run(play(BrowserDeviceConfig())).success
    strict = asyncio.run(play(BrowserDeviceConfig(success_above=0.99)))
    assert (strict.success, strict.failed) == (False, True)


@pytest.mark.browser
def test_a_policy_that_takes_half_an_hour_is_still_judged_by_what_it_did(device):
    async def play():
        task = await set_up(device, "click-test-2", seed=1)
        limit_ms = evaluate(device, "return core.EPISODE_MAX_TIME;")
        evaluate(device, "core.ept0 -= core.EPISODE_MAX_TIME; return 0;")  # The page's clock says: all time is over.
        verdict, _ = await solve(device, task)
        return limit_ms, verdict, evaluate(device, "return WOB_REWARD_GLOBAL;")

    limit_ms, verdict, decayed_reward = asyncio.run(play())
    assert limit_ms == 3_600_000
    assert verdict.success
    assert decayed_reward == 0  # The reward that decays with time would have called this a failure.


@pytest.mark.browser
def test_the_pages_own_clock_running_out_is_no_failure_of_the_agent(device):
    async def play():
        task = await set_up(device, "click-test-2", seed=1)
        evaluate(device, "core.endEpisode(-1, false, 'timed out'); return 0;")
        await device.check(task, deadline_s=CALL_S)

    with pytest.raises(DeviceRejectedError, match=r"3600 s; raise device\.episode_time_limit_s"):
        asyncio.run(play())


@pytest.mark.browser
def test_typing_goes_to_the_focused_field_only_and_arrives_unchanged(device):
    text = 'O\'Neil "$(rm -rf ~)"; ü 你好 😀 <b>'

    async def play():
        await set_up(device, "enter-text")
        await act(device, ActionKind.TYPE, text=text)
        ignored = await look(device)
        await tap(device, next(element for element in ignored.elements if element.editable))
        await act(device, ActionKind.TYPE, text=text)
        return ignored, await look(device)

    ignored, typed = asyncio.run(play())
    assert [element.text for element in ignored.elements if element.editable] == [""]
    (field,) = [element for element in typed.elements if element.editable]
    assert (field.text, field.focused, field.class_name) == (text, True, "EditText")


@pytest.mark.browser
def test_a_password_shows_as_dots(device):
    async def play():
        await set_up(device, "login-user")
        fields = [element for element in (await look(device)).elements if element.editable]
        await tap(device, fields[1])
        await act(device, ActionKind.TYPE, text="hidden")
        return await look(device)

    assert [element.text for element in asyncio.run(play()).elements if element.editable] == ["", "•" * 6]


@pytest.mark.browser
def test_a_swipe_up_moves_the_content_up_and_back_again(device):
    async def play():
        await set_up(device, "social-media")
        tops = [evaluate(device, "return document.getElementById('area').scrollTop;")]
        names = [[element.text for element in (await look(device)).elements]]
        for touch, lift in (((0.5, 0.8), (0.5, 0.5)), ((0.5, 0.5), (0.5, 0.8))):
            await act(device, ActionKind.SWIPE, touch=touch, lift=lift)
            tops.append(evaluate(device, "return document.getElementById('area').scrollTop;"))
            names.append([element.text for element in (await look(device)).elements])
        return tops, names, await look(device)

    tops, names, seen = asyncio.run(play())
    assert tops == [0, 63, 0]  # 0.3 of 210 page pixels.
    assert names[0] == names[2] != names[1]
    assert [element.class_name for element in seen.elements if element.scrollable] == ["ScrollView"]
    assert all(element.bounds[3] <= 210 and element.bounds[2] <= 160 for element in seen.elements)


@pytest.mark.browser
def test_a_long_press_holds_and_enter_back_and_home_are_keys_or_nothing(device):
    listen = """
      window.heard = [];
      for (const kind of ['mousedown', 'mouseup', 'click', 'keydown'])
        document.addEventListener(kind, e => window.heard.push([kind, e.key || '', e.timeStamp]));
    """

    async def play():
        await set_up(device, "click-button")
        evaluate(device, listen)
        await act(device, ActionKind.BACK)
        await act(device, ActionKind.HOME)
        await act(device, ActionKind.LONG_PRESS, touch=(0.99, 0.99))
        await act(device, ActionKind.ENTER)
        return evaluate(device, "return window.heard;")

    heard = asyncio.run(play())
    assert [(kind, key) for kind, key, _ in heard] == [
        ("mousedown", ""),
        ("mouseup", ""),
        ("click", ""),
        ("keydown", "Enter"),
    ]
    assert heard[1][2] - heard[0][2] >= 500


@pytest.mark.browser
def test_the_tree_finds_what_listens_for_touches_and_the_rows_of_a_list_box(device):
    async def play():
        await set_up(device, "click-color")
        colors = (await look(device)).elements
        await set_up(device, "click-scroll-list")
        return colors, (await look(device)).elements

    colors, listing = asyncio.run(play())
    assert [(element.class_name, element.clickable) for element in colors] == [("View", True)] * 4
    rows = [element for element in listing if element.class_name == "TextView"]
    assert len(rows) >= 3
    assert all(row.clickable and row.text for row in rows)


@pytest.mark.browser
def test_a_larger_scale_draws_the_same_page_with_more_pixels():
    require("miniwob", "chromium", "chromedriver")

    async def play():
        device = BrowserDevice("page-large", BrowserDeviceConfig(scale=3))
        try:
            task = await set_up(device, "click-test-2", seed=1)
            seen = await look(device)
            return seen, (await solve(device, task))[0]
        finally:
            await device.close()

    seen, verdict = asyncio.run(play())
    assert seen.frame.pixels.shape == (630, 480, 3)
    assert seen.frame.pixels.flags.writeable is False
    left, top, right, bottom = seen.elements[0].bounds
    assert (right - left, bottom - top) == (120, 120)
    inside = seen.frame.pixels[top + 15 : bottom - 15, left + 6 : right - 6]
    assert inside.min() < 60  # The word ONE is drawn inside the bounds of its button.
    assert verdict.success


@pytest.mark.browser
def test_a_blank_or_unreadable_screenshot_is_refused(device, monkeypatch):
    blank = io.BytesIO()
    Image.new("RGB", (500, 320), "white").save(blank, "PNG")
    asyncio.run(set_up(device, "click-test"))
    for data in (base64.b64encode(blank.getvalue()).decode(), "AAAA"):
        monkeypatch.setattr(Chromium, "command", lambda *_, data=data: {"data": data})
        with pytest.raises(ObservationError, match="page-0: the browser's screenshot"):
            asyncio.run(look(device))


@pytest.mark.browser
def test_a_call_before_reset_and_a_page_that_does_not_exist_are_refused(suite):
    require("miniwob", "chromium", "chromedriver")
    device = BrowserDevice("page-new")
    with pytest.raises(DeviceRejectedError, match="call reset first"):
        asyncio.run(look(device))
    task = replace(suite.make_task("click-tab", seed=0, split="train"), template="../core/core")
    with pytest.raises(DeviceRejectedError, match="is no MiniWoB"):
        asyncio.run(device.reset(task, deadline_s=START_S))


@pytest.mark.browser
def test_a_hung_browser_is_replaced_and_the_device_works_again(device):
    async def play():
        await set_up(device, "click-test-2", seed=1)
        old = device.chromium
        pids = processes_of(old)
        os.kill(old.driver_pid, signal.SIGSTOP)
        with pytest.raises(DeviceHungError, match="page-0: "):
            await device.observe(deadline_s=0.3)
        await device.recover(deadline_s=START_S)
        verdict, _ = await solve(device, await set_up(device, "click-test-2", seed=1))
        return old, pids, verdict

    old, pids, verdict = asyncio.run(play())
    assert len(pids) > 2
    assert not any(running(pid) for pid in pids)
    assert not Path(old.folder).exists()
    assert verdict.success


@pytest.mark.browser
def test_a_killed_driver_is_a_lost_device_that_recovers(device):
    async def play():
        await set_up(device, "click-test")
        os.kill(device.chromium.driver_pid, signal.SIGKILL)
        with pytest.raises(DeviceLostError, match="page-0: the browser is gone"):
            await look(device)
        await device.recover(deadline_s=START_S)
        await set_up(device, "click-test")
        return await look(device)

    assert asyncio.run(play()).elements


@pytest.mark.browser
def test_recovering_and_closing_one_device_leaves_the_other_alone_and_nothing_behind(device):
    async def play():
        other = BrowserDevice("page-1")
        await set_up(device, "click-test")
        await set_up(other, "click-test")
        mine = processes_of(device.chromium)
        first = other.chromium
        pids = processes_of(first)
        await other.recover(deadline_s=START_S)
        second = other.chromium
        pids += processes_of(second)
        await other.close()
        await other.close()
        with pytest.raises(DeviceLostError, match="after close"):
            await other.recover(deadline_s=CALL_S)
        return mine, pids, [first.folder, second.folder], (await look(device)).elements

    mine, pids, folders, elements = asyncio.run(play())
    assert len(pids) > 4
    assert not set(mine) & set(pids)
    assert not any(running(pid) for pid in pids)
    assert not any(Path(folder).exists() for folder in folders)
    assert elements


@pytest.mark.browser
def test_a_page_script_that_never_ends_is_a_hung_device(device):
    async def play():
        await set_up(device, "click-test")
        evaluate(device, "addEventListener('mousedown', () => { for (;;); }); return 0;")
        with pytest.raises(DeviceHungError, match="page-0: "):
            await device.act(Action(ActionKind.TAP, touch=(0.5, 0.9)), deadline_s=0.3)
        await device.recover(deadline_s=START_S)

    asyncio.run(play())


def test_the_installer_succeeds_without_apt_and_fails_in_ci(tmp_path):
    script = Path(__file__).parent.parent / "scripts" / "install-browser"
    bash = shutil.which("bash")
    for ci, code in (("", 0), ("true", 1)):
        done = subprocess.run(
            [bash, script], check=False, env={"PATH": str(tmp_path), "CI": ci}, capture_output=True, text=True
        )
        assert done.returncode == code
        assert "apt-get install -y chromium chromium-driver" in done.stderr
