import asyncio
import random
import statistics
import threading

import pytest

from distrl.device.sim.clock import VirtualClockLoop, run_virtual
from distrl.device.sim.latency import PROFILES, Latency, latency_profile
from distrl.errors import ConfigError

DEADLINE_S = {"reset": 120.0, "observe": 30.0, "act": 30.0, "launch": 30.0, "check": 30.0, "recover": 300.0}


def whole_tasks(name, *, num_tasks=500, seed=0):
    """Durations of whole tasks and of their steps: 2-20 steps, one action in seven opens an app."""
    latency, rng = Latency(latency_profile(name), seed=seed), random.Random(seed)
    tasks, steps = [], []
    for _ in range(num_tasks):
        latency.begin_episode()
        total_s = latency.sample("reset")
        for _ in range(rng.randint(2, 20)):
            kind = "launch" if rng.random() < 1 / 7 else "act"
            steps.append(latency.sample("observe") + latency.sample(kind) + latency.sample("check"))
            total_s += steps[-1]
        tasks.append(total_s)
    return sorted(tasks), steps


@pytest.mark.parametrize("seed", range(3))
def test_whole_tasks_on_an_emulator_differ_fifty_to_two_hundred_times(seed):
    tasks, steps = whole_tasks("emulator", seed=seed)
    assert 50 <= tasks[-1] / tasks[0] <= 200
    assert 20 <= tasks[-6] / tasks[5] <= 80
    assert 4.5 <= statistics.mean(steps) <= 7.0
    assert 3.0 <= statistics.median(steps) <= 4.5


def test_a_streamed_phone_steps_in_about_a_second():
    tasks, steps = whole_tasks("stream")
    assert 0.8 <= statistics.mean(steps) <= 1.3
    assert tasks[-1] / tasks[0] < 50


def test_an_emulator_screenshot_has_its_published_median_and_spread():
    latency = Latency(latency_profile("emulator"), seed=1)
    draws = sorted(latency.sample("observe") for _ in range(20_000))
    assert draws[10_000] == pytest.approx(1.0, rel=0.08)
    assert draws[18_000] / draws[2_000] == pytest.approx(4.5, rel=0.2)


def test_an_app_launch_takes_two_to_fifteen_seconds_but_for_stragglers():
    latency = Latency(latency_profile("emulator"), seed=1)
    draws = sorted(latency.sample("launch") for _ in range(5_000))
    assert draws[0] >= 2.0
    assert draws[4_750] <= 15.0 < draws[-1]


def test_stragglers_come_at_their_rate():
    latency = Latency(latency_profile("emulator"), seed=5)
    draws = [latency.sample("act") for _ in range(20_000)]
    assert sum(draw > 5 * 1.5 * 0.6 for draw in draws) / len(draws) == pytest.approx(0.03, abs=0.01)


def test_an_episode_is_slow_in_all_its_calls():
    latency = Latency(latency_profile("emulator"), seed=2)
    medians = []
    for _ in range(40):
        latency.begin_episode()
        medians.append(statistics.median(latency.sample("act") for _ in range(200)) / latency.slowness)
    assert min(medians) > 1.5 * 0.85
    assert max(medians) < 1.5 * 1.15


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", DEADLINE_S)
def test_no_call_of_a_healthy_phone_reaches_its_default_deadline(name, kind):
    latency = Latency(latency_profile(name), seed=3)
    for _ in range(3_000):
        latency.begin_episode()
        assert latency.sample(kind) < DEADLINE_S[kind]


@pytest.mark.parametrize("kind", DEADLINE_S)
def test_scale_multiplies_every_call_and_changes_no_draw(kind):
    full, scaled = (Latency(latency_profile("emulator", scale=scale), seed=4) for scale in (1.0, 0.01))
    for _ in range(50):
        full.begin_episode()
        scaled.begin_episode()
        assert scaled.sample(kind) == pytest.approx(full.sample(kind) * 0.01)


def test_the_same_seed_gives_the_same_latencies_and_another_does_not():
    def draws(seed):
        latency = Latency(latency_profile("emulator"), seed=seed)
        latency.begin_episode()
        return [latency.sample(kind) for kind in ("reset", "observe", "act", "launch", "check", "recover")]

    assert draws("7/phone-1") == draws("7/phone-1")
    assert draws("7/phone-1") != draws("7/phone-2")
    assert draws(1)[1] == pytest.approx(3.8856294, rel=1e-6)  # The same on every machine.


