"""The report's pictures: the success curve with its intervals, and one episode as a strip of screens."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from distrl.durable import write_durably
from distrl.evaluate import wilson_interval
from distrl.picture import draw_touch, in_words, screen_image, write_text
from distrl.report_data import CurvePoint, Measured, RunData
from distrl.types import Frame, Trajectory

TRAINING, HELD_OUT, BEFORE = "#8a94ad", "#2f5fd0", "#c3cad9"
INK, SOFT, GRID = "#1f2430", "#5d6577", "#e6e9f0"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": "#b9c0cf",
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "figure.facecolor": "white",
}
SCREEN_PX, GAP_PX, PER_ROW = 208, 22, 7
_GOOD, _DARK, _GREY = (22, 121, 74), (31, 36, 48), (93, 101, 119)


def draw_success(run: RunData, path: Path) -> None:
    """Writes the success curve and the bars before and after; axes without data say so."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(12, 4.8), dpi=140, layout="constrained")
        FigureCanvasAgg(figure)
        curve, bars = figure.subplots(1, 2, width_ratios=(1.75, 1))
        _draw_curve(curve, run)
        _draw_bars(bars, run)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    write_durably(path, picture.getvalue())


def _draw_curve(axes: Any, run: RunData) -> None:
    held_out = run.held_out_curve()
    _percent(axes)
    axes.set_title("Success while training", pad=34 if len(run.curve) > 1 else 10)
    axes.set_xlabel("minutes of training")
    if run.curve:
        _draw_band(axes, [_of_point(point) for point in run.curve], TRAINING)
        minutes = [point.trained_s / 60 for point in run.curve]
        label = "training tasks, exploring (running mean)"
        axes.plot(minutes, [point.success for point in run.curve], color=TRAINING, lw=1.8, label=label)
    if held_out:
        _draw_band(axes, [_of_evaluation(e) for e in held_out], HELD_OUT)
        counts = sorted({e.num_episodes for e in held_out})
        num_episodes = "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        label = f"{held_out[0].split.replace('_', ' ')}, {num_episodes} episodes each"
        minutes = [(e.trained_s or 0.0) / 60 for e in held_out]
        axes.plot(minutes, [e.success for e in held_out], "o-", color=HELD_OUT, lw=2.2, ms=5, label=label)
    if run.curve or held_out:
        axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
        axes.set_xlim(left=0)
    else:
        _say(axes, "no updates yet")
    if len(run.curve) > 1:
        _add_updates_axis(axes, run.curve)


def _of_point(point: CurvePoint) -> tuple[float, tuple[float, float]]:
    return point.trained_s / 60, wilson_interval(round(point.success * point.num_episodes), point.num_episodes)


def _of_evaluation(measured: Measured) -> tuple[float, tuple[float, float]]:
    return (measured.trained_s or 0.0) / 60, measured.interval


def _draw_band(axes: Any, points: list[tuple[float, tuple[float, float]]], color: str) -> None:
    axes.fill_between(
        [at for at, _ in points],
        [interval[0] for _, interval in points],
        [interval[1] for _, interval in points],
        color=color,
        alpha=0.16,
        lw=0,
    )


def _add_updates_axis(axes: Any, curve: tuple[CurvePoint, ...]) -> None:
    """Updates along the top; before the first row and after the last one at the mean rate."""
    rate = curve[-1].version / max(curve[-1].trained_s / 60, 1e-9)
    minutes = [0.0, *(point.trained_s / 60 for point in curve)]
    updates = [0.0, *(float(point.version) for point in curve)]
    beyond = 10 * minutes[-1] + 1
    # Strictly rising, as both directions are asked for.
    minutes_N = np.array([-beyond, *minutes, minutes[-1] + beyond]) + np.arange(len(curve) + 3) * 1e-9
    updates_N = np.array([-beyond * rate, *updates, updates[-1] + beyond * rate]) + np.arange(len(curve) + 3) * 1e-9
    top = axes.secondary_xaxis(
        "top", functions=(lambda x: np.interp(x, minutes_N, updates_N), lambda x: np.interp(x, updates_N, minutes_N))
    )
    top.set_xlabel("updates")
    top.spines["top"].set_color("#b9c0cf")


def _draw_bars(axes: Any, run: RunData) -> None:
    _percent(axes)
    axes.set_title("Before and after, fixed tasks", pad=34 if len(run.curve) > 1 else 10)
    splits = run.splits
    if not splits:
        _say(axes, "not evaluated before\nor after training")
        return
    for offset, when, color in ((-0.2, "before", BEFORE), (0.2, "after", HELD_OUT)):
        found = [(number, run.at(when, split)) for number, split in enumerate(splits)]
        shown = [(number, e) for number, e in found if e is not None and e.num_episodes]
        for number, measured in shown:
            _draw_bar(axes, number + offset, measured, color)
        axes.bar([0], [0], color=color, label=when if shown else f"{when}: not measured")
    axes.set_xticks(
        range(len(splits)), [split.replace("_", " ").replace("held out ", "held-out\n") for split in splits]
    )
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set_xlim(-0.6, len(splits) - 0.4)
    axes.legend(loc="upper right", ncols=2, frameon=False, fontsize=9, bbox_to_anchor=(1.0, 1.1))


