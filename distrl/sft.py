"""Supervised fine-tuning: clones demonstrations of the scripted oracles, and recorded ones, into a policy.

    demonstrations -> encoded steps -> cross-entropy on the actions' tokens -> a policy folder

This is the warm start: reinforcement learning needs to succeed now and then before it can learn from it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from distrl import __version__
from distrl.build import build_codec, build_demonstrator, build_policy, build_suite
from distrl.config import RunConfig
from distrl.config_file import to_yaml
from distrl.durable import write_durably
from distrl.errors import ActionError, StoreError, TaskError
from distrl.policy.base import EncodedStep, Policy
from distrl.store import Store
from distrl.tasks import TaskSuite
from distrl.types import Action, Observation, PolicyInput, Trajectory

DEMO_SEED_BASE = 1_000_000_000
"""Task seeds of demonstrations lie above those of evaluations, which count up from 0."""


@dataclass(frozen=True)
class CloningResult:
    """What `distrl sft` did."""

    num_demonstrations: int
    num_steps: int
    num_updates: int
    loss: float
    """Mean cross-entropy per token over the last epoch, nats."""


@dataclass(frozen=True, eq=False)
class DemonstrationStep:
    """One step to clone: what was seen, what had been done, what was done next."""

    policy_input: PolicyInput
    text: str


def clone_demonstrations(
    config: RunConfig, out: Path, *, recorded: Sequence[Path] = (), say: Callable[[str], None] = lambda line: None
) -> CloningResult:
    """Makes a policy (`policy.path`), clones demonstrations into it and saves it in `out` with its recipe.

    Raises:
        TaskError: a device kind without oracles, and no recorded demonstrations.
        StoreError: a file of recorded demonstrations cannot be read.
    """
    torch.manual_seed(config.seed)
    suite = build_suite(config)
    policy = build_policy(config)
    steps = [step for episode in demonstrations(config, suite) for step in episode]
    num_demonstrations = config.sft.demos_per_template * len(suite.splits()["train"])
    for path in recorded:
        episodes = list(recorded_demonstrations(path, config))
        num_demonstrations += len(episodes)
        steps += [step for episode in episodes for step in episode]
    say(f"cloning {len(steps)} steps of {num_demonstrations} demonstrations")
    encoded = [policy.encode(step.policy_input, policy.decision_for(step.text)) for step in steps]
    num_updates, loss = clone(policy, encoded, config, say=say)
    policy.save(out)
    result = CloningResult(num_demonstrations, len(steps), num_updates, loss)
    recipe = {"command": "distrl sft", "version": __version__, "seed": config.seed, **asdict(result)}
    write_durably(out / "recipe.json", (json.dumps(recipe, indent=2) + "\n").encode())
    write_durably(out / "recipe.yaml", to_yaml(config).encode())
    say(f"saved {out}: loss {loss:.3f} nats per token after {num_updates} updates")
    return result


def demonstrations(config: RunConfig, suite: TaskSuite) -> Iterator[list[DemonstrationStep]]:
    """Plays `sft.demos_per_template` training tasks of each template with its oracle."""
    demonstrate = build_demonstrator(config, suite)
    draw = random.Random(f"demonstrations/{config.seed}")
    for template in suite.splits()["train"]:
        for _ in range(config.sft.demos_per_template):
            task = suite.make_task(template, split="train", seed=DEMO_SEED_BASE + draw.randrange(2**30))
            task, acted = demonstrate(task)  # A web page writes its instruction only now.
            yield _as_steps(task.instruction, acted, config)


def recorded_demonstrations(path: Path, config: RunConfig) -> Iterator[list[DemonstrationStep]]:
    """The successful episodes that people recorded with `distrl phone --record`."""
    if not path.is_file():
        raise StoreError(f"no recorded demonstrations at {path}; make some with: distrl phone --record {path}")
    with Store(path, max_frame_bytes=2**40, read_only=True) as store:
        for episode_id in store.ids():
            trajectory = store.get(episode_id)
            if trajectory.success:
                yield _as_steps(trajectory.task.instruction, _acted(trajectory), config)


def clone(
    policy: Policy, encoded: Sequence[EncodedStep], config: RunConfig, *, say: Callable[[str], None]
) -> tuple[int, float]:
    """Minimises the cross-entropy of the actions' tokens; returns the number of updates and the last epoch's loss."""
    settings = config.sft
    if not encoded:
        raise TaskError("there is nothing to clone; raise sft.demos_per_template or give recorded demonstrations")
    optimizer = torch.optim.AdamW(policy.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    num_updates = max(1, round(settings.epochs * len(encoded) / settings.batch_steps))
    order = _epochs(len(encoded), settings.batch_steps, seed=config.seed)
    losses: list[float] = []
    for update in range(num_updates):
        for group in optimizer.param_groups:
            rise = min(1.0, (update + 1) / max(1, num_updates // 20))
            group["lr"] = settings.learning_rate * rise * (1.0 - 0.9 * update / num_updates)
        loss = policy.supervised_loss(policy.collate([encoded[i] for i in next(order)]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(policy.parameters()), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (update + 1) % max(1, num_updates // 5) == 0:
            say(f"update {update + 1} of {num_updates}: loss {sum(losses[-20:]) / len(losses[-20:]):.3f}")
    last = losses[-max(1, len(encoded) // settings.batch_steps) :]
    return num_updates, sum(last) / len(last)


def _epochs(num_steps: int, batch_steps: int, *, seed: int) -> Iterator[list[int]]:
    """Batches of a shuffled order, epoch after epoch."""
    shuffle = random.Random(f"epochs/{seed}")
    while True:
        order = list(range(num_steps))
        shuffle.shuffle(order)
        for first in range(0, num_steps, batch_steps):
            yield order[first : first + batch_steps]


def _as_steps(
    instruction: str, acted: Sequence[tuple[Observation, Action, bool]], config: RunConfig
) -> list[DemonstrationStep]:
    """Texts and histories as the policy would have written them; mistakes stay in the history and are not cloned."""
    codec, length = build_codec(config), config.policy.history_length
    history: list[str] = []
    steps: list[DemonstrationStep] = []
    for observation, action, is_mistake in acted:
        try:
            text = codec.encode(action, observation)
        except ActionError:
            break  # A person touched where no element is; what follows cannot be written in this format.
        if not is_mistake:
            seen = tuple(history[-length:]) if length else ()
            steps.append(DemonstrationStep(PolicyInput(instruction, observation, seen), text))
        history.append(text)
    return steps


def _acted(trajectory: Trajectory) -> list[tuple[Observation, Action, bool]]:
    return [(step.observation, step.action, False) for step in trajectory.steps if step.action is not None]
