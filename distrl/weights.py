"""Policy weights from the learner to the workers: publish a version, wait for it, fetch it, verified.

    learner:  weights.publish(policy.state_dict(), version=7)
    worker:   version = weights.wait(newer_than=6, timeout_s=30.0);   published = weights.fetch()

`MemoryWeights` serves one process, `DirectoryWeights` any that share a folder. Versions strictly increase.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from distrl.durable import delete_unfinished, folder_appearing_whole, write_durably
from distrl.errors import WeightsError

FORMAT = 1
"""Of the directory's manifest."""

_TENSORS, _MANIFEST, _MARKER = "weights.safetensors", "manifest.json", "latest.json"


@dataclass(frozen=True, eq=False)
class Published:
    """One version, whole. `state` is shared by all who fetch it: copy before changing it."""

    version: int
    state: Mapping[str, Tensor]
    checksum: str


class Weights(Protocol):
    """How weights travel; the same for one process, a folder, and Ray."""

    def publish(self, state: Mapping[str, Tensor], *, version: int) -> None:
        """Makes `state` the newest version; it is copied before this returns, so training may go on in place."""

    def latest(self) -> int:
        """The newest version, or -1 before the first."""

    def fetch(self, version: int | None = None) -> Published:
        """Returns a version, by default the newest, with its checksum verified."""

    def wait(self, newer_than: int, timeout_s: float) -> int:
        """Returns `latest()` as soon as it exceeds `newer_than`, or when `timeout_s` seconds are over."""


