"""Weights: the same contract in memory and through a folder; torn and damaged versions are refused."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from distrl import durable, weights
from distrl.errors import WeightsError
from distrl.weights import DirectoryWeights, MemoryWeights, checksum

LONG_S = 60.0
"""Never waited for: a publish comes first."""


def state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "b": torch.randn(3, 4, generator=generator),
        "a.half": torch.randn(5, generator=generator).to(torch.bfloat16),
        "count": torch.tensor(seed),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "turned": torch.randn(4, 2, generator=generator).T,
    }


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.fixture(params=["memory", "directory"])
def any_weights(request, tmp_path):
    if request.param == "memory":
        return MemoryWeights(keep=2)
    return DirectoryWeights(tmp_path / "weights", keep=2)


def test_a_published_version_comes_back_exactly(any_weights):
    any_weights.publish(state(1), version=1)
    published = any_weights.fetch()
    assert published.version == any_weights.latest() == 1
    assert published.checksum == checksum(state(1))
    assert_equal(published.state, state(1))


def test_what_is_published_stays_as_it_was_while_training_goes_on_in_place(any_weights):
    model = nn.Linear(3, 2)
    model.tied = model.weight  # Shares memory, as tied embeddings do.
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    any_weights.publish(model.state_dict(), version=0)
    with torch.no_grad():
        model.weight.add_(1.0)
    assert_equal(any_weights.fetch().state, before)
    assert not any(tensor.requires_grad for tensor in any_weights.fetch().state.values())


def test_before_the_first_version_latest_is_minus_one_and_a_fetch_says_to_wait(any_weights):
    assert any_weights.latest() == -1
    assert any_weights.wait(newer_than=-1, timeout_s=0.0) == -1
    with pytest.raises(WeightsError, match="no version was published yet"):
        any_weights.fetch()


def test_versions_must_strictly_increase(any_weights):
    any_weights.publish(state(), version=4)
    for version in (4, 3):
        with pytest.raises(WeightsError, match=rf"strictly increase, {version} follows 4: publish 5"):
            any_weights.publish(state(9), version=version)
    assert_equal(any_weights.fetch().state, state())
    with pytest.raises(WeightsError, match="strictly increase"):
        MemoryWeights().publish(state(), version=-1)


def test_only_the_newest_versions_are_kept(any_weights):
    for version in (1, 2, 5):
        any_weights.publish(state(version), version=version)
    assert_equal(any_weights.fetch(2).state, state(2))
    assert any_weights.fetch().version == 5
    with pytest.raises(WeightsError, match="version 1 is not kept, 2, 5 are"):
        any_weights.fetch(1)


def test_a_waiting_worker_is_woken_by_a_publish(any_weights):
    any_weights.publish(state(), version=1)
    assert any_weights.wait(newer_than=0, timeout_s=LONG_S) == 1
    found = []
    worker = threading.Thread(target=lambda: found.append(any_weights.wait(newer_than=1, timeout_s=LONG_S)))
    worker.start()
    any_weights.publish(state(), version=2)
    worker.join(LONG_S)
    assert found == [2]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(b=s["b"] + 1e-6),
        lambda s: s.update(c=s.pop("b")),
        lambda s: s.update(b=s["b"].reshape(4, 3)),
        lambda s: s.update(b=s["b"].view(torch.int32)),
        lambda s: s.pop("empty"),
    ],
    ids=["bytes", "name", "shape", "type", "missing"],
)
def test_the_checksum_sees_every_kind_of_change_and_not_the_order(change):
    changed = dict(reversed(state().items()))
    assert checksum(changed) == checksum(state())
    change(changed)
    assert checksum(changed) != checksum(state())


def test_a_reader_that_changes_the_shared_copy_is_found_out():
    shared = MemoryWeights()
    shared.publish(state(), version=1)
    shared.fetch().state["b"].add_(1)
    with pytest.raises(WeightsError, match="copy before changing"):
        shared.fetch()


def test_another_process_sees_a_publish_by_looking_again(tmp_path):
    publisher, reader = (DirectoryWeights(tmp_path, poll_s=0.001) for _ in range(2))
    found = []
    worker = threading.Thread(target=lambda: found.append(reader.wait(newer_than=-1, timeout_s=LONG_S)))
    worker.start()
    publisher.publish(state(), version=3)
    worker.join(LONG_S)
    assert found == [3]
    assert_equal(reader.fetch().state, state())


def test_a_folder_opened_again_goes_on_after_its_newest_version(tmp_path):
    DirectoryWeights(tmp_path).publish(state(), version=3)
    again = DirectoryWeights(tmp_path)
    assert again.latest() == 3
    with pytest.raises(WeightsError, match="strictly increase"):
        again.publish(state(), version=3)


def test_a_publisher_that_dies_before_the_marker_has_published_nothing(tmp_path, monkeypatch):
    folder = DirectoryWeights(tmp_path)
    folder.publish(state(1), version=1)

    def dies(path, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(weights, "write_durably", dies)
        folder.publish(state(2), version=2)
    (tmp_path / f"{durable.ASIDE_PREFIX}1-v2").mkdir()
    again = DirectoryWeights(tmp_path)
    assert again.fetch().version == 1
    again.publish(state(7), version=2)
    assert_equal(again.fetch().state, state(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "v0000000001", "v0000000002"]


def test_a_full_disk_leaves_the_version_before(tmp_path, monkeypatch):
    folder = DirectoryWeights(tmp_path)
    folder.publish(state(1), version=1)

    def full(tensors, path):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(WeightsError, match=r"version 2 .*No space left.*free space"):
        patched.setattr(weights, "save_file", full)
        folder.publish(state(2), version=2)
    assert folder.fetch().version == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "v0000000001"]


def damage_bytes(path):
    content = bytearray((path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "weights.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("message", "damage"),
    [
        ("match its checksum", damage_bytes),
        ("is torn", lambda path: (path / "weights.safetensors").write_bytes(b"\x00" * 5)),
        ("is torn", lambda path: (path / "weights.safetensors").unlink()),
        ("is torn", lambda path: (path / "manifest.json").unlink()),
        ("is torn", lambda path: (path / "manifest.json").write_text("{")),
        ("must hold format 1", lambda path: (path / "manifest.json").write_text('{"format": 9, "version": 1}')),
        ("match its checksum", lambda path: (path / "manifest.json").write_text('{"format": 1, "version": 1}')),
    ],
)
def test_a_damaged_version_is_refused_with_a_remedy(tmp_path, message, damage):
    folder = DirectoryWeights(tmp_path)
    folder.publish(state(), version=1)
    damage(tmp_path / "v0000000001")
    with pytest.raises(WeightsError, match=message) as caught:
        folder.fetch()
    assert "delete" in str(caught.value)


def test_a_damaged_marker_is_refused_with_a_remedy(tmp_path):
    folder = DirectoryWeights(tmp_path)
    folder.publish(state(), version=1)
    (tmp_path / "latest.json").write_text(json.dumps({"newest": 1}))
    with pytest.raises(WeightsError, match="delete the folder and publish again"):
        folder.latest()


def test_a_fetch_that_is_overtaken_returns_the_newer_version(tmp_path, monkeypatch):
    folder = DirectoryWeights(tmp_path, keep=1)
    folder.publish(state(1), version=1)
    load = folder._load

    def overtaken(version):
        monkeypatch.setattr(folder, "_load", load)
        folder.publish(state(2), version=2)  # Deletes version 1.
        return load(version)

    monkeypatch.setattr(folder, "_load", overtaken)
    assert_equal(folder.fetch().state, state(2))


def test_a_folder_that_cannot_be_made_and_a_keep_below_one_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be made"):
        DirectoryWeights(tmp_path / "file" / "weights")
    for make in (MemoryWeights, lambda keep: DirectoryWeights(tmp_path, keep=keep)):
        with pytest.raises(ValueError, match="got keep=0"):
            make(keep=0)
