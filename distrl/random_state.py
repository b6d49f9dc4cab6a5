"""The state of random generators as JSON, so that a resumed run draws what the interrupted one would have drawn."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Generator = random.Random | np.random.Generator | torch.Generator


def capture_random_state(generators: Mapping[str, Generator] | None = None) -> dict[str, Any]:
    """Returns the state of Python's, numpy's and torch's global generators and of the named ones, as JSON values."""
    captured: dict[str, Any] = {
        "python": _of_python(random.getstate()),
        "numpy": _of_numpy(np.random.get_state(legacy=False)),
        "torch": _of_bytes(torch.get_rng_state()),
        "cuda": [_of_bytes(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "named": {name: _capture(generator) for name, generator in (generators or {}).items()},
    }
    return captured


def restore_random_state(captured: Mapping[str, Any], generators: Mapping[str, Generator] | None = None) -> None:
    """Sets the global generators and the named ones, in place, to what `capture_random_state` returned.

    Raises `ValueError` unless the names are those that were captured.
    """
    named = generators or {}
    if set(named) != set(captured["named"]):
        raise ValueError(
            f"generators must be those captured ({sorted(captured['named'])}), they are {sorted(named)}: "
            "pass the same names"
        )
    random.setstate(_to_python(captured["python"]))
    np.random.set_state(_to_numpy(captured["numpy"]))
    torch.set_rng_state(_to_bytes(captured["torch"]))
    if captured["cuda"] and torch.cuda.device_count() == len(captured["cuda"]):
        torch.cuda.set_rng_state_all([_to_bytes(state) for state in captured["cuda"]])
    for name, generator in named.items():
        _restore(generator, captured["named"][name])


def _capture(generator: Generator) -> Any:
    if isinstance(generator, random.Random):
        return _of_python(generator.getstate())
    if isinstance(generator, torch.Generator):
        return _of_bytes(generator.get_state())
    return _of_numpy(generator.bit_generator.state)


def _restore(generator: Generator, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(_to_python(state))
    elif isinstance(generator, torch.Generator):
        generator.set_state(_to_bytes(state))
    else:
        generator.bit_generator.state = _to_numpy(state)


def _of_python(state: tuple[Any, ...]) -> list[Any]:
    version, numbers, gauss = state
    return [version, list(numbers), gauss]


def _to_python(state: list[Any]) -> tuple[Any, ...]:
    version, numbers, gauss = state
    return version, tuple(numbers), gauss


def _of_numpy(state: Any) -> Any:
    """Bit generators differ in what their states hold: numbers, text, and arrays in nested dicts."""
    if isinstance(state, np.ndarray):
        return {"dtype": str(state.dtype), "values": state.tolist()}
    if isinstance(state, Mapping):
        return {name: _of_numpy(item) for name, item in state.items()}
    return state


def _to_numpy(state: Any) -> Any:
    if not isinstance(state, Mapping):
        return state
    if set(state) == {"dtype", "values"}:
        return np.array(state["values"], dtype=state["dtype"])
    return {name: _to_numpy(item) for name, item in state.items()}


def _of_bytes(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _to_bytes(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
