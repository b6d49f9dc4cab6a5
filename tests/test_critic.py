"""The value heads: shapes, pessimism, start, and that they learn what they are told."""

from __future__ import annotations

import pytest
import torch

from distrl.critic import ValueHeads, smaller_probability
from distrl.losses import step_value_loss, trajectory_value_loss


def test_the_smaller_probability_of_the_two_heads_is_the_value() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    torch.testing.assert_close(smaller_probability(logits), torch.sigmoid(torch.tensor([0.0, -1.0])))


@pytest.mark.parametrize("leading", [(), (3,), (2, 5)])
def test_any_leading_shape_goes_in_and_comes_out(leading: tuple[int, ...]) -> None:
    heads, hidden = ValueHeads(8), torch.randn(*leading, 8)
    assert heads.step_logits(hidden).shape == (*leading, 2)
    assert heads.step_value(hidden).shape == leading
    assert heads.trajectory_logit(hidden).shape == leading
    assert heads.trajectory_value(hidden).shape == leading


def test_every_head_starts_at_the_expected_success_rate() -> None:
    heads, hidden = ValueHeads(8, initial_probability=0.3), 100 * torch.randn(4, 8)
    torch.testing.assert_close(heads.step_value(hidden), torch.full((4,), 0.3))
    torch.testing.assert_close(heads.trajectory_value(hidden), torch.full((4,), 0.3))


def test_half_precision_states_give_float32_values() -> None:
    value = ValueHeads(8).step_value(torch.randn(4, 8, dtype=torch.bfloat16))
    assert value.dtype == torch.float32


def test_heads_learn_labels_and_disagree_where_nothing_was_learnt() -> None:
    torch.manual_seed(0)
    heads, hidden = ValueHeads(16), torch.randn(64, 1, 16)
    label = (hidden[..., 0] > 0).float()
    mask = torch.ones_like(label, dtype=torch.bool)
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = step_value_loss(heads.step_logits(hidden), label, mask, normaliser=64.0)
        loss = loss + trajectory_value_loss(heads.trajectory_logit(hidden[:, 0]), label[:, 0], normaliser=64)
        loss.backward()
        optimizer.step()
    assert ((heads.step_value(hidden) > 0.5).float() == label).all()
    assert ((heads.trajectory_value(hidden[:, 0]) > 0.5).float() == label[:, 0]).all()
    elsewhere = heads.step_logits(10 * torch.randn(64, 16))
    assert (elsewhere[:, 0] - elsewhere[:, 1]).abs().max() > 0.01


def test_gradients_reach_the_policy_unless_the_caller_detaches() -> None:
    heads, hidden = ValueHeads(8), torch.randn(2, 8, requires_grad=True)
    for head in (*heads.step_heads, heads.trajectory_head):
        torch.nn.init.ones_(head[-1].weight)  # type: ignore[index]
    heads.step_value(hidden).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("bad", "name"), [({"hidden_size": 0}, "hidden_size"), ({"hidden_size": 4, "initial_probability": 1.0}, "initial")]
)
def test_impossible_heads_are_refused(bad: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ValueHeads(**bad)  # type: ignore[arg-type]
