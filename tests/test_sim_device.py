import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest
from device_contract import DeviceContract

from distrl.device.sim import device as device_module
from distrl.device.sim.clock import run_virtual
from distrl.device.sim.device import SimDevice
from distrl.device.sim.faults import FaultPlan, Injection, is_blank
from distrl.device.sim.latency import PROFILES, LogNormal, latency_profile
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import SystemState
from distrl.device.sim.world import make_world
from distrl.errors import (
    DeviceError,
    DeviceHungError,
    DeviceLostError,
    DeviceRejectedError,
    ObservationError,
)
from distrl.types import Action, ActionKind, Task, Verdict

SIZE = (180, 400)
TASK = Task(
    id="test.open/train/5", template="test.open", instruction="Open the clock.", split="train", seed=5, level=1,
    apps=("clock",), max_steps=4,
)  # fmt: skip
LAUNCHER_TYPE = Action(ActionKind.TYPE, text="nothing is focused")


class OpenClock:
    """A suite of one template: the clock must come to the front."""

    def __init__(self):
        self.begun: list[SystemState] = []

    def begin(self, task):
        self.begun.append(make_world(random.Random(task.seed)))
        return self.begun[-1]

    def check(self, task, before, after):
        assert before is self.begun[-1]
        assert before.app == "launcher"  # What the agent does never reaches the state kept for comparison.
        return Verdict(after.app == "clock", (), after.app)


@pytest.fixture
def applied(monkeypatch):
    """Every action that reached a phone."""
    actions: list[Action] = []
    apply = Phone.apply

    def recorded(phone, action):
        actions.append(action)
        apply(phone, action)

    monkeypatch.setattr(device_module.Phone, "apply", recorded)
    return actions


def make_device(*injections, name="phone-0", latency=PROFILES["instant"], seed=0, **rates):
    return SimDevice(
        name, OpenClock(), size=SIZE, latency=latency, faults=FaultPlan(script=injections, **rates), seed=seed
    )


async def started(*injections, **options):
    device = make_device(*injections, **options)
    await device.reset(TASK, deadline_s=120.0)
    return device, await device.observe(deadline_s=30.0)


def tap_on(observation, text):
    width, height = observation.frame.size
    x, y = next(e for e in observation.elements if text in (e.text, e.content_description)).center
    return Action(ActionKind.TAP, touch=(x / width, y / height))


def now():
    return asyncio.get_running_loop().time()


class TestSimDeviceKeepsTheContract(DeviceContract):
    @pytest.fixture(autouse=True)
    def _record(self, applied):
        self.applied = applied

    def make_device(self):
        return make_device()

    def make_hanging_device(self):
        return make_device(Injection("hang"), latency=latency_profile("stream", scale=0.1))

    def make_task(self):
        return TASK

    def num_applied(self, device):
        return len(self.applied)


def test_the_clock_is_opened_by_its_icon_and_the_check_sees_it():
    async def main():
        device, first = await started()
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        assert await device.check(TASK, deadline_s=30.0) == Verdict(True, (), "clock")
        assert (await device.observe(deadline_s=30.0)).app == "clock"
        assert first.frame.size == SIZE
        assert device.faults_injected == {}

    run_virtual(main())


def test_an_instant_device_takes_no_time_and_lets_the_loop_turn_before_it_draws():
    async def main():
        device, _ = await started()
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, "turned")
        await device.observe(deadline_s=30.0)
        assert turns == ["turned"]
        assert now() == 0.0

    run_virtual(main())


def test_equal_seeds_give_equal_durations_and_launching_costs_more():
    async def episode(seed):
        device = make_device(latency=latency_profile("emulator"), seed=seed)
        marks = []
        await device.reset(TASK, deadline_s=120.0)
        marks.append(now())
        observation = await device.observe(deadline_s=30.0)
        marks.append(now())
        await device.act(tap_on(observation, "Clock"), deadline_s=30.0)
        marks.append(now())
        await device.check(TASK, deadline_s=30.0)
        return [*marks, now()]

    assert run_virtual(episode(3)) == run_virtual(episode(3))
    assert run_virtual(episode(3)) != run_virtual(episode(4))

    slow_launch = replace(latency_profile("stream"), slowness_sigma=0.0, straggler_rate=0.0)

    async def launch_and_home(seed):
        device, observation = await started(latency=slow_launch, seed=seed)
        start_s = now()
        await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        typed_s = now() - start_s
        await device.act(tap_on(observation, "Clock"), deadline_s=30.0)
        launched_s = now() - start_s - typed_s
        await device.act(Action(ActionKind.HOME), deadline_s=30.0)
        return typed_s, launched_s, now() - start_s - typed_s - launched_s

    draws = [run_virtual(launch_and_home(seed)) for seed in range(12)]
    typed_s, launched_s, home_s = (sum(column) / len(draws) for column in zip(*draws, strict=True))
    assert launched_s > 2 * typed_s
    assert home_s == pytest.approx(typed_s, rel=0.3)


