"""What a person sees while it trains: readable in a log file without a terminal, and as one block with one."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from distrl.display import PLAIN_PERIOD_S, Display, Glance, plain_line, sparkline

GLANCE = Glance(
    fraction_done=0.25, elapsed_s=150.0, version=42, num_episodes=900, episodes_per_s=6.0, updates_per_s=0.28,
    recent_success=0.615, held_out=(0.4, 0.71), policy_age=12.34, replay_fill=0.5, num_aborted=3, num_phones=32,
    num_quarantined=2,
)  # fmt: skip


def shown(is_terminal, act, clock=lambda: 0.0):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=100, highlight=False)
    display = Display("DistRL runs/x", console, clock)
    act(display)
    display.close()
    return stream.getvalue()


def test_one_line_says_it_all_without_colours():
    line = plain_line(GLANCE)
    assert "\x1b" not in line
    assert "\n" not in line
    for part in ("2.5 min", "25%", "update 42", "success 62%", "held out 71%", "age 12.3", "replay 50%", "aborted 3"):
        assert part in line, part
    assert "held out -" in plain_line(replace(GLANCE, held_out=()))


def test_without_a_terminal_a_line_comes_now_and_then():
    now = [0.0]

    def act(display):
        for second in range(25):
            now[0] = float(second)
            display.show(replace(GLANCE, version=second))

    lines = shown(False, act, lambda: now[0]).splitlines()
    due = [0, PLAIN_PERIOD_S, 2 * PLAIN_PERIOD_S]
    assert [f"update {second:.0f} " in line for second, line in zip(due, lines, strict=True)] == [True] * 3


def test_with_a_terminal_the_last_block_stays_and_shows_every_number():
    text = shown(True, lambda display: display.show(GLANCE))
    for part in ("DistRL runs/x", "62%", "71%", "900", "12.3 versions", "50% full", "30 of 32", "2.5 min"):
        assert part in text, part


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_said_stays_and_is_not_taken_for_markup(is_terminal):
    text = shown(is_terminal, lambda display: display.say("stopped [bold] in runs/[x]; it's 50 % done"))
    assert "stopped [bold] in runs/[x]; it's 50 % done" in text


def test_little_bars_reach_from_the_lowest_to_the_highest():
    assert sparkline((0.0, 0.5, 0.99, 1.0)) == "▁▅██"