def test_an_instant_phone_takes_no_time_at_any_scale():
    latency = Latency(latency_profile("instant", scale=1000.0), seed=0)
    latency.begin_episode()
    assert {latency.sample(kind) for kind in DEADLINE_S} == {0.0}


def test_a_slow_reset_may_pass_the_longest_one():
    latency = Latency(latency_profile("emulator"), seed=0)
    draws = [latency.sample("reset", factor=10.0) for _ in range(200)]
    assert statistics.median(draws) == pytest.approx(50.0, rel=0.2)


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(ConfigError, match=r"'fast'.*instant, stream, emulator"):
        latency_profile("fast")
    with pytest.raises(ConfigError, match="-1"):
        latency_profile("stream", scale=-1.0)


# --- the virtual clock ---


def now():
    return asyncio.get_running_loop().time()


def test_virtual_time_is_exactly_what_was_slept():
    async def main():
        total = 0.0
        for wait_s in (0.1, 3600.0, 0.7, 86_400.0 * 3, 1e-3):
            start_s = now()
            await asyncio.sleep(wait_s)
            assert now() == start_s + wait_s
            total = start_s + wait_s
        return total

    assert run_virtual(main()) == 0.1 + 3600.0 + 0.7 + 86_400.0 * 3 + 1e-3


def test_timers_fire_in_the_order_of_their_times_each_at_its_time():
    async def main():
        events = []

        async def sleeper(name, *waits):
            for wait_s in waits:
                await asyncio.sleep(wait_s)
                events.append((now(), name))

        await asyncio.gather(sleeper("a", 5.0, 5.0), sleeper("b", 3.0, 3.0, 3.0), sleeper("c", 7.5))
        return events

    expected = [(3.0, "b"), (5.0, "a"), (6.0, "b"), (7.5, "c"), (9.0, "b"), (10.0, "a")]
    assert run_virtual(main()) == expected


def test_every_timer_runs_at_the_very_time_it_was_set_for():
    async def main(seed):
        rng = random.Random(seed)
        set_for = [10.0 ** rng.uniform(-6.0, 4.0) for _ in range(12)]  # Far apart, so that differences round.
        ran_at = []
        for when_s in set_for:
            asyncio.get_running_loop().call_at(when_s, lambda: ran_at.append(now()))
        await asyncio.sleep(1e4)
        return sorted(set_for), ran_at

    for seed in range(20):
        set_for, ran_at = run_virtual(main(seed))
        assert ran_at == set_for


def test_a_timeout_fires_in_virtual_time_and_cancelled_timers_hold_nothing_up():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(120.0):
                await asyncio.Event().wait()
        first_s = now()
        async with asyncio.timeout(1000.0):
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.25)
        return first_s, now()

    assert run_virtual(main()) == (120.0, 120.5)


def test_work_that_never_sleeps_takes_no_virtual_time():
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)
        return now()

    assert run_virtual(main()) == 0.0


def test_the_clock_stands_still_while_a_thread_works():
    async def main():
        release = threading.Event()
        woke = []

        async def sleeper():
            await asyncio.sleep(10.0)
            woke.append(now())

        sleeping = asyncio.create_task(sleeper())
        loop = asyncio.get_running_loop()
        blocked = loop.run_in_executor(None, release.wait)
        # Another thread, so that the clock has every chance to jump before the first is let go.
        await asyncio.to_thread(lambda: None)
        assert (now(), woke) == (0.0, [])
        loop.call_soon(release.set)
        assert await blocked
        assert now() == 0.0
        await sleeping
        return woke

    assert run_virtual(main()) == [10.0]


def test_a_wait_that_nothing_can_end_is_an_error_not_a_silence():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing to jump to"):
        run_virtual(main())


def test_each_run_starts_at_zero_and_passes_errors_on():
    async def main():
        assert isinstance(asyncio.get_running_loop(), VirtualClockLoop)
        await asyncio.sleep(1.0)
        raise KeyError("from the task")

    for _ in range(2):
        with pytest.raises(KeyError, match="from the task"):
            run_virtual(main())
