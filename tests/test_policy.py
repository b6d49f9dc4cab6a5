"""What every policy promises, checked on the small default: exact log-probabilities, swappable weights, safe files."""

import copy
import json

import numpy as np
import pytest
import torch
from policy_inputs import make_screen, make_steps, make_words
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from distrl.errors import PolicyError
from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.prompt import render_prompt
from distrl.policy.sampling import draw
from distrl.policy.tiny import TinyForActions, TinyProcessor
from distrl.policy.tiny.create import create_tiny_policy
from distrl.types import Element, Frame, Observation, PolicyInput

WORDS = make_words(0, 40)
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_policy(seed=0, **settings) -> HuggingFacePolicy:
    policy = create_tiny_policy(WORDS, seed=seed, **{**SIZES, **settings})
    with torch.no_grad():  # Untrained, it would write only long actions: let their lengths differ, and weights matter.
        policy.model.word_bias[policy.model.config.eos_token_id] = 2.0
        policy.model.queries.weight.mul_(4.0)
    return policy


@pytest.fixture
def policy() -> HuggingFacePolicy:
    return make_policy()


@pytest.fixture
def inputs() -> list[PolicyInput]:
    return [step for step, _ in make_steps(1, WORDS, 12)]


def recorded(policy, inputs, **kwargs):
    decisions = policy.act(inputs, **kwargs)
    return decisions, policy.collate([policy.encode(i, d) for i, d in zip(inputs, decisions, strict=True)])


def score(policy, batch):
    with torch.no_grad():
        return policy.evaluate(batch)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_recomputed_log_probs_and_entropies_match_the_recorded_ones(policy, inputs, temperature):
    decisions, batch = recorded(policy, inputs, temperature=temperature)
    output = score(policy, batch)
    lengths = [len(decision.token_ids) for decision in decisions]
    assert len(set(lengths)) > 2, "rows must finish at different times for this test to mean something"
    for row, decision in enumerate(decisions):
        np.testing.assert_allclose(output.log_prob_BA[row, : lengths[row]], decision.log_probs, atol=1e-4, rtol=0)
        assert float(output.log_prob_BA[row, lengths[row] :].abs().sum()) == 0
        assert output.log_prob_B[row].item() == pytest.approx(decision.log_prob, abs=1e-3)
        assert output.entropy_B[row].item() == pytest.approx(decision.entropy, abs=1e-4)


def test_log_probs_at_another_temperature_differ(policy, inputs):
    _, batch = recorded(policy, inputs, temperature=0.5)
    wrong = copy.copy(batch)
    object.__setattr__(wrong, "temperature_B", torch.ones(len(inputs)))
    difference = (score(policy, wrong).log_prob_BA - score(policy, batch).log_prob_BA).abs().max()
    assert difference > 0.1


def test_a_step_scores_the_same_alone_and_among_others(policy, inputs):
    decisions, batch = recorded(policy, inputs, temperature=1.0)
    together = score(policy, batch)
    for row, (step, decision) in enumerate(zip(inputs, decisions, strict=True)):
        alone = score(policy, policy.collate([policy.encode(step, decision)]))
        length = len(decision.token_ids)
        torch.testing.assert_close(alone.log_prob_BA[0], together.log_prob_BA[row, :length], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.hidden_BD[0], together.hidden_BD[row], atol=1e-5, rtol=0)


def test_entropy_is_that_of_the_whole_distribution(policy, inputs):
    _, batch = recorded(policy, inputs[:3], temperature=0.7)
    written = torch.cat([batch.inputs["input_ids"], batch.token_ids_BA[:, :-1]], 1)
    with torch.no_grad():
        logits = policy.model(**{**batch.inputs, "input_ids": written}).logits
    distribution = torch.distributions.Categorical(logits=logits / 0.7)
    expected = distribution.entropy() * batch.mask_BA
    torch.testing.assert_close(score(policy, batch).entropy_BA, expected, atol=1e-4, rtol=0)


def test_equal_seeds_give_equal_actions_and_others_do_not(inputs):
    first, second, other = (make_policy().copy(seed=seed) for seed in (5, 5, 6))
    texts = [[d.text for d in p.act(inputs, temperature=1.0)] for p in (first, second, other)]
    assert texts[0] == texts[1] != texts[2]
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    again = [[d.text for d in first.act(inputs, temperature=1.0, generator=g)] for g in generators]
    assert again[0] == again[1]


def test_greedy_equals_generate_token_for_token(policy, inputs):
    decisions = policy.act(inputs, temperature=0)
    for use_cache in (True, False):
        batch = policy.processor(inputs)
        written = policy.model.generate(**batch, do_sample=False, max_new_tokens=24, use_cache=use_cache)
        for row, decision in enumerate(decisions):
            assert written[row, 1 : 1 + len(decision.token_ids)].tolist() == decision.token_ids.tolist()


