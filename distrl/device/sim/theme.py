"""Colours: the roles that apps name, resolved for light or dark and the user's accent."""

from __future__ import annotations

from functools import lru_cache

RGB = tuple[int, int, int]

WALLPAPERS: tuple[tuple[str, str, str], ...] = (
    ("#5b7fe6", "#a88be0", "#f2b8c6"),
    ("#0f5e6b", "#2fa08c", "#bfe3a8"),
    ("#e8734a", "#f0a35e", "#f8dd9c"),
    ("#35285e", "#6b4a9c", "#d07fb0"),
    ("#22466e", "#4c86b8", "#cfe6f2"),
    ("#3f6b3a", "#86a85a", "#e8e3b4"),
)
"""Top, middle and bottom colour of each wallpaper."""

AVATAR_TINTS: tuple[str, ...] = (
    "#d9583b", "#b0489a", "#7455c8", "#3f6ad8", "#1f86b8", "#1d8f7a", "#5a8f2f", "#b07d16",
)  # fmt: skip

_LIGHT = {
    "surface": "#f6f6fb",
    "surface_high": "#ffffff",
    "surface_low": "#e9eaf2",
    "on_surface": "#1b1c22",
    "muted": "#5f626e",
    "outline": "#c9cbd6",
    "error": "#ba1a2b",
    "on_error": "#ffffff",
    "scrim": "#4b4c55",
}
_DARK = {
    "surface": "#121318",
    "surface_high": "#20222a",
    "surface_low": "#2b2e38",
    "on_surface": "#e6e6ee",
    "muted": "#a3a6b3",
    "outline": "#454955",
    "error": "#ffb3b1",
    "on_error": "#5f1219",
    "scrim": "#000000",
}


@lru_cache(maxsize=1024)
def rgb(color: str) -> RGB:
    """`#rrggbb` as three numbers; raises `ValueError` for anything else."""
    if len(color) != 7 or color[0] != "#":
        raise ValueError(f"a colour is a role of the theme or #rrggbb, got {color!r}")
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`share` of `second` over `first`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def luminance(color: RGB) -> float:
    """Perceived brightness in [0, 1]."""
    return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255


@lru_cache(maxsize=64)
def palette(dark: bool, accent: str) -> dict[str, RGB]:
    """Every role's colour."""
    roles = {role: rgb(value) for role, value in (_DARK if dark else _LIGHT).items()}
    primary = mix(rgb(accent), (255, 255, 255), 0.35) if dark else rgb(accent)
    roles["primary"] = primary
    roles["on_primary"] = (20, 22, 30) if luminance(primary) > 0.55 else (255, 255, 255)
    roles["primary_soft"] = mix(roles["surface_high"], rgb(accent), 0.32 if dark else 0.16)
    roles["on_primary_soft"] = mix(rgb(accent), (255, 255, 255), 0.7) if dark else mix(rgb(accent), (0, 0, 0), 0.45)
    return roles


def ink_on(ground: RGB) -> tuple[RGB, RGB]:
    """Main and muted text colours that can be read on `ground`."""
    if luminance(ground) > 0.55:
        return rgb(_LIGHT["on_surface"]), mix(rgb(_LIGHT["on_surface"]), ground, 0.35)
    return rgb("#ffffff"), mix(rgb("#ffffff"), ground, 0.3)
