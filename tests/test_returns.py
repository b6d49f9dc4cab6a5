"""Golden numbers, laws, and an independent slow reference for every estimator of distrl.returns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distrl.returns import (
    LOG_RATIO_LIMIT,
    estimate_returns,
    gae,
    importance_ratio,
    monte_carlo,
    one_step_td,
    positive_return_label,
    retrace,
    td_error,
    vtrace,
)

GAMMA = 0.9
METHODS = ("retrace", "vtrace", "td", "monte_carlo")


def tensor(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def golden_inputs(*, terminated: bool = True) -> dict[str, Tensor]:
    """Two steps, gamma 1/2, rho = (1/2, 1/4) and values chosen so that everything can be done by hand."""
    return {
        "log_ratio_BT": tensor([math.log(0.5), math.log(0.25)]),
        "reward_BT": tensor([0.25, 1.0]),
        "discount_BT": tensor([0.5, 0.0 if terminated else 0.5]),
        "value_BT": tensor([0.5, 0.25]),
        "bootstrap_B": torch.tensor([0.5], dtype=torch.float64),
        "mask_BT": torch.tensor([[True, True]]),
    }


def random_inputs(seed: int, num_rows: int = 6, num_columns: int = 7) -> dict[str, Tensor]:
    """Rows of different lengths, terminated and truncated in turn, with ratios on both sides of 1."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    length_B = torch.arange(num_rows) % num_columns + 1
    mask_BT = torch.arange(num_columns) < length_B[:, None]
    discount_BT = torch.full((num_rows, num_columns), GAMMA, dtype=torch.float64)
    discount_BT[torch.arange(num_rows), length_B - 1] *= torch.arange(num_rows) % 2
    return {
        "log_ratio_BT": 3 * uniform(num_rows, num_columns) - 1.5,
        "reward_BT": 2 * uniform(num_rows, num_columns) - 1,
        "discount_BT": discount_BT,
        "value_BT": uniform(num_rows, num_columns),
        "bootstrap_B": uniform(num_rows),
        "mask_BT": mask_BT,
    }


def without_ratio(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in inputs.items() if name != "log_ratio_BT"}


def estimate(method: str, inputs: dict[str, Tensor], trace_lambda: float = 0.8) -> Any:
    return estimate_returns(method, **inputs, trace_lambda=trace_lambda)  # type: ignore[arg-type]


def slow_reference(method: str, inputs: dict[str, Tensor], row: int, trace_lambda: float) -> tuple[list, list]:
    """Each estimator by its definition as a double sum over Python floats, one row, no recursion."""
    length = int(inputs["mask_BT"][row].sum())
    rho = [math.exp(x) for x in inputs["log_ratio_BT"][row, :length].tolist()]
    reward = inputs["reward_BT"][row, :length].tolist()
    discount = inputs["discount_BT"][row, :length].tolist()
    value = [*inputs["value_BT"][row, :length].tolist(), float(inputs["bootstrap_B"][row])]
    delta = [reward[k] + discount[k] * value[k + 1] - value[k] for k in range(length)]

    def product(factors: list[float]) -> float:
        return math.prod(factors)

    advantage, target = [], []
    for t in range(length):
        steps = range(t, length)
        if method == "retrace":
            a = sum(
                product([discount[i - 1] * trace_lambda * min(1, rho[i]) for i in range(t + 1, k + 1)]) * delta[k]
                for k in steps
            )
            v = value[t] + min(1, rho[t]) * a
        elif method == "vtrace":

            def corrected(s: int) -> float:
                return value[s] + sum(
                    product([discount[i] * min(1, rho[i]) for i in range(s, k)]) * min(1, rho[k]) * delta[k]
                    for k in range(s, length)
                )

            v = corrected(t)
            a = reward[t] + discount[t] * (corrected(t + 1) if t + 1 < length else value[t + 1]) - value[t]
        elif method == "td":
            v = reward[t] + discount[t] * value[t + 1]
            a = v - value[t]
        else:
            v = sum(product(discount[t:k]) * reward[k] for k in steps) + product(discount[t:]) * value[length]
            a = v - value[t]
        advantage.append(a)
        target.append(v)
    return advantage, target


