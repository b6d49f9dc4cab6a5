"""What a task may change and must not: the lasting part of a phone's state, as flat paths that can be compared.

Where the phone is (app in front, pages, scroll, focus, drafts), what was looked at (history, read marks, recents) and
popups do not count. Records present before the task are named by id, new ones by their content, so that two phones on
which the same thing was done in a different order compare equal.

    {"contacts/17/phone": "555-0101", 'contacts/+["Anna", ...]': 1, "settings/wifi": True, ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Final

from distrl.device.sim.state import Alarm, Contact, Note, SystemState

Paths = dict[str, Any]

_Record = Contact | Alarm | Note
_NAMES: Final = {
    kind: tuple(spec.name for spec in fields(kind) if spec.name != "id") for kind in (Contact, Alarm, Note)
}


def _records(now: Iterable[_Record], before: Iterable[_Record]) -> Paths:
    known = {record.id for record in before}
    paths: Paths = {}
    for record in now:
        content = {name: getattr(record, name) for name in _NAMES[type(record)]}
        if record.id in known:
            paths |= {f"{record.id}/{name}": value for name, value in content.items()}
        else:
            key = "+" + json.dumps(list(content.values()))
            paths[key] = paths.get(key, 0) + 1
    return paths


def _threads(state: SystemState) -> Paths:
    paths: Paths = {}
    for thread in state.threads:
        for position, message in enumerate(thread.messages):
            paths[f"{thread.number}/{position}"] = (message.sender, message.text, message.sent)
        if thread.muted:
            paths[f"{thread.number}/muted"] = True
    return paths


def _settings(state: SystemState) -> Paths:
    paths: Paths = {
        spec.name: getattr(state.settings, spec.name) for spec in fields(state.settings) if spec.name != "permissions"
    }
    for app, granted in state.settings.permissions.items():
        paths |= {f"permissions/{app}/{name}": True for name in granted}
    return paths


def _counted(items: Iterable[Any]) -> Paths:
    paths: Paths = {}
    for item in items:
        key = json.dumps(item)
        paths[key] = paths.get(key, 0) + 1
    return paths


def _order(state: SystemState) -> Iterable[Any]:
    for order in state.orders:
        lines = sorted((line.product, line.color, line.quantity) for line in order.lines)
        yield [lines, order.address, order.payment, order.total_cents]


_SECTIONS: Final[dict[str, Callable[[SystemState, SystemState], Paths]]] = {
    "contacts": lambda now, before: _records(now.contacts, before.contacts),
    "threads": lambda now, before: _threads(now),
    "alarms": lambda now, before: _records(now.alarms, before.alarms),
    "timer": lambda now, before: {"total_s": now.timer.total_s, "running": now.timer.running},
    "stopwatch": lambda now, before: {"running": now.stopwatch.running, "laps": now.stopwatch.laps,
                                      "reset": now.stopwatch.elapsed_s == 0},
    "notes": lambda now, before: _records(now.notes, before.notes),
    "note_folders": lambda now, before: _counted(now.note_folders),
    "bookmarks": lambda now, before: _counted([mark.title, mark.url] for mark in now.bookmarks),
    "downloads": lambda now, before: _counted(now.downloads),
    "forms": lambda now, before: _counted([form.site, form.fields] for form in now.forms),
    "cart": lambda now, before: {f"{line.product}/{line.color}": line.quantity for line in now.cart},
    "favourites": lambda now, before: _counted(now.favourites),
    "orders": lambda now, before: _counted(_order(now)),
    "settings": lambda now, before: _settings(now),
    "home_apps": lambda now, before: {"order": list(now.home_apps)},
    "dock": lambda now, before: {"order": list(now.dock)},
}  # fmt: skip

_MISSING: Final = object()

SLIDER_TOLERANCE: Final = 0.1
"""How far from the wanted level a slider may stand: the middle of its track is not quite that of its row."""


def same(found: Any, wanted: Any) -> bool:
    """Whether a value counts as the wanted one; levels of sliders may be a little off."""
    if isinstance(found, float) and isinstance(wanted, float):
        return abs(found - wanted) <= SLIDER_TOLERANCE
    return bool(found == wanted)


def changes(before: SystemState, after: SystemState) -> Paths:
    """Path -> its value in `after`, for every path that differs; a removed path maps to None.

    Costs almost nothing for the parts of the state that did not change.
    """
    found: Paths = {}
    for section, flatten in _SECTIONS.items():
        if getattr(before, section) == getattr(after, section):
            continue
        old, new = flatten(before, before), flatten(after, before)
        for path in old.keys() | new.keys():
            if old.get(path, _MISSING) != new.get(path, _MISSING):
                found[f"{section}/{path}"] = new.get(path)
    return found
