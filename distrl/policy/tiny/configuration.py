"""Sizes of the tiny policy."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class TinyPolicyConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Describes a tiny policy: what it sees of a step, and how large it is.

    The first group bounds what is shown (longer parts are cut) and is shared with the processor; the second is the
    transformer's. `screenshot=False` blanks all pixels and `ui_tree=False` hides all elements: the two ablations.
    """

    model_type = "distrl-tiny"

    max_instruction: int = 40
    """Instruction tokens."""
    max_elements: int = 64
    """Elements of the UI tree; of more, those that can be acted on or stand in the instruction are kept first."""
    max_words: int = 10
    """Text tokens of one element, one past action, or the app's name."""
    max_history: int = 8
    """Past actions."""
    crop_size: int = 8
    """Side of the square each element's pixels are sampled to."""
    image_width: int = 32
    image_height: int = 64
    """Size the whole screenshot is resized to, pixels."""
    patch_size: int = 16
    """Side of the square that becomes one slot; divides width and height."""
    screenshot: bool = True
    ui_tree: bool = True
    action_format: str | None = None
    """`element` or `pixel`: the model writes nothing else; None leaves it free to write anything."""

    vocab_size: int = 2048
    hidden_size: int = 128
    intermediate_size: int = 256
    num_hidden_layers: int = 3
    """Of the encoder."""
    num_decoder_layers: int = 1
    num_attention_heads: int = 4
    max_position_embeddings: int = 512
    """Longest action, in tokens."""
    tie_word_embeddings: bool = False
    """The output layer shares the embedding by construction; there is no second matrix to tie."""
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2

    @property
    def num_patches(self) -> int:
        """Slots of the screenshot."""
        return (self.image_width // self.patch_size) * (self.image_height // self.patch_size)

    @property
    def bounds(self) -> dict[str, Any]:
        """The part of the configuration that the processor shares."""
        names = (
            "max_instruction", "max_elements", "max_words", "max_history", "crop_size", "image_width", "image_height",
            "screenshot", "ui_tree",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
