"""The phone as a Gymnasium environment: for people who bring their own agent.

    import gymnasium, distrl.gymnasium_env
    env = gymnasium.make("distrl/SimPhone-v0")
    observation, info = env.reset(seed=0, options={"template": "clock.add_alarm"})
    observation, reward, terminated, truncated, info = env.step("tap 3")

`terminated` is success or the agent's own declaration, `truncated` the step budget or a device fault, which then
stands in `info["fault"]`: drop such episodes, they say nothing about the agent.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import register
from numpy.typing import NDArray

from distrl.build import build_codec, build_devices, build_suite
from distrl.config import PenaltiesConfig, RunConfig, SimDeviceConfig
from distrl.env import Episode
from distrl.errors import DeviceError, JudgeError, TaskError
from distrl.judge import StateJudge
from distrl.types import Element, Observation, Split

MAX_TEXT = 4096
"""Longest text the spaces allow, in characters."""


class Unicode(gymnasium.spaces.Space[str]):
    """Any text of up to `max_length` characters; Gymnasium's own Text space refuses spaces and punctuation."""

    def __init__(self, max_length: int = MAX_TEXT, seed: int | np.random.Generator | None = None) -> None:
        super().__init__((), None, seed)
        self.max_length = max_length

    @property
    def is_np_flattenable(self) -> bool:
        """A text does not become an array."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A few random letters."""
        return "".join(chr(code) for code in self.np_random.integers(97, 123, size=8))

    def contains(self, x: Any) -> bool:
        """Whether `x` is such a text."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"Unicode({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and other.max_length == self.max_length

    __hash__ = None  # type: ignore[assignment]


class PhoneEnv(gymnasium.Env[dict[str, Any], str]):
    """One phone, one task at a time; actions are texts in the configured action format.

    Observation: `screenshot` uint8 [H, W, 3]; `instruction`; `ui_tree`, one line per element
    (`index class "text" [flags]`), the same lines that models read; `app` in front.
    `reset(options=...)` takes `template`, `split` and `task_seed`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}

    def __init__(
        self,
        config: RunConfig | None = None,
        *,
        penalties: PenaltiesConfig | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self._config = config or RunConfig()
        self._suite = build_suite(self._config)
        (self._device,) = build_devices(self._config, self._suite, 1, prefix="gym-phone-")
        self._deadlines = self._config.workers.deadlines
        self._episode = Episode(self._device, StateJudge(), build_codec(self._config), self._deadlines, penalties)
        self._loop = asyncio.new_event_loop()
        self._shown: Observation | None = None
        self._num_steps = 0
        self._needs_recovery = False
        device = self._config.device
        screen = device.screen if isinstance(device, SimDeviceConfig) else (160 * device.scale, 210 * device.scale)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "screenshot": gymnasium.spaces.Box(0, 255, (screen[1], screen[0], 3), np.uint8),
                "instruction": Unicode(),
                "ui_tree": Unicode(65_536),
                "app": Unicode(),
            }
        )
        self.action_space = Unicode()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts a task: the one that `options` name, else one drawn from the training split.

        Raises:
            TaskError: the template or split is unknown.
            DeviceError: the device failed, also after one recovery.
        """
        super().reset(seed=seed)
        wanted = options or {}
        split: Split = wanted.get("split", "train")
        splits = self._suite.splits()
        if not splits.get(split):
            raise TaskError(
                f"split {split!r} has no task here; there are: {', '.join(name for name in splits if splits[name])}"
            )
        draw = random.Random(int(self.np_random.integers(2**31)))
        template = wanted.get("template") or draw.choice(splits[split])
        task_seed = int(wanted.get("task_seed", draw.randrange(2**31)))
        task = self._suite.make_task(template, split=split, seed=task_seed)
        if self._needs_recovery:
            self._recover()
        try:
            self._shown = self._loop.run_until_complete(self._episode.start(task))
        except DeviceError:
            self._recover()
            self._needs_recovery = True  # Until the second start succeeds.
            self._shown = self._loop.run_until_complete(self._episode.start(task))
            self._needs_recovery = False
        self._num_steps = 0
        return self._observation(), {"task": self._episode.task}

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Does what the text says; an invalid one changes nothing and is named in `info["invalid"]`."""
        self._num_steps += 1
        try:
            outcome = self._loop.run_until_complete(self._episode.step(action))
        except (DeviceError, JudgeError) as error:
            self._needs_recovery |= isinstance(error, DeviceError)
            fault = error.fault if isinstance(error, DeviceError) else "judge"
            return self._observation(), 0.0, False, True, {"fault": fault, "success": False}
        self._shown = outcome.observation
        out_of_steps = self._num_steps >= self._episode.task.max_steps
        info = {
            "success": outcome.verdict.success,
            "invalid": outcome.invalid,
            "penalties": dict(outcome.penalties),
            "side_effects": outcome.verdict.side_effects,
        }
        reward = outcome.reward + sum(value for _, value in outcome.penalties)
        return self._observation(), reward, outcome.terminated, out_of_steps and not outcome.terminated, info

    def render(self) -> NDArray[np.uint8] | None:
        """The present screen, [H, W, 3]."""
        if self._shown is None or self.render_mode != "rgb_array":
            return None
        return self._shown.frame.pixels.copy()

    def close(self) -> None:
        """Frees the device."""
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._device.close())
            self._loop.close()

    def _recover(self) -> None:
        self._needs_recovery = True
        self._loop.run_until_complete(self._device.recover(deadline_s=self._deadlines.recover_s))
        self._needs_recovery = False

    def _observation(self) -> dict[str, Any]:
        assert self._shown is not None, "reset() comes first"
        return {
            "screenshot": self._shown.frame.pixels.copy(),
            "instruction": self._episode.task.instruction,
            "ui_tree": "\n".join(element_line(element) for element in self._shown.elements or ()),
            "app": self._shown.app,
        }


def element_line(element: Element) -> str:
    """One element as a line of text, e.g. `7 Button "Save" clickable`."""
    flags = [
        name
        for name in ("clickable", "long_clickable", "editable", "focused", "checked", "selected", "scrollable")
        if getattr(element, name)
    ]
    label = element.text or element.content_description
    return " ".join([str(element.index), element.class_name, f'"{label}"', *flags])


register(id="distrl/SimPhone-v0", entry_point="distrl.gymnasium_env:PhoneEnv")
register(
    id="distrl/SimPhoneLarge-v0",
    entry_point="distrl.gymnasium_env:PhoneEnv",
    kwargs={"config": RunConfig.model_validate({"device": {"kind": "sim", "screen": (540, 1200)}})},
)
register(
    id="distrl/Browser-v0",
    entry_point="distrl.gymnasium_env:PhoneEnv",
    kwargs={"config": RunConfig.model_validate({"device": {"kind": "browser"}})},
)