# Golden numbers. Terminated: delta = (0.25 + 0.5 * 0.25 - 0.5, 1 - 0.25) = (-0.125, 0.75).


def test_retrace_gives_the_numbers_worked_out_by_hand() -> None:
    got = retrace(**golden_inputs(), trace_lambda=0.5)
    # c_2 = 0.5 * 0.25; A_1 = -0.125 + 0.5 * 0.125 * 0.75; v = V + min(1, rho) A.
    torch.testing.assert_close(got.advantage_BT, tensor([-0.078125, 0.75]))
    torch.testing.assert_close(got.target_BT, tensor([0.5 - 0.5 * 0.078125, 0.25 + 0.25 * 0.75]))


def test_vtrace_gives_the_numbers_worked_out_by_hand() -> None:
    got = vtrace(**golden_inputs(), rho_clip=1.0, c_clip=0.25)
    # x_2 = 0.25 * 0.75 = 0.1875; x_1 = 0.5 * -0.125 + 0.5 * 0.25 * x_2; A_1 = delta_1 + 0.5 * x_2.
    torch.testing.assert_close(got.target_BT, tensor([0.5 - 0.0625 + 0.0234375, 0.4375]))
    torch.testing.assert_close(got.advantage_BT, tensor([-0.125 + 0.09375, 0.75]))


def test_vtrace_clips_the_correction_and_the_trace_separately() -> None:
    inputs = golden_inputs() | {"log_ratio_BT": tensor([math.log(4.0), math.log(4.0)])}
    got = vtrace(**inputs, rho_clip=3.0, c_clip=2.0)
    # x_2 = 3 * 0.75; x_1 = 3 * -0.125 + 0.5 * 2 * 2.25.
    torch.testing.assert_close(got.target_BT, tensor([0.5 - 0.375 + 2.25, 0.25 + 2.25]))


def test_monte_carlo_and_td_give_the_numbers_worked_out_by_hand() -> None:
    inputs = without_ratio(golden_inputs())
    torch.testing.assert_close(monte_carlo(**inputs).target_BT, tensor([0.75, 1.0]))
    torch.testing.assert_close(monte_carlo(**inputs).advantage_BT, tensor([0.25, 0.75]))
    torch.testing.assert_close(one_step_td(**inputs).target_BT, tensor([0.375, 1.0]))
    torch.testing.assert_close(td_error(**inputs), tensor([-0.125, 0.75]))


