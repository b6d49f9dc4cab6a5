"""Checkpoints: exact, whole or absent, and a resume that cannot be told from no interruption."""

from __future__ import annotations

import errno
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distrl import checkpoint as checkpoint_module
from distrl.checkpoint import Checkpoints, flatten_optimizer_state, load, unflatten_optimizer_state
from distrl.durable import ASIDE_PREFIX
from distrl.errors import CheckpointError
from distrl.random_state import capture_random_state, restore_random_state

TENSORS = {
    "policy": {"w": torch.tensor([[1.5, -2.0], [0.0, 3.25]], dtype=torch.bfloat16), "n": torch.tensor(3)},
    "optimizer": {},
}
ARRAYS = {"priority": np.array([0.1, 1 / 3]), "slot": np.arange(6, dtype=np.uint64).reshape(2, 3)[:, ::2]}
STATE = {"version": 12, "tasks": ["ü😀", None, 0.1], "rng": 2**127 + 1}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def save(checkpoints, step, **changes):
    return checkpoints.save(step, **{"tensors": TENSORS, "arrays": ARRAYS, "state": {**STATE, "step": step}, **changes})


def test_a_checkpoint_comes_back_exactly(tmp_path):
    path = save(Checkpoints(tmp_path / "checkpoints"), 12)
    found = Checkpoints(tmp_path / "checkpoints").load()
    assert (found.step, found.path, found.state) == (12, path, {**STATE, "step": 12})
    assert found.tensors["optimizer"] == {}
    for name, tensor in TENSORS["policy"].items():
        assert found.tensors["policy"][name].dtype == tensor.dtype
        assert torch.equal(found.tensors["policy"][name], tensor)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
    assert not any(path.suffix in (".pt", ".pkl", ".npz") for path in path.iterdir())


def test_tied_and_transposed_tensors_are_saved(tmp_path):
    w = torch.arange(6.0).reshape(2, 3)
    save(Checkpoints(tmp_path), 1, tensors={"policy": {"a": w, "tied": w, "turned": w.T, "grad": nn.Parameter(w)}})
    found = Checkpoints(tmp_path).load().tensors["policy"]
    assert torch.equal(found["turned"], w.T)
    assert torch.equal(found["tied"], w)
    assert torch.equal(found["grad"], w)


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    assert (checkpoints.latest(), checkpoints.best(), checkpoints.best_score()) == (None, None, None)
    save(checkpoints, 1)
    best = save(checkpoints, 2, score=0.8)
    for step in (3, 4):
        save(checkpoints, step)
    latest = save(checkpoints, 10, score=0.5)  # 10 after 4: steps are ordered as numbers.
    assert checkpoints.steps() == [2, 4, 10]
    assert (checkpoints.latest(), checkpoints.best(), checkpoints.best_score()) == (latest, best, 0.8)
    assert checkpoints.mark_best(4, 0.8) is False
    assert checkpoints.mark_best(4, 0.9) is True
    assert checkpoints.steps() == [4, 10]
    assert Checkpoints(tmp_path).best_score() == 0.9


def test_a_score_of_a_step_that_is_gone_or_not_finite_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    with pytest.raises(CheckpointError, match="none of step 7"):
        checkpoints.mark_best(7, 0.5)
    with pytest.raises(CheckpointError, match="must be finite"):
        checkpoints.mark_best(1, float("nan"))
    assert checkpoints.best() is None


@pytest.mark.parametrize("writer", ["save_tensors", "save_arrays", "_sha256"])
def test_a_full_disk_at_any_file_leaves_the_checkpoint_before_valid(tmp_path, monkeypatch, writer):
    checkpoints = Checkpoints(tmp_path)
    before = save(checkpoints, 1)

    def full(*args):
        if writer != "_sha256":
            Path(args[-1]).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_module, writer, full)
        with pytest.raises(CheckpointError, match=r"step 2 .*No space left.*free space.*previous one is .*step-0+1$"):
            save(checkpoints, 2)
    assert names(tmp_path) == [before.name]
    assert checkpoints.load().step == 1
    save(checkpoints, 2)  # Space was freed.
    assert checkpoints.load().step == 2


def test_a_save_that_was_killed_leaves_no_checkpoint_and_is_cleared_away(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint_module, "save_arrays", killed)
        save(checkpoints, 2)
    (tmp_path / f"{ASIDE_PREFIX}99-step-0000000002").mkdir()  # As SIGKILL would leave it.
    assert checkpoints.load().step == 1
    save(checkpoints, 3)
    assert names(tmp_path) == ["step-0000000001", "step-0000000003"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("message", "damage"),
    [
        ("policy.safetensors does not match its sha256", lambda path: flip(path / "policy.safetensors")),
        ("arrays.safetensors does not match its sha256", lambda path: flip(path / "arrays.safetensors")),
        ("state.json does not match its sha256", lambda path: flip(path / "state.json")),
        ("is damaged", lambda path: (path / "optimizer.safetensors").unlink()),
        ("is damaged", lambda path: (path / "manifest.json").unlink()),
        ("is damaged", lambda path: (path / "manifest.json").write_text("[")),
        ("is damaged", lambda path: (path / "manifest.json").write_text('{"format": 1}')),
    ],
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_named(tmp_path, message, damage):
    checkpoints = Checkpoints(tmp_path)
    before = save(checkpoints, 1)
    damage(save(checkpoints, 2))
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.load()
    assert f"delete it; the previous one is {before}" in str(caught.value)
    assert checkpoints.load(before).step == 1


def test_another_format_is_refused_by_name(tmp_path):
    path = save(Checkpoints(tmp_path), 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "format": 8}))
    with pytest.raises(CheckpointError, match=r"format 1, .* has 8: load it with the version"):
        load(path)


