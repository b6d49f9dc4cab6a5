"""The episode loop: endings, faults, recovery, quarantine, batching, delivery. Virtual time, order of events."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from playing import TAP_TEXT, Delivered, EndlessTasks, ScriptedPolicy, Tasks, decision, make_worker

from distrl.config import WorkersConfig
from distrl.device.fake import Failure, FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.errors import (
    DeviceHungError,
    DeviceLostError,
    DeviceRejectedError,
    JudgeError,
    ObservationError,
    StoreFullError,
)
from distrl.inbox import Inbox
from distrl.invariants import check
from distrl.judge import StateJudge
from distrl.metrics import Metrics
from distrl.pacing import Pacer, RoundGate
from distrl.types import Ending, PolicyInput
from distrl.worker import JUDGE_FAILURES_PER_PHONE, BatchedPolicy

QUICK = WorkersConfig(recovery_backoff_s=4.0, max_recoveries=3)


def play(devices, *tasks, **changes):
    """Plays the tasks to their end; returns trajectories in order of delivery."""
    delivered = changes.setdefault("deliver", Delivered())
    run_virtual(make_worker(devices, Tasks(*tasks), **changes).run())
    for trajectory in delivered.trajectories:
        check(trajectory)
    return delivered.trajectories


def test_success_ends_as_terminated_with_the_reward_on_the_last_step():
    (trajectory,) = play([FakeDevice("a")], fake_task(taps=2))
    assert (trajectory.ending, trajectory.success, trajectory.fault) == (Ending.TERMINATED, True, None)
    assert [step.reward for step in trajectory.steps] == [0.0, 1.0]
    assert trajectory.final_observation.elements[0].text == "2"


def test_declaring_the_end_too_early_ends_as_terminated_without_success():
    (trajectory,) = play([FakeDevice()], fake_task(taps=2), policy=ScriptedPolicy(lambda given: "done"))
    assert (trajectory.ending, trajectory.success, len(trajectory.steps)) == (Ending.TERMINATED, False, 1)


def test_the_step_budget_ends_as_truncated_with_the_screen_to_bootstrap_from():
    (trajectory,) = play([FakeDevice()], fake_task(taps=9, max_steps=3))
    assert (trajectory.ending, trajectory.success, len(trajectory.steps)) == (Ending.TRUNCATED, False, 3)
    assert trajectory.final_observation.elements[0].text == "3"


def test_success_on_the_very_last_step_is_terminated_not_truncated():
    (trajectory,) = play([FakeDevice()], fake_task(taps=3, max_steps=3))
    assert (trajectory.ending, trajectory.success) == (Ending.TERMINATED, True)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (DeviceLostError, "lost"),
        (DeviceHungError, "hung"),
        (DeviceRejectedError, "rejected"),
        (ObservationError, "no_observation"),
    ],
)
@pytest.mark.parametrize(
    ("call", "nth", "num_steps", "num_sent"),
    [("reset", 0, 0, 0), ("observe", 0, 0, 0), ("observe", 2, 1, 2), ("act", 1, 1, 1), ("check", 1, 1, 2)],
)
def test_a_device_error_aborts_the_episode_by_name_and_the_next_one_is_clean(
    error, fault, call, nth, num_steps, num_sent
):
    device, metrics = FakeDevice(failures=(Failure(call, nth, error),)), Metrics()
    first, second = play([device], fake_task(taps=3, seed=1), fake_task(taps=2, seed=2), metrics=metrics)
    assert (first.ending, first.fault, first.success) == (Ending.ABORTED, fault, False)
    assert (first.task.seed, len(first.steps)) == (1, num_steps)
    assert all(step.reward == 0.0 for step in first.steps)
    assert device.calls.count("recover") == 1
    assert (second.ending, second.success, second.task.seed) == (Ending.TERMINATED, True, 2)
    assert [step.observation.elements[0].text for step in second.steps] == ["0", "1"]  # Its own steps alone.
    assert [step.history for step in second.steps] == [(), (TAP_TEXT,)]
    assert len(device.actions) == num_sent + 2  # Every action was sent once, the failed ones included.
    assert metrics.counters()[f"worker/fault_{fault}"] == 1
    assert metrics.counters()["worker/aborted"] == 1


class FailingJudge(StateJudge):
    """Cannot answer the `nth` question."""

    def __init__(self, nth):
        self.left = nth

    async def judge(self, device, task, observation, *, deadline_s):
        self.left -= 1
        if self.left == -1:
            raise JudgeError("the judge is out")
        return await super().judge(device, task, observation, deadline_s=deadline_s)


def test_a_judge_that_cannot_answer_aborts_the_episode_and_leaves_the_phone_alone():
    device = FakeDevice()
    first, second = play([device], fake_task(taps=2), fake_task(taps=2), judge=FailingJudge(1))
    assert (first.ending, first.fault, len(first.steps)) == (Ending.ABORTED, "judge", 1)
    assert second.success
    assert "recover" not in device.calls


class DeadJudge(StateJudge):
    """Answers `num_answers` questions, and then none."""

    def __init__(self, num_answers=0):
        self.num_answers = num_answers
        self.num_asked = 0

    async def judge(self, device, task, observation, *, deadline_s):
        self.num_asked += 1
        if self.num_asked > self.num_answers:
            raise JudgeError("the judge is out for good")
        return await super().judge(device, task, observation, deadline_s=deadline_s)


def test_a_judge_that_never_answers_again_ends_the_worker_by_name():
    judge, limit = DeadJudge(num_answers=3), 2 * JUDGE_FAILURES_PER_PHONE
    with pytest.raises(ExceptionGroup) as ended:
        play([FakeDevice(call_s=1.0)], *(fake_task(seed=n) for n in range(100)), judge=judge)
    assert ended.group_contains(JudgeError, match=f"failed in {limit} episodes in a row on w")
    assert judge.num_asked == 3 + limit


def test_a_judge_that_answers_now_and_then_is_kept():
    class Moody(StateJudge):
        num_asked = 0

        async def judge(self, device, task, observation, *, deadline_s):
            self.num_asked += 1
            if self.num_asked % (2 * JUDGE_FAILURES_PER_PHONE):
                raise JudgeError("not now")
            return await super().judge(device, task, observation, deadline_s=deadline_s)

    episodes = play([FakeDevice()], *(fake_task(seed=n) for n in range(40)), judge=Moody())
    assert len(episodes) == 40
    assert {episode.ending for episode in episodes} > {Ending.ABORTED}


def test_invalid_texts_are_counted_by_kind_and_touch_nothing():
    texts = iter(["", "tap 99", "tap x", 'type ""', "tap 99"])
    device, metrics = FakeDevice(), Metrics()
    (trajectory,) = play([device], fake_task(), policy=ScriptedPolicy(lambda given: next(texts)), metrics=metrics)
    assert trajectory.ending is Ending.TRUNCATED
    assert [step.action for step in trajectory.steps] == [None] * 5
    assert device.actions == []
    counted = {name.removeprefix("worker/"): n for name, n in metrics.counters().items() if "invalid" in name}
    assert counted == {
        "invalid_unknown_action": 1, "invalid_unknown_element": 2, "invalid_unparsable": 1, "invalid_empty_text": 1,
        "penalty_invalid": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(("length", "seen"), [(0, []), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_the_policy_sees_its_own_last_texts_oldest_first(length, seen):
    texts, given = iter("abcd"), []

    def choose(policy_input: PolicyInput) -> str:
        given.append(list(policy_input.history))
        return next(texts)

    play([FakeDevice()], fake_task(max_steps=4), policy=ScriptedPolicy(choose), history_length=length)
    assert given[3] == seen


def failing_recoveries(number, *, first=0):
    return tuple(Failure("recover", first + n, DeviceLostError) for n in range(number))


def test_a_phone_that_does_not_come_back_is_quarantined_after_growing_pauses():
    device = FakeDevice("a", failures=(Failure("act", 0, DeviceLostError), *failing_recoveries(3)))
    metrics, tasks = Metrics(), EndlessTasks(taps=2)
    worker = make_worker([device], tasks, metrics=metrics, config=QUICK)

    async def main():
        await worker.run()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(4.0 + 8.0)  # At once, then after 4 s, then after 8 s more.
    assert device.calls.count("recover") == 3
    assert device.closed
    assert tasks.num_given == 1
    assert worker.statuses[0].state == "quarantined"
    assert metrics.counters()["phones/quarantined"] == 1


def test_a_phone_that_comes_back_at_the_last_try_plays_on_and_its_failures_are_forgotten():
    failures = (Failure("act", 0, DeviceLostError), *failing_recoveries(2))
    later = (Failure("act", 2, DeviceLostError), *failing_recoveries(2, first=3))
    device, deliver = FakeDevice(failures=(*failures, *later)), Delivered()
    tasks = [fake_task(taps=1, seed=seed) for seed in range(4)]
    trajectories = play([device], *tasks, deliver=deliver, config=QUICK)
    assert [t.success for t in trajectories] == [False, True, False, True]
    assert deliver.times_s == pytest.approx([0.0, 12.0, 12.0, 24.0])


def test_a_phone_that_recovers_and_fails_again_before_its_first_step_is_quarantined_too():
    device = FakeDevice(failures=tuple(Failure("reset", nth, DeviceLostError) for nth in range(99)))
    worker = make_worker([device], Tasks(*(fake_task(seed=n) for n in range(20))), config=QUICK)

    async def main():
        await worker.run()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(4.0 + 8.0)
    assert device.calls.count("reset") == 4
    assert worker.statuses[0].state == "quarantined"


def test_a_quarantined_phone_does_not_stop_the_others():
    broken = FakeDevice("broken", failures=(Failure("reset", 0, DeviceLostError), *failing_recoveries(3)))
    trajectories = play([broken, FakeDevice("sound", call_s=1.0)], *(fake_task(seed=n) for n in range(9)), config=QUICK)
    assert Counter(t.device for t in trajectories) == {"broken": 1, "sound": 8}


def test_a_slow_phone_does_not_delay_the_others():
    devices = [FakeDevice("slow", call_s=9.0), FakeDevice("fast", call_s=1.0)]
    deliver = Delivered()
    trajectories = play(devices, *(fake_task(seed=n) for n in range(8)), deliver=deliver)
    fast = [time_s for t, time_s in zip(trajectories, deliver.times_s, strict=True) if t.device == "fast"]
    assert fast == pytest.approx([5.0 * (n + 1) for n in range(7)])  # reset, observe, act, observe, check: 1 s each.
    assert [t.duration_s for t in trajectories if t.device == "slow"] == pytest.approx([45.0])


def test_all_phones_that_are_ready_are_decided_for_in_one_batch():
    policy = ScriptedPolicy()
    devices = [FakeDevice(f"p{n}", call_s=1.0) for n in range(6)]
    play(devices, *(fake_task(taps=2, seed=n) for n in range(6)), policy=policy)
    assert [len(batch) for batch in policy.batches] == [6, 6]


def test_batches_are_bounded():
    policy, metrics = ScriptedPolicy(), Metrics()
    batched = BatchedPolicy(policy, temperature=1.0, max_batch=4, metrics=metrics)
    devices = [FakeDevice(f"p{n}", call_s=1.0) for n in range(10)]
    play(devices, *(fake_task(seed=n) for n in range(10)), policy=batched, metrics=metrics)
    assert [len(batch) for batch in policy.batches] == [4, 4, 2]


def test_a_phone_that_is_not_ready_is_not_waited_for():
    policy = ScriptedPolicy()
    devices = [FakeDevice("a", call_s=1.0), FakeDevice("b", call_s=3.0)]
    play(devices, fake_task(taps=1), fake_task(taps=1), policy=policy)
    assert [len(batch) for batch in policy.batches] == [1, 1]


def test_a_phone_that_will_be_ready_soon_is_waited_for_where_that_is_asked_for():
    policy = ScriptedPolicy()
    batched = BatchedPolicy(policy, temperature=1.0, max_batch=8, metrics=Metrics(), batch_wait_s=2.5)
    devices = [FakeDevice("a", call_s=1.0), FakeDevice("b", call_s=2.0), FakeDevice("c", call_s=8.0)]
    play(devices, *(fake_task(taps=1, seed=n) for n in range(3)), policy=batched)
    assert [len(batch) for batch in policy.batches] == [2, 1]


def test_a_full_batch_waits_for_nobody():
    policy = ScriptedPolicy()
    batched = BatchedPolicy(policy, temperature=1.0, max_batch=2, metrics=Metrics(), batch_wait_s=1e6)
    tasks = [fake_task(taps=1, seed=n) for n in range(2)]
    episodes = play([FakeDevice("a", call_s=1.0), FakeDevice("b", call_s=2.0)], *tasks, policy=batched)
    assert [len(batch) for batch in policy.batches] == [2]
    assert max(episode.duration_s for episode in episodes) < 100


def test_weights_change_between_steps_and_each_step_carries_its_own_version():
    policy = ScriptedPolicy()

    def refresh():
        policy.version = len(policy.batches) * 10

    batched = BatchedPolicy(policy, temperature=1.0, max_batch=4, metrics=Metrics(), refresh=refresh)
    (trajectory,) = play([FakeDevice()], fake_task(taps=3), policy=batched)
    assert [step.decision.policy_version for step in trajectory.steps] == [0, 10, 20]
    assert trajectory.policy_version == 0


def test_a_policy_in_a_thread_answers_the_same():
    with ThreadPoolExecutor(1) as executor:
        batched = BatchedPolicy(ScriptedPolicy(), temperature=1.0, max_batch=8, metrics=Metrics(), executor=executor)
        trajectories = play([FakeDevice("a"), FakeDevice("b")], fake_task(taps=2), fake_task(taps=2), policy=batched)
    assert [t.success for t in trajectories] == [True, True]


def test_a_request_whose_phone_was_cancelled_does_not_stop_the_policy():
    async def main():
        batched = BatchedPolicy(ScriptedPolicy(), temperature=1.0, max_batch=8, metrics=Metrics())
        observation = await observed(FakeDevice())
        gone = asyncio.ensure_future(batched.act(PolicyInput("gone", observation)))
        stays = asyncio.ensure_future(batched.act(PolicyInput("stays", observation)))
        await asyncio.sleep(0)
        gone.cancel()
        serving = asyncio.ensure_future(batched.serve())
        answer, _, _ = await stays
        serving.cancel()
        return answer.text

    assert run_virtual(main()) == TAP_TEXT


async def observed(device):
    await device.reset(fake_task(), deadline_s=1.0)
    return await device.observe(deadline_s=1.0)


def test_the_wait_for_the_policy_and_its_own_time_are_told_apart():
    async def main():
        batched = BatchedPolicy(ScriptedPolicy(), temperature=1.0, max_batch=8, metrics=Metrics())
        asking = asyncio.ensure_future(batched.act(PolicyInput("x", await observed(FakeDevice()))))
        await asyncio.sleep(3.0)
        serving = asyncio.ensure_future(batched.serve())
        _, wait_s, policy_s = await asking
        serving.cancel()
        return wait_s, policy_s

    assert run_virtual(main()) == (3.0, 0.0)


def test_a_policy_that_dies_ends_the_worker_and_frees_its_phones():
    class Broken(ScriptedPolicy):
        def act(self, inputs, *, temperature):
            raise RuntimeError("out of memory")

    device = FakeDevice()
    with pytest.raises(ExceptionGroup) as ended:
        run_virtual(make_worker([device], EndlessTasks(), policy=Broken()).run())
    assert ended.group_contains(RuntimeError, match="out of memory")
    assert device.closed


def test_a_store_that_is_full_ends_the_worker():
    async def deliver(trajectory):
        raise StoreFullError("no space left")

    with pytest.raises(ExceptionGroup) as ended:
        run_virtual(make_worker([FakeDevice()], EndlessTasks(), deliver=deliver).run())
    assert ended.group_contains(StoreFullError)


def test_a_slow_delivery_holds_phones_back_only_when_the_outbox_is_full():
    released = asyncio.Event()
    started = []

    async def deliver(trajectory):
        started.append(trajectory.id)
        await released.wait()

    tasks = EndlessTasks(taps=1)
    worker = make_worker([FakeDevice("a", call_s=1.0), FakeDevice("b", call_s=1.0)], tasks, deliver=deliver)

    async def main():
        running = asyncio.ensure_future(worker.run())
        await asyncio.sleep(40.0)
        held_at = tasks.num_given
        released.set()
        await asyncio.sleep(40.0)
        worker.stop()
        await running
        return held_at

    # One in delivery, four in the outbox, one in each phone's hands.
    assert run_virtual(main()) == 1 + 4 + 2
    assert len(started) == tasks.num_given > 20


def test_nothing_is_lost_when_the_worker_stops_every_finished_episode_is_delivered():
    deliver, tasks = Delivered(), EndlessTasks(taps=3)
    devices = [FakeDevice(f"p{n}", call_s=1.0 + n / 10) for n in range(5)]
    worker = make_worker(devices, tasks, deliver=deliver)

    async def main():
        running = asyncio.ensure_future(worker.run())
        await asyncio.sleep(50.0)
        worker.stop()
        await running

    run_virtual(main())
    assert len(deliver.trajectories) == tasks.num_given > 10
    assert len({t.id for t in deliver.trajectories}) == tasks.num_given
    assert all(t.success for t in deliver.trajectories)
    assert all(device.closed for device in devices)


def test_a_trajectory_is_stored_before_it_is_in_the_inbox():
    events, inbox = [], Inbox(2)

    async def deliver(trajectory):
        events.append(("stored", trajectory.id))
        await inbox.put(trajectory)
        events.append(("in the inbox", trajectory.id))

    worker = make_worker([FakeDevice(call_s=1.0)], Tasks(*(fake_task(seed=n) for n in range(3))), deliver=deliver)

    async def main():
        running = asyncio.ensure_future(worker.run())
        await asyncio.sleep(40.0)
        full = list(events)
        inbox.drain(0.0)
        await running
        return full

    ids = [f"w0.0.{n:07d}" for n in range(3)]
    full = run_virtual(main())
    assert full == [(what, i) for i in ids[:2] for what in ("stored", "in the inbox")] + [("stored", ids[2])]
    assert [event for event in events if event[0] == "in the inbox"] == [("in the inbox", i) for i in ids]


def test_the_pacer_bounds_what_is_started_and_not_consumed():
    pacer, tasks = Pacer(batch_size=1, max_policy_age=3), EndlessTasks(taps=1)

    async def deliver(trajectory):
        pacer.delivered()

    worker = make_worker([FakeDevice(f"p{n}", call_s=1.0) for n in range(5)], tasks, gate=pacer, deliver=deliver)

    async def main():
        running, given = asyncio.ensure_future(worker.run()), []
        for owed in (2.0, 0.0):
            await asyncio.sleep(40.0)
            given.append(tasks.num_given)
            pacer.set_owed(owed, num_delivered=0)
        await asyncio.sleep(40.0)
        given.append(tasks.num_given)
        worker.stop()
        pacer.close()
        await running
        return given

    assert run_virtual(main()) == [3, 3 + 1, 3 + 1 + 3]


def test_in_rounds_every_phone_plays_once_and_a_quarantined_one_blocks_nobody():
    gate, deliver = RoundGate(3), Delivered()
    broken = FakeDevice("broken", failures=(Failure("reset", 1, DeviceLostError), *failing_recoveries(3)))
    devices = [broken, FakeDevice("a", call_s=1.0), FakeDevice("b", call_s=2.0)]

    async def delivering(trajectory):
        await deliver(trajectory)
        gate.admitted()

    worker = make_worker(devices, EndlessTasks(taps=1), gate=gate, deliver=delivering, config=QUICK)

    async def main():
        running, rounds = asyncio.ensure_future(worker.run()), []
        for _ in range(4):
            before = len(deliver.trajectories)
            await asyncio.sleep(60.0)
            assert gate.round_is_complete()
            rounds.append(sorted(t.device for t in deliver.trajectories[before:]))
            gate.open_next()
        worker.stop()
        gate.close()
        await running
        return rounds

    assert run_virtual(main()) == [["a", "b", "broken"], ["a", "b", "broken"], ["a", "b"], ["a", "b"]]


def test_ids_never_repeat_over_attempts_of_a_run():
    ids = [play([FakeDevice()], fake_task(), fake_task(), session=session) for session in ("0", "1")]
    assert len({t.id for trajectories in ids for t in trajectories}) == 4


def test_where_the_phones_time_goes_adds_up():
    metrics = Metrics()
    play([FakeDevice(call_s=2.0)], fake_task(taps=2), metrics=metrics)
    spent = {name: seconds for name, seconds in metrics.counters().items() if name.startswith("phones/")}
    assert spent["phones/resetting_s"] == pytest.approx(4.0)
    assert spent["phones/device_s"] == pytest.approx(12.0)
    assert sum(spent.values()) == pytest.approx(16.0)


def test_the_task_as_the_device_set_it_up_is_what_is_recorded_and_shown():
    class Page(FakeDevice):
        async def reset(self, task, *, deadline_s):
            return replace(await super().reset(task, deadline_s=deadline_s), instruction="Written by the page.")

    policy = ScriptedPolicy()
    (trajectory,) = play([Page()], fake_task(), policy=policy)
    assert trajectory.task.instruction == "Written by the page."
    assert policy.batches == [["Written by the page."]]


def test_the_decision_is_recorded_as_it_was_made():
    made = decision(TAP_TEXT, version=7)
    policy = ScriptedPolicy()
    policy.act = lambda inputs, *, temperature: [made] * len(inputs)
    (trajectory,) = play([FakeDevice()], fake_task(), policy=policy)
    assert trajectory.steps[0].decision is made