def test_generate_refuses_inputs_the_model_does_not_know(policy, inputs):
    with pytest.raises(ValueError, match="instruction_idz"):
        policy.model.generate(**policy.processor(inputs[:1]), instruction_idz=None)


def test_actions_stop_at_the_end_token_or_at_the_bound(inputs):
    policy = make_policy(max_action_tokens=5)
    end = policy.model.config.eos_token_id
    with torch.no_grad():
        policy.model.word_bias[end] = 3.5
    decisions = policy.act(inputs * 4, temperature=1.0)
    assert {len(decision.token_ids) for decision in decisions} == {1, 2, 3, 4, 5}
    for decision in decisions:
        ids = decision.token_ids.tolist()
        assert end not in ids[:-1]
        assert len(ids) == 5 or ids[-1] == end
        assert len(decision.log_probs) == len(ids)
        assert (decision.policy_version, decision.temperature) == (0, 1.0)


def test_draws_follow_the_distribution_and_never_hit_the_impossible():
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2])
    generator = torch.Generator().manual_seed(0)
    tokens, log_probs, entropies = draw(probs.log().expand(20_000, 4), 1.0, generator)
    counts = torch.bincount(tokens, minlength=4).double()
    expected = 20_000 * probs.double()
    assert counts[1] == 0
    assert float(((counts - expected) ** 2 / expected.clamp_min(1)).sum()) < 13.8  # 2 degrees of freedom, p = 0.001.
    torch.testing.assert_close(log_probs, probs.log()[tokens])
    assert torch.isnan(entropies).sum() == 0
    assert entropies[0].item() == pytest.approx(1.0297, abs=1e-4)


def test_the_smallest_draw_skips_impossible_tokens(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **kwargs: torch.zeros(*shape, dtype=kwargs["dtype"]))
    tokens, log_probs, _ = draw(torch.tensor([[0.0, 0.0, 0.3, 0.7]]).log(), 1.0, None)
    assert tokens.tolist() == [2]
    assert log_probs.exp().tolist() == pytest.approx([0.3])


