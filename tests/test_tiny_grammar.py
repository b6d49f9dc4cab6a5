"""The tiny policy's grammar: everything its action format can say, and nothing else, while acting and learning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_inputs import make_screen

from distrl.actions import CODECS
from distrl.errors import ActionError
from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.tiny import grammar
from distrl.policy.tiny.create import create_tiny_policy
from distrl.types import Action, ActionKind, PolicyInput

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
LABELS = ["Send", "milk and bread", 'a "quoted" word', "back\\slash", "12", "7:30"]
FORMATS = ["element", "pixel"]


def make_policy(action_format, *, seed=0, **changes):
    return create_tiny_policy(
        ["milk", "bread", '"quoted"', "Send"], seed=seed, action_format=action_format, **{**SMALL, **changes}
    )


def seen(instruction='Write "milk and bread", then press 12.'):
    return PolicyInput(instruction, make_screen(LABELS))


POLICIES = {name: make_policy(name) for name in FORMATS}
TABLES = {name: grammar.transitions(policy.processor.tokenizer, name) for name, policy in POLICIES.items()}


def end_state(action_format, text):
    """The automaton's state after a text and its end token."""
    state = grammar.START
    for token in POLICIES[action_format].decision_for(text).token_ids.tolist():
        state = int(TABLES[action_format][state, token])
    return state


def sayable(action_format):
    """Whatever an oracle or a person could do, as text of the format."""
    pointing = st.builds(lambda verb, n: f"{verb} {n}", st.sampled_from(["tap", "long_press"]), st.integers(0, 999))
    if action_format == "pixel":
        pointing = st.builds(lambda text, n: f"{text} {n}", pointing, st.integers(0, 999))
    typed = st.text(min_size=1, max_size=20).map(
        lambda text: CODECS["element"].encode(Action(ActionKind.TYPE, text=text), make_screen([]))
    )
    words = st.sampled_from(["back", "home", "enter", "done", "impossible", "scroll up", "scroll left"])
    return st.one_of(pointing, typed, words)


