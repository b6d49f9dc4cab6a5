"""Makes a new tiny policy from a list of words and a seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch

from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.tiny import grammar
from distrl.policy.tiny.configuration import TinyPolicyConfig
from distrl.policy.tiny.modeling import TinyForActions
from distrl.policy.tiny.processing import TinyProcessor
from distrl.policy.tiny.tokenizer import ACTION_WORDS, build_tokenizer, byte_level

_PIXEL_SIZES: Final = {"image_width": 144, "image_height": 320, "patch_size": 16}
"""Without the UI tree the screenshot is all there is: 180 slots instead of 8."""

_UNSAID_BIAS: Final = -8.0
"""A new policy says the words of actions, points and copies; it seldom says other words from the vocabulary."""
_NEVER_BIAS: Final = -20.0
_FOLLOW_BIAS: Final = 2.0
"""A new policy that has copied a word tends to go on copying where it was."""
_TWIN_BIAS: Final = -3.0
"""And keeps a word's space as it stands."""


def create_tiny_policy(
    words: Iterable[str],
    *,
    seed: int = 0,
    screenshot: bool = True,
    ui_tree: bool = True,
    action_format: grammar.ActionFormat | None = None,
    max_action_tokens: int = 24,
    **sizes: Any,
) -> HuggingFacePolicy:
    """Returns an untrained tiny policy; equal arguments give equal weights.

    `words` become single tokens, see `build_tokenizer`. `screenshot=False` and `ui_tree=False` hide a modality.
    `action_format` makes it write actions of that format only. `sizes` override fields of `TinyPolicyConfig`.
    """
    tokenizer = build_tokenizer(words)
    defaults: dict[str, Any] = {} if ui_tree else _PIXEL_SIZES
    config = TinyPolicyConfig(
        **{**defaults, **sizes},
        vocab_size=len(tokenizer),
        screenshot=screenshot,
        ui_tree=ui_tree,
        action_format=action_format,
    )
    processor = TinyProcessor(tokenizer, bounds=config.bounds)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TinyForActions(config)
    said: Any = tokenizer.convert_tokens_to_ids([byte_level(word) for word in (*ACTION_WORDS, '"')])
    with torch.no_grad():
        if action_format is not None:
            model.transitions.copy_(grammar.transitions(tokenizer, action_format))
        model.word_bias.fill_(_UNSAID_BIAS)
        model.word_bias[[*said, tokenizer.eos_token_id]] = 0.0
        model.copying.bias[:4] = _FOLLOW_BIAS
        model.copying.bias[4] = _TWIN_BIAS
        model.word_bias[[tokenizer.pad_token_id, tokenizer.bos_token_id]] = _NEVER_BIAS
    return HuggingFacePolicy(model, processor, max_action_tokens=max_action_tokens, seed=seed)