def test_the_state_sees_no_action(policy, inputs):
    step = inputs[0]
    decisions = [policy.decision_for("tap 1"), policy.decision_for('type "something else"'), None]
    batch = policy.collate([policy.encode(step, decision) for decision in decisions])
    output = score(policy, batch)
    assert output.hidden_BD.shape == (3, policy.hidden_size)
    torch.testing.assert_close(output.hidden_BD[1:], output.hidden_BD[:1].expand(2, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(policy.state_hidden(batch).detach(), output.hidden_BD, atol=1e-6, rtol=0)
    assert output.entropy_B[2] == 0
    assert output.log_prob_B[2] == 0


def test_a_batch_without_any_action_can_be_evaluated(policy, inputs):
    output = score(policy, policy.collate([policy.encode(step, None) for step in inputs[:2]]))
    assert output.log_prob_B.tolist() == [0, 0]


def test_supervised_loss_is_the_mean_negative_log_prob_of_tokens(policy, inputs):
    decisions = [policy.decision_for(text, temperature=1.0) for text in ("tap 2", 'type "milk and bread"')]
    batch = policy.collate([policy.encode(s, d) for s, d in zip(inputs[:2], decisions, strict=True)])
    output = score(policy, batch)
    expected = -output.log_prob_BA.sum() / sum(len(d.token_ids) for d in decisions)
    torch.testing.assert_close(policy.supervised_loss(batch).detach(), expected)


def test_every_weight_can_learn(policy):
    steps = make_steps(2, WORDS, 8)
    batch = policy.collate([policy.encode(step, policy.decision_for(text)) for step, text in steps])
    output = policy.evaluate(batch)
    (output.log_prob_BA.sum() + output.hidden_BD.sum()).backward()
    idle = [name for name, weight in policy.model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_a_saved_policy_loads_equal_by_us_and_by_the_auto_classes(policy, inputs, tmp_path):
    policy.save(tmp_path / "p")
    loaded = HuggingFacePolicy.load(tmp_path / "p", max_action_tokens=24)
    expected, actual = policy.act(inputs, temperature=0), loaded.act(inputs, temperature=0)
    assert [d.text for d in actual] == [d.text for d in expected]
    assert [d.log_prob for d in actual] == [d.log_prob for d in expected]
    assert isinstance(AutoModelForImageTextToText.from_pretrained(tmp_path / "p"), TinyForActions)
    processor = AutoProcessor.from_pretrained(tmp_path / "p")
    assert isinstance(processor, TinyProcessor)
    assert processor.bounds == policy.processor.bounds
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "p")
    assert tokenizer('type "milk"').input_ids == policy.processor.tokenizer('type "milk"').input_ids


def test_the_same_seed_makes_the_same_weights():
    first, second, other = make_policy(3).state(), make_policy(3).state(), make_policy(4).state()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def _truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _poison(folder):
    weights = load_file(folder / "model.safetensors")
    weights["norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _drop_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _change_the_size(folder):
    config = json.loads((folder / "config.json").read_text())
    config["hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be loaded"),
        (_truncate, "cannot be loaded"),
        (_poison, "norm.weight holds NaN"),
        (_drop_a_tensor, "norm.weight"),
        (_change_the_size, "config.json describes|cannot be loaded"),
    ],
)
def test_a_damaged_folder_is_refused_with_a_remedy(policy, tmp_path, damage, said):
    policy.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(PolicyError, match=said) as caught:
        HuggingFacePolicy.load(tmp_path)
    assert "give the folder" in str(caught.value) or "go back" in str(caught.value)


def test_published_weights_are_taken_over_with_their_version(policy, inputs):
    other = make_policy(seed=9)
    state = other.state()
    policy.load_state(state, version=7)
    assert [d.text for d in policy.act(inputs, temperature=0)] == [d.text for d in other.act(inputs, temperature=0)]
    assert policy.act(inputs[:1], temperature=0)[0].policy_version == 7
    with torch.no_grad():
        other.model.norm.weight.zero_()
    assert policy.state()["norm.weight"].any()
    assert state["norm.weight"].any(), "a published state must not follow the learner's weights"


@pytest.mark.parametrize("fault", ["missing", "shape", "nan"])
def test_weights_that_do_not_fit_are_refused_and_change_nothing(policy, fault):
    before = policy.state()
    bad = make_policy(seed=9).state()
    if fault == "missing":
        del bad["word_bias"]
    elif fault == "shape":
        bad["word_bias"] = bad["word_bias"][:-1]
    else:
        bad["word_bias"][3] = float("inf")
    with pytest.raises(PolicyError, match="word_bias"):
        policy.load_state(bad, version=2)
    assert policy.version == 0
    assert all(torch.equal(before[name], value) for name, value in policy.state().items())


def test_a_copy_is_independent(policy, inputs):
    for twin in (policy.copy(seed=1), copy.deepcopy(policy)):
        expected = [d.text for d in policy.act(inputs, temperature=0)]
        assert [d.text for d in twin.act(inputs, temperature=0)] == expected
        with torch.no_grad():
            twin.model.word_bias.zero_()
        assert policy.model.word_bias.any()


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(policy, inputs, temperature):
    with pytest.raises(PolicyError, match=r"policy\.temperature"):
        policy.act(inputs, temperature=temperature)


def test_no_inputs_give_no_decisions(policy):
    assert policy.act([], temperature=1.0) == []


def test_garbage_screens_are_no_exception(policy):
    pixels = np.zeros((1, 1, 3), np.uint8)
    strange = (
        Element(999_999, "", (-50, -50, 5000, 5000), text="\n\x00 \U0001f600 <|end|>" * 40),
        Element(1, "View", (10, 10, 10, 10)),
        Element(2, "View", (20, 20, 3, 3), text='"'),
    )
    empty = Observation(Frame(pixels), (), "")
    steps = [
        PolicyInput("", empty),
        PolicyInput('"' * 500 + "word " * 500, Observation(Frame(pixels), strange, "x" * 999), ("tap 1",) * 99),
        PolicyInput("Open it.", Observation(Frame(pixels), None, "")),
        PolicyInput("Open it.", make_screen(WORDS * 4)),
    ]
    decisions, batch = recorded(policy, steps, temperature=1.0)
    assert np.isfinite([d.log_prob for d in decisions]).all()
    assert torch.isfinite(score(policy, batch).log_prob_BA).all()


def test_the_prompt_says_everything_once():
    elements = (
        Element(0, "TextView", (0, 0, 9, 9), text='Say "hi"'),
        Element(1, "ImageButton", (0, 0, 9, 9), content_description="Send", clickable=True, enabled=False),
        Element(2, "EditText", (0, 0, 9, 9), text="a", content_description="a", editable=True, focused=True),
        Element(3, "View", (0, 0, 9, 9)),
    )
    step = PolicyInput(
        "Call Ann.", Observation(Frame(np.zeros((9, 9, 3), np.uint8)), elements, "phone"), ("tap 3", "back")
    )
    assert render_prompt(step, max_elements=3) == (
        "Task: Call Ann.\nPast actions: tap 3; back\nApp: phone\nScreen:\n"
        '0 TextView "Say \\"hi\\""\n1 ImageButton ("Send") [clickable, disabled]\n'
        '2 EditText "a" [editable, focused]\n(1 more)\nAction:'
    )
    assert render_prompt(step, ui_tree=False) == "Task: Call Ann.\nPast actions: tap 3; back\nApp: phone\nAction:"
