"""Writes docs/tasks.md from the task templates: `python docs/make_tasks_page.py`."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from distrl.device.sim.tasks.demonstrations import run_oracle
from distrl.device.sim.tasks.suite import HELD_OUT_TEMPLATES, SimSuite
from distrl.types import Split

NUM_DRAWS = 8
PAGE = Path(__file__).with_name("tasks.md")

INTRODUCTION = """# Tasks of the simulated phone

{num} templates on three levels: 1 is a few touches on one or two screens, 2 a form or a search in one app, 3 several
apps or several conditions. Each template draws its parameters, sets a phone up, checks the result on the phone's
state, and solves itself with a scripted oracle. This page is written by `docs/make_tasks_page.py`.

**The check.** A template makes, on a copy of the phone's state, the change that the instruction asks for. The task is
done when the phone shows exactly that change. Any other change to user data (contacts, messages, alarms, notes,
settings, permissions, cart, orders, favourites, forms, bookmarks, the home screen) is a side effect: it is reported by
path, and the task does not count as done while it stands. Where the phone is, drafts, history, read marks and popups do
not count. What the agent claims does not count either.

**Step budget.** Twice the oracle's longest way, and at least four.

**Splits.**

| split | templates | words and numbers | what is new |
|---|---|---|---|
| `train` | {train} | training | |
| `held_out_params` | the same | held out | names, texts, titles, products, phone numbers, times; seeds |
| `held_out_templates` | {held_out} | training | the task; every skill in it is part of another one |
| `held_out_app` | {app} | training | the app Notes, never opened in training |

Where a template has only a few possible parameters (on or off, an app, a colour), `held_out_params` shares them and the
world around the task is new.

**Pixels.** For templates marked so, what to touch can be told only from the screenshot: unlabelled swatches whose order
differs from phone to phone, and products that differ in nothing but their picture.

**Distractors.** With `device.distractor_rate` above 0, that share of the episodes starts with a permission dialog, an
update or rating popup, or a heads-up notification. None of them is part of the task; one touch puts them away.

**Demonstrations.** `run_oracle(suite, task, size=..., detour_rate=...)` returns what the oracle saw and did. With
detours it now and then does something wrong that one step takes back, and takes it back; the wrong step is marked as
a mistake, so that it can be shown in the history and not be imitated.

"""


def split_of(suite: SimSuite, name: str) -> Split:
    """The split that a template belongs to."""
    splits = suite.splits()
    return next(split for split in ("train", "held_out_templates", "held_out_app") if name in splits[split])


def row(suite: SimSuite, name: str) -> str:
    """One line of the table."""
    template, split = suite.template(name), split_of(suite, name)
    tasks = [suite.make_task(name, split=split, seed=seed) for seed in range(NUM_DRAWS)]
    steps = mean(len(run_oracle(suite, task)) for task in tasks)
    kept = {"train": "", "held_out_templates": "template", "held_out_app": "app"}[split]
    pixels = "yes" if template.needs_pixels else ""
    apps = ", ".join(template.apps) or "launcher"
    return f"| `{name}` | {apps} | {pixels} | {kept} | {steps:.1f} | {template.max_steps} | {tasks[0].instruction} |"


def page() -> str:
    """The whole page."""
    suite = SimSuite()
    splits = suite.splits()
    lines = [
        INTRODUCTION.format(
            num=len(suite.templates),
            train=len(splits["train"]),
            held_out=f"{len(HELD_OUT_TEMPLATES)} others",
            app=f"{len(splits['held_out_app'])} others",
        ).rstrip()
    ]
    for level in (1, 2, 3):
        names = [name for name in suite.templates if suite.template(name).level == level]
        lines += ["", f"## Level {level}: {len(names)} templates", ""]
        lines += ["| template | apps | pixels | held out | oracle steps | budget | for example |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [row(suite, name) for name in names]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