def test_gae_gives_the_numbers_worked_out_by_hand() -> None:
    got = gae(**without_ratio(golden_inputs(terminated=False)), trace_lambda=0.5)
    # delta = (-0.125, 1 + 0.25 - 0.25); A_1 = -0.125 + 0.25 * 1.
    torch.testing.assert_close(got.advantage_BT, tensor([0.125, 1.0]))
    torch.testing.assert_close(got.target_BT, tensor([0.625, 1.25]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_every_estimator_equals_its_definition_summed_slowly(method: str, seed: int) -> None:
    inputs = random_inputs(seed)
    got = estimate(method, inputs, trace_lambda=0.7)
    for row in range(len(inputs["bootstrap_B"])):
        advantage, target = slow_reference(method, inputs, row, trace_lambda=0.7)
        length = len(advantage)
        assert got.advantage_BT[row, :length].tolist() == pytest.approx(advantage, abs=1e-12)
        assert got.target_BT[row, :length].tolist() == pytest.approx(target, abs=1e-12)
        assert not got.advantage_BT[row, length:].any()
        assert not got.target_BT[row, length:].any()


# Laws.


@pytest.mark.parametrize("trace_lambda", [0.0, 0.6, 1.0])
def test_on_policy_retrace_is_gae(trace_lambda: float) -> None:
    inputs = random_inputs(1) | {"log_ratio_BT": torch.zeros(6, 7, dtype=torch.float64)}
    got, expected = (
        retrace(**inputs, trace_lambda=trace_lambda),
        gae(**without_ratio(inputs), trace_lambda=trace_lambda),
    )
    torch.testing.assert_close(got.advantage_BT, expected.advantage_BT)
    torch.testing.assert_close(got.target_BT, expected.target_BT)


def test_on_policy_retrace_with_lambda_1_is_the_return_minus_the_value() -> None:
    inputs = random_inputs(2) | {"log_ratio_BT": torch.zeros(6, 7, dtype=torch.float64)}
    expected = monte_carlo(**without_ratio(inputs))
    got = retrace(**inputs, trace_lambda=1.0)
    torch.testing.assert_close(got.advantage_BT, expected.advantage_BT)
    torch.testing.assert_close(got.target_BT, expected.target_BT)


def test_lambda_0_leaves_only_the_td_error() -> None:
    inputs = random_inputs(3)
    torch.testing.assert_close(retrace(**inputs, trace_lambda=0.0).advantage_BT, td_error(**without_ratio(inputs)))


def test_lambda_1_gives_the_vtrace_target_and_a_smaller_lambda_does_not() -> None:
    inputs = random_inputs(4)
    expected = vtrace(**inputs, rho_clip=1.0, c_clip=1.0).target_BT
    torch.testing.assert_close(retrace(**inputs, trace_lambda=1.0).target_BT, expected)
    assert not torch.allclose(retrace(**inputs, trace_lambda=0.9).target_BT, expected, atol=1e-4)


def test_a_zero_ratio_cuts_everything_after_the_step_before_it() -> None:
    inputs = random_inputs(5)
    inputs["log_ratio_BT"][:, 3] = -math.inf
    changed = {name: value.clone() for name, value in inputs.items()}
    changed["reward_BT"][:, 3:] += 1.0
    changed["value_BT"][:, 4:] += 1.0
    got, after = (retrace(**x, trace_lambda=0.9).advantage_BT for x in (inputs, changed))
    # exp(-20) stands for 0: what is left of the later steps is a billionth.
    torch.testing.assert_close(got[:, :3], after[:, :3], atol=1e-7, rtol=0)
    assert not torch.allclose(got[:, 3], after[:, 3])


def test_the_first_ratio_is_not_in_its_own_advantage_but_is_in_its_target() -> None:
    inputs = random_inputs(6)
    changed = inputs | {"log_ratio_BT": inputs["log_ratio_BT"].clone()}
    inputs["log_ratio_BT"][:, 0], changed["log_ratio_BT"][:, 0] = -0.5, -2.0
    got, after = retrace(**inputs, trace_lambda=0.9), retrace(**changed, trace_lambda=0.9)
    torch.testing.assert_close(got.advantage_BT, after.advantage_BT)
    assert (got.target_BT[:, 0] - after.target_BT[:, 0]).abs().min() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_truncation_differs_from_termination_by_exactly_the_bootstrap_term(method: str) -> None:
    terminated, truncated = golden_inputs(), golden_inputs(terminated=False)
    rho = torch.exp(terminated["log_ratio_BT"])[0].tolist()
    bootstrap = 0.5 * 0.5  # gamma times V.
    trace = {"retrace": 0.8 * rho[1], "vtrace": rho[1], "td": 0.0, "monte_carlo": 1.0}[method]
    difference = (estimate(method, truncated).advantage_BT - estimate(method, terminated).advantage_BT)[0].tolist()
    assert difference == pytest.approx([0.5 * trace * bootstrap, bootstrap])


@pytest.mark.parametrize("method", METHODS)
def test_a_terminated_row_ignores_its_bootstrap_even_if_it_is_nan(method: str) -> None:
    inputs = golden_inputs() | {"bootstrap_B": torch.tensor([math.nan], dtype=torch.float64)}
    torch.testing.assert_close(estimate(method, inputs), estimate(method, golden_inputs()))


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num_padding=st.integers(0, 4),
    garbage=st.sampled_from([0.0, -7.5, 1e30, math.inf, math.nan]),
)
def test_padding_and_other_rows_never_change_a_row(method: str, seed: int, num_padding: int, garbage: float) -> None:
    inputs = random_inputs(seed)
    together = {}
    for name, value in inputs.items():
        if name == "bootstrap_B":
            together[name] = value
        elif name == "mask_BT":
            together[name] = torch.nn.functional.pad(value, (0, num_padding), value=False)
        else:
            padded = torch.nn.functional.pad(value, (0, num_padding), value=garbage)
            real = torch.nn.functional.pad(inputs["mask_BT"], (0, num_padding), value=False)
            together[name] = torch.where(real, padded, garbage)
    got = estimate(method, together)
    for row in range(6):
        length = int(inputs["mask_BT"][row].sum())
        alone = {
            name: value[row : row + 1] if name == "bootstrap_B" else value[row : row + 1, :length]
            for name, value in inputs.items()
        }
        expected = estimate(method, alone)
        assert torch.equal(got.advantage_BT[row, :length], expected.advantage_BT[0])
        assert torch.equal(got.target_BT[row, :length], expected.target_BT[0])
        assert not got.advantage_BT[row, length:].any()


def test_log_ratios_are_clamped_at_both_ends() -> None:
    got = importance_ratio(torch.tensor([-1000.0, 0.0, 1000.0]))
    expected = torch.tensor([math.exp(-LOG_RATIO_LIMIT), 1.0, math.exp(LOG_RATIO_LIMIT)])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=0.0)