@pytest.mark.parametrize("action_format", FORMATS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_every_action_that_can_be_encoded_can_be_said(action_format, data):
    assert end_state(action_format, data.draw(sayable(action_format))) == grammar.END


@pytest.mark.parametrize(
    "text",
    [
        "", "tap", "tap back", "tap tap", 'type ""', 'type "milk', 'type "milk" back', "home 3", "milk", "4", '"',
        "scroll up scroll down", 'tap 4"', 'type "a\\"', "tap 3 4 5", 'type "a" "b"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("action_format", FORMATS)
def test_what_the_format_cannot_read_cannot_be_said(action_format, text):
    assert end_state(action_format, text) == grammar.DEAD


def test_the_number_of_coordinates_is_the_formats():
    assert [end_state(name, "tap 3") for name in FORMATS] == [grammar.END, grammar.DEAD]
    assert [end_state(name, "tap 3 4") for name in FORMATS] == [grammar.DEAD, grammar.END]


@pytest.mark.parametrize("action_format", FORMATS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_an_untrained_policy_writes_valid_actions_only(action_format, temperature):
    policy = make_policy(action_format)
    decisions = policy.act([seen()] * 200, temperature=temperature)
    whole = [decision for decision in decisions if decision.token_ids[-1] == policy.processor.tokenizer.eos_token_id]
    assert len(whole) > 100
    assert {decision.text.split()[0] for decision in whole} >= {"tap", "type", "scroll", "home"}
    for decision in whole:
        try:
            CODECS[action_format].decode(decision.text, seen().observation)
        except ActionError as error:
            assert "type takes one quoted text" in str(error)  # A backslash before a letter that JSON does not know.


def test_without_a_grammar_it_writes_anything():
    texts = {decision.text for decision in make_policy(None).act([seen()] * 100, temperature=3.0)}
    assert any(text.startswith("tap") and not text[3:].strip().isdigit() for text in texts)


@pytest.mark.parametrize("action_format", FORMATS)
def test_learning_sees_the_distribution_that_acted(action_format):
    policy = make_policy(action_format)
    steps = [seen(), seen("Open Send"), seen('Type "quoted"')] * 8
    decisions = policy.act(steps, temperature=1.5)
    output = policy.evaluate(policy.collate([policy.encode(s, d) for s, d in zip(steps, decisions, strict=True)]))
    for row, decision in enumerate(decisions):
        recomputed = output.log_prob_BA[row, : len(decision.log_probs)]
        torch.testing.assert_close(recomputed, torch.from_numpy(decision.log_probs), atol=1e-4, rtol=0.0)
        assert decision.entropy == pytest.approx(
            float(output.entropy_BA[row, : len(decision.log_probs)].detach().mean()), abs=1e-4
        )


def test_what_can_only_go_one_way_is_certain():
    policy = make_policy("element")
    decision = policy.act([seen()], temperature=1.0)[0]
    after_number = policy.encode(seen(), policy.decision_for("tap 2"))
    output = policy.evaluate(policy.collate([after_number]))
    assert float(output.log_prob_BA[0, 2].detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(output.entropy_BA[0, 2].detach()) == pytest.approx(0.0, abs=1e-5)
    assert decision.log_probs[-1] == pytest.approx(0.0, abs=1e-5) or not decision.text.startswith("tap")


def test_only_elements_on_the_screen_are_pointed_at():
    policy = make_policy("element")
    output = policy.evaluate(
        policy.collate([policy.encode(seen(), policy.decision_for(f"tap {n}")) for n in (5, 6, 12)])
    )
    assert float(output.log_prob_BA[0, 1].detach()) > -10
    assert (output.log_prob_BA[1:, 1] < -50).all(), "element 6 and 12 do not exist, though the instruction says 12"


def test_gradients_stay_finite_where_a_text_is_impossible():
    policy = make_policy("element")
    output = policy.evaluate(
        policy.collate([policy.encode(seen(), policy.decision_for(t)) for t in ("tap 99", "home")])
    )
    (output.log_prob_BA.sum() + output.entropy_BA.sum()).backward()
    gradients = [p.grad for p in policy.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_the_grammar_is_saved_with_the_weights(tmp_path):
    make_policy("element").save(tmp_path)
    loaded = HuggingFacePolicy.load(tmp_path, seed=5)
    assert loaded.model.config.action_format == "element"
    torch.testing.assert_close(loaded.model.transitions.long(), TABLES["element"])


def test_generate_keeps_to_the_grammar_too():
    policy = make_policy("element")
    batch = policy.processor([seen()] * 40)
    torch.manual_seed(0)
    written = policy.model.generate(**batch, max_new_tokens=12, do_sample=True, temperature=3.0, top_k=0)
    for ids in written[:, 1:].tolist():
        state = grammar.START
        for token in ids:
            if token == policy.processor.tokenizer.pad_token_id:
                break
            state = int(TABLES["element"][state, token])
            assert state != grammar.DEAD


@pytest.mark.parametrize("action_format", FORMATS)
def test_a_screen_without_elements_is_no_trap(action_format):
    """A blank web page: there is nothing to point at, so a number that is said is an invalid action."""
    policy = make_policy(action_format)
    blank = PolicyInput("Tap something", make_screen([]))
    blank = replace(blank, observation=replace(blank.observation, elements=()))
    inputs = [blank] * 40 + [seen()] * 10
    decisions = policy.act(inputs, temperature=1.0)
    assert all(np.isfinite(decision.log_probs).all() for decision in decisions)
    text = "tap 3" if action_format == "element" else "tap 3 4"
    said = policy.evaluate(policy.collate([policy.encode(blank, policy.decision_for(text))]))
    assert float(said.log_prob_BA[0, 1].detach()) > -20
    encoded = [policy.encode(given, decision) for given, decision in zip(inputs, decisions, strict=True)]
    output = policy.evaluate(policy.collate(encoded))
    for row, decision in enumerate(decisions):
        recomputed = output.log_prob_BA[row, : len(decision.log_probs)].detach()
        torch.testing.assert_close(recomputed, torch.from_numpy(decision.log_probs), atol=1e-4, rtol=0.0)
