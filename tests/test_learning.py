"""Learning itself, small: a policy that taps at random comes to do its tasks, through the worker and the training loop.

Deterministic: the policy acts on the event loop, rounds of episodes and updates take turns, and time is virtual.
"""

from __future__ import annotations

import pytest
from playing import make_worker
from training import HISTORY, TaskRow, config, make_learner

from distrl.batch import TrainingCache
from distrl.build import build_replay
from distrl.device.fake import FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.inbox import Inbox
from distrl.loop import MismatchWatch, TrainingLoop
from distrl.metrics import Metrics
from distrl.pacing import RoundGate
from distrl.tasks import TaskStream
from distrl.weights import MemoryWeights
from distrl.worker import BatchedPolicy

EPISODES = 24
"""Per round."""


class Suite:
    """Tap once or twice, in at most four steps."""

    name = "fake"

    def splits(self):
        return {"train": ("one", "two")}

    def make_task(self, template_name, *, split, seed):
        return fake_task(taps=1 if template_name == "one" else 2, max_steps=4, seed=seed)


class Rounds:
    """Alternates rounds of episodes with the updates that they allow; the hooks of the training loop."""

    def __init__(self, run, num_rounds):
        self.learner = make_learner(run)
        self.gate, self.inbox = RoundGate(EPISODES), Inbox(EPISODES)
        self.success, self.num_rounds = [], num_rounds
        self.stream = TaskStream(Suite(), ("one", "two"), seed=0)
        self.watch = MismatchWatch(self.learner, lambda: self.learner.policy.copy(seed=0), every=1)
        self.loop = TrainingLoop(
            run,
            learner=self.learner,
            replay=build_replay(run),
            cache=TrainingCache(2**26, lambda name: None),
            inbox=self.inbox,
            weights=MemoryWeights(),
            tasks=self.stream,
            gate=self.gate,
            metrics=Metrics(),
            watch=self.watch,
        )

    def should_stop(self):
        if len(self.success) == self.num_rounds:
            return True
        if not self.gate.round_is_complete():
            played = self.play()
            self.success.append(sum(episode.success for episode in played) / len(played))
        return False

    def after_update(self, update):
        pass

    def play(self):
        played = []

        async def deliver(trajectory):
            played.append(trajectory)
            await self.inbox.put(trajectory)

        worker = make_worker(
            [FakeDevice(f"phone-{number}") for number in range(8)],
            TaskRow([self.stream.next() for _ in range(EPISODES)]),
            policy=BatchedPolicy(self.learner.policy, temperature=1.0, max_batch=8, metrics=Metrics()),
            deliver=deliver,
            history_length=HISTORY,
            session=str(len(self.success)),
        )
        run_virtual(worker.run())
        return played


@pytest.mark.parametrize("name", ["a_ride", "filtered_bc"])
def test_success_rises_far_above_where_it_began(name):
    run = config(
        algorithm={"name": name, "filter_share": 0.3},
        learner={"batch_size": 12, "learning_rate": 2e-3, "critic_warmup_updates": 4, "num_updates": 1000},
        replay={"capacity": 96, "min_trajectories": 12, "replay_ratio": 2.0},
    )
    rounds = Rounds(run, 8)
    rounds.loop.run(rounds)
    began, ended = sum(rounds.success[:2]) / 2, sum(rounds.success[-3:]) / 3
    assert began < 0.6
    assert ended > began + 0.25, rounds.success
    assert rounds.watch.worst <= 1e-4  # Acting and learning agreed about every watched version.