def test_how_slow_a_phone_is_changes_with_each_episode_and_not_within_one():
    profile = replace(latency_profile("emulator"), action=LogNormal(1.0, 0.0), straggler_rate=0.0)

    async def main():
        device = make_device(latency=profile)
        durations = []
        for _ in range(3):
            await device.reset(TASK, deadline_s=120.0)
            for _ in range(3):
                start_s = now()
                await device.act(LAUNCHER_TYPE, deadline_s=30.0)
                durations.append(round(now() - start_s, 6))
        return durations

    durations = run_virtual(main())
    assert Counter(durations).most_common() == [(seconds, 3) for seconds in dict.fromkeys(durations)]
    assert len(set(durations)) == 3


def test_a_call_slower_than_its_deadline_is_a_hang_at_the_deadline():
    async def main():
        device = make_device(latency=latency_profile("emulator"))
        with pytest.raises(DeviceHungError, match=r"reset was not done within its deadline of 0\.25 s"):
            await device.reset(TASK, deadline_s=0.25)
        assert now() == 0.25

    run_virtual(main())


@pytest.mark.parametrize("call", ["reset", "observe", "act", "check"])
def test_a_hang_holds_any_call_until_its_deadline_and_recovery_ends_it(call):
    async def main():
        device = make_device(Injection("hang", call=call))
        calls = {
            "reset": lambda: device.reset(TASK, deadline_s=7.0),
            "observe": lambda: device.observe(deadline_s=7.0),
            "act": lambda: device.act(LAUNCHER_TYPE, deadline_s=7.0),
            "check": lambda: device.check(TASK, deadline_s=7.0),
        }
        if call != "reset":
            await device.reset(TASK, deadline_s=120.0)
        with pytest.raises(DeviceHungError, match="phone-0"):
            await calls[call]()
        assert now() == 7.0
        await recovered_device_plays(device)
        assert device.faults_injected == {"hang": 1}

    run_virtual(main())


async def recovered_device_plays(device):
    """A failed device refuses everything, and after recovery plays an episode to success."""
    for call in (
        device.reset(TASK, deadline_s=1.0),
        device.observe(deadline_s=1.0),
        device.act(LAUNCHER_TYPE, deadline_s=1.0),
        device.check(TASK, deadline_s=1.0),
    ):
        with pytest.raises(DeviceLostError, match="call recover first"):
            await call
    await device.recover(deadline_s=300.0)
    with pytest.raises(DeviceRejectedError, match="call reset first"):
        await device.observe(deadline_s=30.0)
    await device.recover(deadline_s=300.0)
    await device.reset(TASK, deadline_s=120.0)
    observation = await device.observe(deadline_s=30.0)
    await device.act(tap_on(observation, "Clock"), deadline_s=30.0)
    assert (await device.check(TASK, deadline_s=30.0)).success


def test_a_crash_loses_the_device_at_once_and_the_action_with_it(applied):
    async def main():
        device, _ = await started(Injection("crash", step=1))
        await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        with pytest.raises(DeviceLostError, match="crashed during act"):
            await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        assert now() == 0.0
        assert len(applied) == 1
        await recovered_device_plays(device)
        assert device.faults_injected == {"crash": 1}

    run_virtual(main())


def test_an_offline_device_cannot_be_recovered_before_it_is_back():
    async def main():
        profile = replace(latency_profile("stream"), slowness_sigma=0.0, straggler_rate=0.0)
        device, _ = await started(Injection("offline"), latency=profile, offline_s=(100.0, 100.0))
        with pytest.raises(DeviceLostError, match="went offline during act"):
            await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        start_s = now()
        with pytest.raises(DeviceLostError, match="still offline after 40 s"):
            await device.recover(deadline_s=40.0)
        assert now() - start_s == pytest.approx(40.0)
        with pytest.raises(DeviceHungError, match="recover"):
            await device.recover(deadline_s=62.0)  # Back after 60 s more, with too little left for the restart.
        assert now() - start_s == pytest.approx(102.0)
        await device.recover(deadline_s=300.0)
        assert 102.0 < now() - start_s < 160.0  # Back after 100 s, then the restart.
        await device.reset(TASK, deadline_s=120.0)
        assert device.faults_injected == {"offline": 1}

    run_virtual(main())


def test_an_offline_device_that_takes_no_time_refuses_its_first_recovery():
    async def main():
        device, _ = await started(Injection("offline"))
        with pytest.raises(DeviceLostError, match="went offline during act"):
            await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        with pytest.raises(DeviceLostError, match="still offline; try again later"):
            await device.recover(deadline_s=300.0)
        await device.recover(deadline_s=300.0)
        await device.reset(TASK, deadline_s=120.0)
        assert now() == 0.0

    run_virtual(main())


