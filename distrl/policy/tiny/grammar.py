r"""Which token may follow which: the tiny policy writes no text that its action format cannot read.

A deterministic automaton over tokens. A token is allowed where it leads to a state other than `DEAD`; the model gives
all others (nearly) no probability, while acting and while learning alike, so recorded log-probabilities stay exact.

    START -> tap, long_press -> POINT  -> number of an element -> END          (element format)
                             -> POINT  -> x -> POINT_Y -> y -> END             (pixel format)
          -> type "          -> FIRST  -> anything but a quote -> TEXT ... -> closing quote -> END
          -> any other word  -> END -> end token

In typed text a backslash escapes what follows, as in JSON, so that `\"` does not close it.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from distrl.policy.tiny.tokenizer import ACTION_WORDS, MAX_NUMBER, TYPE_PREFIX, byte_level

ActionFormat = Literal["element", "pixel"]

DEAD: Final = 0
START: Final = 1
POINT: Final = 2
POINT_Y: Final = 3
FIRST: Final = 4
TEXT: Final = 5
ESCAPE: Final = 6
END: Final = 7
NUM_STATES: Final = 8

_POINTING: Final = (" tap", " long_press")


def transitions(tokenizer: PreTrainedTokenizerFast, action_format: ActionFormat) -> Tensor:
    """The automaton's table [NUM_STATES, V] int64: the state after each token; `DEAD` where it must not be written."""
    table = torch.full((NUM_STATES, len(tokenizer)), DEAD, dtype=torch.int64)
    specials = {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    verbs: dict[int, str] = {_id(tokenizer, word): word for word in ACTION_WORDS}
    table[START, list(verbs)] = END
    table[START, [_id(tokenizer, word) for word in _POINTING]] = POINT
    table[START, _id(tokenizer, TYPE_PREFIX)] = FIRST
    numbers = [_id(tokenizer, f" {number}") for number in range(MAX_NUMBER + 1)]
    table[POINT, numbers] = POINT_Y if action_format == "pixel" else END
    table[POINT_Y, numbers] = END
    table[END, tokenizer.eos_token_id] = END
    quote, backslash = byte_level('"'), byte_level("\\")
    for token, token_id in tokenizer.get_vocab().items():
        if token_id in specials or token == byte_level(TYPE_PREFIX):
            continue  # Every other word may be typed: `back` is a word of messages too.
        closes, escapes = token.endswith(quote), token.endswith(backslash)
        table[FIRST, token_id] = DEAD if closes else ESCAPE if escapes else TEXT
        table[TEXT, token_id] = END if closes else ESCAPE if escapes else TEXT
        table[ESCAPE, token_id] = TEXT
    return table


def _id(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(byte_level(text))
    assert isinstance(token_id, int)
    return token_id
