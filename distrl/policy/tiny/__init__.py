"""The small default policy, as genuine Hugging Face classes: importing this registers them with the Auto classes."""

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from distrl.policy.tiny.configuration import TinyPolicyConfig
from distrl.policy.tiny.modeling import TinyForActions
from distrl.policy.tiny.processing import TinyProcessor

AutoConfig.register(TinyPolicyConfig.model_type, TinyPolicyConfig, exist_ok=True)
AutoProcessor.register(TinyPolicyConfig, TinyProcessor, exist_ok=True)  # type: ignore[no-untyped-call]
AutoModelForImageTextToText.register(TinyPolicyConfig, TinyForActions, exist_ok=True)

__all__ = ["TinyForActions", "TinyPolicyConfig", "TinyProcessor"]