def test_estimates_carry_no_gradient_and_at_least_float32() -> None:
    inputs = {name: x if x.dtype == torch.bool else x.to(torch.bfloat16) for name, x in random_inputs(7).items()}
    inputs["value_BT"].requires_grad_()
    inputs["log_ratio_BT"].requires_grad_()
    got = retrace(**inputs, trace_lambda=0.9)
    assert not got.advantage_BT.requires_grad
    assert not got.target_BT.requires_grad
    assert got.advantage_BT.dtype == torch.float32


def test_positive_return_labels_hold_penalties_and_ignore_the_bootstrap() -> None:
    label = positive_return_label(
        reward_BT=tensor([-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        discount_BT=tensor([0.9, 0.9, 0.0], [0.9, 0.9, 0.9]),
        mask_BT=torch.ones(2, 3, dtype=torch.bool),
    )
    # Row 1: G = -1 + 0.81, 0.9, 1. Row 2 was truncated without any reward: not a success.
    assert label.tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]


# Bad input.


def test_a_hole_in_the_mask_is_refused() -> None:
    inputs = random_inputs(0) | {"mask_BT": torch.ones(6, 7, dtype=torch.bool)}
    inputs["mask_BT"][2, 3] = False
    with pytest.raises(ValueError, match="left-aligned"):
        retrace(**inputs, trace_lambda=0.9)


@pytest.mark.parametrize("name", ["log_ratio_BT", "reward_BT", "discount_BT", "value_BT", "bootstrap_B"])
def test_a_wrong_shape_is_named(name: str) -> None:
    inputs = random_inputs(0)
    with pytest.raises(ValueError, match=name):
        retrace(**inputs | {name: inputs[name][:1]}, trace_lambda=0.9)


def test_a_mask_that_is_not_bool_is_refused() -> None:
    inputs = random_inputs(0)
    with pytest.raises(ValueError, match="bool"):
        retrace(**inputs | {"mask_BT": inputs["mask_BT"].float()}, trace_lambda=0.9)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="retrace, vtrace, td or monte_carlo"):
        estimate("gae2", random_inputs(0))
