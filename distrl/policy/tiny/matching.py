"""Which words of the screen stand in the instruction: features that hold for words never seen in training.

    TextReader.read("Call Ann.")             -> TextView: token ids, and the plain word each token belongs to
    match(instruction, label)                -> Match: per instruction token, and a few numbers for the label

Words are compared without case, leading zeros and plural s. Everything here depends on strings alone and is cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distrl.policy.tiny.tokenizer import CHUNK_PATTERN

NUM_MATCH_FEATURES: Final = 7
NUM_TOKEN_FLAGS: Final = 3

_QUOTED: Final = re.compile(r"[\"“«]([^\"”»]+)[\"”»]|(?<!\w)['‘]([^'’]+)['’](?!\w)")
_CHUNK: Final = re.compile(CHUNK_PATTERN)


@dataclass(frozen=True, eq=False)
class TextView:
    """One text, tokenised as actions are.

    ids [N] int32; token_words: for each token the plain word it belongs to, empty for punctuation; words: the plain
    words in order; flags [N, 3] uint8: inside quotes, a number, capitalised; quotes: the plain words of each quote.
    twins [N] int32: the same token with a space before it, or without, whichever `ids` is not; 0 where there is none.
    In `07:30` the minutes have no space before them, and typed on their own they have.
    """

    ids: NDArray[np.int32]
    twins: NDArray[np.int32]
    token_words: tuple[str, ...]
    words: tuple[str, ...]
    flags: NDArray[np.uint8]
    quotes: frozenset[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Match:
    """How a label relates to an instruction.

    links [N] uint8: which instruction tokens' words stand in the label, whole or cut short; features [7] float32:
    fraction of the label's words that stand in the instruction, how many (of 5), the longest run in the same order
    (of 5), whether all of it is one run, whether it is one of the quotes, whether a number is among the matches,
    whether a word is cut short (`Fri` for `Friday`).
    """

    links: NDArray[np.uint8]
    features: NDArray[np.float32]


class TextReader:
    """Tokenises texts chunk by chunk, as the action tokenizer does, with a cache over texts and over chunks.

    `tokenise_chunk` maps one chunk (` milk`, `,`) to token ids.
    """

    def __init__(self, tokenise_chunk: Callable[[str], tuple[int, ...]], *, capacity: int = 4_096) -> None:
        self._ids_of = lru_cache(maxsize=capacity)(tokenise_chunk)
        self.read = lru_cache(maxsize=capacity)(self._read)
        self.match = lru_cache(maxsize=4 * capacity)(self._match)

    def _read(self, text: str) -> TextView:
        ids: list[int] = []
        twins: list[int] = []
        token_words: list[str] = []
        words: list[str] = []
        flags: list[tuple[bool, bool, bool]] = []
        for segment, inside in _segments(text):
            for chunk in _CHUNK.findall(segment):
                if chunk.isspace():
                    continue
                word = plain_word(chunk)
                chunk_ids = self._ids_of(chunk)
                ids.extend(chunk_ids)
                twins.extend(self._twins_of(chunk, chunk_ids))
                token_words.extend([word] * len(chunk_ids))
                flags.extend([(inside, word.isdigit(), chunk.strip()[:1].isupper())] * len(chunk_ids))
                if word:
                    words.append(word)
        return TextView(
            ids=np.array(ids, np.int32),
            twins=np.array(twins, np.int32),
            token_words=tuple(token_words),
            words=tuple(words),
            flags=np.array(flags, np.uint8).reshape(-1, NUM_TOKEN_FLAGS),
            quotes=frozenset(plain_words(segment) for segment, inside in _segments(text) if inside),
        )

    def _twins_of(self, chunk: str, chunk_ids: tuple[int, ...]) -> tuple[int, ...]:
        if len(chunk_ids) == 1:
            other = self._ids_of(chunk[1:] if chunk.startswith(" ") else " " + chunk)
            if len(other) == 1:
                return other
        return (0,) * len(chunk_ids)

    def _match(self, instruction: str, label: str) -> Match:
        asked, shown = self.read(instruction), self.read(label)
        features = np.zeros(NUM_MATCH_FEATURES, np.float32)
        vocabulary = set(shown.words)
        known = set(asked.words)
        cut_short = {word for word in known - vocabulary if any(is_cut_short(word, other) for other in vocabulary)}
        links = np.array([word in vocabulary or word in cut_short for word in asked.token_words], np.uint8)
        if vocabulary and links.any():
            matched = [word for word in shown.words if word in known]
            run = longest_run(asked.words, shown.words)
            features[:] = (
                len(matched) / len(shown.words),
                min(len(matched), 5) / 5,
                min(run, 5) / 5,
                run == len(shown.words),
                shown.words in asked.quotes,
                any(word.isdigit() for word in matched),
                bool(cut_short),
            )
        return Match(links, features)


def _segments(text: str) -> Iterator[tuple[str, bool]]:
    """Cuts at quotes, so that a quoted word starts with a space as all others do; the flag says inside or not."""
    at = 0
    for quoted in _QUOTED.finditer(text):
        yield (" " if at == 0 else "") + text[at : quoted.start()].rstrip(" "), False
        yield " " + quoted.group()[0], False
        yield " " + quoted.group()[1:-1], True
        yield quoted.group()[-1], False
        at = quoted.end()
    yield (" " if at == 0 else "") + text[at:], False


def plain_word(chunk: str) -> str:
    """The form words are compared in: `Messages` is `message`, `07` is `7`, punctuation is empty."""
    word = chunk.strip().casefold()
    if not word[:1].isalnum():
        return ""
    if word.isdigit():
        return word.lstrip("0") or "0"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def plain_words(text: str) -> tuple[str, ...]:
    """All words of `text` in the form they are compared in."""
    return tuple(word for word in map(plain_word, _CHUNK.findall(" " + text)) if word)


def is_cut_short(word: str, other: str) -> bool:
    """Whether one of two words is the beginning of the other, three letters or more."""
    short, long = sorted((word, other), key=len)
    return len(short) >= 3 and long.startswith(short) and short.isalpha() and short != long


def longest_run(asked: tuple[str, ...], shown: tuple[str, ...]) -> int:
    """Length of the longest run of words that stands in both, in the same order."""
    best = 0
    lengths = [0] * (len(shown) + 1)
    for word in asked:
        previous = 0
        for index, other in enumerate(shown, start=1):
            previous, lengths[index] = lengths[index], previous + 1 if word == other else 0
            best = max(best, lengths[index])
    return best