def _draw_bar(axes: Any, x: float, measured: Measured, color: str) -> None:
    low, high = measured.interval
    axes.bar([x], [measured.success], width=0.36, color=color, zorder=2)
    error = [[measured.success - low], [high - measured.success]]
    axes.errorbar([x], [measured.success], yerr=error, color=INK, lw=1.2, capsize=3, zorder=3)
    above = high + 0.025 if high < 0.93 else low - 0.075
    inside = high >= 0.93
    axes.text(x, above, f"{measured.success:.0%}", ha="center", fontsize=9, zorder=4, color="white" if inside else INK)


def _percent(axes: Any) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
    axes.grid(axis="y", color=GRID, lw=1)
    axes.set_axisbelow(True)
    axes.spines["top"].set_visible(False)


def _say(axes: Any, message: str) -> None:
    axes.text(0.5, 0.5, message, ha="center", va="center", color=SOFT, transform=axes.transAxes)
    axes.set_xticks([])


def draw_episode(trajectory: Trajectory, path: Path, *, title: str) -> None:
    """Writes the episode as a strip: each screen with the touch on it, the action below, and how it ended."""
    picture = io.BytesIO()
    strip(trajectory, title=title).save(picture, "PNG")
    write_durably(path, picture.getvalue())


def strip(trajectory: Trajectory, *, title: str) -> Image.Image:
    """The strip of `draw_episode` as a picture."""
    num_panels = len(trajectory.steps) + (trajectory.final_observation is not None)
    num_rows = -(-num_panels // PER_ROW)
    columns = -(-num_panels // num_rows)
    width, height = trajectory.steps[0].observation.frame.size
    screen = (SCREEN_PX, max(1, round(height * SCREEN_PX / width)))
    cell = (screen[0] + GAP_PX, screen[1] + 72 + GAP_PX)
    page_width = max(columns * cell[0] + GAP_PX, 640)
    heading = Image.new("RGB", (page_width, 200), "white")
    top = GAP_PX - 4
    top += write_text(heading, (GAP_PX, top), title, px=14, room_px=page_width - 2 * GAP_PX, fill=_GREY)
    instruction = f"“{trajectory.task.instruction}”"
    room = page_width - 2 * GAP_PX
    top += write_text(heading, (GAP_PX, top + 2), instruction, px=23, room_px=room, max_lines=3, bold=True, fill=_DARK)
    top += GAP_PX - 6
    page = Image.new("RGB", (page_width, top + num_rows * cell[1]), "white")
    page.paste(heading.crop((0, 0, page_width, top)), (0, 0))
    for number in range(num_panels):
        row, column = divmod(number, columns)
        _paste_panel(page, (GAP_PX + column * cell[0], top + row * cell[1]), trajectory, number)
    return page


def _paste_panel(page: Image.Image, at: tuple[int, int], trajectory: Trajectory, number: int) -> None:
    left, top = at
    if number == len(trajectory.steps):
        assert trajectory.final_observation is not None
        picture = _paste_screen(page, at, trajectory.final_observation.frame)
        words, color = ("Done: the check agrees", _GOOD) if trajectory.success else (str(trajectory.ending), _GREY)
        page.paste(picture, at)
        write_text(page, (left, top + picture.height + 8), words, px=15, room_px=SCREEN_PX, bold=True, fill=color)
        return
    step = trajectory.steps[number]
    picture = _paste_screen(page, at, step.observation.frame)
    draw_touch(picture, step.action)
    page.paste(picture, at)
    words = f"{number + 1}  {in_words(step.action, step.observation, step.decision.text)}"
    y = top + picture.height + 8
    y += write_text(page, (left, y), words, px=15, room_px=SCREEN_PX, max_lines=2, bold=True, fill=_DARK)
    write_text(page, (left, y), step.decision.text, px=13, room_px=SCREEN_PX, fill=_GREY)


def _paste_screen(page: Image.Image, at: tuple[int, int], frame: Frame) -> Image.Image:
    picture = screen_image(frame, SCREEN_PX)
    box = (at[0] - 1, at[1] - 1, at[0] + picture.width, at[1] + picture.height)
    ImageDraw.Draw(page).rectangle(box, outline=(190, 196, 208))
    return picture
