"""Vector icons: each a few strokes on a 24 x 24 grid, drawn once per size and kept as a mask.

A drawing is a string of marks separated by `;`. Capital letters draw, small ones rub out:

    L x y x y ...   line            C x y r      circle        D x y r        disc
    P x y x y ...   filled polygon  A x y r a b  arc from a to b degrees, clockwise from the right
    R l t r b c     rounded frame   B l t r b c  rounded block, corner c      W w  line width from here on
"""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw

_GRID = 24
_OVERSAMPLING = 16


def _polygon(points: list[tuple[float, float]]) -> str:
    return "P " + " ".join(f"{value:.2f}" for point in points for value in point)


def _star(outer: float, inner: float) -> str:
    angles = [math.radians(-90 + 36 * corner) for corner in range(10)]
    radii = [outer, inner] * 5
    return _polygon([(12 + r * math.cos(a), 12.6 + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)])


def _spokes(inner: float, outer: float) -> str:
    angles = [math.radians(45 * spoke) for spoke in range(8)]
    ends = [[12 + reach * turn(a) for reach in (inner, outer) for turn in (math.cos, math.sin)] for a in angles]
    return ";".join("L " + " ".join(f"{value:.2f}" for value in end) for end in ends)


_HEART = "D 7.9 8.9 4.6;D 16.1 8.9 4.6;P 3.9 11.2 20.1 11.2 12 20.4;B 8 7.5 16 12 1"
_BELL = "A 12 10.5 5.5 180 360;L 6.5 10.5 6.5 15.5 4.5 17.5 19.5 17.5 17.5 15.5 17.5 10.5;D 12 20 1.8;L 12 3.4 12 5"
_SPEAKER = "P 3 9 7 9 12 4.5 12 19.5 7 15 3 15"
_PERSON = "D 12 8 4.2;P 4 20 4 18.5 6 15.8 9.5 14.4 14.5 14.4 18 15.8 20 18.5 20 20"
_CLOCK = "C 12 12 8.5;L 12 7 12 12 15.5 14"
_PENCIL = "P 4 20 4.6 15.8 14.6 5.8 18.2 9.4 8.2 19.4;P 15.8 4.6 17.2 3.2 20.8 6.8 19.4 8.2"

