"""The inbox: bounded, in order, and never blocking an event loop. Order is asserted, nothing sleeps."""

from __future__ import annotations

import asyncio
import threading

import pytest
from trajectories import trajectory

from distrl.errors import PartStoppedError
from distrl.inbox import Inbox

LONG_S = 60.0
"""Never waited for: whatever unblocks the call comes first."""


def ids(trajectories):
    return [found.id for found in trajectories]


async def until(condition):
    """Lets the event loop turn until `condition` holds; nothing here takes more than a few turns."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never held")


def test_trajectories_come_out_in_the_order_they_went_in():
    async def fill(inbox):
        for name in "abc":
            await inbox.put(trajectory(name))

    inbox = Inbox(3)
    asyncio.run(fill(inbox))
    assert inbox.depth == 3
    assert ids(inbox.drain(LONG_S)) == ["a", "b", "c"]
    assert inbox.depth == 0
    assert inbox.drain(0) == []


def test_a_full_inbox_holds_puts_back_in_line_until_a_drain_makes_room():
    async def scenario():
        inbox, order = Inbox(2), []

        async def put(name):
            await inbox.put(trajectory(name))
            order.append(name)

        puts = [asyncio.create_task(put(name)) for name in "abcde"]
        await until(lambda: inbox.stats()["inbox/in_line"] == 3)
        assert order == ["a", "b"]  # And the loop still turns: this line runs.
        assert inbox.depth == 2
        assert ids(inbox.drain(0)) == ["a", "b"]
        await until(lambda: len(order) == 4)
        assert order == ["a", "b", "c", "d"]
        assert ids(inbox.drain(0)) == ["c", "d"]
        await asyncio.gather(*puts)
        assert ids(inbox.drain(0)) == ["e"]
        stats = inbox.stats()
        assert (stats["inbox/put"], stats["inbox/drained"], stats["inbox/put_waits"]) == (5, 5, 3)

    asyncio.run(scenario())


def test_who_comes_while_others_are_in_line_does_not_overtake_them():
    async def scenario():
        inbox = Inbox(1)
        await inbox.put(trajectory("a"))
        waiting = [asyncio.create_task(inbox.put(trajectory(name))) for name in "bc"]
        await until(lambda: inbox.stats()["inbox/in_line"] == 2)
        taken = ids(inbox.drain(0))  # b moves up; c is still in line.
        late = asyncio.create_task(inbox.put(trajectory("d")))
        await until(lambda: inbox.stats()["inbox/in_line"] == 2)
        for _ in range(3):
            taken += ids(inbox.drain(0))
        await asyncio.gather(*waiting, late)
        assert taken == ["a", "b", "c", "d"]

    asyncio.run(scenario())


def test_a_waiting_learner_is_woken_by_a_put_from_another_thread():
    inbox, taken = Inbox(1), []
    learner = threading.Thread(target=lambda: taken.extend(inbox.drain(LONG_S)))
    learner.start()
    asyncio.run(inbox.put(trajectory("a")))
    learner.join(LONG_S)
    assert ids(taken) == ["a"]


def test_a_learner_thread_and_an_event_loop_pass_many_trajectories_without_loss():
    inbox, taken, number = Inbox(3), [], 300

    def learn():
        while len(taken) < number:
            taken.extend(inbox.drain(LONG_S))

    async def work():
        await asyncio.gather(*(inbox.put(trajectory(f"e{n}")) for n in range(number)))

    learner = threading.Thread(target=learn)
    learner.start()
    asyncio.run(work())
    learner.join(LONG_S)
    assert ids(taken) == [f"e{n}" for n in range(number)]


def test_a_cancelled_put_leaves_the_line_and_takes_no_place():
    async def scenario():
        inbox = Inbox(1)
        await inbox.put(trajectory("a"))
        cancelled = asyncio.create_task(inbox.put(trajectory("b")))
        kept = asyncio.create_task(inbox.put(trajectory("c")))
        await until(lambda: inbox.stats()["inbox/in_line"] == 2)
        cancelled.cancel()
        await until(cancelled.done)
        assert cancelled.cancelled()
        assert ids(inbox.drain(0)) == ["a"]
        await kept
        assert ids(inbox.drain(0)) == ["c"]

    asyncio.run(scenario())


def test_a_put_cancelled_just_after_it_was_accepted_is_kept_and_upsets_nobody():
    async def scenario():
        upset = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: upset.append(context))
        inbox = Inbox(1)
        await inbox.put(trajectory("a"))
        waiting = asyncio.create_task(inbox.put(trajectory("b")))
        await until(lambda: inbox.stats()["inbox/in_line"] == 1)
        assert ids(inbox.drain(0)) == ["a"]  # b is in; its wake-up is on its way.
        waiting.cancel()
        await until(waiting.done)
        await asyncio.sleep(0)
        assert (upset, ids(inbox.drain(0))) == ([], ["b"])

    asyncio.run(scenario())


def test_closing_wakes_everyone_and_what_was_accepted_can_still_be_drained():
    async def scenario():
        inbox = Inbox(1)
        await inbox.put(trajectory("a"))
        waiting = asyncio.create_task(inbox.put(trajectory("b")))
        await until(lambda: inbox.stats()["inbox/in_line"] == 1)
        inbox.close()
        inbox.close()
        with pytest.raises(PartStoppedError, match="inbox stopped"):
            await waiting
        with pytest.raises(PartStoppedError, match="they are in the store"):
            await inbox.put(trajectory("c"))
        assert inbox.closed
        assert ids(inbox.drain(LONG_S)) == ["a"]
        assert inbox.drain(LONG_S) == []

    asyncio.run(scenario())


def test_closing_wakes_a_waiting_learner():
    inbox, taken = Inbox(1), []
    learner = threading.Thread(target=lambda: taken.append(inbox.drain(LONG_S)))
    learner.start()
    inbox.close()
    learner.join(LONG_S)
    assert taken == [[]]


def test_a_worker_whose_event_loop_ended_does_not_stop_the_learner():
    inbox = Inbox(1)
    asyncio.run(inbox.put(trajectory("a")))
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(inbox.put(trajectory("b")))
    loop.run_until_complete(until(lambda: inbox.stats()["inbox/in_line"] == 1))
    loop.close()
    assert ids(inbox.drain(0)) == ["a"]
    assert ids(inbox.drain(0)) == ["b"]  # Stored and accepted; only its sender will not hear of it.
    waiting._log_destroy_pending = False


def test_waiting_times_are_counted_on_both_sides():
    async def scenario():
        times = iter([0.0, 1.0, 10.0, 10.5, 11.0, 14.0])  # drain 1 s; put from 10 on; drain 0.5 s; put ends at 14.
        inbox = Inbox(1, clock=lambda: next(times))
        assert inbox.drain(0) == []
        await inbox.put(trajectory("a"))
        waiting = asyncio.create_task(inbox.put(trajectory("b")))
        await until(lambda: inbox.stats()["inbox/in_line"] == 1)
        inbox.drain(0)
        await waiting
        stats = inbox.stats()
        assert (stats["inbox/drain_wait_s"], stats["inbox/put_wait_s"]) == (1.5, 4.0)

    asyncio.run(scenario())


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1 trajectory; got a capacity of 0"):
        Inbox(0)
