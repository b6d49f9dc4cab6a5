"""Gates: who may start an episode, and who lets them go. Order of events, no sleeping."""

import asyncio
import threading

import pytest

from distrl.device.sim.clock import run_virtual
from distrl.pacing import OpenGate, Pacer, RoundGate, Signal


async def turns(number=5):
    for _ in range(number):
        await asyncio.sleep(0)


async def is_held(waiting):
    await turns()
    return not waiting.done()


def start(gate, *, rounds=0, running=0):
    return asyncio.ensure_future(gate.may_start(rounds, (lambda: running) if isinstance(running, int) else running))


@pytest.mark.parametrize(
    ("owed", "delivered", "running", "may_start"),
    [
        (0, 0, 0, True),
        (7.9, 0, 0, True),
        (8, 0, 0, False),
        (0, 3, 0, True),
        (0, 4, 0, False),
        (4, 1, 1, False),
        (3, 1, 1, True),
    ],
)
def test_an_episode_may_start_while_owed_and_coming_training_is_less_than_the_allowed_age(
    owed, delivered, running, may_start
):
    async def main():
        pacer = Pacer(batch_size=2, max_policy_age=4, replay_ratio=2.0)  # 8 = 2 * 4 trajectories of training.
        pacer.set_owed(owed, num_delivered=delivered)
        waiting = start(pacer, running=running)
        held = await is_held(waiting)
        waiting.cancel()
        return held

    assert run_virtual(main()) is not may_start


def test_a_delivered_episode_counts_at_once_and_until_the_learner_says_otherwise():
    async def main():
        pacer = Pacer(batch_size=1, max_policy_age=2)
        pacer.delivered()
        assert not await is_held(start(pacer))
        pacer.delivered()
        waiting = start(pacer)
        assert await is_held(waiting)
        pacer.set_owed(1.0, num_delivered=0)
        assert not await is_held(waiting)

    run_virtual(main())


def test_those_who_wait_together_are_let_go_only_as_far_as_there_is_room():
    async def main():
        pacer = Pacer(batch_size=1, max_policy_age=3)
        pacer.set_owed(3.0, num_delivered=0)
        running = []

        async def phone(number):
            await pacer.may_start(0, lambda: len(running))
            running.append(number)

        phones = [asyncio.ensure_future(phone(number)) for number in range(5)]
        await turns()
        assert running == []
        pacer.set_owed(1.0, num_delivered=0)
        await turns()
        assert len(running) == 2
        pacer.close()
        await asyncio.gather(*phones)

    run_virtual(main())


def test_what_runs_is_counted_when_the_waiter_looks_not_when_it_began_to_wait():
    async def main():
        pacer, running = Pacer(batch_size=1, max_policy_age=2), [1, 2]
        waiting = start(pacer, running=lambda: len(running))
        assert await is_held(waiting)
        running.clear()
        pacer.set_owed(0.0, num_delivered=0)
        assert not await is_held(waiting)

    run_virtual(main())


def test_nobody_starts_round_two_before_the_learner_opens_it():
    async def main():
        gate = RoundGate(2)
        await gate.may_start(0, lambda: 0)
        early = start(gate, rounds=1)
        gate.admitted()
        assert not gate.round_is_complete()
        gate.admitted()
        assert gate.round_is_complete()
        assert await is_held(early)
        gate.open_next()
        assert not gate.round_is_complete()
        assert not await is_held(early)
        assert await is_held(start(gate, rounds=2))
        gate.close()
        await turns()

    run_virtual(main())


def test_a_device_quarantined_in_the_open_round_leaves_its_aborted_episode_counted():
    gate = RoundGate(3)
    gate.admitted()  # The aborted episode of the device that leaves.
    gate.leave(1)
    gate.admitted()
    assert not gate.round_is_complete()  # The third device still plays.
    gate.admitted()
    assert gate.round_is_complete()
    gate.open_next()
    gate.admitted()
    assert not gate.round_is_complete()
    gate.admitted()
    assert gate.round_is_complete()  # Two are left.


def test_a_device_quarantined_while_the_next_round_runs_does_not_block_it():
    gate = RoundGate(2)
    gate.admitted()
    gate.admitted()
    gate.open_next()
    gate.admitted()
    assert not gate.round_is_complete()
    gate.leave(1)  # Its one episode was of the round before.
    assert gate.round_is_complete()


@pytest.mark.parametrize("make", [lambda: Pacer(batch_size=1, max_policy_age=1), lambda: RoundGate(1)])
def test_closing_a_gate_lets_everybody_go(make):
    async def main():
        gate = make()
        waiting = [start(gate, rounds=9, running=9) for _ in range(3)]
        assert await is_held(waiting[0])
        gate.close()
        await asyncio.gather(*waiting)

    run_virtual(main())


def test_the_open_gate_holds_nobody():
    async def main():
        await OpenGate().may_start(99, lambda: 99)
        OpenGate().leave(3)

    run_virtual(main())


def test_a_signal_from_another_thread_wakes_a_waiter():
    async def main():
        signal, ready = Signal(), threading.Event()
        loop = asyncio.get_running_loop()

        def set_it():
            ready.set()
            signal.notify()

        waiting = asyncio.ensure_future(signal.until(ready.is_set))
        await turns()
        await loop.run_in_executor(None, set_it)
        await waiting

    asyncio.run(main())