_DRAWINGS: dict[str, str] = {
    # Moving about
    "arrow_back": "L 20 12 5 12;L 11.5 5.5 5 12 11.5 18.5",
    "arrow_forward": "L 4 12 19 12;L 12.5 5.5 19 12 12.5 18.5",
    "arrow_up": "L 12 20 12 5;L 5.5 11.5 12 5 18.5 11.5",
    "arrow_down": "L 12 4 12 19;L 5.5 12.5 12 19 18.5 12.5",
    "chevron_right": "L 9 6 15 12 9 18",
    "chevron_left": "L 15 6 9 12 15 18",
    "chevron_down": "L 6 9 12 15 18 9",
    "chevron_up": "L 6 15 12 9 18 15",
    "nav_back": "P 16.5 5 16.5 19 5.5 12",
    "nav_home": "C 12 12 6.5",
    "nav_recents": "R 6 6 18 18 1.5",
    "menu": "L 4 6.5 20 6.5;L 4 12 20 12;L 4 17.5 20 17.5",
    "more": "D 12 5.5 1.9;D 12 12 1.9;D 12 18.5 1.9",
    "home": "L 3.5 11.5 12 4 20.5 11.5;L 6 10.5 6 19.5 18 19.5 18 10.5;B 10 13.5 14 20 0.5",
    "grid": "B 4 4 10.5 10.5 1.5;B 13.5 4 20 10.5 1.5;B 4 13.5 10.5 20 1.5;B 13.5 13.5 20 20 1.5",
    "apps": "D 6 6 2;D 12 6 2;D 18 6 2;D 6 12 2;D 12 12 2;D 18 12 2;D 6 18 2;D 12 18 2;D 18 18 2",
    "list": "D 5 6.5 1.4;D 5 12 1.4;D 5 17.5 1.4;L 9.5 6.5 20 6.5;L 9.5 12 20 12;L 9.5 17.5 20 17.5",
    # Doing
    "plus": "L 12 5 12 19;L 5 12 19 12",
    "minus": "L 5 12 19 12",
    "search": "C 10.5 10.5 6;L 15 15 20 20",
    "close": "L 6 6 18 18;L 18 6 6 18",
    "check": "L 4.5 12.5 9.5 17.5 19.5 7",
    "check_circle": "D 12 12 9;l 7.5 12.3 10.8 15.5 16.5 9",
    "trash": "L 4.5 6.5 19.5 6.5;L 9.5 4 14.5 4;R 6.5 6.5 17.5 20.5 2;W 1.6;L 10.2 10 10.2 17;L 13.8 10 13.8 17",
    "edit": _PENCIL,
    "send": "P 3.5 4 21 12 3.5 20 3.5 13.6 14 12 3.5 10.4",
    "share": "D 6 12 2.8;D 17.5 5.5 2.8;D 17.5 18.5 2.8;W 1.8;L 6 12 17.5 5.5;L 6 12 17.5 18.5",
    "copy": "R 8.5 8.5 19.5 20 2;L 15.5 5 5 5 5 16",
    "refresh": "A 12 12 7 -20 280;P 20.5 4.5 20.5 11 14 11",
    "reset": "A 12 12 7 -100 200;P 3.5 4.5 3.5 11 10 11",
    "download": "L 12 3.5 12 15;L 7 10.5 12 15.5 17 10.5;L 4.5 19.5 19.5 19.5",
    "upload": "L 12 16 12 5;L 7 9.5 12 4.5 17 9.5;L 4.5 19.5 19.5 19.5",
    "filter": "L 3.5 6.5 20.5 6.5;L 7 12 17 12;L 10.5 17.5 13.5 17.5",
    "sort": "L 4 6.5 13 6.5;L 4 12 11 12;L 4 17.5 9 17.5;L 17 5 17 19;L 13.6 15.8 17 19.2 20.4 15.8",
    "play": "P 7 4.5 19.5 12 7 19.5",
    "pause": "B 6 5 10.3 19 1;B 13.7 5 18 19 1",
    "stop": "B 6 6 18 18 1.5",
    "backspace": "P 9 5 21 5 21 19 9 19 3 12;l 12 9.5 17 14.5;l 17 9.5 12 14.5",
    "enter": "L 20 6 20 12.5 5 12.5;L 9.5 8 5 12.5 9.5 17",
    "shift": "L 12 4 4.5 12 8.5 12 8.5 19 15.5 19 15.5 12 19.5 12 12 4",
    "eye": "A 12 18 11 214 326;A 12 6 11 34 146;D 12 12 3.2",
    "info": "C 12 12 8.5;D 12 8 1.3;L 12 11.5 12 16.5",
    "warning": "L 12 4 21 19.5 3 19.5 12 4;W 1.8;L 12 9.5 12 14;D 12 16.8 1.1",
    "help": "C 12 12 8.5;W 1.8;A 12 10 2.6 160 410;L 12 12.6 12 14;D 12 16.8 1.1",
    # Marks
    "star": f"{_star(10, 4.3)};{_star(6.6, 2.9).lower()}",
    "star_filled": _star(10, 4.3),
    "heart": f"{_HEART};d 8.1 9 2.8;d 15.9 9 2.8;p 6.2 11.2 17.8 11.2 12 17.6;b 8.5 9.6 15.5 12 1",
    "heart_filled": _HEART,
    "flag": "L 6 21 6 4;P 6 4 19.5 4 16.5 8.5 19.5 13 6 13",
    "pin": "B 8.5 3 15.5 5 0.8;P 9.5 5 14.5 5 14.5 11 17.5 14.5 6.5 14.5 9.5 11;L 12 14 12 21.5",
    "bookmark": "L 7 4 17 4 17 20 12 16 7 20 7 4",
    "bookmark_filled": "P 6 3.5 18 3.5 18 21 12 16.5 6 21",
    "dot": "D 12 12 6",
    "tag": "P 3.5 3.5 12 3.5 21 12.5 12.5 21 3.5 12;d 7.8 7.8 1.8",
    # People and messages
    "phone": (
        "P 4.5 4 8.8 3.6 10.6 8.4 8.4 10.4 10.4 13.6 13.6 15.6 15.6 13.4 20.4 15.2 20 19.5 17.5 20.4 12 18.6 5.4 "
        "12 3.6 6.5"
    ),
    "message": "B 3 4 21 17 3;P 6 15 6 21.5 12.5 16;l 7.5 8.6 16.5 8.6;l 7.5 12.4 13.5 12.4",
    "mail": "R 3.5 5.5 20.5 18.5 2;L 4 7 12 13 20 7",
    "person": _PERSON,
    "person_add": "D 9.5 8 3.9;P 2 20 2 18.5 4 15.8 7.5 14.4 11.5 14.4 15 15.8 17 18.5 17 20;L 19 6 19 12;L 16 9 22 9",
    "people": (
        "D 8.5 8.5 3.6;P 2 19.5 2 18 4 15.2 7 14 10 14 13 15.2 15 18 15 19.5;D 16.5 9 2.9;"
        "P 16.6 19.5 16.4 17 14.8 14.4 19 14.6 22 17.6 22 19.5"
    ),
    "camera": "B 3 7 21 19.5 2.5;P 8 8 9.5 4.5 14.5 4.5 16 8;d 12 13 4;D 12 13 2.2",
    "image": "R 3.5 4.5 20.5 19.5 2;D 8.5 9 1.7;P 5.5 17.5 10 12.5 12.5 15 16 11 19 15 19 17.5",
    "mic": "B 9 3 15 14 3;A 12 11.5 6 0 180;L 12 17.5 12 21",
    # Time
    "clock": _CLOCK,
    "alarm": "C 12 13 7.2;L 12 9 12 13 14.8 14.8;L 3.5 7 7 4;L 20.5 7 17 4",
    "timer": "L 7 3.5 17 3.5 7 20.5 17 20.5 7 3.5;P 8.8 19.6 12 14.5 15.2 19.6",
    "stopwatch": "C 12 13.5 7.2;L 12 9.5 12 13.5;L 9.5 3.5 14.5 3.5;L 12 3.5 12 6;L 17.6 7.6 19 6.2",
    "calendar": (
        "R 4 5.5 20 20 2;B 4 5.5 20 9.8 1.5;L 8 3.2 8 7;L 16 3.2 16 7;B 7 12.5 10 15.5 0.5;"
        "B 13.5 12.5 16.5 15.5 0.5"
    ),
    # Writing and keeping
    "note": "P 5 3.5 15 3.5 19.5 8 19.5 20.5 5 20.5;l 8.3 10.5 16 10.5;l 8.3 14 16 14;W 1.6;l 8.3 17.3 13 17.3",
    "folder": "P 3 6.5 4 5 9.8 5 11.8 7.2 20 7.2 21 8.5 21 18 20 19.2 4 19.2 3 18",
    "palette": "D 12 12 9;d 16.5 16.5 3.4;d 8 9 1.6;d 12.5 6.8 1.6;d 16.8 9.6 1.6;d 7.2 13.8 1.6",
    "globe": "C 12 12 8.5;W 1.6;L 3.5 12 20.5 12;A 5 12 10.8 -52 52;A 19 12 10.8 128 232",
    "book": "R 4.5 4 19.5 20 2;L 9 4 9 20;W 1.6;L 12 8 16.5 8;L 12 11.5 16.5 11.5",
    "keyboard": "R 2.5 6 21.5 18 2;D 6.5 10 1.1;D 10.2 10 1.1;D 13.8 10 1.1;D 17.5 10 1.1;L 7.5 14.2 16.5 14.2",
    "lock": "B 5 10.5 19 20.5 2;A 12 9.5 4.2 180 360;L 7.8 9.5 7.8 11;L 16.2 9.5 16.2 11;d 12 15.5 1.7",
    "credit_card": "R 3 5.5 21 18.5 2;B 3 8.5 21 12 0;L 6 15.5 10 15.5",
    "location": "D 12 9.5 6.3;P 6 11.6 18 11.6 12 21.5;d 12 9.5 2.6",
    "truck": "B 2 6 14 16 1;P 14.8 9 19 9 22 12.5 22 16 14.8 16;d 7 17 3;D 7 17 2.2;d 17.5 17 3;D 17.5 17 2.2",
    # System
    "settings": f"W 3.4;{_spokes(6, 8.6)};D 12 12 7;d 12 12 3.2",
    "wifi": "W 2.2;A 12 18.5 13 225 315;A 12 18.5 8.6 225 315;A 12 18.5 4.2 225 315;D 12 18.5 1.6",
    "wifi_off": (
        "W 2.2;A 12 18.5 13 225 315;A 12 18.5 8.6 225 315;D 12 18.5 1.6;W 4;l 5 4 20 19;W 2;L 4.5 4.5 19.5 19.5"
    ),
    "signal": "P 20 4 20 20 4 20",
    "bluetooth": "L 6.5 7.5 17.5 16.5 12 21 12 3 17.5 7.5 6.5 16.5",
    "airplane": (
        "P 12 2.5 13.4 4.2 13.4 9.2 21.5 14 21.5 16 13.4 13.6 13.4 18.6 16 20.4 16 21.8 12 20.7 8 21.8 8 20.4 "
        "10.6 18.6 10.6 13.6 2.5 16 2.5 14 10.6 9.2 10.6 4.2"
    ),
    "moon": "D 11.5 12.5 8.5;d 15.8 8.8 7.2",
    "sun": f"D 12 12 4.3;{_spokes(7.2, 9.6)}",
    "brightness": f"C 12 12 4;{_spokes(7.6, 9.6)}",
    "bell": _BELL,
    "bell_off": f"{_BELL};W 4;l 4.5 3 21 19.5;W 2;L 3.5 4 20 20.5",
    "do_not_disturb": "C 12 12 8.5;W 2.6;L 7.5 12 16.5 12",
    "volume": f"{_SPEAKER};A 12 12 4.2 -48 48;A 12 12 8.2 -48 48",
    "volume_off": f"{_SPEAKER};L 15.5 9.5 20.5 14.5;L 20.5 9.5 15.5 14.5",
    "battery": "B 7 5 17 21 1.8;B 9.8 2.8 14.2 6 0.6",
    "battery_saver": "B 7 5 17 21 1.8;B 9.8 2.8 14.2 6 0.6;l 12 10 12 17;l 8.8 13.5 15.2 13.5",
    "rotate": "A 12 12 7.5 -60 90;A 12 12 7.5 120 270;P 9.5 2 14.5 4.6 9.5 7.6;P 14.5 22 9.5 19.4 14.5 16.4",
    "language": (
        "L 4 6 14 6;L 9 4 9 6;L 11.8 6 10 10.4 4.5 14;W 1.8;L 6.2 9 9 12.2 11.6 13.4;W 2;"
        "L 12.5 20.5 16.5 11 20.5 20.5;L 14 17.5 19 17.5"
    ),
    "font": "L 3.5 19 9 5 14.5 19;L 5.5 14.5 12.5 14.5;W 1.8;L 15.5 19 18.5 11 21.5 19;L 16.5 16.6 20.5 16.6",
    "wallpaper": "R 4.5 3 19.5 21 2;D 15 8 1.8;P 6.5 18.5 10.5 12 13 15.5 15 13.5 17.5 18.5",
    "device": "R 6.5 2.5 17.5 21.5 2;L 10.5 18.8 13.5 18.8",
    "storage": "B 4 4 20 9.5 1.5;B 4 10.7 20 15 1;B 4 16.2 20 20.5 1.5;d 7.5 6.7 1;d 7.5 12.8 1;d 7.5 18.3 1",
    "update": "A 12 12 8 -60 240;P 13.5 1.6 19.4 5 13.5 8.4;W 1.8;L 12 8 12 12.5 15 14",
    "network": "B 4 15 7 20 0.6;B 9 11.5 12 20 0.6;B 14 8 17 20 0.6;B 19 4 22 20 0.6",
    # Things
    "cart": "L 2.5 4.5 5.5 4.5 8 15 18.5 15;P 6.2 6.5 21 6.5 19 13 7.8 13;D 9 19 1.9;D 17 19 1.9",
    "bag": "P 5 8 19 8 20.5 20.5 3.5 20.5;A 12 8.5 3.8 180 360;W 1.6;l 8.2 8.6 8.2 11.2;l 15.8 8.6 15.8 11.2",
    "music": "D 7.2 17.2 3.2;D 17 15.4 3.2;L 9.6 17 9.6 5.5 19.3 3.8 19.3 15.2;W 3;L 9.6 7 19.3 5.2",
    "mug": "B 4 6 16 19.5 2.5;R 14.5 8.5 20.5 15.5 3",
    "shirt": "P 8 3.5 10 5.5 14 5.5 16 3.5 22 7.5 19.5 12 17.5 11 17.5 20.5 6.5 20.5 6.5 11 4.5 12 2 7.5",
    "shoe": "P 2.5 8 7 9.5 9.5 7 14.5 12.5 20 14 21.8 16.2 21.8 17.2 2.5 17.2;B 2.5 18 21.8 20 0.8",
    "lamp": "P 8 3 16 3 20 12 4 12;L 12 12 12 19.5;B 7 19 17 21.2 1",
    "chair": "B 6.5 2.5 9 14 1;B 6.5 11.5 17.5 14.5 1;L 7.5 14 7.5 21.5;L 16.5 14 16.5 21.5",
    "headphones": "A 12 13 8 180 360;B 2.8 12.5 7.2 20.5 1.8;B 16.8 12.5 21.2 20.5 1.8",
    "backpack": "B 5 7 19 21.5 4;A 12 7 3.2 180 360;b 8.2 14 15.8 18.5 1;B 9.8 14 14.2 15.8 0",
    "watch": "B 8.5 1.8 15.5 6.5 1;B 8.5 17.5 15.5 22.2 1;D 12 12 6.6;d 12 12 4.6;W 1.6;L 12 9.3 12 12 14 13.2",
    "plant": (
        "P 6.5 14.5 17.5 14.5 16 21.5 8 21.5;L 12 14.5 12 8;P 12 9.5 5 8.5 4 3.5 10 4.5;"
        "P 12 11 18.5 10.5 20 5.5 14 6"
    ),
    "bottle": (
        "B 9.8 1.8 14.2 4.4 0.6;P 10.2 4.4 13.8 4.4 13.8 7.4 17 10.5 17 20.5 16 22 8 22 7 20.5 7 10.5 10.2 7.4;"
        "b 7 13 17 17 0"
    ),
    "ball": "D 12 12 9.2;W 1.6;l 12 2.8 12 21.2;a 1.8 12 8.4 -60 60;a 22.2 12 8.4 120 240",
    "hat": "A 12 13.5 6.8 180 360;B 5.2 10.5 18.8 15 0;P 7 9.5 9 6.5 15 6.5 17 9.5;B 1.8 15 22.2 18 1.5",
    "laptop": "R 4.5 4.5 19.5 15.5 1.5;B 1.8 17 22.2 19.5 1",
    "gift": "B 3.5 8 20.5 12 0.8;B 5 12.8 19 21 1;W 2;l 12 7.5 12 21.5;C 9 5.5 2.2;C 15 5.5 2.2",
    "umbrella": "A 12 12.5 9 180 360;P 3 12.5 6 7 12 3.5 18 7 21 12.5;L 12 12.5 12 19;A 9.9 19 2.1 0 160",
    "bike": (
        "C 6 15.5 4;C 18 15.5 4;W 1.8;L 6 15.5 9.5 8.5 16 8.5 18 15.5;L 11.5 15.5 9.5 8.5;L 11.5 15.5 16 8.5;"
        "L 8 7.5 11 7.5;L 15.5 6 18 6"
    ),
    "car": "P 5 11 7 6 17 6 19 11;B 3 10.5 21 17.5 1.8;D 7 18 2.2;D 17 18 2.2;d 7 13.8 1.3;d 17 13.8 1.3",
    "train": "B 5.5 3 18.5 17.5 3;b 7.5 6 16.5 11 0.8;d 8.8 14.3 1.3;d 15.2 14.3 1.3;L 8 18 5.8 21.5;L 16 18 18.2 21.5",
    "leaf": "P 4.5 19.5 5 10 10 5.2 19.8 4.2 18.8 14 14 19 7.5 18.5;W 1.6;l 4 20.5 14.5 9.5",
    "cloud": "D 8 14.5 4.5;D 13 10.8 5.4;D 17.5 14.8 4.2;B 8 14 17.5 19 0.5",
    "tool": "D 16.8 7.2 5;p 17 7 18.5 1 23.5 5.5;W 4;L 14 10 5 19",
    "news": "R 3.5 4.5 20.5 19.5 1.5;B 6.5 8 11.5 13 0.6;W 1.6;L 13.8 8.8 17.8 8.8;L 13.8 12 17.8 12;L 6.5 16 17.8 16",
    "food": "L 7.5 3 7.5 21;L 5 3 5 8 10 8 10 3;P 15 3 18 5 18.5 12 16 13;L 16 3.5 16 21",
    "smile": "C 12 12 8.5;D 9 10 1.3;D 15 10 1.3;A 12 12.5 4.4 25 155",
}  # fmt: skip

