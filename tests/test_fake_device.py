import asyncio
from dataclasses import replace

import pytest
from device_contract import DeviceContract

from distrl.device.fake import TAP, Failure, FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.errors import DeviceHungError, DeviceLostError, DeviceRejectedError, ObservationError
from distrl.types import Action, ActionKind


def now():
    return asyncio.get_running_loop().time()


class TestFakeDeviceKeepsTheContract(DeviceContract):
    def make_device(self):
        return FakeDevice("fake-0")

    def make_hanging_device(self):
        return FakeDevice("fake-0", failures=(Failure("act", 0, DeviceHungError),))

    def make_task(self):
        return fake_task(taps=2)

    def num_applied(self, device):
        return len(device.actions)


def test_the_fake_counts_taps_and_says_success_at_exactly_the_number_asked_for():
    async def main():
        device, task = FakeDevice(), fake_task(taps=2)
        await device.reset(task, deadline_s=1.0)
        seen = []
        for _ in range(3):
            await device.act(TAP, deadline_s=1.0)
            verdict = await device.check(task, deadline_s=1.0)
            observation = await device.observe(deadline_s=1.0)
            seen.append((verdict.success, verdict.side_effects, observation.elements[0].text))
        assert seen == [(False, (), "1"), (True, (), "2"), (False, ("count",), "3")]
        await device.act(Action(ActionKind.BACK), deadline_s=1.0)
        await device.act(Action(ActionKind.TAP, touch=(0.5, 0.1)), deadline_s=1.0)
        assert device.count == 0

    run_virtual(main())


@pytest.mark.parametrize("call", ["reset", "observe", "act", "check", "recover"])
@pytest.mark.parametrize("error", [DeviceLostError, DeviceHungError, DeviceRejectedError, ObservationError])
def test_the_fake_fails_where_it_is_told_to_and_comes_back(call, error):
    async def main():
        device, task = FakeDevice(failures=(Failure(call, 0, error),), call_s=0.125), fake_task()
        if call not in ("reset", "recover"):
            await device.reset(task, deadline_s=1.0)
        start_s = now()
        made = {
            "reset": lambda: device.reset(task, deadline_s=2.0),
            "observe": lambda: device.observe(deadline_s=2.0),
            "act": lambda: device.act(TAP, deadline_s=2.0),
            "check": lambda: device.check(task, deadline_s=2.0),
            "recover": lambda: device.recover(deadline_s=2.0),
        }[call]
        with pytest.raises(error, match=f"{call} number 0 fails"):
            await made()
        assert now() - start_s == (2.0 if error is DeviceHungError else 0.125)
        with pytest.raises(DeviceLostError, match="call recover first"):
            await device.reset(task, deadline_s=1.0)
        await device.recover(deadline_s=1.0)
        with pytest.raises(DeviceRejectedError):
            await device.observe(deadline_s=1.0)
        await device.recover(deadline_s=1.0)
        await device.reset(task, deadline_s=1.0)
        assert device.actions == []

    run_virtual(main())


def test_the_fake_hangs_when_its_calls_take_longer_than_the_deadline():
    async def main():
        device = FakeDevice(call_s=3.0)
        with pytest.raises(DeviceHungError):
            await device.reset(fake_task(), deadline_s=2.0)
        assert now() == 2.0

    run_virtual(main())


def test_the_fake_refuses_tasks_of_other_suites():
    async def main():
        with pytest.raises(DeviceRejectedError, match="fake_task"):
            await FakeDevice().reset(replace(fake_task(), suite="sim"), deadline_s=1.0)

    run_virtual(main())
