"""Turns what the agent sees into the arrays the tiny model reads, and back to batches.

    TinyProcessor.encode(PolicyInput) -> StepArrays      compact, one step, cacheable
    TinyProcessor.collate([StepArrays]) -> {name: tensor}   padded to the largest of the batch
    TinyProcessor(inputs) -> BatchFeature                 both, as `model.generate(**processor(inputs))` wants them

Shape legend: I instruction tokens, E elements, W words of an element, K context rows (app, past actions), P pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

from distrl.policy.tiny.configuration import TinyPolicyConfig
from distrl.policy.tiny.matching import NUM_MATCH_FEATURES, NUM_TOKEN_FLAGS, Match, TextReader, plain_words
from distrl.policy.tiny.pixels import element_crops, whole_screen
from distrl.policy.tiny.tokenizer import MAX_NUMBER, byte_level
from distrl.types import Element, PolicyInput

CLASS_NAMES: Final = (
    "Button", "CardView", "CheckBox", "Chip", "EditText", "FrameLayout", "GridView", "HorizontalScrollView",
    "ImageButton", "ImageView", "LinearLayout", "ListView", "ProgressBar", "RadioButton", "RecyclerView",
    "RelativeLayout", "ScrollView", "SeekBar", "Spinner", "Switch", "Tab", "TextView", "ToggleButton", "View",
    "ViewGroup",
)  # fmt: skip
_CLASS_IDS: Final = {name: index for index, name in enumerate(CLASS_NAMES, start=1)}
NUM_CLASSES: Final = len(CLASS_NAMES) + 1
"""0 is any other class."""

_NUM_FLAGS: Final = 9
_NUM_PLACE: Final = 6
_NUM_RELATED: Final = 7
NUM_ELEMENT_FEATURES: Final = _NUM_FLAGS + _NUM_PLACE + NUM_MATCH_FEATURES + _NUM_RELATED
NUM_INSTRUCTION_FEATURES: Final = NUM_TOKEN_FLAGS + 8


SCREEN_INPUTS: Final = (
    "instruction_ids", "instruction_twins", "instruction_features", "instruction_mask", "element_ids",
    "element_classes", "element_numbers", "element_features", "element_crops", "element_mask", "links",
    "context_ids", "context_mask", "image",
)  # fmt: skip
"""Names of the model's inputs besides `input_ids`."""


@dataclass(frozen=True, eq=False)
class StepArrays:
    """One step, in the smallest types that hold it exactly (about 10 kB).

    instruction_ids and instruction_twins [I] int32 (see `TextView`), instruction_features [I, 11] float16;
    element_ids [E, W] int32 (0 pads), element_classes [E] uint8, element_numbers [E] int32 (token that names the
    element), element_features [E, 29] float16, element_crops [E, c, 2c, 3] uint8, links [E, I] uint8 (the token's
    word stands in the element); context_ids [K, W] int32: the app's name, then past actions, latest first; image
    [h, w, 3] uint8.
    """

    instruction_ids: NDArray[np.int32]
    instruction_twins: NDArray[np.int32]
    instruction_features: NDArray[np.float16]
    element_ids: NDArray[np.int32]
    element_classes: NDArray[np.uint8]
    element_numbers: NDArray[np.int32]
    element_features: NDArray[np.float16]
    element_crops: NDArray[np.uint8]
    links: NDArray[np.uint8]
    context_ids: NDArray[np.int32]
    image: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays, bytes."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))


