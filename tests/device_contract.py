"""What every device promises, as tests to inherit: a new kind of device fills in four methods.

class TestMyDevice(DeviceContract):
    def make_device(self): return MyDevice("my-0")
    def make_hanging_device(self): return MyDevice("my-0", hang_on_first_act=True)   # or None where it cannot be had
    def make_task(self): return ...
    def num_applied(self, device): return len(device.log)                            # or None where it cannot be had
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from distrl.device.base import Device
from distrl.device.sim.clock import run_virtual
from distrl.errors import DeviceError, DeviceHungError
from distrl.types import Action, ActionKind, Observation, Task


class DeviceContract:
    deadline_s = 30.0

    def make_device(self) -> Device:
        """A fresh, healthy device."""
        raise NotImplementedError

    def make_hanging_device(self) -> Device | None:
        """A fresh device whose first `act` never returns; None skips those tests."""
        return None

    def make_task(self) -> Task:
        """A task that is not done at its start."""
        raise NotImplementedError

    def num_applied(self, device: Device) -> int | None:
        """How many actions the device behind the handle really carried out; None skips that test."""
        return None

    def choose_action(self, observation: Observation) -> Action:
        """An action that visibly changes the first screen: a tap on the first thing that can be touched."""
        width, height = observation.frame.size
        element = next(element for element in observation.elements or () if element.clickable and element.enabled)
        x, y = element.center
        return Action(ActionKind.TAP, touch=(x / width, y / height))

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Runs one test; devices that need real time override it with `asyncio.run`."""
        run_virtual(main)

    def test_it_is_a_device_with_a_name(self):
        device = self.make_device()
        assert isinstance(device, Device)
        assert device.name

    def test_reset_observe_act_check_follow_one_another(self):
        async def main():
            device = self.make_device()
            task = await device.reset(self.make_task(), deadline_s=self.deadline_s)
            first = await device.observe(deadline_s=self.deadline_s)
            assert not (await device.check(task, deadline_s=self.deadline_s)).success
            await device.act(self.choose_action(first), deadline_s=self.deadline_s)
            second = await device.observe(deadline_s=self.deadline_s)
            assert second.frame.content_hash != first.frame.content_hash
            await device.check(task, deadline_s=self.deadline_s)
            await device.close()

        self.run(main())

    def test_reset_returns_the_task_as_set_up(self):
        async def main():
            device = self.make_device()
            asked = self.make_task()
            task = await device.reset(asked, deadline_s=self.deadline_s)
            assert task.id == asked.id
            assert task.instruction
            await device.close()

        self.run(main())

    def test_the_same_task_starts_with_the_same_screen_after_anything(self):
        async def main():
            device = self.make_device()
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            first = await device.observe(deadline_s=self.deadline_s)
            await device.act(self.choose_action(first), deadline_s=self.deadline_s)
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            again = await device.observe(deadline_s=self.deadline_s)
            assert again.frame.content_hash == first.frame.content_hash
            assert again.elements == first.elements
            await device.close()

        self.run(main())

    def test_frames_are_read_only_rgb_of_one_size(self):
        async def main():
            device = self.make_device()
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            first = await device.observe(deadline_s=self.deadline_s)
            await device.act(self.choose_action(first), deadline_s=self.deadline_s)
            second = await device.observe(deadline_s=self.deadline_s)
            for observation in (first, second):
                width, height = observation.frame.size
                assert observation.frame.pixels.shape == (height, width, 3)
                assert observation.frame.pixels.dtype == "uint8"
                assert observation.frame.size == first.frame.size
                assert not observation.frame.pixels.flags.writeable
            await device.close()

        self.run(main())

    def test_elements_are_numbered_in_order_and_lie_on_the_screen(self):
        async def main():
            device = self.make_device()
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            observation = await device.observe(deadline_s=self.deadline_s)
            if observation.elements is None:
                return
            width, height = observation.frame.size
            assert [element.index for element in observation.elements] == list(range(len(observation.elements)))
            for element in observation.elements:
                left, top, right, bottom = element.bounds
                assert 0 <= left < right <= width, element
                assert 0 <= top < bottom <= height, element
            await device.close()

        self.run(main())

    def test_observing_and_checking_change_nothing(self):
        async def main():
            device = self.make_device()
            task = await device.reset(self.make_task(), deadline_s=self.deadline_s)
            first = await device.observe(deadline_s=self.deadline_s)
            verdict = await device.check(task, deadline_s=self.deadline_s)
            again = await device.observe(deadline_s=self.deadline_s)
            assert again.frame.content_hash == first.frame.content_hash
            assert again.elements == first.elements
            assert await device.check(task, deadline_s=self.deadline_s) == verdict
            await device.close()

        self.run(main())

    def test_an_action_is_carried_out_exactly_once(self):
        async def main():
            device = self.make_device()
            if self.num_applied(device) is None:
                pytest.skip("this device does not show what reached it")
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            observation = await device.observe(deadline_s=self.deadline_s)
            before = self.num_applied(device)
            await device.act(self.choose_action(observation), deadline_s=self.deadline_s)
            await device.observe(deadline_s=self.deadline_s)
            assert self.num_applied(device) == before + 1
            await device.close()

        self.run(main())

    def test_a_claim_that_the_task_is_over_is_refused(self):
        async def main():
            device = self.make_device()
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            with pytest.raises(DeviceError, match=device.name):
                await device.act(Action(ActionKind.COMPLETE), deadline_s=self.deadline_s)
            await device.close()

        self.run(main())

    def test_nothing_but_reset_works_before_reset(self):
        async def main():
            device = self.make_device()
            with pytest.raises(DeviceError, match=device.name):
                await device.observe(deadline_s=self.deadline_s)
            await device.close()

        self.run(main())

    def test_a_call_that_hangs_raises_at_its_deadline(self):
        async def main():
            device = self.make_hanging_device()
            if device is None:
                pytest.skip("this device cannot be made to hang")
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            observation = await device.observe(deadline_s=self.deadline_s)
            loop = asyncio.get_running_loop()
            start_s = loop.time()
            with pytest.raises(DeviceHungError, match=device.name):
                await device.act(self.choose_action(observation), deadline_s=0.5)
            assert loop.time() - start_s == pytest.approx(0.5, rel=0.5)
            await device.close()

        self.run(main())

    def test_after_an_error_it_refuses_calls_until_it_is_recovered_and_reset(self):
        async def main():
            device = self.make_hanging_device()
            if device is None:
                pytest.skip("this device cannot be made to hang")
            task = await device.reset(self.make_task(), deadline_s=self.deadline_s)
            first = await device.observe(deadline_s=self.deadline_s)
            with pytest.raises(DeviceHungError):
                await device.act(self.choose_action(first), deadline_s=0.5)
            with pytest.raises(DeviceError):
                await device.reset(task, deadline_s=self.deadline_s)
            await device.recover(deadline_s=300.0)
            await device.reset(task, deadline_s=self.deadline_s)
            again = await device.observe(deadline_s=self.deadline_s)
            assert again.frame.content_hash == first.frame.content_hash
            await device.act(self.choose_action(again), deadline_s=self.deadline_s)
            await device.close()

        self.run(main())

    def test_closing_twice_is_closing_once_and_ends_all_use(self):
        async def main():
            device = self.make_device()
            await device.reset(self.make_task(), deadline_s=self.deadline_s)
            await device.close()
            await device.close()
            with pytest.raises(DeviceError):
                await device.reset(self.make_task(), deadline_s=self.deadline_s)

        self.run(main())

    def test_it_can_be_closed_after_a_failure(self):
        async def main():
            device = self.make_device()
            with pytest.raises(DeviceError):
                await device.observe(deadline_s=self.deadline_s)
            await device.close()

        self.run(main())
