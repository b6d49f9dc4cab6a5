"""Draws actions token by token, recording at that moment what was drawn and how likely it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

_IMPOSSIBLE: Final = -1e4
"""exp of it is 0 in any floating type: the product with it is 0 too, and so is the gradient."""


@dataclass
class SampledAction:
    """Token ids of one action, their log-probabilities, and the entropy of each distribution drawn from (nats)."""

    token_ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)


@torch.inference_mode()
def sample_actions(
    model: Any,
    inputs: Mapping[str, Tensor],
    *,
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator | None,
) -> list[SampledAction]:
    """Continues each row of `inputs["input_ids"]` until its end token or `max_new_tokens`.

    `model` is a Hugging Face causal model with a cache. Temperature 0 takes the likeliest token and records its
    log-probability at temperature 1. Finished rows leave the batch once they are half of it.
    """
    num_rows = len(inputs["input_ids"])
    actions = [SampledAction() for _ in range(num_rows)]
    rows = list(range(num_rows))
    open_rows = set(rows)
    end = model.config.eos_token_id
    call: dict[str, Any] = dict(inputs)
    for _ in range(max_new_tokens):
        output = model(**call, use_cache=True)
        cache = output.past_key_values
        tokens, log_probs, entropies = draw(output.logits[:, -1], temperature, generator)
        drawn = zip(rows, tokens.tolist(), log_probs.tolist(), entropies.tolist(), strict=True)
        for row, token, log_prob, entropy in drawn:
            if row in open_rows:
                action = actions[row]
                action.token_ids.append(token)
                action.log_probs.append(log_prob)
                action.entropies.append(entropy)
                if token == end:
                    open_rows.discard(row)
        if not open_rows:
            break
        if 2 * len(open_rows) <= len(rows):
            kept = torch.tensor([place for place, row in enumerate(rows) if row in open_rows], device=tokens.device)
            rows = [row for row in rows if row in open_rows]
            cache.batch_select_indices(kept)
            tokens = tokens[kept]
        call = {"input_ids": tokens[:, None], "past_key_values": cache}
    return actions


def draw(logits_BV: Tensor, temperature: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    """Draws one token per row; returns ids, log-probabilities and entropies, each [B]."""
    log_probs_BV = torch.log_softmax(logits_BV.float() / (temperature or 1.0), -1)
    if temperature == 0:
        tokens = logits_BV.argmax(-1)
    else:
        cumulative = log_probs_BV.exp().cumsum(-1, dtype=torch.float64)
        uniform = torch.rand(len(cumulative), 1, dtype=torch.float64, generator=generator).to(cumulative.device)
        tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).squeeze(-1)
        tokens = tokens.clamp_max(logits_BV.shape[-1] - 1)
    log_probs = log_probs_BV.gather(-1, tokens[:, None]).squeeze(-1)
    return tokens, log_probs, token_entropy(log_probs_BV)


def token_entropy(log_probs_BV: Tensor) -> Tensor:
    """Entropy of each row's distribution, nats; impossible tokens (log-probability -inf) count as 0."""
    return -(log_probs_BV.exp() * log_probs_BV.clamp_min(_IMPOSSIBLE)).sum(-1)