class TinyProcessor(ProcessorMixin):
    """Encodes steps for the tiny model; saved and loaded with its tokenizer as any Hugging Face processor.

    The bounds are those of `TinyPolicyConfig`, which describes them.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        bounds: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, **kwargs)  # type: ignore[no-untyped-call]
        self.bounds = {**TinyPolicyConfig().bounds, **(bounds or {})}
        self._reader = TextReader(self._tokenise_chunk)
        self._numbers = np.array(
            [tokenizer.convert_tokens_to_ids(byte_level(f" {number}")) for number in range(MAX_NUMBER + 1)], np.int32
        )

    def __call__(self, inputs: PolicyInput | Sequence[PolicyInput], **kwargs: Any) -> BatchFeature:
        """Encodes one or more steps into a batch for `model(**batch)` and `model.generate(**batch)`."""
        steps = [inputs] if isinstance(inputs, PolicyInput) else list(inputs)
        return BatchFeature(self.collate([self.encode(step) for step in steps]))

    def encode(self, policy_input: PolicyInput) -> StepArrays:
        """Returns the arrays of one step; what does not fit the bounds is cut."""
        bounds = self.bounds
        max_words = bounds["max_words"]
        instruction = policy_input.instruction
        asked = self._reader.read(instruction)
        num_tokens = min(len(asked.ids), bounds["max_instruction"])
        labels, elements, matches = self._shown_elements(policy_input)
        num_elements = len(elements)
        frame = policy_input.observation.frame
        bounds_px = np.array([element.bounds for element in elements], np.float32).reshape(-1, 4)

        links = np.zeros((num_elements, num_tokens), np.uint8)
        element_ids = np.zeros((num_elements, max_words), np.int32)
        for row, (label, match) in enumerate(zip(labels, matches, strict=True)):
            links[row] = match.links[:num_tokens]
            ids = self._reader.read(label).ids[:max_words]
            element_ids[row, : len(ids)] = ids
        history = policy_input.history[-bounds["max_history"] :] if bounds["max_history"] else ()
        context_ids = np.zeros((1 + len(history), max_words), np.int32)
        for row, text in enumerate((policy_input.observation.app, *reversed(history))):
            ids = self._reader.read(text).ids[:max_words]
            context_ids[row, : len(ids)] = ids
        typed = {word for text in history if text.startswith("type ") for word in plain_words(text[4:])}
        image, crops = self._pixels(frame.pixels, bounds_px)
        flags = np.array([_flags(element) for element in elements], np.float32).reshape(-1, _NUM_FLAGS)
        return StepArrays(
            instruction_ids=asked.ids[:num_tokens],
            instruction_twins=asked.twins[:num_tokens],
            instruction_features=_instruction_features(asked.flags, asked.token_words, links, flags, typed),
            element_ids=element_ids,
            element_classes=np.array([_CLASS_IDS.get(e.class_name, 0) for e in elements], np.uint8),
            element_numbers=self._numbers[[min(element.index, MAX_NUMBER) for element in elements]],
            element_features=_element_features(flags, bounds_px, frame.size, matches, links),
            element_crops=crops,
            links=links,
            context_ids=context_ids,
            image=image,
        )

    def collate(self, steps: Sequence[StepArrays]) -> dict[str, torch.Tensor]:
        """Pads steps to a batch of model inputs, with the masks and the first decoder token."""
        num = len(steps)
        num_tokens = max(1, *(len(step.instruction_ids) for step in steps))
        num_elements = max(1, *(len(step.element_ids) for step in steps))
        num_context = max(len(step.context_ids) for step in steps)
        first = steps[0]

        def empty(*shape: int, dtype: Any) -> NDArray[Any]:
            return np.zeros((num, *shape), dtype)

        batch: dict[str, NDArray[Any]] = {
            "instruction_ids": empty(num_tokens, dtype=np.int64),
            "instruction_twins": empty(num_tokens, dtype=np.int64),
            "instruction_features": empty(num_tokens, NUM_INSTRUCTION_FEATURES, dtype=np.float32),
            "instruction_mask": empty(num_tokens, dtype=bool),
            "element_ids": empty(num_elements, first.element_ids.shape[1], dtype=np.int64),
            "element_classes": empty(num_elements, dtype=np.int64),
            "element_numbers": empty(num_elements, dtype=np.int64),
            "element_features": empty(num_elements, NUM_ELEMENT_FEATURES, dtype=np.float32),
            "element_crops": empty(num_elements, *first.element_crops.shape[1:], dtype=np.uint8),
            "element_mask": empty(num_elements, dtype=bool),
            "links": empty(num_elements, num_tokens, dtype=np.float32),
            "context_ids": empty(num_context, first.context_ids.shape[1], dtype=np.int64),
            "context_mask": empty(num_context, dtype=bool),
        }
        for row, step in enumerate(steps):
            tokens, elements, context = len(step.instruction_ids), len(step.element_ids), len(step.context_ids)
            batch["instruction_ids"][row, :tokens] = step.instruction_ids
            batch["instruction_twins"][row, :tokens] = step.instruction_twins
            batch["instruction_features"][row, :tokens] = step.instruction_features
            batch["instruction_mask"][row, :tokens] = True
            batch["element_ids"][row, :elements] = step.element_ids
            batch["element_classes"][row, :elements] = step.element_classes
            batch["element_numbers"][row, :elements] = step.element_numbers
            batch["element_features"][row, :elements] = step.element_features
            batch["element_crops"][row, :elements] = step.element_crops
            batch["element_mask"][row, :elements] = True
            batch["links"][row, :elements, :tokens] = step.links
            batch["context_ids"][row, :context] = step.context_ids
            batch["context_mask"][row, :context] = True
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        tensors["image"] = torch.from_numpy(np.stack([step.image for step in steps]))
        tensors["input_ids"] = torch.full((num, 1), self.tokenizer.bos_token_id, dtype=torch.int64)
        return tensors

    def _tokenise_chunk(self, chunk: str) -> tuple[int, ...]:
        return tuple(token.id for token in self.tokenizer.backend_tokenizer.model.tokenize(byte_level(chunk)))

    def _shown_elements(self, policy_input: PolicyInput) -> tuple[list[str], list[Element], list[Match]]:
        if not self.bounds["ui_tree"]:
            return [], [], []
        elements = list(policy_input.observation.elements or ())
        labels = [_label(element) for element in elements]
        matches = [self._reader.match(policy_input.instruction, label) for label in labels]
        limit = self.bounds["max_elements"]
        if len(elements) > limit:
            urgency = [
                -(2.0 * match.features[0] + (element.clickable or element.editable) + 0.5 * bool(label))
                for element, label, match in zip(elements, labels, matches, strict=True)
            ]
            kept = sorted(sorted(range(len(elements)), key=urgency.__getitem__)[:limit])
            labels, elements = [labels[index] for index in kept], [elements[index] for index in kept]
            matches = [matches[index] for index in kept]
        return labels, elements, matches

    def _pixels(
        self, pixels: NDArray[np.uint8], bounds_px: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        height, width, side = self.bounds["image_height"], self.bounds["image_width"], self.bounds["crop_size"]
        if not self.bounds["screenshot"]:
            return np.zeros((height, width, 3), np.uint8), np.zeros((len(bounds_px), side, 2 * side, 3), np.uint8)
        return whole_screen(pixels, width, height), element_crops(pixels, bounds_px, side)


def _label(element: Element) -> str:
    text, description = element.text, element.content_description
    if not description or description == text:
        return text
    return f"{text} {description}" if text else description


def _flags(element: Element) -> tuple[bool, ...]:
    return (
        element.clickable, element.long_clickable, element.editable, element.focused, element.checkable,
        element.checked, element.selected, element.scrollable, element.enabled,
    )  # fmt: skip


def _instruction_features(
    token_flags: NDArray[np.uint8],
    token_words: tuple[str, ...],
    links: NDArray[np.uint8],
    flags: NDArray[np.float32],
    typed: set[str],
) -> NDArray[np.float16]:
    """One row per token: its flags, where it shows, and whether it was typed.

    The last eight: on screen, on how few elements, in a field, in the focused field, in a marked element, typed, and
    in one element with the token before it, with the token after it.
    """
    num_tokens = links.shape[1]
    features = np.zeros((num_tokens, NUM_INSTRUCTION_FEATURES), np.float16)
    features[:, :NUM_TOKEN_FLAGS] = token_flags[:num_tokens]
    if len(links):
        count = links.sum(0)
        features[:, 3] = count > 0
        features[:, 4] = 1.0 / np.maximum(count, 1)
        by_flag = links.T.astype(np.float32) @ flags  # [I, 9]
        features[:, 5] = by_flag[:, 2] > 0
        features[:, 6] = by_flag[:, 3] > 0
        features[:, 7] = (by_flag[:, 5] + by_flag[:, 6]) > 0
        pairs = (links[:, 1:] & links[:, :-1]).any(0)
        features[1:, 9] = pairs
        features[:-1, 10] = pairs
    if typed:
        features[:, 8] = [bool(word) and word in typed for word in token_words[:num_tokens]]
    return features


def _element_features(
    flags: NDArray[np.float32],
    bounds_px: NDArray[np.float32],
    size: tuple[int, int],
    matches: list[Match],
    links: NDArray[np.uint8],
) -> NDArray[np.float16]:
    """One row per element: flags, place, its own match, and how it relates to the rest.

    The last are the best match in its row, of what it contains and of what contains it; how rare the word it
    matches is on this screen; the share of the instruction's tokens it matches; and whether no element matches more
    words, or a longer run of them.
    """
    num = len(flags)
    features = np.zeros((num, NUM_ELEMENT_FEATURES), np.float16)
    if not num:
        return features
    left, top, right, bottom = (bounds_px / np.array([*size, *size], np.float32)).T
    own = np.stack([match.features for match in matches])
    best = own[:, 0]
    middle = (top + bottom) / 2
    same_row = (middle[:, None] > top) & (middle[:, None] < bottom) & (bottom - top < 0.15)
    inside = (left[:, None] <= left) & (top[:, None] <= top) & (right[:, None] >= right) & (bottom[:, None] >= bottom)
    np.fill_diagonal(inside, False)
    place = np.stack([(left + right) / 2, middle, right - left, bottom - top, np.arange(num) / 32, best > 0], 1)
    rarity = links / np.maximum(links.sum(0), 1)
    related = np.stack(
        [
            (same_row * best).max(1),
            (inside * best).max(1),
            (inside.T * best).max(1),
            rarity.max(1, initial=0.0),
            links.mean(1) if links.shape[1] else best * 0,
            (own[:, 1] > 0) & (own[:, 1] == own[:, 1].max()),
            (own[:, 2] > 0) & (own[:, 2] == own[:, 2].max()),
        ],
        1,
    )
    features[:] = np.concatenate([flags, place, own, related], 1)
    return features
