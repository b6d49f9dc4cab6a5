"""Synthetic steps for policy tests: screens of labelled rows, and instructions that name what to do with them."""

import random

import numpy as np

from distrl.types import Element, Frame, Observation, PolicyInput

HEIGHT, WIDTH, ROW = 200, 90, 16


def make_words(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))] = None
    return list(words)


def make_screen(labels: list[str], *, seed: int = 0, pixels: np.ndarray | None = None, **flags: bool) -> Observation:
    if pixels is None:
        pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    elements = tuple(
        Element(i, "Button", (4, 4 + ROW * i, WIDTH - 4, 2 + ROW * (i + 1)), text=label, clickable=True, **flags)
        for i, label in enumerate(labels)
    )
    return Observation(Frame(pixels), elements, app="clock")


def make_step(rng: random.Random, words: list[str]) -> tuple[PolicyInput, str]:
    """One step and the right action: tap what is named, type what is said, or do what a plain word says."""
    labels = rng.sample(words, rng.randint(6, 10))
    screen = make_screen(labels, seed=rng.randrange(1000))
    kind = rng.choice(("tap", "tap", "type", "word"))
    if kind == "tap":
        index = rng.randrange(len(labels))
        return PolicyInput(f"Open {labels[index]} in the list.", screen), f"tap {index}"
    if kind == "type":
        text = " ".join(rng.sample(words, rng.randint(1, 3)))
        return PolicyInput(f'Write "{text}" here.', screen, ("tap 3",)), f'type "{text}"'
    word = rng.choice(("back", "home", "done"))
    return PolicyInput(f"Please go {word} now.", screen, ("back", 'type "hi"')), word


def make_steps(seed: int, words: list[str], count: int) -> list[tuple[PolicyInput, str]]:
    rng = random.Random(seed)
    return [make_step(rng, words) for _ in range(count)]
