"""Makes a phone that somebody has been using: people, conversations, alarms, notes, a shop, a web.

One seed gives one world; it draws its words from the part of `words.py` that belongs to the split.
"""

from __future__ import annotations

import random

from distrl.device.sim.state import (
    END_DP,
    Alarm,
    Article,
    Book,
    Bookmark,
    CartLine,
    Contact,
    Message,
    Note,
    Notification,
    Page,
    Product,
    Recipe,
    Settings,
    SystemState,
    Thread,
    Web,
)
from distrl.device.sim.words import ACCENTS, COLORS, NOTE_COLORS, NOUNS, PERMISSIONS, pool
from distrl.types import Split

NUM_PRODUCTS = 24
_SECTIONS = ("Local", "Sport", "Culture")
_DAYS: tuple[list[int], ...] = ([], [], [0, 1, 2, 3, 4], [5, 6], [0, 2, 4], [1, 3], [0, 1, 2, 3, 4, 5, 6])
_DAY_MIN = 24 * 60


def make_world(rng: random.Random, *, split: Split = "train") -> SystemState:
    """A populated phone on its home screen; the same generator state and split give an equal world."""
    state = SystemState()
    state.settings = _settings(rng, split)
    state.wifi_networks = list(pool("wifi_networks", split))
    state.contacts = _contacts(rng, split)
    state.threads = _threads(rng, split, state)
    state.alarms = _alarms(rng, split)
    state.note_folders = rng.sample(pool("note_folders", split), 3)
    state.notes = _notes(rng, split, state.note_folders)
    state.products = _products(rng, split)
    state.favourites = [p.id for p in rng.sample(state.products, rng.randint(0, 2))]
    if rng.random() < 0.3:
        product = rng.choice(state.products)
        state.cart = [CartLine(product.id, rng.choice(product.colors))]
    state.web = _web(rng, split)
    state.bookmarks = [Bookmark("The Daily", "daily.example")]
    if rng.random() < 0.5:
        state.bookmarks.append(Bookmark("Town Hall", "town.example"))
    state.history = rng.sample(["daily.example", "kitchen.example", "library.example", "town.example"], 2)
    state.battery = rng.randint(25, 97)
    state.clock_minute = rng.randint(7 * 60, 21 * 60)
    _stop_in_the_past(state)
    state.notifications = _notifications(rng, state)
    apps = ["browser", "clock", "contacts", "messages", "notes", "settings", "shop"]
    state.home_apps = rng.sample(apps, len(apps))
    state.dock = rng.sample(apps, 4)
    return state


def _settings(rng: random.Random, split: Split) -> Settings:
    networks = pool("wifi_networks", split)
    return Settings(
        wifi_network=networks[0],
        bluetooth=rng.random() < 0.5,
        dark_theme=rng.random() < 0.2,
        auto_rotate=rng.random() < 0.7,
        brightness=rng.choice([0.3, 0.4, 0.6, 0.7]),
        volume_media=rng.choice([0.2, 0.4, 0.6, 0.8]),
        volume_ring=rng.choice([0.3, 0.7, 0.9]),
        volume_alarm=rng.choice([0.4, 0.6, 0.8]),
        accent=rng.choice(list(ACCENTS.values())),
        wallpaper=rng.randrange(6),
        device_name=rng.choice(pool("device_names", split)),
        permissions={
            package: [name for name in PERMISSIONS if rng.random() < 0.4]
            for package in ("browser", "clock", "contacts", "messages", "notes", "shop")
        },
    )


def _contacts(rng: random.Random, split: Split) -> list[Contact]:
    num = rng.randint(8, 14)
    firsts = rng.sample(pool("first_names", split), num)
    lasts = rng.sample(pool("last_names", split), num)
    numbers = rng.sample(range(10_000), num)
    domains = pool("email_domains", split)
    return [
        Contact(
            index + 1,
            first,
            last,
            f"555{number:04d}",
            email=f"{first}.{last}@{rng.choice(domains)}".lower() if rng.random() < 0.7 else "",
            starred=rng.random() < 0.2,
        )
        for index, (first, last, number) in enumerate(zip(firsts, lasts, numbers, strict=True))
    ]


