"""What a person sees while it trains: one block that refreshes on a terminal, one line now and then in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_PERIOD_S = 10.0
"""Seconds between lines where there is no terminal."""
SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Glance:
    """The numbers of one moment."""

    fraction_done: float
    elapsed_s: float
    version: int
    num_episodes: int
    episodes_per_s: float
    updates_per_s: float
    recent_success: float
    """Share of the last training episodes that succeeded, exploration included."""
    held_out: tuple[float, ...] = ()
    """Success of each evaluation so far, on tasks never trained on."""
    policy_age: float = 0.0
    """Mean age in versions of the steps just trained on."""
    replay_fill: float = 0.0
    num_aborted: int = 0
    num_phones: int = 0
    num_quarantined: int = 0


def sparkline(values: tuple[float, ...]) -> str:
    """Values in [0, 1] as little bars."""
    return "".join(SPARKS[min(int(value * len(SPARKS)), len(SPARKS) - 1)] for value in values)


def plain_line(glance: Glance) -> str:
    """The moment as one line without colours."""
    held_out = f"{glance.held_out[-1]:.0%}" if glance.held_out else "-"
    return (
        f"{glance.elapsed_s / 60:5.1f} min  {glance.fraction_done:4.0%}  update {glance.version}  "
        f"success {glance.recent_success:.0%} (held out {held_out})  {glance.episodes_per_s:.1f} episodes/s  "
        f"{glance.updates_per_s:.2f} updates/s  age {glance.policy_age:.1f}  replay {glance.replay_fill:.0%}  "
        f"aborted {glance.num_aborted}"
    )


class Display:
    """Shows glances until closed; readable with and without a terminal."""

    def __init__(self, title: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(highlight=False)
        self._title = title
        self._clock = clock
        self._last_line_s = -PLAIN_PERIOD_S
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()

    def show(self, glance: Glance) -> None:
        """Refreshes the block, or writes a line when one is due."""
        if self._live is not None:
            self._live.update(self._block(glance))
        elif self._clock() - self._last_line_s >= PLAIN_PERIOD_S:
            self._last_line_s = self._clock()
            self._console.print(plain_line(glance), soft_wrap=True)

    def say(self, message: str) -> None:
        """Writes a line that stays."""
        self._console.print(message, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Leaves the last block on the screen."""
        if self._live is not None:
            self._live.stop()

    def _block(self, glance: Glance) -> Group:
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column()
        held_out = f"{glance.held_out[-1]:.0%}" if glance.held_out else "-"
        cells = [
            ("success, training", f"{glance.recent_success:.0%}"),
            ("success, held out", f"{held_out}  {sparkline(glance.held_out)}"),
            ("episodes", f"{glance.num_episodes}  ({glance.episodes_per_s:.1f}/s)"),
            ("updates", f"{glance.version}  ({glance.updates_per_s:.2f}/s)"),
            ("policy age", f"{glance.policy_age:.1f} versions"),
            ("replay", f"{glance.replay_fill:.0%} full"),
            ("phones", f"{glance.num_phones - glance.num_quarantined} of {glance.num_phones}"),
            ("aborted", str(glance.num_aborted)),
        ]
        for left, right in zip(cells[::2], cells[1::2], strict=True):
            table.add_row(Text(left[0], style="dim"), left[1], Text(right[0], style="dim"), right[1])
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=1.0, completed=min(glance.fraction_done, 1.0), width=40),
            f"{glance.fraction_done:.0%}  {glance.elapsed_s / 60:.1f} min",
        )
        return Group(Text(self._title, style="bold"), bar, table)
