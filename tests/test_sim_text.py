"""Text put together from letters is text as the typeface draws it, to the pixel."""

import pytest
from PIL import Image

from distrl.device.sim import text
from distrl.device.sim.words import every_word

WORDS = [
    *dict.fromkeys(word for phrase in every_word() for word in phrase.split()),
    "AVATo",
    "f.fi",
    "07:30",
    "(w)",
    "j",
]


def on_canvas(ink, left, top, px):
    canvas = Image.new("L", (40 * px, 4 * px), 0)
    if ink is not None:
        canvas.paste(255, (px + left, 2 * px + top), ink)
    return canvas.tobytes()


@pytest.mark.parametrize(("px", "bold"), [(7, False), (11, False), (13, True), (33, False)])
def test_words_look_as_if_drawn_whole(px, bold):
    font = text._font(px, bold)
    for word in WORDS:
        whole, composed = text._drawn(word, font), text._ink(word, font)
        assert on_canvas(*composed[:3], px) == on_canvas(*whole[:3], px), word
        assert composed[3] == round(whole[3]) == text._advance(word, font), word


def test_other_scripts_and_nothing_at_all_are_drawn_too():
    assert text.run("日本 naïve e\u0301 🎉", 14).getbbox() is not None
    assert text.run("", 14).getbbox() is None
    assert text.run("   ", 14).getbbox() is None