def test_a_missing_checkpoint_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(CheckpointError, match="has none: start a new run"):
        Checkpoints(tmp_path).load()
    with pytest.raises(CheckpointError, match="there is none at"):
        load(tmp_path / "step-0000000009")


def test_a_damaged_best_marker_is_refused_with_a_remedy(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, score=0.5)
    (tmp_path / "best.json").write_text("{}")
    with pytest.raises(CheckpointError, match="delete it; the next evaluation writes it"):
        checkpoints.best()


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {"loss": float("nan")}},
        {"state": {"path": Path("x")}},
        {"tensors": {"../x": {}}},
        {"tensors": {"arrays": {}}},
    ],
    ids=["not finite", "not JSON", "path as group", "group of arrays"],
)
def test_what_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path, changes):
    with pytest.raises(CheckpointError, match="step 1 has another"):
        save(Checkpoints(tmp_path), 1, **changes)
    assert names(tmp_path) == []


def test_a_step_is_saved_once(tmp_path):
    save(Checkpoints(tmp_path), 1)
    with pytest.raises(CheckpointError, match="a step is saved once"):
        save(Checkpoints(tmp_path), 1, state={})
    assert Checkpoints(tmp_path).load().state["version"] == 12
    with pytest.raises(ValueError, match="got keep_last=0"):
        Checkpoints(tmp_path, keep_last=0)


# --- Optimizer and random state --------------------------------------------------------------------------------------


def model_and_optimizer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters()}]
    return model, torch.optim.AdamW(groups, lr=0.003, betas=(0.8, 0.99))


def train(model, optimizer, num_steps):
    for _ in range(num_steps):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).pow(2).mean().backward()
        optimizer.step()


def test_training_resumed_from_disk_is_bit_for_bit_that_which_was_not_interrupted(tmp_path):
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 3)
    tensors, structure = flatten_optimizer_state(optimizer.state_dict())
    Checkpoints(tmp_path).save(
        3,
        tensors={"policy": model.state_dict(), "optimizer": tensors},
        state={"optimizer": structure, "random": capture_random_state()},
    )
    train(model, optimizer, 4)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    resumed, resumed_optimizer = model_and_optimizer()
    found = Checkpoints(tmp_path).load()
    resumed.load_state_dict(found.tensors["policy"])
    restored = unflatten_optimizer_state(found.tensors["optimizer"], found.state["optimizer"])
    assert restored["param_groups"][0]["betas"] == (0.8, 0.99)
    assert list(restored["state"]) == [0, 1, 2, 3]
    resumed_optimizer.load_state_dict(restored)
    restore_random_state(found.state["random"])
    train(resumed, resumed_optimizer, 4)
    for name, tensor in expected.items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_an_optimizer_state_keeps_its_containers_and_keys(tmp_path):
    original = {"state": {0: {"m": torch.ones(2), "1": None}}, "groups": [{"b": (1, 2.5), "c": [True, "x", {}]}]}
    tensors, structure = flatten_optimizer_state(original)
    back = unflatten_optimizer_state(tensors, json.loads(json.dumps(structure)))
    assert torch.equal(back["state"][0].pop("m"), original["state"][0].pop("m"))
    assert back == original
    assert isinstance(back["groups"][0]["b"], tuple)


def test_an_optimizer_state_that_cannot_be_saved_or_restored_is_refused():
    with pytest.raises(CheckpointError, match=r"groups\.0 is a function"):
        flatten_optimizer_state({"groups": [lambda: 0]})
    _, structure = flatten_optimizer_state({"m": torch.ones(2)})
    with pytest.raises(CheckpointError, match="refer to its own tensors"):
        unflatten_optimizer_state({}, structure)


def test_every_generator_goes_on_where_it_was(tmp_path):
    own = {
        "tasks": random.Random(1),
        "replay": np.random.default_rng(2),
        "noise": np.random.Generator(np.random.MT19937(3)),
        "sampling": torch.Generator().manual_seed(4),
    }

    def draw(generators):
        return [
            *(random.random(), random.gauss(0, 1), np.random.random(), np.random.standard_normal()),
            *(torch.rand(3).tolist(), generators["tasks"].gauss(0, 1), generators["replay"].integers(1 << 30)),
            *(generators["noise"].random(), torch.rand(3, generator=generators["sampling"]).tolist()),
        ]

    draw(own)  # Leaves a second normal number pending in those generators that make two at a time.
    captured = json.loads(json.dumps(capture_random_state(own)))
    expected = draw(own)
    draw(own)
    others = {
        "tasks": random.Random(9),
        "replay": np.random.default_rng(9),
        "noise": np.random.Generator(np.random.MT19937(9)),
        "sampling": torch.Generator().manual_seed(9),
    }
    restore_random_state(captured, others)
    assert draw(others) == expected
    with pytest.raises(ValueError, match="pass the same names"):
        restore_random_state(captured, {})
