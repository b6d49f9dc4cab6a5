"""Blocks of the tiny transformer, pre-norm, without dropout: what is recorded while acting can be recomputed.

Shape legend: B batch, S slots of the screen, T action tokens, L tokens so far, H heads, D hidden size, d = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Cache

from distrl.policy.tiny.configuration import TinyPolicyConfig


class EncoderLayer(nn.Module):
    """Attention over slots, joined with what lexical links bring: an element reads the words it matches, directly."""

    def __init__(self, config: TinyPolicyConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.attention_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.mix = nn.Linear(2 * size, size)
        self.feed_forward = FeedForward(config)

    def forward(self, slots_BSD: Tensor, mask_B11S: Tensor, links_BSS: Tensor) -> Tensor:
        normed = self.attention_norm(slots_BSD)
        batch, num_slots, size = normed.shape
        heads = self.query_key_value(normed).view(batch, num_slots, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=mask_B11S)
        attended = attended.transpose(1, 2).reshape(batch, num_slots, size)
        slots_BSD = slots_BSD + self.mix(torch.cat([attended, links_BSS @ normed], -1))
        encoded_BSD: Tensor = self.feed_forward(slots_BSD)
        return encoded_BSD


class DecoderLayer(nn.Module):
    """Causal attention over the action so far, then attention over the screen's slots."""

    def __init__(self, config: TinyPolicyConfig, index: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.index = index
        self.num_heads = config.num_attention_heads
        self.self_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.self_output = nn.Linear(size, size)
        self.cross_norm = nn.LayerNorm(size)
        self.cross_query = nn.Linear(size, size)
        self.cross_key_value = nn.Linear(size, 2 * size)
        self.cross_output = nn.Linear(size, size)
        self.feed_forward = FeedForward(config)

    def remember(self, slots_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, S, d] of the screen, computed once per step of the episode."""
        batch, num_slots, _ = slots_BSD.shape
        both = self.cross_key_value(slots_BSD).view(batch, num_slots, 2, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return both[0], both[1]

    def forward(self, x_BTD: Tensor, screen: tuple[Tensor, Tensor], mask_B11S: Tensor, cache: Cache | None) -> Tensor:
        batch, num_tokens, size = x_BTD.shape
        heads = self.query_key_value(self.self_norm(x_BTD))
        query, key, value = heads.view(batch, num_tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = cache.update(key, value, self.index)
        num_past = key.shape[2] - num_tokens
        causal = None
        if num_tokens > 1:
            causal = torch.ones(num_tokens, key.shape[2], dtype=torch.bool, device=x_BTD.device).tril(num_past)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=causal)
        x_BTD = x_BTD + self.self_output(attended.transpose(1, 2).reshape(batch, num_tokens, size))
        query = self.cross_query(self.cross_norm(x_BTD)).view(batch, num_tokens, self.num_heads, -1).transpose(1, 2)
        attended = F.scaled_dot_product_attention(query, *screen, attn_mask=mask_B11S)
        x_BTD = x_BTD + self.cross_output(attended.transpose(1, 2).reshape(batch, num_tokens, size))
        decoded_BTD: Tensor = self.feed_forward(x_BTD)
        return decoded_BTD


class FeedForward(nn.Module):
    """Residual two-layer perceptron."""

    def __init__(self, config: TinyPolicyConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.down(F.gelu(self.up(self.norm(x)), approximate="tanh"))
        return x + added


def pooled_words(embedding: nn.Embedding, ids: Tensor) -> Tensor:
    """Sums the embeddings of each row of ids [..., W], over the square root of their number; 0 pads: [..., D]."""
    flat = ids.reshape(-1, ids.shape[-1])
    summed = F.embedding_bag(flat, embedding.weight, mode="sum", padding_idx=0)
    count = (flat != 0).sum(-1, keepdim=True).clamp_min(1)
    return (summed * count.to(summed.dtype).rsqrt()).view(*ids.shape[:-1], -1)
