"""The tiny policy's model: an encoder of the screen, and a decoder of the action that can point and copy.

One slot per instruction token, element, past action and patch of the screenshot goes through the encoder. The
decoder's distribution over the vocabulary adds up four ways to say a token: from the vocabulary itself, by pointing
at an element (its number), by copying a word of the instruction, by copying a word of the screen. Copying follows
the source by induction: the word after the one just written is favoured, by identity of tokens and not of
embeddings, so it holds for words never seen in training. What the action format could not read is not said at all:
see `distrl.policy.tiny.grammar`.

Shape legend: B batch, I instruction tokens, E elements, W words each, K context rows, P patches, S all slots,
T action tokens, N selected action tokens, C candidates to point at or copy, V vocabulary, D hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.utils.generic import ModelOutput

from distrl.policy.tiny import grammar
from distrl.policy.tiny.configuration import TinyPolicyConfig
from distrl.policy.tiny.layers import DecoderLayer, EncoderLayer, pooled_words
from distrl.policy.tiny.processing import NUM_CLASSES, NUM_ELEMENT_FEATURES, NUM_INSTRUCTION_FEATURES, SCREEN_INPUTS

_WORD_SCALE = 0.2
"""Initial size of embeddings: small beside the features, so that words never trained on do not drown them."""
_SMALLEST = 1e-30
"""Floor of an unnormalised probability: keeps its logarithm finite."""


@dataclass
class Screen:
    """What the decoder needs of an encoded step; every field is batch-first, so that rows can be selected.

    keys and values of the cross-attention per decoder layer; mask [B, 1, 1, S]; instruction [B, I, D];
    pointer_keys [B, E, D], instruction_keys [B, I, D], word_keys [B, E, D]; candidate_ids [B, C] and
    candidate_mask [B, C]; before, before_two [B, I + E * W]: the tokens that precede each copyable one (-1: none);
    before_twin [B, I]: that token with or without its space, for the instruction; state [B, D].
    """

    keys_values: list[tuple[Tensor, Tensor]]
    mask: Tensor
    instruction: Tensor
    pointer_keys: Tensor
    instruction_keys: Tensor
    word_keys: Tensor
    candidate_ids: Tensor
    candidate_mask: Tensor
    before: Tensor
    before_two: Tensor
    before_twin: Tensor
    state: Tensor

    def select(self, rows: Tensor) -> Screen:
        """The same for some rows of the batch, in their order."""
        fields = {name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return Screen(keys_values=[(key[rows], value[rows]) for key, value in self.keys_values], **fields)


class TinyCache(DynamicCache):
    """Keys and values of the action so far, and the encoded screen, which is computed at its first token only."""

    def __init__(self) -> None:
        super().__init__()
        self.screen: Screen | None = None
        self.last_ids: Tensor | None = None
        self.grammar_state: Tensor | None = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps some rows of the batch."""
        super().batch_select_indices(indices)
        if self.screen is not None and self.last_ids is not None:
            self.screen, self.last_ids = self.screen.select(indices), self.last_ids[indices]
        if self.grammar_state is not None:
            self.grammar_state = self.grammar_state[indices]


@dataclass
class TinyOutput(ModelOutput):
    """logits [B, T, V] (or [N, V] where `logits_mask` chose N tokens) and state [B, D], which sees no action."""

    logits: Tensor | None = None
    past_key_values: TinyCache | None = None
    state: Tensor | None = None


