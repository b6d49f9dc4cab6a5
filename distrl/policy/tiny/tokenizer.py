"""The tokenizer of the tiny policy: whole words where they are known, bytes everywhere else.

Copying a word from the instruction into an action must be exact in tokens, so a word has one form wherever it
stands: with a leading space. Three rules make that so, and each is undone by the decoder, so that decoding the ids
of an action text gives that very text, for every Unicode string:

- a space is put before the text (`tap 7` becomes ` tap 7`);
- the opening `type "` of an action is followed by a space (`type "milk"` becomes ` type " milk"`), and is one token;
- words, numbers and punctuation are never merged with one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD: Final = "<|pad|>"
BOS: Final = "<|act|>"
END: Final = "<|end|>"
MAX_NUMBER: Final = 999
"""Largest number that is one token: element indices, and pixel coordinates in 0-999."""

TYPE_PREFIX: Final = ' type "'
ACTION_WORDS: Final = (
    " tap",
    " long_press",
    TYPE_PREFIX,
    " scroll up",
    " scroll down",
    " scroll left",
    " scroll right",
    " back",
    " home",
    " enter",
    " done",
    " impossible",
)
"""Pieces that actions are written with besides numbers and typed text; one token each."""

CHUNK_PATTERN: Final = r" ?[^\W\d_]+| ?\d+| ?[^\w\s]|_+|\s+(?!\S)|\s+"
"""Where a text is cut before the vocabulary is looked up; the processor cuts in the same places."""

_ACTION_PATTERN: Final = r'\A type "| ?long_press\b|\A scroll (?:up|down|left|right)\z|'
_WORD_COST: Final = -1.0
_BYTE_COST: Final = -1.5
"""A word is cheaper than any spelling of it, and two-digit tokens are cheaper than two digits."""


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """Makes a tokenizer in which each of `words` is one token and any other text falls back to pieces and bytes.

    `words` may hold phrases: they are cut into words first. The vocabulary depends on the set of words only, not on
    their order. Nothing is fetched.
    """
    model = models.Unigram(_vocabulary(words), unk_id=0, byte_fallback=False)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend(" "), normalizers.Replace(Regex(r'\A type "'), TYPE_PREFIX + " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_ACTION_PATTERN + CHUNK_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.ByteLevel(),
            decoders.Replace(Regex(r'\A type " '), TYPE_PREFIX),
            decoders.Replace(Regex(r"\A "), ""),
        ]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def byte_level(text: str) -> str:
    """Spells `text` in the byte alphabet of the vocabulary, e.g. ` é` as `ĠÃ©`."""
    return "".join(piece for piece, _ in _BYTE_LEVEL.pre_tokenize_str(text))


_BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def _vocabulary(words: Iterable[str]) -> list[tuple[str, float]]:
    known: set[str] = set()
    for phrase in words:
        for chunk in re.findall(CHUNK_PATTERN, " " + phrase):
            if chunk.strip():
                known.add(" " + chunk.strip())
    numbers = [f" {number}" for number in range(MAX_NUMBER + 1)]
    pairs = [f"{number:02d}" for number in range(100)]
    pieces = [(byte_level(text), _WORD_COST) for text in (*ACTION_WORDS, *numbers, *(" " + pair for pair in pairs))]
    pieces += [(pair, _WORD_COST) for pair in pairs]
    pieces += [(byte_level(word), _WORD_COST) for word in sorted(known)]
    letters = [(letter, _BYTE_COST) for letter in sorted(pre_tokenizers.ByteLevel.alphabet())]
    specials = [(token, -100.0) for token in (PAD, BOS, END)]
    unique: dict[str, float] = {}
    for piece, cost in specials + letters + pieces:
        unique.setdefault(piece, cost)
    return list(unique.items())
