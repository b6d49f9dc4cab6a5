"""Seeded worlds and the words they are made of."""

from __future__ import annotations

import random
import re

import pytest
from sim_driver import APPS, Driver

from distrl.device.sim.state import dump, load
from distrl.device.sim.words import pool, pool_names
from distrl.device.sim.world import make_world
from distrl.errors import TaskError
from distrl.types import SPLITS

# --- worlds and words ---


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_and_a_split_give_one_world_that_survives_json(split):
    for seed in range(25):
        world = make_world(random.Random(seed), split=split)
        assert dump(world) == dump(make_world(random.Random(seed), split=split))
        assert load(dump(world)) == world
    assert dump(make_world(random.Random(1), split=split)) != dump(make_world(random.Random(2), split=split))


def test_worlds_have_the_promised_sizes_and_unique_ids():
    for seed in range(40):
        world = make_world(random.Random(seed))
        assert 8 <= len(world.contacts) <= 14
        assert 3 <= len(world.threads) <= 6
        assert 2 <= len(world.alarms) <= 4
        assert 3 <= len(world.notes) <= 6
        assert len(world.products) == 24
        assert len({p.name for p in world.products}) == 24
        assert len({c.phone for c in world.contacts}) == len(world.contacts)
        assert len({(a.hour, a.minute) for a in world.alarms}) == len(world.alarms)
        assert all(0 <= a.hour < 24 and 0 <= a.minute < 60 for a in world.alarms)
        assert all(m.minute < world.clock_minute for t in world.threads for m in t.messages)
        assert all(p.price_cents > 0 and 0 <= p.rating <= 5 for p in world.products)
        entries = [*world.contacts, *world.threads, *world.alarms, *world.notes, *world.products]
        assert len({entry.id for entry in entries}) == len(entries)


def _found(entries: list[str], content: str) -> list[str]:
    pattern = "|".join(re.escape(entry) for entry in entries)
    return sorted(set(re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", content)))


def test_held_out_words_never_appear_in_training_worlds():
    train = "".join(dump(make_world(random.Random(seed))).decode() for seed in range(60))
    for name in pool_names():
        assert not set(pool(name, "train")) & set(pool(name, "held_out_params")), name
    held_out = [entry for name in pool_names() for entry in pool(name, "held_out_params")]
    assert _found(held_out, train) == []


def test_held_out_worlds_use_no_training_names():
    held_out = "".join(dump(make_world(random.Random(seed), split="held_out_params")).decode() for seed in range(30))
    names = ("first_names", "last_names", "brands", "note_titles", "message_texts", "headlines", "books")
    assert _found([entry for name in names for entry in pool(name, "train")], held_out) == []
    assert pool("brands", "held_out_app") == pool("brands", "train")


def test_an_unknown_pool_is_named_in_the_error():
    with pytest.raises(TaskError, match=r"'first_name'.*first_names"):
        pool("first_name")


def test_the_vocabulary_stays_moderate():
    words = {
        word.strip(".,?!'").lower()
        for split in ("train", "held_out_params")
        for name in pool_names()
        for entry in pool(name, split)
        for word in entry.split()
    }
    assert 500 < len(words) < 1300


@pytest.mark.parametrize("package", [name for name in APPS if name != "launcher"])
def test_every_first_page_has_a_title_and_unique_keys(package):
    for seed in range(5):
        driver = Driver(make_world(random.Random(seed)), package)
        screen = driver.screen()
        assert screen.title
        keys = [node.key for node in driver.nodes() if node.key]
        assert len(keys) == len(set(keys))
