"""Writes docs/configuration.md from the models of `distrl.config`: `python docs/make_configuration_page.py`."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from distrl.config import RunConfig, Settings

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """# Configuration

A run is described by one YAML file; `configs/` holds ready ones. Every setting has a default, so a file says only what
differs:

```yaml
seed: 3
device:
  latency: stream
learner:
  max_minutes: 10
```

```sh
distrl train configs/quickstart.yaml --set learner.batch_size=16 --set device.latency=stream
distrl train configs/quickstart.yaml --dry-run
```

`--set key=value` overrides one setting, and may be repeated; values are YAML. `--dry-run` prints the resolved
configuration, every default written out; the same text lands in the run folder as `config.yaml`. An unknown key is an
error that names the nearest known one, and so is a value out of range or a combination that makes no sense: nothing
starts before the whole file is right.

This page is written from the models in `distrl/config.py` by `docs/make_configuration_page.py`.
"""


def models_of(annotation: Any) -> list[type[Settings]]:
    """The settings models inside an annotation: several for a choice of device kinds."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_of(part)]


def type_text(annotation: Any) -> str:
    """An annotation as a person reads it."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(parts[0])
    if origin is typing.Literal:
        return " / ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(part) for part in parts)
    if origin is tuple:
        inner = [type_text(part) for part in parts if part is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in parts else f"{len(inner)} of {inner[0]}"
    names = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path", type(None): "null"}
    return names[annotation]


def metadata_of(info: FieldInfo) -> list[Any]:
    """Constraints of a field, also those inside a union such as `number or null`."""
    found = list(info.metadata)
    for part in typing.get_args(info.annotation):
        if typing.get_origin(part) is typing.Annotated:
            for extra in typing.get_args(part)[1:]:
                found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return found


def range_text(info: FieldInfo) -> str:
    """The allowed values of a number."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = []
    for constraint in metadata_of(info):
        for name, sign in signs.items():
            value = getattr(constraint, name, None)
            if value is None:
                continue
            bounds.append(f"{sign} {value:,.0f}" if value == int(value) else f"{sign} {value}")
    return ", ".join(bounds)


def default_text(info: FieldInfo) -> str:
    """The default as YAML writes it."""
    default = info.get_default()
    if isinstance(default, float) and default < 0.01 and default > 0:
        return f"`{default:g}`"
    return f"`{json.dumps(default, default=str)}`"


def rows(model: type[Settings], prefix: str) -> list[str]:
    """One table row per value of a model; groups inside it follow in tables of their own."""
    lines = []
    for name, info in model.model_fields.items():
        if models_of(info.annotation):
            continue
        says = "Chooses this kind." if name == "kind" else " ".join((info.description or "").split())
        cells = (f"`{prefix}{name}`", type_text(info.annotation), default_text(info), range_text(info), says)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def sections(model: type[Settings], prefix: str, level: int) -> list[str]:
    """A heading, the model's sentence and its table, then the same for each group inside it."""
    lines: list[str] = []
    table = rows(model, prefix)
    if table:
        lines += ["| setting | type | default | range | meaning |", "|---|---|---|---|---|", *table, ""]
    for name, info in model.model_fields.items():
        children = models_of(info.annotation)
        for child in children:
            kind = f", `kind: {child.model_fields['kind'].default}`" if len(children) > 1 else ""
            says = " ".join((child.__doc__ or "").split())
            lines += [f"{'#' * level} `{prefix}{name}`{kind}", "", says, ""]
            lines += sections(child, f"{prefix}{name}.", level + 1)
    return lines


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "\n" + "\n".join(sections(RunConfig, "", 2)).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