@pytest.mark.parametrize("seed", range(4))
def test_a_blank_frame_is_refused_never_returned(seed):
    async def main():
        device, first = await started(Injection("blank_frame", step=1), seed=seed)
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        with pytest.raises(ObservationError, match="one colour"):
            await device.observe(deadline_s=30.0)
        await recovered_device_plays(device)
        assert device.faults_injected == {"blank_frame": 1}

    run_virtual(main())


def test_a_stale_frame_shows_the_screen_before_with_the_present_tree():
    async def main():
        device, first = await started(Injection("stale_frame", step=1))
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        stale = await device.observe(deadline_s=30.0)
        fresh = await device.observe(deadline_s=30.0)
        assert stale.frame.content_hash == first.frame.content_hash
        assert fresh.frame.content_hash != first.frame.content_hash
        assert (stale.app, stale.elements) == ("clock", fresh.elements)
        assert device.faults_injected == {"stale_frame": 1}

    run_virtual(main())


def test_the_first_screen_of_an_episode_is_never_one_of_the_episode_before():
    async def main():
        device, first = await started(Injection("stale_frame", episode=1, step=0))
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        await device.observe(deadline_s=30.0)
        await device.reset(TASK, deadline_s=120.0)
        again = await device.observe(deadline_s=30.0)
        assert again.frame.content_hash == first.frame.content_hash
        assert device.faults_injected == {}

    run_virtual(main())


def test_a_lost_tap_changes_nothing_and_says_nothing(applied):
    async def main():
        device, first = await started(Injection("lost_tap"))
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        assert (await device.observe(deadline_s=30.0)).frame.content_hash == first.frame.content_hash
        assert applied == []
        await device.act(tap_on(first, "Clock"), deadline_s=30.0)
        assert (await device.check(TASK, deadline_s=30.0)).success
        assert device.faults_injected == {"lost_tap": 1}

    run_virtual(main())


def test_a_slow_reset_takes_ten_times_as_long_and_works():
    async def reset_s(*injections):
        device = make_device(*injections, latency=latency_profile("stream"))
        await device.reset(TASK, deadline_s=1200.0)
        assert device.faults_injected == {injection.kind: 1 for injection in injections}
        return now()

    assert run_virtual(reset_s(Injection("slow_reset"))) == pytest.approx(10 * run_virtual(reset_s()))


def test_a_failing_recovery_can_be_tried_again():
    async def main():
        device, _ = await started(Injection("crash"), Injection("hang", call="recover"))
        with pytest.raises(DeviceLostError):
            await device.act(LAUNCHER_TYPE, deadline_s=30.0)
        with pytest.raises(DeviceHungError, match="recover was not done"):
            await device.recover(deadline_s=50.0)
        await recovered_device_plays(device)

    run_virtual(main())


def test_a_point_off_the_screen_is_refused_as_a_device_error():
    async def main():
        device, _ = await started()
        with pytest.raises(DeviceRejectedError, match=r"1\.5"):
            await device.act(Action(ActionKind.TAP, touch=(1.5, 0.5)), deadline_s=30.0)
        await device.recover(deadline_s=30.0)

    run_virtual(main())


def test_a_faulty_fleet_never_shows_a_blank_screen_and_always_comes_back():
    async def play(device, verdicts, faults):
        for _ in range(15):
            try:
                await device.reset(TASK, deadline_s=120.0)
                observation = await device.observe(deadline_s=30.0)
                while not (await device.check(TASK, deadline_s=30.0)).success:
                    await device.act(tap_on(observation, "Clock"), deadline_s=30.0)
                    assert not is_blank((await device.observe(deadline_s=30.0)).frame)
                verdicts.append(device.name)
            except DeviceError as error:
                faults[error.fault] += 1
                while True:
                    try:
                        await device.recover(deadline_s=300.0)
                        break
                    except DeviceError as again:
                        faults[f"recover {again.fault}"] += 1

    async def main():
        rates = {"hang": 0.03, "crash": 0.05, "offline": 0.05, "blank_frame": 0.05, "lost_tap": 0.1, "slow_reset": 0.05}
        devices = [make_device(name=f"phone-{n}", latency=latency_profile("emulator"), **rates) for n in range(6)]
        verdicts, faults = [], Counter()
        await asyncio.gather(*(play(device, verdicts, faults) for device in devices))
        return len(verdicts), faults, now()

    num_done, faults, elapsed_s = run_virtual(main())
    assert num_done + faults["hung"] + faults["lost"] + faults["no_observation"] == 6 * 15
    assert min(faults["hung"], faults["lost"], faults["no_observation"]) > 0
    assert num_done > 45
    assert elapsed_s > 300.0
    assert run_virtual(main()) == (num_done, faults, elapsed_s)