class TinyEncoder(nn.Module):
    """Makes one slot per part of the screen and lets them look at one another."""

    def __init__(self, config: TinyPolicyConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.patch_size = config.patch_size
        self.words = nn.Embedding(config.vocab_size, size, padding_idx=0)
        self.instruction_places = nn.Embedding(config.max_instruction, size)
        self.instruction_features = nn.Linear(NUM_INSTRUCTION_FEATURES, size)
        self.context_places = nn.Embedding(1 + config.max_history, size)
        self.element_classes = nn.Embedding(NUM_CLASSES, size)
        self.element_features = nn.Linear(NUM_ELEMENT_FEATURES, size)
        self.crops = nn.Sequential(nn.Linear(6 * config.crop_size**2, 64), nn.GELU(), nn.Linear(64, size))
        self.patches = nn.Sequential(nn.Linear(3 * config.patch_size**2, 64), nn.GELU(), nn.Linear(64, size))
        self.patch_places = nn.Embedding(config.num_patches, size)
        self.summary = nn.Parameter(torch.zeros(size))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(size)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Returns slots [B, S, D], in the order summary, instruction, elements, context, patches, and mask [B, S]."""
        instruction_ids, links = inputs["instruction_ids"], inputs["links"]
        num_tokens, num_elements = instruction_ids.shape[1], links.shape[1]
        context = (
            pooled_words(self.words, inputs["context_ids"])
            + self.context_places.weight[: inputs["context_ids"].shape[1]]
        )
        instruction = (
            self.words(instruction_ids)
            + self.instruction_places.weight[:num_tokens]
            + self.instruction_features(inputs["instruction_features"])
        )
        elements = (
            pooled_words(self.words, inputs["element_ids"])
            + self.element_classes(inputs["element_classes"])
            + self.element_features(inputs["element_features"])
            + self.crops(_centred(inputs["element_crops"]).flatten(2))
        )
        patches = self.patches(_centred(_cut(inputs["image"], self.patch_size))) + self.patch_places.weight
        batch = len(instruction_ids)
        slots = torch.cat([self.summary.expand(batch, 1, -1), instruction, elements, context, patches], 1)
        always = inputs["context_mask"].new_ones(batch, 1)
        mask = torch.cat(
            [
                always,
                inputs["instruction_mask"],
                inputs["element_mask"],
                inputs["context_mask"],
                always.expand(-1, patches.shape[1]),
            ],
            1,
        )
        both_ways = _both_ways(links, slots.shape[1], num_tokens, num_elements)
        for layer in self.layers:
            slots = layer(slots, mask[:, None, None, :], both_ways)
        return self.norm(slots), mask


class TinyForActions(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """Writes an action as text from instruction, history, UI tree and screenshot; a `generate`-able model."""

    config_class = TinyPolicyConfig
    main_input_name = "input_ids"
    _supports_sdpa = True
    transitions: Tensor
    """The table of `grammar.transitions`; only with an action format."""

    def __init__(self, config: TinyPolicyConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.encoder = TinyEncoder(config)
        self.places = nn.Embedding(config.max_position_embeddings, size)
        self.next_in_instruction = nn.Linear(size, size)
        self.followed = nn.Linear(4, size)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.num_decoder_layers))
        self.norm = nn.LayerNorm(size)
        self.word_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.keys = nn.Linear(size, 3 * size, bias=False)
        self.queries = nn.Linear(size, 3 * size)
        self.copying = nn.Linear(size, 5 + config.max_words)
        if config.action_format is not None:
            table = torch.zeros(grammar.NUM_STATES, config.vocab_size, dtype=torch.uint8)
            self.register_buffer("transitions", table)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        return self.encoder.words

    def set_input_embeddings(self, value: Any) -> None:
        self.encoder.words = value

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=_WORD_SCALE)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(
        self,
        input_ids: Tensor,
        past_key_values: TinyCache | None = None,
        use_cache: bool | None = None,
        logits_mask: Tensor | None = None,
        **inputs: Any,
    ) -> TinyOutput:
        """Scores the token after each of `input_ids` [B, T], given the arrays of `TinyProcessor` as keywords.

        With a cache the screen is encoded once, at the first call. `logits_mask` [B, T] bool limits the scores to
        some tokens, in row-major order: padding then costs nothing.
        """
        cache = past_key_values
        if cache is None and use_cache:
            cache = TinyCache()
        screen = cache.screen if cache is not None else None
        if screen is None:
            screen = self.encode_screen(inputs)
        last_ids = cache.last_ids if cache is not None else None
        hidden, follows = self._decode(input_ids, last_ids, screen, cache)
        state_BT = self._grammar_states(input_ids, cache)
        if cache is not None:
            cache.screen, cache.last_ids = screen, input_ids[:, -1:]
        logits = self._logits(hidden, follows, screen, state_BT, logits_mask)
        return TinyOutput(logits=logits, past_key_values=cache, state=screen.state)

    def encode_screen(self, inputs: dict[str, Tensor]) -> Screen:
        """Encodes everything but the action."""
        slots, mask = self.encoder(inputs)
        element_ids, instruction_ids = inputs["element_ids"], inputs["instruction_ids"]
        num_tokens, num_elements = instruction_ids.shape[1], element_ids.shape[1]
        instruction, elements = slots[:, 1 : 1 + num_tokens], slots[:, 1 + num_tokens :][:, :num_elements]
        pointer_weight, instruction_weight, word_weight = self.keys.weight.chunk(3)
        twins, words = inputs["instruction_twins"], element_ids.flatten(1)
        ids = torch.cat([inputs["element_numbers"], instruction_ids, twins, words], 1)
        candidate_mask = torch.cat([inputs["element_mask"], inputs["instruction_mask"], twins != 0, words != 0], 1)
        before, before_two = (
            torch.cat([_shifted(instruction_ids, steps), _shifted(element_ids, steps).flatten(1)], 1)
            for steps in (1, 2)
        )
        return Screen(
            keys_values=[cast("DecoderLayer", layer).remember(slots) for layer in self.layers],
            mask=mask[:, None, None, :],
            instruction=instruction,
            pointer_keys=F.linear(elements, pointer_weight),
            instruction_keys=F.linear(instruction, instruction_weight),
            word_keys=F.linear(elements, word_weight),
            candidate_ids=ids,
            candidate_mask=candidate_mask,
            before=before,
            before_two=before_two,
            before_twin=F.pad(twins.masked_fill(twins == 0, -1), (1, 0), value=-1)[:, :-1],
            state=slots[:, 0],
        )

    def _decode(
        self, ids_BT: Tensor, last_ids: Tensor | None, screen: Screen, cache: TinyCache | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Hidden states [B, T, D], and which copyable tokens follow the last one and the last two [B, T, I + E * W]."""
        num_past = cache.get_seq_length() if cache is not None else 0
        if last_ids is None:
            last_ids = ids_BT.new_full((len(ids_BT), 1), -2)
        ids_before = torch.cat([last_ids, ids_BT[:, :-1]], 1)
        num_tokens = screen.instruction.shape[1]
        one = screen.before[:, None, :] == ids_BT[:, :, None]
        one[:, :, :num_tokens] |= screen.before_twin[:, None, :] == ids_BT[:, :, None]
        two = (one & (screen.before_two[:, None, :] == ids_before[:, :, None])).to(self.dtype)
        one = one.to(self.dtype)
        in_instruction = one[:, :, :num_tokens]
        read = (in_instruction / in_instruction.sum(-1, keepdim=True).clamp_min(1.0)) @ screen.instruction
        parts = [part.amax(-1) for whole in (one, two) for part in (whole[:, :, :num_tokens], whole[:, :, num_tokens:])]
        x = (
            self.encoder.words(ids_BT)
            + self.places.weight[num_past : num_past + ids_BT.shape[1]]
            + self.next_in_instruction(read)
            + self.followed(torch.stack(parts, -1))
        )
        for layer, keys_values in zip(self.layers, screen.keys_values, strict=True):
            x = layer(x, keys_values, screen.mask, cache)
        return self.norm(x), (one, two)

    def _grammar_states(self, ids_BT: Tensor, cache: TinyCache | None) -> Tensor | None:
        """Where the action's grammar is after each token, [B, T]; None for a model without one."""
        if self.config.action_format is None:
            return None
        state_B = cache.grammar_state if cache is not None else None
        if state_B is None:
            state_B = ids_BT.new_full((len(ids_BT),), grammar.START)
        states: list[Tensor] = []
        for ids_B in ids_BT.unbind(1):
            following_B = self.transitions[state_B, ids_B].long()
            state_B = torch.where(ids_B == self.config.bos_token_id, grammar.START, following_B)
            states.append(state_B)
        if cache is not None:
            cache.grammar_state = state_B
        return torch.stack(states, 1)

    def _logits(
        self,
        hidden: Tensor,
        follows: tuple[Tensor, Tensor],
        screen: Screen,
        state_BT: Tensor | None,
        logits_mask: Tensor | None,
    ) -> Tensor:
        """Unnormalised log-probabilities over the vocabulary: the four ways of saying each token, summed."""
        scale = self.config.hidden_size**-0.5
        query = self.queries(hidden).chunk(3, -1)
        pointed = query[0] @ screen.pointer_keys.transpose(1, 2) * scale  # [B, T, E]
        copied = query[1] @ screen.instruction_keys.transpose(1, 2) * scale  # [B, T, I]
        shown = query[2] @ screen.word_keys.transpose(1, 2) * scale  # [B, T, E]
        weights = self.copying(hidden)
        one, two = follows
        num_tokens = copied.shape[-1]
        copied = copied + weights[..., 0:1] * one[..., :num_tokens] + weights[..., 1:2] * two[..., :num_tokens]
        words = (shown[..., None] + weights[..., None, 5:]).flatten(2)  # [B, T, E * W]
        words = words + weights[..., 2:3] * one[..., num_tokens:] + weights[..., 3:4] * two[..., num_tokens:]
        scores = torch.cat([pointed, copied, copied + weights[..., 4:5], words], -1).masked_fill(
            ~screen.candidate_mask[:, None, :], -torch.inf
        )
        ids = screen.candidate_ids[:, None, :].expand_as(scores)
        num_pointed = pointed.shape[-1]
        points = None
        if state_BT is not None:  # On a screen without elements a number is said, and is invalid.
            points = (state_BT == grammar.POINT) & screen.candidate_mask[:, None, :num_pointed].any(-1)
        if logits_mask is not None:
            hidden, scores, ids = hidden[logits_mask], scores[logits_mask], ids[logits_mask]
            if state_BT is not None and points is not None:
                state_BT, points = state_BT[logits_mask], points[logits_mask]
        spoken = F.linear(hidden * scale**0.5, self.encoder.words.weight, self.word_bias)
        if state_BT is not None and points is not None:
            is_lost = (state_BT == grammar.DEAD)[..., None]  # A foreign text: no grammar holds in it any more.
            allowed = (self.transitions[state_BT] != grammar.DEAD) | is_lost
            points = points[..., None]
            if self.config.action_format == "element":  # An element is pointed at, nothing else is.
                is_pointer = torch.arange(ids.shape[-1], device=ids.device) < num_pointed
                scores = scores.masked_fill(points != is_pointer, -torch.inf)
                allowed_spoken = allowed & ~points
            else:
                allowed_spoken = allowed
            scores = scores.masked_fill(~allowed.gather(-1, ids), -torch.inf)
            spoken = spoken.masked_fill(~allowed_spoken, -torch.inf)
        largest = torch.maximum(spoken.amax(-1, keepdim=True), scores.amax(-1, keepdim=True)).detach()
        total = (spoken - largest).exp().scatter_add(-1, ids, (scores - largest).exp())
        return total.clamp_min(_SMALLEST).log()

    def _validate_model_kwargs(self, model_kwargs: dict[str, Any]) -> None:
        allowed = {*SCREEN_INPUTS, "input_ids", "use_cache", "past_key_values", "attention_mask", "logits_to_keep"}
        unknown = sorted(set(model_kwargs) - allowed)
        if unknown:
            raise ValueError(f"generate takes what TinyProcessor makes; it does not know {unknown}")

    def _prepare_cache_for_generation(  # type: ignore[override]
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        if generation_config.use_cache is not False:
            model_kwargs.setdefault("past_key_values", TinyCache())


def _centred(pixels: Tensor) -> Tensor:
    return pixels.float() * (1 / 127.5) - 1.0


def _cut(image_BHWC: Tensor, side: int) -> Tensor:
    """Cuts images into squares, row by row: [B, P, side * side * 3]."""
    batch, height, width, channels = image_BHWC.shape
    grid = image_BHWC.view(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(batch, -1, side * side * channels)


def _both_ways(links_BEI: Tensor, num_slots: int, num_tokens: int, num_elements: int) -> Tensor:
    """Averages over matched instruction tokens for elements, and over matched elements for tokens: [B, S, S]."""
    both = links_BEI.new_zeros(len(links_BEI), num_slots, num_slots)
    tokens, elements = slice(1, 1 + num_tokens), slice(1 + num_tokens, 1 + num_tokens + num_elements)
    both[:, elements, tokens] = links_BEI / links_BEI.sum(2, keepdim=True).clamp_min(1.0)
    both[:, tokens, elements] = (links_BEI / links_BEI.sum(1, keepdim=True).clamp_min(1.0)).transpose(1, 2)
    return both


def _shifted(ids: Tensor, steps: int) -> Tensor:
    """For each token along the last axis, the one `steps` before it; -1 where there is none, and for padding."""
    return F.pad(ids, (steps, 0), value=-1)[..., : ids.shape[-1]].masked_fill(ids == 0, -1)