def checksum(state: Mapping[str, Tensor]) -> str:
    """128-bit hex digest over names, types, shapes and bytes, in order of name: equal exactly for equal states."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class MemoryWeights:
    """Publishes within one process: one copy per version, the newest `keep` of them. Thread-safe.

    Tensors stay on their device. The checksum catches a reader that changed the shared copy.
    """

    def __init__(self, *, keep: int = 2) -> None:
        self._keep = _at_least_one(keep)
        self._changed = threading.Condition()
        self._versions: OrderedDict[int, Published] = OrderedDict()

    def publish(self, state: Mapping[str, Tensor], *, version: int) -> None:
        """Copies `state` and makes it the newest version; raises `WeightsError` unless the version increases."""
        copied = {name: tensor.detach().clone() for name, tensor in state.items()}
        published = Published(version, copied, checksum(copied))
        with self._changed:
            _check_increases(version, self._latest())
            self._versions[version] = published
            while len(self._versions) > self._keep:
                self._versions.popitem(last=False)
            self._changed.notify_all()

    def latest(self) -> int:
        """The newest version, or -1 before the first."""
        with self._changed:
            return self._latest()

    def fetch(self, version: int | None = None) -> Published:
        """Returns a version, by default the newest; raises `WeightsError` when it is gone, or was changed since."""
        with self._changed:
            wanted = self._latest() if version is None else version
            published = self._versions.get(wanted)
            kept = list(self._versions)
        if published is None:
            raise _missing(wanted, kept)
        if checksum(published.state) != published.checksum:
            raise WeightsError(
                f"weights of version {wanted} must be as published, their checksum is another: a reader changed them "
                "in place; copy before changing"
            )
        return published

    def wait(self, newer_than: int, timeout_s: float) -> int:
        """Returns `latest()` once it exceeds `newer_than` or after `timeout_s` seconds; `publish` unblocks it."""
        with self._changed:
            self._changed.wait_for(lambda: self._latest() > newer_than, timeout=timeout_s)
            return self._latest()

    def _latest(self) -> int:
        return next(reversed(self._versions), -1)


class DirectoryWeights:
    """Publishes through a folder that all processes share: written aside, synced, renamed, the marker last.

    One publisher, any number of readers. Keeps the newest `keep` versions. A reader sees a publish of its own object
    at once, and one of another process within `poll_s` seconds.
    """

    def __init__(self, folder: Path, *, keep: int = 2, poll_s: float = 0.2) -> None:
        self._folder = Path(folder)
        self._keep = _at_least_one(keep)
        self._poll_s = poll_s
        self._changed = threading.Condition()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(f"weights need a folder, {self._folder} cannot be made: {error}") from error

    def publish(self, state: Mapping[str, Tensor], *, version: int) -> None:
        """Writes `state` and makes it the newest version.

        Raises `WeightsError` unless the version increases, or when the disk refuses; the version before stays valid.
        """
        _check_increases(version, self.latest())
        copied = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        manifest = {"format": FORMAT, "version": version, "checksum": checksum(copied)}
        path = self._path(version)
        try:
            delete_unfinished(self._folder)
            shutil.rmtree(path, ignore_errors=True)  # Left by a publisher that died before it set the marker.
            with folder_appearing_whole(path) as aside:
                save_file(copied, aside / _TENSORS)
                (aside / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            write_durably(self._folder / _MARKER, json.dumps({"version": version}).encode())
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"version {version} could not be published in {self._folder} ({error}): free space or mend the folder; "
                "the version before it is still there"
            ) from error
        for old in self._kept()[: -self._keep]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        with self._changed:
            self._changed.notify_all()

    def latest(self) -> int:
        """The version the marker names, or -1 without a marker; raises `WeightsError` when the marker is damaged."""
        marker = self._folder / _MARKER
        try:
            return int(json.loads(marker.read_bytes())["version"])
        except FileNotFoundError:
            return -1
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{marker} must name the newest version, it is damaged ({error!r}): delete the folder and publish again"
            ) from error

    def fetch(self, version: int | None = None) -> Published:
        """Reads a version, by default the newest; raises `WeightsError` when it is missing, torn or damaged."""
        wanted = self.latest() if version is None else version
        while True:
            try:
                return self._load(wanted)
            except WeightsError:
                newest = self.latest()
                if version is not None or newest <= wanted:
                    raise
                wanted = newest  # Superseded and deleted while being read; each round is a newer version.

    def wait(self, newer_than: int, timeout_s: float) -> int:
        """Returns `latest()` once it exceeds `newer_than` or after `timeout_s` seconds; `publish` unblocks it."""
        ends_at = time.monotonic() + timeout_s
        with self._changed:
            while (newest := self.latest()) <= newer_than:
                left_s = ends_at - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(min(left_s, self._poll_s))
            return newest

    def _load(self, version: int) -> Published:
        path = self._path(version)
        if version < 0 or not path.is_dir():
            raise _missing(version, self._kept())
        remedy = f"delete {path} and publish a newer version"
        try:
            manifest = json.loads((path / _MANIFEST).read_bytes())
            found = (manifest["format"], manifest["version"])
            state = load_file(path / _TENSORS)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise WeightsError(f"version {version} must be whole, {path} is torn ({error!r}): {remedy}") from error
        if found != (FORMAT, version):
            raise WeightsError(
                f"{path} must hold format {FORMAT} of version {version}, it holds format {found[0]} of version "
                f"{found[1]}: {remedy}"
            )
        if checksum(state) != manifest.get("checksum"):
            raise WeightsError(f"version {version} must match its checksum, {path} does not: {remedy}")
        return Published(version, state, manifest["checksum"])

    def _path(self, version: int) -> Path:
        return self._folder / f"v{version:010d}"

    def _kept(self) -> list[int]:
        names = (path.name[1:] for path in self._folder.glob("v*"))
        return sorted(int(name) for name in names if name.isdigit())


def _at_least_one(keep: int) -> int:
    if keep < 1:
        raise ValueError(f"at least the newest version must be kept; got keep={keep}")
    return keep


def _check_increases(version: int, latest: int) -> None:
    if version <= latest:
        raise WeightsError(
            f"versions must strictly increase, {version} follows {latest}: publish {latest + 1} or later"
        )


def _missing(version: int, kept: list[int]) -> WeightsError:
    if not kept:
        return WeightsError("no version was published yet: wait(newer_than=-1, ...) first")
    return WeightsError(f"version {version} is not kept, {', '.join(map(str, kept))} are: fetch the newest")