def _threads(rng: random.Random, split: Split, state: SystemState) -> list[Thread]:
    texts = pool("message_texts", split)
    threads = []
    people = rng.sample(state.contacts, rng.randint(3, 6))
    for index, contact in enumerate(people):
        num = rng.randint(1, 6)
        minutes = sorted(rng.sample(range(-3 * _DAY_MIN, state.clock_minute), num))
        messages = [
            Message(contact.phone if rng.random() < 0.6 else "", content, minute)
            for content, minute in zip(rng.sample(texts, num), minutes, strict=True)
        ]
        unread = bool(messages[-1].sender) and rng.random() < 0.5
        threads.append(Thread(100 + index, contact.phone, messages, unread=unread, muted=rng.random() < 0.1))
    return threads


def _stop_in_the_past(state: SystemState) -> None:
    """Moves every message to before the present minute, keeping the order."""
    latest = max((m.minute for t in state.threads for m in t.messages), default=0)
    behind = latest - state.clock_minute + 1
    if behind > 0:
        for thread in state.threads:
            for message in thread.messages:
                message.minute -= behind


def _alarms(rng: random.Random, split: Split) -> list[Alarm]:
    num = rng.randint(2, 4)
    times = rng.sample(range(5 * 12, 22 * 12), num)
    labels = rng.sample(pool("alarm_labels", split), num)
    return [
        Alarm(
            200 + index,
            time // 12,
            time % 12 * 5,
            on=rng.random() < 0.6,
            days=list(rng.choice(_DAYS)),
            label=label if rng.random() < 0.7 else "",
        )
        for index, (time, label) in enumerate(zip(times, labels, strict=True))
    ]


def _notes(rng: random.Random, split: Split, folders: list[str]) -> list[Note]:
    titles = rng.sample(pool("note_titles", split), rng.randint(3, 6))
    colors = list(NOTE_COLORS.values())
    notes = []
    bodies = rng.sample(pool("note_bodies", split), len(titles))
    for index, title in enumerate(titles):
        items = ", ".join(rng.sample(pool("list_items", split), 4))
        body = items if "list" in title.lower() else bodies[index]
        folder = rng.choice(["", *folders])
        notes.append(
            Note(300 + index, title, body, rng.choice(colors), pinned=index == 0 and rng.random() < 0.4, folder=folder)
        )
    return notes


def _products(rng: random.Random, split: Split) -> list[Product]:
    nouns, adjectives = pool("nouns", split), pool("adjectives", split)
    brands = pool("brands", split)
    names: list[tuple[str, str]] = [(rng.choice(adjectives), noun) for noun in nouns]
    while len(names) < NUM_PRODUCTS:
        name = (rng.choice(adjectives), rng.choice(nouns))
        if name not in names:
            names.append(name)
    rng.shuffle(names)
    products = []
    for index, (adjective, noun) in enumerate(names):
        category, picture, low, high = NOUNS[noun]
        products.append(
            Product(
                400 + index,
                f"{adjective} {noun}",
                rng.choice(brands),
                category,
                rng.randint(low, high) * 100 + rng.choice([0, 0, 50, 90, 99]),
                rng.randint(26, 50) / 10,
                rng.sample(list(COLORS.values()), rng.randint(3, 5)),
                picture,
            )
        )
    return products


def _web(rng: random.Random, split: Split) -> Web:
    firsts, lasts, items = (pool(name, split) for name in ("first_names", "last_names", "list_items"))
    sentences = pool("news_sentences", split)
    articles = [
        Article(title, rng.choice(_SECTIONS), " ".join(rng.sample(sentences, 3)))
        for title in rng.sample(pool("headlines", split), 6)
    ]
    recipes = [
        Recipe(title, 5 * rng.randint(2, 18), rng.randint(2, 8), rng.sample(items, 5))
        for title in rng.sample(pool("recipes", split), 5)
    ]
    books = [
        Book(title, f"{rng.choice(firsts)} {rng.choice(lasts)}", f"{rng.choice('ABCDEF')}{rng.randint(1, 40)}",
             available=rng.random() < 0.7)
        for title in rng.sample(pool("books", split), 5)
    ]  # fmt: skip
    return Web(articles, recipes, books, rng.choice(pool("towns", split)))


def _notifications(rng: random.Random, state: SystemState) -> list[Notification]:
    notifications = []
    for thread in state.threads:
        if thread.unread:
            contact = state.contact_of(thread.number)
            name = contact.name if contact else thread.number
            notifications.append(
                Notification(
                    state.new_id(),
                    "messages",
                    name,
                    thread.messages[-1].text,
                    Page("thread", {"id": thread.id}, {"messages": END_DP}),
                )
            )
    if rng.random() < 0.4:
        article = state.web.articles[0]
        notifications.append(
            Notification(
                state.new_id(), "browser", "The Daily", article.title, Page("web", {"url": "daily.example/article/0"})
            )
        )
    return notifications
