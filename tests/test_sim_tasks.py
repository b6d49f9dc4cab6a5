"""Every task of the simulated phone can be solved, is not solved by doing nothing, and notices other changes."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import pairwise

import pytest

from distrl.actions import CODECS
from distrl.actions.element import element_at
from distrl.actions.grammar import SCROLLS as CODEC_SCROLLS
from distrl.device.sim.apps import APPS
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import Contact, dump, load
from distrl.device.sim.tasks.demonstrations import run_oracle
from distrl.device.sim.tasks.hand import APP_NAMES, SAFE_BUTTONS, SCROLLS, Hand
from distrl.device.sim.tasks.suite import ALL, HELD_OUT_TEMPLATES, SimSuite
from distrl.device.sim.tasks.userdata import changes, same
from distrl.device.sim.words import pool, pool_names
from distrl.errors import TaskError
from distrl.types import SPLITS, Action, ActionKind, Split

SUITE = SimSuite()
DISTRACTING = SimSuite(distractor_rate=1.0)
NAMES = SUITE.templates
CASES = [(split, name) for split in SPLITS for name in SUITE.splits()[split]]
SIZE = (180, 400)


def split_of(name: str) -> Split:
    return next(split for split in SPLITS if name in SUITE.splits()[split])


@cache
def solved(name: str, seed: int = 0):
    """A task, its start, and the state in which the oracle leaves the phone."""
    task = SUITE.make_task(name, split=split_of(name), seed=seed)
    before = SUITE.begin(task)
    phone = Phone(load(dump(before)), size=SIZE)
    for step in run_oracle(SUITE, task, size=SIZE):
        phone.apply(step.action)
    return task, before, phone.snapshot()


def random_action(phone: Phone, rng: random.Random) -> Action:
    """Something an untrained agent does: mostly taps on what can be tapped."""
    kind = rng.random()
    if kind < 0.8:
        x, y = rng.choice([element for element in phone.elements() if element.clickable]).center
        return Action(ActionKind.TAP, touch=(x / SIZE[0], y / SIZE[1]))
    if kind < 0.9:
        touch, lift = rng.choice(list(SCROLLS.values()))
        return Action(ActionKind.SWIPE, touch=touch, lift=lift)
    return Action(rng.choice([ActionKind.BACK, ActionKind.ENTER, ActionKind.HOME]))


@pytest.mark.parametrize(("split", "name"), CASES)
def test_the_oracle_succeeds_within_its_own_bound(split, name):
    for seed in range(2):
        task = SUITE.make_task(name, split=split, seed=seed)
        assert len(run_oracle(SUITE, task, size=SIZE)) <= SUITE.template(name).longest


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_succeeds_with_something_in_the_way(name):
    for seed in range(3):
        task = DISTRACTING.make_task(name, split=split_of(name), seed=seed)
        steps = run_oracle(DISTRACTING, task, size=SIZE)
        assert len(steps) <= task.max_steps
        assert len(steps) <= DISTRACTING.template(name).longest + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_succeeds_on_a_large_screen(name):
    task = SUITE.make_task(name, split=split_of(name), seed=7)
    steps = run_oracle(SUITE, task, size=(540, 1200))
    assert len(steps) <= SUITE.template(name).longest


@pytest.mark.parametrize("name", NAMES)
def test_each_oracle_step_can_be_said_by_element_index(name):
    task = DISTRACTING.make_task(name, split=split_of(name), seed=1)
    codec = CODECS["element"]
    before = DISTRACTING.begin(task)
    phone = Phone(load(dump(before)), size=SIZE)
    for step in run_oracle(DISTRACTING, task, size=SIZE):
        phone.apply(codec.decode(codec.encode(step.action, step.observation), step.observation))
    assert DISTRACTING.check(task, before, phone.state).success


@pytest.mark.parametrize("name", NAMES)
def test_the_step_budget_is_twice_the_oracle(name):
    template = SUITE.template(name)
    assert template.max_steps == max(4, 2 * template.longest)
    lengths = [
        len(run_oracle(SUITE, SUITE.make_task(name, split=split_of(name), seed=seed), size=SIZE)) for seed in range(4)
    ]
    assert template.longest - 3 <= max(lengths) <= template.longest


@pytest.mark.parametrize(("split", "name"), CASES)
def test_doing_nothing_and_claiming_success_both_fail(split, name):
    for seed in range(20):
        task = DISTRACTING.make_task(name, split=split, seed=seed)
        before = DISTRACTING.begin(task)
        assert not DISTRACTING.check(task, before, load(dump(before))).success
        phone = Phone(load(dump(before)), size=SIZE)
        phone.apply(Action(ActionKind.COMPLETE))
        assert not DISTRACTING.check(task, before, phone.state).success


def test_a_random_agent_hardly_ever_succeeds_beyond_level_1():
    successes = {1: [], 2: [], 3: []}
    for name in NAMES:
        for seed in range(2):
            task = SUITE.make_task(name, split=split_of(name), seed=seed)
            before = SUITE.begin(task)
            phone = Phone(load(dump(before)), size=SIZE)
            rng = random.Random(f"{name}{seed}")
            done = False
            for _ in range(task.max_steps):
                phone.apply(random_action(phone, rng))
                done = done or SUITE.check(task, before, phone.state).success
            successes[task.level].append(done)
    assert sum(successes[2]) <= 0.05 * len(successes[2])
    assert sum(successes[3]) == 0
    assert sum(successes[1]) <= 0.4 * len(successes[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_side_effect_is_reported_and_fails_the_task(name):
    task, before, snapshot = solved(name)
    assert SUITE.check(task, before, load(snapshot)).success

    wanted = SUITE.template(name).wanted(before, task.params)
    after = load(snapshot)
    victim = next(contact for contact in after.contacts if f"contacts/{contact.id}/first" not in wanted
                  and all(str(contact.id) not in path for path in wanted)
                  and contact.first != task.params.get("first"))  # fmt: skip
    after.contacts.remove(victim)
    verdict = SUITE.check(task, before, after)
    assert not verdict.success
    assert f"contacts/{victim.id}/phone" in verdict.side_effects

    for plant, section in (
        (lambda state: state.notes.pop() if name.split(".")[0] != "notes" else state.alarms.pop(), ("notes", "alarms")),
        (lambda state: setattr(state.settings, "language", "Suomi"), ("settings",)),
        (lambda state: state.contacts.append(Contact(1, "A", "B", "1")), ("contacts",)),
        (lambda state: state.home_apps.pop(), ("home_apps",)),
        (lambda state: state.favourites.append(-1), ("favourites",)),
        (lambda state: state.threads[0].messages.clear(), ("threads",)),
    ):
        after = load(snapshot)
        plant(after)
        verdict = SUITE.check(task, before, after)
        assert not verdict.success
        if name not in ("settings.language", "messages.delete"):
            assert any(path.startswith(section) for path in verdict.side_effects), (section, verdict)


def test_going_about_is_no_side_effect():
    task, before, snapshot = solved("settings.wifi")
    after = load(snapshot)
    after.recent.append("clock")
    after.history.append("town.example")
    after.threads[0].unread = not after.threads[0].unread
    after.stacks["contacts"] = []
    after.focus, after.shade_open = "query", True
    after.notifications.clear()
    assert SUITE.check(task, before, after).success


def test_a_half_done_task_is_no_success_and_names_what_is_missing():
    task, before, snapshot = solved("settings.two_switches")
    fields = [path.split("/")[1] for path in SUITE.template(task.template).wanted(before, task.params)]
    assert len(fields) == 2
    after = load(snapshot)
    setattr(after.settings, fields[0], getattr(before.settings, fields[0]))
    verdict = SUITE.check(task, before, after)
    assert not verdict.success
    assert verdict.side_effects == ()
    assert fields[0] in verdict.reason


def test_a_message_that_waits_for_a_network_is_not_sent():
    task, before, snapshot = solved("messages.after_airplane")
    after = load(snapshot)
    next(thread for thread in after.threads if thread.number == task.params["phone"]).messages[-1].sent = False
    assert not SUITE.check(task, before, after).success


def test_the_wrong_namesake_is_a_side_effect():
    task, before, _ = solved("contacts.delete")
    first, last = task.params["first"], task.params["last"]
    namesakes = [c for c in before.contacts if (c.first == first) != (c.last == last)]
    assert len(namesakes) >= 2
    after = load(dump(before))
    after.contacts = [contact for contact in after.contacts if contact.id != namesakes[0].id]
    verdict = SUITE.check(task, before, after)
    assert not verdict.success
    assert verdict.side_effects


@pytest.mark.parametrize("name", NAMES)
def test_instructions_are_whole_short_and_varied(name):
    template = SUITE.template(name)
    assert len(set(template.instructions)) >= 3
    seen = set()
    for seed in range(40):
        task = SUITE.make_task(name, split=split_of(name), seed=seed)
        assert not re.search(r"[{}]", task.instruction)
        assert len(task.instruction.split()) <= 30
        assert task.instruction[0] == task.instruction[0].upper()
        seen.add(task.instruction)
    assert len(seen) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_parameters_vary_and_are_json(name):
    template = SUITE.template(name)
    split = split_of(name)
    draws = {repr(sorted(SUITE.make_task(name, split=split, seed=seed).params.items())) for seed in range(60)}
    if not template.closed_params:
        assert len(draws) >= (15 if name == "browser.search" else 5 if name == "settings.device_name" else 25)
    for value in SUITE.make_task(name, split=split, seed=0).params.values():
        assert isinstance(value, str | int | float | bool)


@pytest.mark.parametrize("name", SUITE.splits()["train"])
def test_held_out_parameters_never_occur_in_training(name):
    if SUITE.template(name).closed_params:
        return
    held_out = {SUITE.make_task(name, split="held_out_params", seed=seed).instruction for seed in range(60)}
    train = {SUITE.make_task(name, split="train", seed=seed).instruction for seed in range(300)}
    assert not held_out & train


def test_held_out_numbers_never_occur_in_training():
    for name, key in (("contacts.add", "phone"), ("clock.timer", "minutes"), ("contacts.change_phone", "new")):
        draws = [
            {SUITE.make_task(name, split=split, seed=seed).params[key] for seed in range(150)}
            for split in ("train", "held_out_params")
        ]
        assert not draws[0] & draws[1]


def test_held_out_words_never_occur_in_training_screens_or_instructions():
    held_out = {word for name in pool_names() for word in pool(name, "held_out_params")}
    train = {word for name in pool_names() for word in pool(name, "train")}
    secret = {word for word in held_out - train if len(word) > 4}
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in sorted(secret)))
    for name in SUITE.splits()["train"]:
        for seed in range(4):
            task = SUITE.make_task(name, split="train", seed=seed)
            text = task.instruction + dump(DISTRACTING.begin(task)).decode()
            assert not pattern.search(text), pattern.search(text)


def test_the_same_task_always_begins_the_same_way():
    for name in NAMES:
        one = DISTRACTING.make_task(name, split=split_of(name), seed=5)
        two = SimSuite(distractor_rate=1.0).make_task(name, split=split_of(name), seed=5)
        assert one == two
        assert dump(DISTRACTING.begin(one)) == dump(SimSuite(distractor_rate=1.0).begin(two))


def test_different_seeds_give_different_worlds():
    worlds = {dump(SUITE.begin(SUITE.make_task("settings.wifi", split="train", seed=seed))) for seed in range(20)}
    assert len(worlds) == 20


def test_distractors_come_at_their_rate_and_leave_the_world_alone():
    suite = SimSuite(distractor_rate=0.3)
    distracted = 0
    for seed in range(200):
        task = suite.make_task("settings.wifi", split="train", seed=seed)
        plain, state = SUITE.begin(task), suite.begin(task)
        assert changes(plain, state) == {}
        distracted += dump(plain) != dump(state)
    assert 40 <= distracted <= 80


def test_safe_buttons_change_nothing_that_lasts():
    seen = set()
    for seed in range(40):
        task = DISTRACTING.make_task("settings.wifi", split="train", seed=seed)
        before = DISTRACTING.begin(task)
        if not before.popups:
            continue
        phone = Phone(load(dump(before)), size=SIZE)
        button = next(element for element in phone.elements() if element.text in SAFE_BUTTONS)
        seen.add(before.popups[0].kind)
        phone.apply(Action(ActionKind.TAP, touch=(button.center[0] / SIZE[0], button.center[1] / SIZE[1])))
        assert not phone.state.popups
        assert changes(before, phone.state) == {}
    assert seen == {"permission", "update", "rating"}


def test_splits_are_disjoint_and_cover_every_template():
    splits = SUITE.splits()
    assert splits["train"] == splits["held_out_params"]
    assert set(splits["held_out_templates"]) == set(HELD_OUT_TEMPLATES)
    parts = [set(splits[split]) for split in ("train", "held_out_templates", "held_out_app")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(NAMES)
    assert len(splits["held_out_app"]) >= 4
    assert all("notes" not in SUITE.template(name).apps for name in splits["train"])


def test_training_never_names_the_held_out_app():
    for name in SUITE.splits()["train"]:
        for seed in range(30):
            assert "Notes" not in SUITE.make_task(name, split="train", seed=seed).instruction


def test_there_are_enough_templates_on_each_level():
    levels = [template.level for template in ALL]
    assert levels.count(1) >= 14
    assert levels.count(2) >= 14
    assert levels.count(3) >= 8
    assert sum(template.needs_pixels for template in ALL) >= 4
    assert len({template.name for template in ALL}) == len(ALL)


@pytest.mark.parametrize("name", ["settings.accent", "notes.color", "shop.add_color"])
def test_the_place_of_a_swatch_does_not_tell_its_colour(name):
    colors_at: dict[str, set[str]] = {}
    for seed in range(30):
        task = SUITE.make_task(name, split=split_of(name), seed=seed)
        for step in run_oracle(SUITE, task, size=SIZE):
            element = element_at(step.action, step.observation) if step.action.kind is ActionKind.TAP else None
            if element is not None and element.resource_id.startswith(("accent_", "swatch_", "color_")):
                assert not element.text
                assert not element.content_description
                colors_at.setdefault(element.resource_id, set()).add(task.params["color"])
    assert max(len(colors) for colors in colors_at.values()) >= 4


def test_products_told_apart_by_their_picture_read_the_same():
    places = set()
    for seed in range(24):
        task = SUITE.make_task("shop.favourite_picture", split="train", seed=seed)
        step = run_oracle(SUITE, task, size=SIZE)[-2]
        items = [e for e in step.observation.elements if e.resource_id.startswith("product_")]
        assert len(items) == 3
        assert len({item.text for item in items}) == 1
        places.add(items.index(element_at(step.action, step.observation)))
    assert places == {0, 1, 2}


def test_detours_are_taken_back_and_kept_within_the_budget():
    mistakes = 0
    for name in ("contacts.delete", "messages.send", "shop.add_to_cart", "settings.two_switches"):
        for seed in range(3):
            task = SUITE.make_task(name, split="train", seed=seed)
            steps = run_oracle(SUITE, task, size=SIZE, detour_rate=0.5, seed=1)
            assert len(steps) <= task.max_steps
            before = SUITE.begin(task)
            phone = Phone(load(dump(before)), size=SIZE)
            for step in steps:
                assert phone.elements() == step.observation.elements
                phone.apply(step.action)
            assert SUITE.check(task, before, phone.state).success
            mistakes += sum(step.mistake for step in steps)
            again = run_oracle(SUITE, task, size=SIZE, detour_rate=0.5, seed=1)
            assert [step.action for step in again] == [step.action for step in steps]
            assert all(not (one.mistake and two.mistake) for one, two in pairwise(steps))
    assert mistakes >= 10
    for seed in range(6):  # However often it errs, there is always room left for the oracle's longest way.
        task = SUITE.make_task("settings.wifi", split="train", seed=seed)
        assert len(run_oracle(SUITE, task, size=SIZE, detour_rate=1.0)) <= task.max_steps


def test_an_unknown_template_or_one_of_another_split_is_refused():
    with pytest.raises(TaskError, match=r"clock\.add_alarm"):
        SUITE.template("clock.add_alrm")
    with pytest.raises(TaskError, match=r"distrl tasks"):
        SimSuite(templates=["zzzz"])
    with pytest.raises(TaskError, match="not in the split"):
        SUITE.make_task("notes.create", split="train", seed=0)
    with pytest.raises(TaskError, match="not a split"):
        SUITE.make_task("settings.wifi", split="test", seed=0)  # type: ignore[arg-type]


def test_chosen_templates_and_levels_make_the_training_split():
    suite = SimSuite(templates=["settings.wifi", "notes.create"])
    assert suite.splits()["train"] == ("settings.wifi", "notes.create")
    assert "notes.create" not in suite.splits()["held_out_app"]
    easy = SimSuite(levels=(1,)).splits()
    assert all(SUITE.template(name).level == 1 for names in easy.values() for name in names)
    with pytest.raises(TaskError, match="none of"):
        SimSuite(templates=["settings.wifi"], levels=(3,))


def test_scrolls_and_app_names_are_those_of_the_phone_and_the_codec():
    assert SCROLLS == CODEC_SCROLLS
    assert {package: app.label for package, app in APPS.items() if package != "launcher"} == APP_NAMES


def test_sliders_may_be_a_little_off_and_nothing_else():
    assert same(0.43, 0.5)
    assert not same(0.3, 0.5)
    assert not same(1, 2)
    assert not same("a", "b")


def test_an_oracle_that_fails_says_what_it_saw():
    hand = Hand(run_oracle(SUITE, SUITE.make_task("settings.wifi", split="train", seed=0), size=SIZE)[0].observation)
    with pytest.raises(TaskError, match="'No such thing'"):
        hand.find("No such thing")
