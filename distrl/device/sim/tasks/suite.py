"""The tasks of the simulated phone: drawing them, starting them, checking them, and who may train on which.

    suite = SimSuite(levels=(1, 2), distractor_rate=0.2)
    task = suite.make_task("clock.add_alarm", split="train", seed=17)
    before = suite.begin(task)                  # the same task always starts the same way, byte for byte
    suite.check(task, before, after).success

Everything about a task follows from its template, split and seed; distractors also from the suite's rate.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable

from distrl.device.sim.app import launch
from distrl.device.sim.state import SystemState
from distrl.device.sim.tasks import (
    level1,
    level1_places,
    level2,
    level2_forms,
    level2_notes,
    level2_web,
    level3,
    level3_web,
)
from distrl.device.sim.tasks.base import Template
from distrl.device.sim.tasks.distractors import distract
from distrl.device.sim.tasks.draws import HELD_OUT_APP
from distrl.device.sim.tasks.userdata import Paths
from distrl.device.sim.world import make_world
from distrl.errors import TaskError
from distrl.types import SPLITS, Split, Task, Verdict

ALL: tuple[Template, ...] = tuple(
    sorted(
        (
            *level1.TEMPLATES,
            *level1_places.TEMPLATES,
            *level2.TEMPLATES,
            *level2_forms.TEMPLATES,
            *level2_notes.TEMPLATES,
            *level2_web.TEMPLATES,
            *level3.TEMPLATES,
            *level3_web.TEMPLATES,
        ),
        key=lambda template: template.level,
    )
)
"""Every template, by level."""

HELD_OUT_TEMPLATES = (
    "settings.auto_rotate",
    "clock.stop_stopwatch",
    "contacts.set_email",
    "messages.mute",
    "messages.tell_two",
)
"""Never trained on, though other templates teach each of their skills."""


class SimSuite:
    """Every task of the simulated phone, or those of some templates and levels.

    `templates` names what the training split holds (empty: all but the held-out ones); `levels` filters every split.
    Raises `TaskError` for an unknown template or a level that leaves nothing to train on.
    """

    name = "sim"

    def __init__(
        self,
        *,
        templates: Iterable[str] = (),
        levels: Iterable[int] = (1, 2, 3),
        distractor_rate: float = 0.0,
    ) -> None:
        self._by_name = {template.name: template for template in ALL}
        self._levels = tuple(levels)
        self._chosen = tuple(templates)
        for name in self._chosen:
            self.template(name)
        self._distractor_rate = distractor_rate
        self._splits = self._make_splits()
        self._wanted: dict[str, tuple[SystemState, Paths]] = {}
        if not self._splits["train"]:
            raise TaskError(
                f"The training split needs a template; none of {self._chosen or 'all'} is of level {self._levels}."
            )

    @property
    def templates(self) -> tuple[str, ...]:
        """The names of all templates, held out or not, easiest level first."""
        return tuple(self._by_name)

    def template(self, name: str) -> Template:
        """The template called `name`; raises `TaskError` with the nearest name when there is none."""
        if name not in self._by_name:
            near = difflib.get_close_matches(name, self._by_name, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`distrl tasks` lists them."
            raise TaskError(f"{name!r} is not a task template of the simulated phone. {hint}")
        return self._by_name[name]

    def splits(self) -> dict[Split, tuple[str, ...]]:
        """Split -> names of its templates. `train` and `held_out_params` share theirs and differ in words and seeds."""
        return dict(self._splits)

    def make_task(self, template_name: str, *, split: Split, seed: int) -> Task:
        """Draws the task that `seed` stands for; raises `TaskError` when the template is not of that split."""
        template = self.template(template_name)
        if split not in SPLITS:
            raise TaskError(f"{split!r} is not a split. Use one of: {', '.join(SPLITS)}.")
        if template_name not in self._splits[split]:
            raise TaskError(f"{template_name!r} is not in the split {split!r}; `SimSuite.splits()` lists what is.")
        task_id = f"{template_name}/{split}/{seed}"
        rng = random.Random(f"draw/{task_id}")
        params = template.sample(rng, split)
        instruction = rng.choice(template.instructions).format(**params)
        return Task(
            id=task_id,
            template=template_name,
            instruction=instruction[0].upper() + instruction[1:],
            split=split,
            seed=seed,
            level=template.level,
            apps=template.apps,
            max_steps=template.max_steps,
            params=params,
            suite=self.name,
        )

    def begin(self, task: Task) -> SystemState:
        """The phone at the start of `task`, before anything was touched."""
        template = self.template(task.template)
        rng = random.Random(f"begin/{task.id}")
        state = make_world(rng, split=task.split)
        template.set_up(state, task.params, rng)
        if template.start_in_app > rng.random():
            launch(state, template.apps[0])
        template.place(state, task.params, rng)
        # A generator of its own: the rate must not change the world.
        distract(state, self._distractor_rate, random.Random(f"distract/{task.id}"))
        return state

    def check(self, task: Task, before: SystemState, after: SystemState) -> Verdict:
        """Whether `after` is `before` with exactly what the instruction asks for done to it."""
        template = self.template(task.template)
        cached = self._wanted.get(task.id)
        if cached is None or cached[0] is not before:
            if len(self._wanted) >= _MAX_CACHED:
                self._wanted.clear()
            cached = self._wanted[task.id] = (before, template.wanted(before, task.params))
        return template.verdict(before, after, task.params, cached[1])

    def _make_splits(self) -> dict[Split, tuple[str, ...]]:
        of_level = [template for template in self._by_name.values() if template.level in self._levels]
        held_app = [template.name for template in of_level if HELD_OUT_APP in template.apps]
        held = [template.name for template in of_level if template.name in HELD_OUT_TEMPLATES]
        train = [
            template.name
            for template in of_level
            if (template.name in self._chosen if self._chosen else template.name not in {*held_app, *held})
        ]
        return {
            "train": tuple(train),
            "held_out_params": tuple(train),
            "held_out_templates": tuple(name for name in held if name not in train),
            "held_out_app": tuple(name for name in held_app if name not in train),
        }


_MAX_CACHED = 512
"""Running tasks whose wanted changes are remembered, with their start (about 50 kB each)."""
