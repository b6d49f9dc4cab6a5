"""Widgets of the simulated phone: text, icons, layout, and the accessibility tree of one screen made for the test."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from distrl.device.sim import icons, keyboard, text, theme
from distrl.device.sim.app import App
from distrl.device.sim.apps.launcher import LauncherApp
from distrl.device.sim.layout import Layout
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import SystemState
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    avatar,
    button,
    card,
    chip,
    column,
    icon,
    icon_button,
    list_item,
    picture,
    row,
    scroll,
    slider,
    spacer,
    swatch,
    switch,
    text_field,
)
from distrl.device.sim.ui import text as label
from distrl.types import Action, ActionKind, Element

SMALL = (180, 400)


class DemoApp(App):
    """Shows whatever screen a test gives it, and remembers which handlers ran."""

    package = "demo"
    label = "Demo"
    icon = "star"

    def __init__(self, make) -> None:
        self.make = make
        self.heard: list[str] = []

    def view(self, phone: SystemState) -> Screen:
        self.page(phone)
        return self.make(self, phone)

    def hear(self, word: str, *_: object) -> None:
        self.heard.append(word)

    def on(self, word: str):
        return partial(self.hear, word)


def demo(make, size=(540, 1200), **state) -> tuple[Phone, DemoApp]:
    app = DemoApp(make)
    apps: dict[str, App] = {"demo": app}
    apps["launcher"] = LauncherApp(apps)
    return Phone(SystemState(app="demo", **state), size=size, apps=apps), app


def find(phone: Phone, words: str) -> Element:
    for element in phone.elements():
        if words in (element.text, element.content_description, element.resource_id):
            return element
    raise AssertionError(f"{words!r} is not among {[(e.text, e.content_description) for e in phone.elements()]}")


def tap_at(phone: Phone, element: Element) -> None:
    x, y = element.center
    phone.apply(Action(ActionKind.TAP, touch=(x / phone.size[0], y / phone.size[1])))


def tap(phone: Phone, words: str) -> None:
    tap_at(phone, find(phone, words))


def one_screen(*nodes: Node, **screen):
    return lambda app, phone: Screen(scroll("body", list(nodes)), title="Demo", **screen)


# Text


def test_fitted_text_never_exceeds_its_room_and_says_that_it_was_cut() -> None:
    for room in range(10, 200, 7):
        shown = text.fit("A fairly long title", 14, False, room)
        assert shown == "A fairly long title" or shown.endswith("…")
        assert text.width_px(shown, 14) <= max(room, text.width_px("…", 14))
    assert text.fit("Hi", 14, False, 100) == "Hi"


def test_fitting_keeps_as_much_text_as_there_is_room_for() -> None:
    shown = text.fit("A fairly long title", 14, False, 80)
    longer = "A fairly long title"[: len(shown)] + "…"
    assert text.width_px(longer, 14) > 80


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.integers(7, 30), st.integers(1, 200))
def test_any_text_can_be_wrapped_fitted_and_drawn(content: str, px: int, room: int) -> None:
    text.fit(content, px, False, room)
    lines = text.wrap(content, px, True, room, 3)
    assert 1 <= len(lines) <= 3
    for line in lines:
        assert text.run(line, px, True).size == (text.width_px(line, px, True) + 1, text.line_px(px))


def test_wrapped_text_keeps_every_word_when_lines_are_unlimited() -> None:
    content = "one two three four five six\nseven " + "x" * 50
    lines = text.wrap(content, 12, False, 60)
    assert "".join(lines).replace(" ", "") == content.replace(" ", "").replace("\n", "")
    assert all(text.width_px(line, 12) <= 60 for line in lines)


def test_a_cut_paragraph_ends_in_an_ellipsis() -> None:
    assert text.wrap("Milk\nEggs\nBread", 12, False, 200, 2) == ("Milk", "Eggs…")


def test_different_words_have_different_pixels_even_at_the_smallest_size() -> None:
    words = ("On", "Off", "07:30", "07:36", "Anna", "Hanna", "★", "☆")
    masks = {text.run(word, text.SMALLEST_PX).tobytes() for word in words}
    assert len(masks) == len(words)


# Icons and colours


def test_every_icon_draws_something_of_its_own_at_both_sizes() -> None:
    for px in (12, 36):
        drawings = {icons.mask(name, px).tobytes() for name in icons.NAMES}
        assert len(drawings) == len(icons.NAMES)
        assert Image.new("L", (px, px)).tobytes() not in drawings


def test_an_unknown_icon_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="no icon is called 'unicorn'"):
        icons.mask("unicorn", 24)
    phone, _ = demo(one_screen(icon("unicorn")))
    with pytest.raises(ValueError, match="unicorn"):
        phone.render()


def test_an_unknown_colour_is_named_in_the_error() -> None:
    phone, _ = demo(one_screen(label("Hi", color="mauve")))
    with pytest.raises(ValueError, match="mauve"):
        phone.render()
    with pytest.raises(ValueError, match="#12"):
        theme.rgb("#12")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("accent", ["#3f6ad8", "#f5e04a", "#101010", "#ffffff"])
def test_text_can_be_told_from_its_ground_in_every_theme(dark: bool, accent: str) -> None:
    colors = theme.palette(dark, accent)
    pairs = [("on_surface", "surface"), ("on_primary", "primary"), ("on_primary_soft", "primary_soft")]
    for ink, ground in [*pairs, ("muted", "surface_high"), ("on_error", "error")]:
        assert abs(theme.luminance(colors[ink]) - theme.luminance(colors[ground])) > 0.25, (ink, ground)


# Layout


def place(node: Node, width: int = 360, height: int = 400):
    layout = Layout(1.0, 1.0, {})
    layout.place(node, (0, 0, width, height), (0, 0, width, height))
    return layout


def test_growing_children_share_what_the_others_leave() -> None:
    layout = place(row([spacer(60), spacer(0, grow=1), spacer(0, grow=2)], padding=10))
    widths = [p.box[2] - p.box[0] for p in layout.placed[1:]]
    assert widths == [60, 93, 187]
    assert sum(widths) == 360 - 2 * 10


def test_labels_that_do_not_fit_side_by_side_shrink_rather_than_leave_the_screen() -> None:
    days = [chip(day, selected=False, on_tap=lambda: None) for day in ("Monday", "Tuesday", "Wednesday", "Thursday")]
    layout = place(row(days, gap=4), width=200)
    assert max(p.box[2] for p in layout.placed) <= 200
    assert all(p.box[2] > p.box[0] for p in layout.placed)


def test_column_children_follow_one_another_with_their_gap() -> None:
    layout = place(column([spacer(20), spacer(30), spacer(40)], gap=5, padding=7))
    assert [(p.box[1], p.box[3]) for p in layout.placed[1:]] == [(7, 27), (32, 62), (67, 107)]


def test_content_outside_a_scroll_view_is_not_placed() -> None:
    layout = place(scroll("s", [spacer(100) for _ in range(50)]))
    assert len(layout.placed) == 1 + 4
    assert layout.placed[0].max_offset == 50 * 100 - 400


def test_an_offset_beyond_the_content_shows_its_end() -> None:
    layout = Layout(1.0, 1.0, {"s": 9999.0})
    layout.place(scroll("s", [spacer(100) for _ in range(50)]), (0, 0, 360, 400), (0, 0, 360, 400))
    assert layout.placed[0].offset == layout.placed[0].max_offset
    assert layout.placed[-1].box == (0, 300, 360, 400)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.25])
def test_places_grow_with_the_scale(scale: float) -> None:
    def tree() -> Node:
        return column([spacer(20), row([spacer(40), spacer(0, grow=1)], height=60), spacer(30)], gap=6, padding=8)

    small, large = Layout(1.0, 1.0, {}), Layout(scale, 1.0, {})
    for layout, factor in ((small, 1.0), (large, scale)):
        box = (0, 0, round(360 * factor), round(600 * factor))
        layout.place(tree(), box, box)
    for a, b in zip(small.placed, large.placed, strict=True):
        assert b.box == pytest.approx([edge * scale for edge in a.box], abs=2)


def test_the_users_font_scale_makes_rows_taller_and_keeps_the_width() -> None:
    item = list_item("Title", "Second line", on_tap=lambda: None)
    assert Layout(1.5, 1.3, {}).height(item, 540) > Layout(1.5, 1.0, {}).height(item, 540)


# Accessibility tree


def test_a_row_is_one_element_that_reads_out_all_its_labels() -> None:
    nothing = list_item(
        "Ann", "Hello", on_tap=lambda: None, leading=avatar("Ann"), trailing=label("08:20"), key="row_1"
    )
    phone, _ = demo(one_screen(nothing))
    element = find(phone, "row_1")
    assert element.text == "Ann, Hello, 08:20"
    assert element.clickable
    assert element.class_name == "LinearLayout"
    assert not [e for e in phone.elements() if e.text in ("Ann", "Hello", "08:20", "A")]


def test_a_control_inside_a_row_is_an_element_of_its_own() -> None:
    def make(app, phone):
        return one_screen(
            list_item("Alarm", on_tap=app.on("row"), trailing=switch("On", True, on_tap=app.on("switch")))
        )(app, phone)

    phone, app = demo(make)
    assert find(phone, "Alarm").text == "Alarm"
    toggle = find(phone, "On")
    assert (toggle.class_name, toggle.checkable, toggle.checked) == ("Switch", True, True)
    tap(phone, "On")
    tap(phone, "Alarm")
    assert app.heard == ["switch", "row"]


def test_swatches_icons_and_pictures_without_a_label_have_no_text_and_differ_in_pixels() -> None:
    nodes = [
        row([swatch(color, selected=False, on_tap=lambda: None) for color in ("#c02020", "#2020c0")], padding=8),
        icon_button("heart", "", on_tap=lambda: None),
        picture("mug", on_tap=lambda: None),
    ]
    phone, _ = demo(one_screen(*nodes))
    bare = [e for e in phone.elements() if e.package == "demo" and e.clickable]
    assert [e.class_name for e in bare] == ["ImageButton"] * 4
    assert all(e.text == "" and e.content_description == "" for e in bare)
    pixels = phone.render()
    red, blue = (pixels[int(e.center[1]), int(e.center[0])].tolist() for e in bare[:2])
    assert red == [0xC0, 0x20, 0x20]
    assert blue == [0x20, 0x20, 0xC0]


def test_a_field_shows_its_hint_until_it_has_text() -> None:
    def make(app, phone):
        written = app.heard[-1] if app.heard else ""
        return Screen(text_field("name", written, hint="Your name", on_text=app.hear), title="Demo")

    phone, app = demo(make)
    empty = find(phone, "Your name")
    assert (empty.text, empty.content_description, empty.editable, empty.focused) == (
        "Your name",
        "Your name",
        True,
        False,
    )
    tap(phone, "Your name")
    assert find(phone, "Your name").focused
    phone.apply(Action(ActionKind.TYPE, text="Zoë"))
    assert app.heard == ["Zoë"]
    assert find(phone, "Zoë").content_description == "Your name"


def test_checked_selected_and_disabled_are_listed() -> None:
    nodes = [
        switch("Wi-Fi", True, on_tap=lambda: None),
        chip("Mon", selected=True, on_tap=lambda: None),
        button("Save", on_tap=lambda: None, enabled=False),
        slider("Volume", 0.3, on_slide=lambda value: None, key="volume"),
    ]
    phone, _ = demo(one_screen(*nodes))
    assert find(phone, "Wi-Fi").checked
    assert find(phone, "Mon").selected
    save = find(phone, "Save")
    assert (save.enabled, save.clickable) == (False, False)
    assert (find(phone, "Volume").class_name, find(phone, "Volume").content_description) == ("SeekBar", "30 %")


def test_a_disabled_button_does_nothing() -> None:
    phone, app = demo(lambda app, _: Screen(button("Save", on_tap=app.on("save"), enabled=False)))
    tap(phone, "Save")
    assert app.heard == []


def test_only_what_scrolling_shows_is_listed() -> None:
    phone, _ = demo(one_screen(*[list_item(f"Row {n}", on_tap=lambda: None) for n in range(40)]))
    before = [e.text for e in phone.elements() if e.text.startswith("Row")]
    assert before[0] == "Row 0"
    assert "Row 39" not in before
    for _ in range(6):
        phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2)))
    after = [e.text for e in phone.elements() if e.text.startswith("Row")]
    assert after[-1] == "Row 39"
    assert "Row 0" not in after
    assert [e.resource_id for e in phone.elements() if e.scrollable] == ["body"]


@pytest.mark.parametrize("size", [(540, 1200), SMALL])
def test_scrolled_rows_never_bleed_into_the_bars_above_and_below(size: tuple[int, int]) -> None:
    rows = [list_item(f"Row {n}", "below", icon="star_filled", on_tap=lambda: None) for n in range(40)]
    phone, _ = demo(one_screen(*rows), size=size)
    view = find(phone, "body").bounds
    before = phone.render()
    for number in range(5):
        phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.6), lift=(0.5, 0.6 - 0.03 - number / 290)))
        after = phone.render()
        assert (after[view[1] : view[3]] != before[view[1] : view[3]]).any()
        assert (after[: view[1]] == before[: view[1]]).all()
        assert (after[view[3] :] == before[view[3] :]).all()


def test_the_stored_offset_never_passes_the_end() -> None:
    phone, app = demo(one_screen(*[spacer(100) for _ in range(12)]))
    for _ in range(6):
        phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2)))
    scroller = next(placed for placed in phone.scene.layout.placed if placed.node.kind == "scroll")
    assert app.page(phone.state).scroll_dp["body"] * 1.5 == pytest.approx(scroller.max_offset, abs=1)


def test_a_field_that_the_keyboard_would_cover_is_scrolled_above_it() -> None:
    field = text_field("low", "", hint="Low", on_text=lambda _: None)
    phone, _ = demo(one_screen(*[spacer(100) for _ in range(5)], field, *[spacer(100) for _ in range(4)]))
    tap(phone, "low")
    focused = find(phone, "low")
    assert focused.focused
    assert focused.bounds[3] - focused.bounds[1] == round(52 * 1.5)
    assert phone.scene.keyboard is not None
    assert focused.bounds[3] <= phone.scene.keyboard[1]


def test_a_covered_field_on_a_page_that_cannot_scroll_pushes_the_page_up() -> None:
    def make(app, phone):
        field = text_field("low", "", hint="Low", on_text=app.hear)
        return Screen(column([spacer(560), field]), title="Demo")

    phone, app = demo(make)
    tap(phone, "low")
    assert phone.scene.keyboard is not None
    assert find(phone, "low").bounds[3] <= phone.scene.keyboard[1]
    phone.apply(Action(ActionKind.TYPE, text="x"))
    assert app.heard == ["x"]


def test_a_footer_field_rides_on_the_keyboard_and_another_footer_is_covered() -> None:
    def make(app, phone):
        field = text_field("top", "", hint="Top", on_text=app.hear)
        footer = row([text_field("bottom", "", hint="Bottom", on_text=app.hear)], padding=8)
        return Screen(scroll("body", [field]), title="Demo", footer=footer)

    phone, _ = demo(make)
    tap(phone, "bottom")
    assert phone.scene.keyboard is not None
    assert find(phone, "bottom").bounds[3] <= phone.scene.keyboard[1]
    tap(phone, "top")
    assert "bottom" not in [e.resource_id for e in phone.elements()]


def test_a_list_that_fits_is_not_scrollable() -> None:
    phone, _ = demo(one_screen(list_item("Only", on_tap=lambda: None)))
    assert not [e for e in phone.elements() if e.scrollable]


def test_a_dialog_hides_what_is_below_it_and_takes_all_touches() -> None:
    def make(app, phone):
        dialog = Dialog("Delete?", "It is gone then.", buttons=[button("Delete", on_tap=app.on("delete"))],
                        on_dismiss=app.on("dismiss"))  # fmt: skip
        return Screen(button("Below", on_tap=app.on("below")), title="Demo", dialog=dialog)

    phone, app = demo(make)
    texts = [e.text for e in phone.elements()]
    assert "Below" not in texts
    assert {"Delete?", "It is gone then.", "Delete"} <= set(texts)
    phone.apply(Action(ActionKind.TAP, touch=(0.5, 0.11)))
    tap(phone, "It is gone then.")
    tap(phone, "Delete")
    phone.apply(Action(ActionKind.BACK))
    assert app.heard == ["dismiss", "delete", "dismiss"]


def test_a_dialog_taller_than_the_screen_scrolls_and_keeps_its_buttons() -> None:
    rows = [list_item(f"Choice {n}", on_tap=lambda: None) for n in range(40)]
    dialog = Dialog("Pick", content=rows, buttons=[button("Done", on_tap=lambda: None)])
    phone, _ = demo(one_screen(dialog=dialog))
    assert find(phone, "Done").bounds[3] <= phone.size[1]
    for _ in range(8):
        phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.6), lift=(0.5, 0.3)))
    assert find(phone, "Choice 39")


def test_every_kind_of_node_can_be_drawn_and_listed_in_both_themes() -> None:
    def make(app, phone):
        nodes = [
            card([label("In a card"), list_item("Row", icon="wifi")], on_tap=app.on("card")),
            row([avatar("Zed"), icon("star", description="Star"), chip("Chip", selected=True, on_tap=app.on("chip"))]),
            swatch("#112233", selected=True, on_tap=app.on("swatch")),
            slider("Level", 0.0, on_slide=app.on("slide"), key="level", icon="volume"),
            picture("shoe", number=3, color="#ffffff"),
            Node("divider", height=1),
            Node("tab", text="Tab", selected=True, height=48, on_tap=app.on("tab")),
            Node("checkbox", text="Box", checked=True, on_tap=app.on("box")),
            Node("radio", text="Radio", checked=False, on_tap=app.on("radio")),
        ]
        return one_screen(*nodes, fab=icon_button("plus", "Add", on_tap=app.on("fab")))(app, phone)

    frames = []
    for dark in (False, True):
        phone, _ = demo(make)
        phone.state.settings.dark_theme = dark
        frames.append((phone.render().tobytes(), phone.elements()))
    assert frames[0][0] != frames[1][0]
    assert frames[0][1] == frames[1][1]


def test_a_tap_on_the_centre_of_each_element_reaches_that_element() -> None:
    def make(app, phone):
        rows = [list_item(f"Row {n}", on_tap=app.on(f"Row {n}")) for n in range(30)]
        fab = icon_button("plus", "Add", on_tap=app.on("Add"))
        return Screen(scroll("body", rows), title="Demo", fab=fab, back_arrow=True, on_back=app.on("Navigate up"),
                      header=chip("Filter", selected=False, on_tap=app.on("Filter")))  # fmt: skip

    for size in ((540, 1200), SMALL, (333, 555)):
        phone, app = demo(make, size=size)
        listed = [e for e in phone.elements() if e.clickable and e.package == "demo"]
        for element in listed:
            tap_at(phone, element)
        assert app.heard == [e.text or e.content_description for e in listed]


def test_a_slider_takes_taps_and_drags_along_its_track() -> None:
    values: list[float] = []
    phone, _ = demo(one_screen(slider("Volume", 0.5, on_slide=values.append, key="volume")))
    y = find(phone, "Volume").center[1] / phone.size[1]
    for x in (20 / 360, 0.5, 340 / 360):
        phone.apply(Action(ActionKind.TAP, touch=(x, y)))
    phone.apply(Action(ActionKind.SWIPE, touch=(0.5, y), lift=(0.99, y)))
    assert values == pytest.approx([0.0, 0.5, 1.0, 1.0], abs=0.01)


def test_text_keeps_readable_on_a_coloured_card_in_the_dark_theme() -> None:
    def card_pixels(dark: bool) -> list[list[int]]:
        node = card([label("Words on yellow")])
        node.background = "#ffe9a8"
        phone, _ = demo(one_screen(node))
        phone.state.settings.dark_theme = dark
        left, top, right, bottom = find(phone, "Words on yellow").bounds
        return phone.render()[top:bottom, left:right].min(axis=(0, 1)).tolist()

    assert max(card_pixels(True)) < 60
    assert card_pixels(True) == card_pixels(False)


# Keyboard


def test_keyboard_keys_neither_overlap_nor_leave_the_board() -> None:
    for scale in (0.5, 1.5, 0.93):
        board = (0, round(500 * scale), round(360 * scale), round(740 * scale))
        keys = keyboard.keys(board, scale)
        for number, key in enumerate(keys):
            left, top, right, bottom = key.rect
            assert board[0] <= left < right <= board[2]
            assert board[1] <= top < bottom <= board[3]
            middle = ((left + right) // 2, (top + bottom) // 2)
            assert keyboard.key_at(board, scale, *middle) is keys[number]
    assert {"q", "7", "space", "enter", "backspace"} <= {key.name for key in keys}
