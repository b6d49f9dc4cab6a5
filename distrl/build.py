"""Where objects are made from the config: adding a kind of anything is one file, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from distrl.actions import CODECS, ActionCodec
from distrl.config import BrowserDeviceConfig, DeadlinesConfig, RunConfig, SimDeviceConfig, WorkersConfig
from distrl.device.base import Device
from distrl.errors import PolicyError
from distrl.evaluate import EvaluationSetup
from distrl.judge import StateJudge
from distrl.replay import Replay, ReplaySettings
from distrl.tasks import TaskStream, TaskSuite, read_task_set
from distrl.types import Action, Observation, Task

if TYPE_CHECKING:
    from distrl.policy.base import Policy


def build_suite(config: RunConfig) -> TaskSuite:
    """The tasks of the configured kind of device."""
    names = config.tasks.templates
    if isinstance(config.device, BrowserDeviceConfig):
        from distrl.device.browser import BrowserSuite

        if config.tasks.file:
            names = read_task_set(config.tasks.file, BrowserSuite().templates)
        return BrowserSuite(names) if names else BrowserSuite()
    from distrl.device.sim.tasks.suite import SimSuite

    if config.tasks.file:
        names = read_task_set(config.tasks.file, SimSuite().templates)
    return SimSuite(templates=names, levels=config.tasks.levels, distractor_rate=config.device.distractor_rate)


def build_devices(
    config: RunConfig, suite: TaskSuite, num_devices: int, *, prefix: str, calm: bool = False
) -> list[Device]:
    """Devices named `prefix`0, 1, ...; `calm` ones have no latency and no faults (evaluations)."""
    if isinstance(config.device, SimDeviceConfig):
        return _build_phones(config, config.device, suite, num_devices, prefix=prefix, calm=calm)
    from distrl.device.browser import BrowserDevice

    return [BrowserDevice(f"{prefix}{i}", config.device) for i in range(num_devices)]


def _build_phones(
    config: RunConfig, device: SimDeviceConfig, suite: Any, num_devices: int, *, prefix: str, calm: bool
) -> list[Device]:
    from distrl.device.sim.device import SimDevice
    from distrl.device.sim.faults import NO_FAULTS, FaultPlan
    from distrl.device.sim.latency import latency_profile

    latency = latency_profile("instant" if calm else device.latency, scale=device.latency_scale)
    faults = NO_FAULTS if calm else FaultPlan(**device.faults.model_dump())
    return [
        SimDevice(f"{prefix}{i}", suite, size=device.screen, latency=latency, faults=faults, seed=config.seed)
        for i in range(num_devices)
    ]


def build_workers(config: RunConfig) -> WorkersConfig:
    """The settings of the worker, with deadlines and pauses in the time of its devices.

    Deadlines are meant for unscaled phones: where `device.latency_scale` shortens every latency, a hang and a pause
    before a recovery cost their scaled time too.
    """
    workers, device = config.workers, config.device
    if not isinstance(device, SimDeviceConfig) or device.latency == "instant" or device.latency_scale == 0:
        return workers
    deadlines = {name: value * device.latency_scale for name, value in workers.deadlines.model_dump().items()}
    return workers.model_copy(
        update={
            "deadlines": DeadlinesConfig(**deadlines),
            "recovery_backoff_s": workers.recovery_backoff_s * device.latency_scale,
        }
    )


def build_codec(config: RunConfig) -> ActionCodec:
    """The configured action format."""
    return CODECS[config.policy.actions]


def build_task_stream(config: RunConfig, suite: TaskSuite) -> TaskStream:
    """The seeded order of training tasks."""
    return TaskStream(
        suite,
        suite.splits()["train"],
        seed=config.seed,
        curriculum=config.tasks.curriculum,
        floor=config.tasks.curriculum_floor,
    )


def build_replay(config: RunConfig) -> Replay:
    """The configured replay, empty; the baselines choose for themselves, from uniform draws."""
    settings = config.replay
    is_baseline = config.algorithm.name != "a_ride"
    return Replay(
        ReplaySettings(
            capacity=settings.capacity,
            alpha=settings.alpha,
            beta_is=settings.beta_is,
            replay_ratio=settings.replay_ratio,
            min_trajectories=settings.min_trajectories,
            max_uses=settings.max_uses,
            max_age_versions=settings.max_age_versions,
            success_share=0.0 if is_baseline else settings.success_share,
            balance_templates=settings.balance_templates and not is_baseline,
            refresh_share=settings.refresh_share,
            seed=config.seed,
            prioritised=settings.prioritised and not is_baseline,
        )
    )


def build_evaluation_setup(config: RunConfig, suite: TaskSuite) -> EvaluationSetup:
    """What evaluations are played with: devices of their own, without latency and faults."""
    return EvaluationSetup(
        devices=lambda: build_devices(
            config, suite, config.evaluation.num_devices, prefix="evaluation-phone-", calm=True
        ),
        judge=StateJudge(),
        codec=build_codec(config),
        workers=config.workers,
        history_length=config.policy.history_length,
        temperature=config.evaluation.temperature,
    )


def build_policy(config: RunConfig, path: str | Path | None = None, *, seed: int = 0) -> Policy:
    """The policy in `path` (by default `policy.path`), or a new small one; `seed` is that of its sampling.

    Raises:
        PolicyError: the folder holds no usable policy, or one that was made to see something else.
    """
    from distrl.policy.hf import HuggingFacePolicy
    from distrl.policy.tiny.create import create_tiny_policy

    settings = config.policy
    source = str(path or settings.path)
    if source == "tiny":
        return create_tiny_policy(
            _vocabulary(config),
            seed=config.seed,
            screenshot=settings.screenshot,
            ui_tree=settings.ui_tree,
            action_format=settings.actions if settings.actions in ("element", "pixel") else None,
            max_action_tokens=settings.max_action_tokens,
        )
    policy = HuggingFacePolicy.load(Path(source), max_action_tokens=settings.max_action_tokens, seed=seed)
    _refuse_another_view(policy.model.config, config, source)
    return policy


def _refuse_another_view(made_for: Any, config: RunConfig, source: str) -> None:
    """A small policy sees and says what it was made for; other settings would train it on blanks, or on nothing."""
    settings = config.policy
    wanted = {"screenshot": settings.screenshot, "ui_tree": settings.ui_tree, "action_format": settings.actions}
    for name, value in wanted.items():
        has = getattr(made_for, name, None)
        if has is not None and has != value:
            key = "actions" if name == "action_format" else name
            raise PolicyError(
                f"the policy in {source} was made with policy.{key}={str(has).lower()}, and the config says "
                f"{str(value).lower()}: change it, or make another policy: distrl sft --set policy.path=tiny"
            )


def build_demonstrator(
    config: RunConfig, suite: TaskSuite
) -> Callable[[Task], tuple[Task, list[tuple[Observation, Action, bool]]]]:
    """What solves a task by script: the task as set up, and (screen, action, whether it was a mistake) per step.

    Raises:
        TaskError: this kind of device has no oracle for a task that is asked for.
    """
    if isinstance(config.device, SimDeviceConfig):
        from distrl.device.sim.tasks.demonstrations import run_oracle

        screen, phones = config.device.screen, cast("Any", suite)

        def on_phone(task: Task) -> tuple[Task, list[tuple[Observation, Action, bool]]]:
            steps = run_oracle(phones, task, size=screen, detour_rate=config.sft.detour_rate, seed=config.seed)
            return task, [(step.observation, step.action, step.mistake) for step in steps]

        return on_phone
    from distrl.device.browser.demonstrations import page_demonstrator

    return page_demonstrator(config.device, config.workers.deadlines)


def _vocabulary(config: RunConfig) -> list[str]:
    """The words a new tokenizer knows whole: the simulated world's, and what its tasks and screens say.

    Others fall apart into pieces, and still round-trip. Held-out words are in it, as they are in any large model's
    vocabulary; no training task or screen shows them, so their embeddings stay as random as they began.
    """
    from distrl.device.sim.tasks.demonstrations import run_oracle
    from distrl.device.sim.tasks.suite import SimSuite
    from distrl.device.sim.words import every_word

    words: dict[str, None] = dict.fromkeys(every_word())
    suite = SimSuite()
    for template in suite.splits()["train"]:
        for seed in range(2):
            task = suite.make_task(template, split="train", seed=seed)
            words[task.instruction] = None
            for step in run_oracle(suite, task):
                for element in step.observation.elements or ():
                    words[element.text] = words[element.content_description] = None
    return list(words)
