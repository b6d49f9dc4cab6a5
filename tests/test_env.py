"""One episode on one device: what a step costs, what it touches, how it ends."""

import asyncio

import pytest

from distrl.actions import CODECS
from distrl.config import DeadlinesConfig, PenaltiesConfig
from distrl.device.fake import TAP, Failure, FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.env import Episode
from distrl.errors import DeviceHungError, DeviceLostError, JudgeError
from distrl.judge import StateJudge
from distrl.types import ActionKind, Verdict


def make_episode(device=None, *, judge=None, penalties=PenaltiesConfig(), **deadlines):  # noqa: B008
    return Episode(
        device or FakeDevice(), judge or StateJudge(), CODECS["element"], DeadlinesConfig(**deadlines), penalties
    )


def play(episode, *texts, task=None):
    async def main():
        await episode.start(task or fake_task(taps=2))
        return [await episode.step(text) for text in texts]

    return run_virtual(main())


def test_success_is_rewarded_once_and_ends_the_episode():
    first, second = play(make_episode(), "tap 1", "tap 1")
    assert (first.reward, first.terminated) == (0.0, False)
    assert (second.reward, second.terminated, second.verdict.success) == (1.0, True, True)


@pytest.mark.parametrize("word", ["done", "impossible"])
def test_declaring_the_end_ends_the_episode_without_touching_the_device(word):
    device = FakeDevice()
    (outcome,) = play(make_episode(device), word)
    assert (outcome.reward, outcome.terminated) == (0.0, True)
    assert device.actions == []
    assert device.calls == ["reset", "observe", "check"]


def test_an_action_is_sent_exactly_once():
    device = FakeDevice()
    play(make_episode(device), "tap 1", "back")
    assert [action.kind for action in device.actions] == [ActionKind.TAP, ActionKind.BACK]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "unknown_action"),
        ("fly away", "unknown_action"),
        ("tap x", "unparsable"),
        ("tap 99", "unknown_element"),
        ('type ""', "empty_text"),
    ],
)
def test_an_invalid_text_touches_nothing_is_named_and_costs_its_penalty(text, kind):
    device = FakeDevice()
    (outcome,) = play(make_episode(device), text)
    assert (outcome.action, outcome.invalid, outcome.terminated) == (None, kind, False)
    assert outcome.penalties == (("invalid", -1.0),)
    assert device.calls == ["reset", "observe", "check"]


def test_a_repetition_on_an_unchanged_screen_costs_more_each_time():
    outcomes = play(make_episode(), *["tap 0"] * 4)  # The text above the button: nothing happens.
    assert [outcome.penalties for outcome in outcomes] == [
        (),
        (("repetition", -0.4),),
        (("repetition", -0.8),),
        (("repetition", pytest.approx(-1.2)),),
    ]


def test_a_repetition_is_free_where_the_screen_changed_and_starts_anew_after_another_action():
    outcomes = play(
        make_episode(), "tap 1", "tap 1", "tap 0", "tap 0", "back", "tap 0", "tap 0", task=fake_task(taps=9)
    )
    assert [bool(outcome.penalties) for outcome in outcomes] == [False, False, False, True, False, False, True]
    assert outcomes[-1].penalties == (("repetition", -0.4),)


def test_an_invalid_text_between_two_equal_actions_does_not_hide_the_repetition():
    outcomes = play(make_episode(), "tap 0", "nonsense", "tap 0")
    assert outcomes[2].penalties == (("repetition", -0.4),)


def test_repetitions_are_not_carried_into_the_next_episode():
    async def main():
        episode = make_episode()
        await episode.start(fake_task(taps=2))
        await episode.step("tap 0")
        await episode.start(fake_task(taps=2))
        return (await episode.step("tap 0")).penalties

    assert run_virtual(main()) == ()


@pytest.mark.parametrize("penalties", [None, PenaltiesConfig(invalid=0.0, repetition=0.0)])
def test_without_penalties_bad_manners_are_still_named_and_cost_nothing(penalties):
    outcomes = play(make_episode(penalties=penalties), "tap 0", "tap 0", "nonsense")
    assert [outcome.penalties for outcome in outcomes] == [(), (), ()]
    assert outcomes[2].invalid == "unknown_action"


def test_each_call_gets_its_own_deadline():
    async def main():
        device = FakeDevice(failures=(Failure("act", 0, DeviceHungError), Failure("observe", 2, DeviceHungError)))
        episode = make_episode(device, reset_s=1.0, observe_s=2.0, act_s=3.0, check_s=4.0)
        clock, ends = asyncio.get_running_loop().time, []
        for _ in range(2):
            await episode.start(fake_task(taps=2))
            started = clock()
            with pytest.raises(DeviceHungError):
                await episode.step("tap 1")
            ends.append(clock() - started)
            await device.recover(deadline_s=1.0)
        return ends

    assert run_virtual(main()) == [3.0, 2.0]


def test_a_steps_time_is_split_between_acting_observing_and_judging_on_the_loops_clock():
    (outcome,) = play(make_episode(FakeDevice(call_s=0.5)), "tap 1")
    assert (outcome.act_s, outcome.observe_s, outcome.judge_s) == (0.5, 0.5, 0.5)


def test_a_device_error_passes_through_after_the_action_was_sent_once():
    device = FakeDevice(failures=(Failure("observe", 1, DeviceLostError),))
    with pytest.raises(DeviceLostError):
        play(make_episode(device), "tap 1")
    assert device.actions == [TAP] or len(device.actions) == 1


class AnsweringJudge:
    def __init__(self, answer):
        self.answer = answer

    async def judge(self, device, task, observation, *, deadline_s):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_task_that_can_no_longer_succeed_ends_without_reward():
    (outcome,) = play(make_episode(judge=AnsweringJudge(Verdict(False, failed=True))), "tap 1")
    assert (outcome.reward, outcome.terminated) == (0.0, True)


def test_a_judge_that_cannot_answer_is_no_failure_of_the_agent():
    with pytest.raises(JudgeError):
        play(make_episode(judge=AnsweringJudge(JudgeError("no answer"))), "tap 1")
