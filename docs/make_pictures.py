"""Draws docs/images from the simulated phone: `python docs/make_pictures.py`. The same pictures on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import distrl.device.sim as phone_package
from distrl.device.sim.app import launch
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import END_DP, Notification, Page, SystemState
from distrl.device.sim.tasks.distractors import permission_popup
from distrl.device.sim.world import make_world
from distrl.types import Element

FOLDER = Path(__file__).with_name("images")
PHONE = (360, 800)
"""Size of one phone in a row, pixels, drawn natively."""
GAP, BORDER, CAPTION = 26, 8, 40
FONTS = Path(phone_package.__file__).with_name("fonts")
PAPER, BODY, INK = "#f3f4f8", "#1b1d24", "#3c404b"


def world(seed: int, *, dark: bool = False, wallpaper: int | None = None) -> SystemState:
    """A phone somebody has been using."""
    state = make_world(random.Random(f"pictures/{seed}"))
    state.settings.dark_theme = dark
    state.settings.accent = "#3f6ad8"
    state.notifications = []
    if wallpaper is not None:
        state.settings.wallpaper = wallpaper
    return state


def home() -> SystemState:
    return world(1, wallpaper=4)


def messages_with_keyboard() -> SystemState:
    state = world(2)
    thread = max(state.threads, key=lambda thread: len(thread.messages))
    launch(state, "messages", Page("thread", {"id": thread.id, "draft": "See you at seven"}, {"messages": END_DP}))
    state.focus = "draft"
    return state


def contact_dialog() -> SystemState:
    state = world(3)
    launch(state, "contacts", Page("detail", {"id": state.contacts[2].id, "dialog": "delete"}))
    return state


def shop_product(number: int = 4) -> SystemState:
    state = world(4)
    launch(state, "shop", Page("product", {"id": state.products[number].id}))
    return state


def clock_in_the_dark() -> SystemState:
    state = world(5, dark=True)
    launch(state, "clock")
    return state


def app(package: str, seed: int, *, dark: bool = False) -> SystemState:
    state = world(seed, dark=dark)
    if package != "launcher":
        launch(state, package)
    return state


def permission_dialog() -> SystemState:
    state = app("messages", 6)
    state.popups.append(permission_popup("Messages", "Contacts"))
    return state


def heads_up() -> SystemState:
    state = app("settings", 7)
    thread, contact = state.threads[0], state.contact_of(state.threads[0].number)
    name = contact.name if contact else thread.number
    state.notifications.append(Notification(9000, "messages", name, thread.messages[-1].text, heads_up=True))
    return state


def shade() -> SystemState:
    state = heads_up()
    state.notifications[0].heads_up = False
    state.shade_open = True
    return state


def sort_sheet() -> SystemState:
    state = world(4)
    launch(state, "shop")
    Phone(state).render()
    state.stacks["shop"][-1].args["dialog"] = "sort"
    return state


def framed(pixels: Image.Image) -> Image.Image:
    """A screen inside a phone's body, with round corners."""
    width, height = pixels.size
    outer, radius = (width + 2 * BORDER, height + 2 * BORDER), width // 13
    body = Image.new("RGB", outer, PAPER)
    body.paste(BODY, (0, 0), _rounded(outer, radius + BORDER))
    body.paste(pixels, (BORDER, BORDER), _rounded(pixels.size, radius))
    return body


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    large = Image.new("L", (size[0] * 2, size[1] * 2), 0)
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), radius * 2, fill=255)
    return large.resize(size, Image.Resampling.LANCZOS)


def caption_font(px: int) -> ImageFont.FreeTypeFont:
    """The phone's own typeface."""
    return ImageFont.truetype(FONTS / "Roboto-Medium.ttf", px, layout_engine=ImageFont.Layout.BASIC)


def screen(state: SystemState, size: tuple[int, int] = PHONE) -> Image.Image:
    """The state as a picture."""
    return Image.fromarray(Phone(state, size=size).render())


def side_by_side(pictures: Sequence[Image.Image], captions: Sequence[str] = ()) -> Image.Image:
    """Phones in a row on paper, each with its caption below."""
    bodies = [framed(picture) for picture in pictures]
    height = max(body.height for body in bodies) + 2 * GAP + (CAPTION if captions else 0)
    sheet = Image.new("RGB", (sum(body.width + GAP for body in bodies) + GAP, height), PAPER)
    pen, left = ImageDraw.Draw(sheet), GAP
    for number, body in enumerate(bodies):
        sheet.paste(body, (left, GAP))
        if captions:
            middle = (left + body.width / 2, GAP + body.height + CAPTION / 2 + 4)
            pen.text(middle, captions[number], font=caption_font(20), fill=INK, anchor="mm")
        left += body.width + GAP
    return sheet


def element_color(element: Element) -> str:
    """By what can be done with it."""
    if element.editable:
        return "#1d8a3f"
    if element.scrollable:
        return "#8a4fd0"
    return "#d6336c" if element.clickable else "#9aa1b2"


def with_elements(state: SystemState, size: tuple[int, int]) -> Image.Image:
    """The screen with the box and number of each accessibility node."""
    phone = Phone(state, size=size)
    picture = Image.fromarray(phone.render()).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for element in phone.elements():
        left, top, right, bottom = element.bounds
        color = element_color(element)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=color, width=3 if color != "#9aa1b2" else 1)
    for element in phone.elements():
        left, top, right, _ = element.bounds
        label, font = str(element.index), caption_font(15)
        width = font.getlength(label) + 8
        at = min(left, size[0] - width) if element.clickable else max(right - width, 0)
        top -= 20 if right - left < width else 0
        pen.rectangle((at, top, at + width, top + 19), fill=element_color(element))
        pen.text((at + width / 2, top + 10), label, font=font, fill="white", anchor="mm")
    return picture


def pictures() -> dict[str, Image.Image]:
    """File name -> picture."""
    apps = [
        ("launcher", 1, False), ("messages", 2, False), ("contacts", 3, False), ("notes", 8, False),
        ("settings", 7, True), ("browser", 9, False), ("shop", 4, False), ("clock", 5, True),
    ]  # fmt: skip
    small = [screen(app(package, seed, dark=dark), (270, 600)) for package, seed, dark in apps]
    return {
        "phones.png": side_by_side(
            [screen(make()) for make in (home, messages_with_keyboard, shop_product, contact_dialog, clock_in_the_dark)]
        ),
        "apps-1.png": side_by_side(small[:4], ["Launcher", "Messages", "Contacts", "Notes"]),
        "apps-2.png": side_by_side(small[4:], ["Settings, dark theme", "Browser", "Shop", "Clock, dark theme"]),
        "layers.png": side_by_side(
            [screen(make(), (270, 600)) for make in (permission_dialog, heads_up, shade, sort_sheet)],
            ["Permission dialog", "Heads-up notification", "Notification shade", "Bottom sheet"],
        ),
        "elements.png": side_by_side(
            [screen(shop_product(), (540, 1200)), with_elements(shop_product(), (540, 1200))],
            ["What is drawn", "What the accessibility tree says"],
        ),
        "sizes.png": side_by_side(
            [screen(shop_product(), size) for size in ((540, 1200), (360, 800), (180, 400))],
            ["540 x 1200", "360 x 800", "180 x 400"],
        ),
    }


def main() -> None:
    """Writes every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    main()
