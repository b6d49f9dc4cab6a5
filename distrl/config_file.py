"""Settings from YAML files and `key=value` overrides, with errors that name the key, the value and the near miss.

load_config(path, overrides) -> RunConfig -> to_yaml(config) -> the run folder's config.yaml
"""

from __future__ import annotations

import difflib
import types
import typing
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ValidationError

from distrl.config import RunConfig, Settings
from distrl.errors import ConfigError


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Reads a YAML file and applies `key.path=value` overrides (values are YAML).

    Raises:
        ConfigError: the file is missing or no YAML mapping, a key is unknown, a value impossible, or two settings
            contradict each other; names every offending key, its value and the near miss.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        known = ", ".join(sorted(str(found) for found in Path("configs").glob("*.yaml"))) or "none in ./configs"
        raise ConfigError(f"no config file {path}; there are: {known}") from None
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError(f"{path} is not a YAML file: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not {type(raw).__name__}")
    for override in overrides or []:
        _apply_override(raw, override)
    return parse_config(raw, source=str(path))


def parse_config(raw: dict[str, Any], *, source: str = "config") -> RunConfig:
    """Validates a mapping of settings; raises `ConfigError` as `load_config` does."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError(f"{source}:\n" + "\n".join(f"  {line}" for line in lines)) from None


def to_yaml(config: RunConfig) -> str:
    """The resolved config, every default written out."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set takes key=value, for example learner.batch_size=16; got {override!r}")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is no YAML: {error}") from None
    *parents, last = key.strip().split(".")
    node = raw
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: {parent} is a value, not a group of settings")
        node = child
    node[last] = parsed


def _explain(problem: Any) -> str:
    location = [part for part in problem["loc"] if not (isinstance(part, str) and part in ("sim", "browser"))]
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1)
        elsewhere = [full for full in _all_keys() if full.split(".")[-1] == str(location[-1])]
        if near:
            return f"unknown setting {key}; did you mean {'.'.join([*map(str, location[:-1]), near[0]])}?"
        if elsewhere:
            return f"unknown setting {key}; did you mean {elsewhere[0]}?"
        return f"unknown setting {key}; known here: {', '.join(_known_keys(location[:-1]))}"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    return f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _models_of(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, Annotated):
        return [model for part in typing.get_args(annotation) for model in _models_of(part)]
    return []


def _known_keys(location: list[Any]) -> list[str]:
    models: list[type[Settings]] = [RunConfig]
    for part in location:
        models = [
            child
            for model in models
            if part in model.model_fields
            for child in _models_of(model.model_fields[part].annotation)
        ]
    return sorted({name for model in models for name in model.model_fields})


def _all_keys() -> list[str]:
    def walk(model: type[Settings], prefix: str) -> list[str]:
        keys: list[str] = []
        for name, info in model.model_fields.items():
            children = _models_of(info.annotation)
            keys.append(prefix + name)
            for child in children:
                keys.extend(walk(child, f"{prefix}{name}."))
        return keys

    return walk(RunConfig, "")
