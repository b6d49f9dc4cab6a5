"""The tasks of the browser device: which MiniWoB++ pages, with which seeds, in which split."""

from __future__ import annotations

import difflib
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from distrl.errors import ConfigError, TaskError
from distrl.types import Split, Task

TRAIN_TEMPLATES: Final = (
    "click-test-2",
    "click-button",
    "click-checkboxes",
    "enter-text",
    "focus-text",
    "login-user",
    "click-tab",
    "click-dialog",
)
HELD_OUT_TEMPLATES: Final = ("click-test", "focus-text-2", "enter-password", "click-dialog-2")

_LEVEL_AND_STEPS: Final = {
    "click-test": (1, 4),
    "click-test-2": (1, 4),
    "click-button": (1, 4),
    "focus-text": (1, 4),
    "focus-text-2": (1, 4),
    "click-tab": (1, 4),
    "click-dialog": (1, 4),
    "click-dialog-2": (1, 4),
    "enter-text": (2, 6),
    "enter-password": (2, 10),
    "login-user": (2, 10),
    "click-checkboxes": (2, 14),
}
"""Level and step budget: twice the shortest way, at least 4."""

_OTHERS: Final = (2, 15)


@functools.cache
def find_pages() -> dict[str, Path]:
    """Name -> HTML file of every page of the installed package `miniwob`, by name. Its Python code is not imported.

    Raises:
        ConfigError: the package is not installed, or holds no pages.
    """
    spec = importlib.util.find_spec("miniwob")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "browser devices need the package miniwob, and it is not installed; pip install 'distrl[miniwob]'"
        )
    folder = Path(spec.origin).resolve().parent / "html" / "miniwob"
    pages = {path.stem: path for path in sorted(folder.glob("*.html"))}
    if not pages:
        raise ConfigError(f"the package miniwob has no pages in {folder}; pip install --force-reinstall miniwob")
    return pages


class BrowserSuite:
    """MiniWoB++ pages as tasks.

    The instruction is empty until a device has loaded the page: `BrowserDevice.reset` returns the task with it.
    `held_out_params` uses the training pages with page seeds that training never sees (odd ones; training has the
    even ones); `held_out_templates` uses other pages. There is no held-out app: the page is the only one.

    Args:
        train: names of the pages trained on.
        held_out: names of the pages kept for evaluation; by default the usual ones that are not trained on.

    Raises:
        ConfigError: the package `miniwob` is not installed.
        TaskError: a name is not one of its pages, or is in both lists.
    """

    name = "browser"

    def __init__(self, train: Sequence[str] = TRAIN_TEMPLATES, held_out: Sequence[str] | None = None) -> None:
        if held_out is None:
            held_out = tuple(name for name in HELD_OUT_TEMPLATES if name not in train)
        for name in (*train, *held_out):
            _check_name(name)
        shared = sorted(set(train) & set(held_out))
        if shared:
            raise TaskError(f"{', '.join(shared)} is both trained on and held out; keep it in one list")
        self._templates: dict[Split, tuple[str, ...]] = {
            "train": tuple(train),
            "held_out_params": tuple(train),
            "held_out_templates": tuple(held_out),
            "held_out_app": (),
        }

    @property
    def templates(self) -> tuple[str, ...]:
        """Every page of the suite, trained on or held out."""
        return self._templates["train"] + self._templates["held_out_templates"]

    def splits(self) -> dict[Split, tuple[str, ...]]:
        """The names of the pages each split draws from."""
        return dict(self._templates)

    def templates_in(self, split: Split) -> tuple[str, ...]:
        """Names of the pages this split draws from."""
        return self._templates[split]

    def level_of(self, template: str) -> int:
        """1 for a page that one touch solves, else 2."""
        return _LEVEL_AND_STEPS.get(template, _OTHERS)[0]

    def make_task(self, template: str, *, seed: int, split: Split) -> Task:
        """The task that `template`, `split` and `seed` determine; `params["page_seed"]` seeds the page.

        Raises:
            TaskError: the page is not in that split.
        """
        if template not in self._templates[split]:
            among = ", ".join(self._templates[split]) or "none"
            raise TaskError(f"{template!r} is not a page of split {split}; there are: {among}")
        level, max_steps = _LEVEL_AND_STEPS.get(template, _OTHERS)
        return Task(
            id=f"{template}/{split}/{seed}",
            template=template,
            instruction="",
            split=split,
            seed=seed,
            level=level,
            apps=("browser",),
            max_steps=max_steps,
            params={"page_seed": 2 * seed + (split != "train")},
            suite=self.name,
        )


def _check_name(name: str) -> None:
    pages = find_pages()
    if name not in pages:
        near = difflib.get_close_matches(name, pages, n=1)
        hint = f"did you mean {near[0]}?" if near else "see https://miniwob.farama.org for the list"
        raise TaskError(f"{name!r} is no MiniWoB++ page; {hint}")
