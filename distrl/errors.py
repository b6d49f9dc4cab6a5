"""Every error this package raises on purpose, one class per cause.

DistrlError
├── ConfigError                a setting is unknown, impossible, or contradicts another
├── TaskError                  a task set, template or split is wrong
├── ActionError                a text or gesture is not a valid action (carries its kind)
├── DeviceError                the phone failed, not the agent (carries the device's name)
│   ├── DeviceLostError        it is gone: crashed, unplugged, offline
│   ├── DeviceHungError        it did not answer before its deadline
│   ├── DeviceRejectedError    it answered, and refused the call
│   └── ObservationError       it answered without a usable screen
├── JudgeError                 the judge could not decide; the episode is aborted, not failed
├── PolicyError                the model or its files cannot be used
│   └── LogProbMismatchError   recomputed log-probabilities differ from the recorded ones
├── WeightsError               a published version is missing, torn, or not the one named
├── StoreError                 the episode store cannot be read or written
│   └── StoreFullError         no space is left; what was acknowledged is safe
├── TrajectoryError            a trajectory breaks its own invariants
├── CheckpointError            a checkpoint is missing, corrupt, or of another version
├── RunFolderError             a run folder is in use, of another version, or not a run folder
├── NonFiniteUpdateError       a loss or gradient is not finite; the optimizer did not move
└── PartStoppedError           a part of the run died; carries its name
"""

from __future__ import annotations

from typing import Literal

InvalidKind = Literal["unparsable", "unknown_action", "unknown_element", "off_screen", "empty_text", "unknown_key"]
INVALID_KINDS: tuple[InvalidKind, ...] = (
    "unparsable",
    "unknown_action",
    "unknown_element",
    "off_screen",
    "empty_text",
    "unknown_key",
)


class DistrlError(Exception):
    """The root of all errors raised on purpose: catch it to report a message without a traceback."""


class ConfigError(DistrlError, ValueError):
    """A setting is unknown, impossible, or contradicts another."""


class TaskError(DistrlError, ValueError):
    """A task set, template or split is wrong."""


class ActionError(DistrlError, ValueError):
    """A text or gesture is not a valid action.

    `kind` is one of `INVALID_KINDS`; it is what gets counted.
    """

    def __init__(self, kind: InvalidKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class DeviceError(DistrlError):
    """The phone failed, not the agent: the episode is aborted and never trained on."""

    fault = "device"

    def __init__(self, device: str, message: str) -> None:
        super().__init__(f"{device}: {message}")
        self.device = device


class DeviceLostError(DeviceError):
    """The device is gone: crashed, unplugged or offline."""

    fault = "lost"


class DeviceHungError(DeviceError):
    """The device did not answer before its deadline."""

    fault = "hung"


class DeviceRejectedError(DeviceError):
    """The device answered, and refused the call."""

    fault = "rejected"


class ObservationError(DeviceError):
    """The device answered without a usable screen."""

    fault = "no_observation"


class JudgeError(DistrlError):
    """The judge could not decide; the episode is aborted, not failed."""


class PolicyError(DistrlError):
    """The model or its files cannot be used."""


class LogProbMismatchError(PolicyError):
    """Recomputed log-probabilities differ from the recorded ones at equal weights."""


class WeightsError(DistrlError):
    """A published version is missing, torn, or not the one named."""


class StoreError(DistrlError):
    """The episode store cannot be read or written."""


class StoreFullError(StoreError):
    """No space is left on the disk; everything acknowledged so far is safe."""


class TrajectoryError(DistrlError, ValueError):
    """A trajectory breaks its own invariants."""


class CheckpointError(DistrlError):
    """A checkpoint is missing, corrupt, or of another version."""


class RunFolderError(DistrlError):
    """A run folder is in use, of another version, or not a run folder."""


class NonFiniteUpdateError(DistrlError):
    """A loss or gradient is not finite; the optimizer did not move.

    `trajectory_ids` are those it comes from; all of the batch where it cannot be told.
    """

    def __init__(self, message: str, trajectory_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.trajectory_ids = trajectory_ids


class PartStoppedError(DistrlError):
    """A part of the run died; carries its name, so that an operator knows where to look."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(f"{part} stopped: {message}")
        self.part = part
