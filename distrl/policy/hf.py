"""A policy around a Hugging Face model and its processor: the one code path for the small default and large models.

The processor adds two methods to Hugging Face's own: `encode(PolicyInput)` for one step and `collate(steps)` for a
batch of model inputs with `input_ids` as the prompt. The model continues `input_ids`, and its output adds `state`,
a representation [B, D] of the prompt alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils import logging as hf_logging

from distrl.errors import PolicyError
from distrl.policy.base import EncodedStep, PolicyBatch, PolicyOutput
from distrl.policy.sampling import SampledAction, sample_actions, token_entropy
from distrl.types import Decision, Observation, PolicyInput


class HuggingFacePolicy:
    """Acts and scores with a Hugging Face model; see `distrl.policy.base.Policy` for what each method promises.

    `seed` starts the generator that sampling draws from, so equal seeds and calls give equal actions.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        max_action_tokens: int = 24,
        seed: int = 0,
        version: int = 0,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.max_action_tokens = max_action_tokens
        self.version = version
        self._encoded: WeakKeyDictionary[Observation, dict[Any, Any]] = WeakKeyDictionary()
        self.generator = torch.Generator().manual_seed(seed)

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> HuggingFacePolicy:
        """Loads what `save` wrote; `settings` are those of the constructor.

        Raises `PolicyError` when the folder is missing, incomplete, corrupt, or its weights are not finite.
        """
        import distrl.policy.tiny  # noqa: F401  registers the tiny family

        remedy = "give the folder of a saved policy, or `tiny` for a new one"
        if not (folder / "config.json").is_file():
            raise PolicyError(f"{folder} holds no policy: config.json is missing; {remedy}")
        try:
            with _progress_bars_off():
                processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
                loaded: Any = AutoModelForImageTextToText.from_pretrained(
                    folder, output_loading_info=True, use_safetensors=True, dtype=torch.float32
                )
                model, info = loaded
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise PolicyError(f"the policy in {folder} cannot be loaded ({error}); {remedy}") from error
        wrong = {name: sorted(map(str, keys)) for name, keys in info.items() if keys}
        if wrong:
            raise PolicyError(f"the weights in {folder} are not those its config.json describes: {wrong}; {remedy}")
        _require_finite(model.state_dict(), f"the weights in {folder}")
        return cls(model, processor, **settings)

    def save(self, folder: Path) -> None:
        """Writes config, tokenizer, processor and weights (safetensors) to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        with _progress_bars_off():
            self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def copy(self, *, seed: int) -> HuggingFacePolicy:
        """A second policy with equal weights, for another thread; `seed` starts its sampling.

        The processor is shared: it keeps nothing between calls but caches, which are safe to share.
        """
        second = HuggingFacePolicy(
            copy.deepcopy(self.model),
            self.processor,
            max_action_tokens=self.max_action_tokens,
            seed=seed,
            version=self.version,
        )
        second._encoded = self._encoded
        return second

    def __deepcopy__(self, memo: dict[int, Any]) -> HuggingFacePolicy:
        twin = self.copy(seed=0)
        twin.generator.set_state(self.generator.get_state())
        memo[id(self)] = twin
        return twin

    @property
    def hidden_size(self) -> int:
        """Size of the state representation."""
        return int(self.model.config.hidden_size)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimizer moves."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def act(
        self, inputs: Sequence[PolicyInput], *, temperature: float, generator: torch.Generator | None = None
    ) -> list[Decision]:
        """Writes one action per input; temperature 0 is greedy, and records log-probabilities at temperature 1."""
        if not math.isfinite(temperature) or temperature < 0:
            raise PolicyError(f"a temperature is 0 (greedy) or more; got {temperature}: set policy.temperature")
        if not inputs:
            return []
        batch = self.processor.collate([self._arrays(policy_input) for policy_input in inputs])
        actions = sample_actions(
            self.model,
            batch,
            temperature=temperature,
            max_new_tokens=self.max_action_tokens,
            generator=generator or self.generator,
        )
        return [self._decision(action, temperature) for action in actions]

    def decision_for(self, text: str, *, temperature: float = 1.0) -> Decision:
        """The tokens of a demonstrated action, end token included; log-probabilities are unknown and given as 0."""
        tokenizer = self.processor.tokenizer
        ids = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        zeros = np.zeros(len(ids), np.float32)
        return Decision(text, np.array(ids, np.int32), zeros, self.version, temperature)

    def encode(self, policy_input: PolicyInput, decision: Decision | None) -> EncodedStep:
        """Encodes a recorded step, some 10 kB; None encodes the screen without an action."""
        arrays = self._arrays(policy_input)
        if decision is None:
            return EncodedStep(arrays, np.zeros(0, np.int32), 1.0)
        return EncodedStep(arrays, decision.token_ids.astype(np.int32), decision.temperature)

    def collate(self, steps: Sequence[EncodedStep]) -> PolicyBatch:
        """Pads encoded steps to a batch; a greedy step's temperature counts as 1, as its log-probabilities do."""
        num_tokens = max(1, *(len(step.token_ids) for step in steps))
        token_ids = np.zeros((len(steps), num_tokens), np.int64)
        mask = np.zeros((len(steps), num_tokens), bool)
        for row, step in enumerate(steps):
            token_ids[row, : len(step.token_ids)] = step.token_ids
            mask[row, : len(step.token_ids)] = True
        return PolicyBatch(
            inputs=self.processor.collate([step.arrays for step in steps]),
            token_ids_BA=torch.from_numpy(token_ids),
            mask_BA=torch.from_numpy(mask),
            temperature_B=torch.tensor([step.temperature or 1.0 for step in steps], dtype=torch.float32),
        )

    def evaluate(self, batch: PolicyBatch) -> PolicyOutput:
        """Scores recorded actions under the present weights, at the temperature each was sampled at."""
        logits_NV, hidden_BD = self._logits(batch)
        mask = batch.mask_BA
        temperature_N = batch.temperature_B[:, None].expand_as(mask)[mask]
        log_probs_NV = torch.log_softmax(logits_NV / temperature_N[:, None], -1)
        taken_N = log_probs_NV.gather(-1, batch.token_ids_BA[mask][:, None]).squeeze(-1)
        entropy_N = token_entropy(log_probs_NV)
        zeros = torch.zeros(mask.shape, dtype=taken_N.dtype)
        return PolicyOutput(
            log_prob_BA=zeros.masked_scatter(mask, taken_N),
            entropy_BA=zeros.masked_scatter(mask, entropy_N),
            mask_BA=mask,
            hidden_BD=hidden_BD,
        )

    def state_hidden(self, batch: PolicyBatch) -> Tensor:
        """The states alone, [B, D], with gradient; actions in the batch are not read."""
        hidden_BD: Tensor = self.model(**batch.inputs, use_cache=False).state
        return hidden_BD.float()

    def supervised_loss(self, batch: PolicyBatch) -> Tensor:
        """Mean cross-entropy of the actions' tokens at temperature 1."""
        logits_NV, _ = self._logits(batch)
        return torch.nn.functional.cross_entropy(logits_NV, batch.token_ids_BA[batch.mask_BA])

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights by name, on the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor], *, version: int) -> None:
        """Takes over weights and their version; raises `PolicyError` and changes nothing when they do not fit."""
        present = self.model.state_dict()
        unlike = sorted(
            name
            for name in present.keys() | state.keys()
            if name not in present or name not in state or present[name].shape != state[name].shape
        )
        if unlike:
            raise PolicyError(
                f"version {version} is of another model: {len(unlike)} of {len(present)} tensors differ in name or "
                f"shape, first {unlike[0]}; publish weights of the policy this worker was started with"
            )
        _require_finite(state, f"the weights of version {version}")
        self.model.load_state_dict(dict(state))
        self.version = version

    def _arrays(self, policy_input: PolicyInput) -> Any:
        """Encodes what is seen, once for acting and learning while the very same observation is in memory."""
        encoded = self._encoded.setdefault(policy_input.observation, {})
        key = (policy_input.instruction, policy_input.history)
        if key not in encoded:
            encoded[key] = self.processor.encode(policy_input)
        return encoded[key]

    def _logits(self, batch: PolicyBatch) -> tuple[Tensor, Tensor]:
        inputs = dict(batch.inputs)
        prompt = inputs.pop("input_ids")
        mask = torch.nn.functional.pad(batch.mask_BA, (prompt.shape[1] - 1, 0))
        written = torch.cat([prompt, batch.token_ids_BA[:, :-1]], 1)
        output = self.model(input_ids=written, logits_mask=mask, use_cache=False, **inputs)
        return output.logits.float(), output.state.float()

    def _decision(self, action: SampledAction, temperature: float) -> Decision:
        return Decision(
            text=self.processor.tokenizer.decode(action.token_ids, skip_special_tokens=True),
            token_ids=np.array(action.token_ids, np.int32),
            log_probs=np.array(action.log_probs, np.float32),
            policy_version=self.version,
            temperature=temperature,
            entropy=float(np.mean(action.entropies)),
        )


@contextmanager
def _progress_bars_off() -> Iterator[None]:
    """Hugging Face draws a bar for each file; a run has its own display."""
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _require_finite(state: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise PolicyError(f"{what} must be finite: {name} holds NaN or infinity; go back to an earlier checkpoint")