NAMES: frozenset[str] = frozenset(_DRAWINGS)
"""Every icon an app may ask for."""


@lru_cache(maxsize=4096)
def mask(name: str, px: int) -> Image.Image:
    """Icon `name` as a mask of mode L, `px` square; raises `ValueError` for a name that has no drawing."""
    if name not in _DRAWINGS:
        raise ValueError(f"no icon is called {name!r}; the names are in distrl.device.sim.icons.NAMES")
    side = _GRID * _OVERSAMPLING
    large = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(large)
    width = 2.0
    for mark in _DRAWINGS[name].split(";"):
        letter, *words = mark.split()
        numbers = [float(word) * _OVERSAMPLING for word in words]
        if letter in "Ww":
            width = numbers[0] / _OVERSAMPLING
            continue
        # A stroke thinner than about a pixel would vanish on a small screen.
        stroke = (
            round(max(width, 1.15 * _GRID / max(px, 1)) * _OVERSAMPLING) if px < _GRID else round(width * _OVERSAMPLING)
        )
        _draw(pen, letter.upper(), numbers, stroke, ink=255 if letter.isupper() else 0)
    return large.resize((px, px), Image.Resampling.BOX)


def _draw(pen: ImageDraw.ImageDraw, letter: str, numbers: list[float], stroke: int, *, ink: int) -> None:
    points = list(zip(numbers[::2], numbers[1::2], strict=False))
    if letter == "L":
        pen.line(points, fill=ink, width=stroke, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - stroke / 2, y - stroke / 2, x + stroke / 2, y + stroke / 2), fill=ink)
    elif letter == "P":
        pen.polygon(points, fill=ink)
    elif letter in "CD":
        x, y, radius = numbers
        reach = radius + (stroke / 2 if letter == "C" else 0)
        box = (x - reach, y - reach, x + reach, y + reach)
        if letter == "C":
            pen.ellipse(box, outline=ink, width=stroke)
        else:
            pen.ellipse(box, fill=ink)
    elif letter == "A":
        x, y, radius, start, end = numbers
        reach = radius + stroke / 2
        pen.arc((x - reach, y - reach, x + reach, y + reach), start / _OVERSAMPLING, end / _OVERSAMPLING,
                fill=ink, width=stroke)  # fmt: skip
    elif letter in "RB":
        left, top, right, bottom, corner = numbers
        if letter == "R":
            pen.rounded_rectangle((left, top, right, bottom), corner, outline=ink, width=stroke)
        else:
            pen.rounded_rectangle((left, top, right, bottom), corner, fill=ink)
    else:
        raise ValueError(f"no mark is called {letter!r}")
