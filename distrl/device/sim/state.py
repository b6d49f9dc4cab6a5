"""The whole of a simulated phone as plain data: what apps read and change, what tasks set up and check.

Everything is a standard dataclass of JSON types, so that a snapshot is one `dump` and a restore one `load`
(a tenth of a millisecond each). Times are minutes of a frozen clock: nothing moves unless an action moves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

END_DP = 1_000_000.0
"""A scroll offset beyond every list: shows its end."""


@dataclass(slots=True)
class Page:
    """One entry of an app's back stack."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    """What the page shows (ids) and its drafts (half-typed fields): JSON values."""
    scroll_dp: dict[str, float] = field(default_factory=dict)
    """Scroll offset by the key of the scroll node."""


@dataclass(slots=True)
class Contact:
    id: int
    first: str
    last: str
    phone: str
    email: str = ""
    starred: bool = False

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}".strip()


@dataclass(slots=True)
class Message:
    sender: str
    """Empty for the phone's owner; else the other side's number."""
    text: str
    minute: int
    sent: bool = True
    """False while it waits for a network (airplane mode)."""


@dataclass(slots=True)
class Thread:
    id: int
    number: str
    """The other side's phone number; contacts give it its name."""
    messages: list[Message] = field(default_factory=list)
    unread: bool = False
    muted: bool = False


@dataclass(slots=True)
class Alarm:
    id: int
    hour: int
    minute: int
    on: bool = True
    days: list[int] = field(default_factory=list)
    """0 Monday to 6 Sunday; empty: once."""
    label: str = ""


@dataclass(slots=True)
class Timer:
    total_s: int = 0
    running: bool = False


@dataclass(slots=True)
class Stopwatch:
    running: bool = False
    elapsed_s: int = 0
    laps: int = 0


@dataclass(slots=True)
class Note:
    id: int
    title: str
    body: str = ""
    color: str = "#ffffff"
    pinned: bool = False
    folder: str = ""


@dataclass(slots=True)
class Bookmark:
    title: str
    url: str


@dataclass(slots=True)
class FormEntry:
    """What a web form sent."""

    site: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Article:
    title: str
    section: str
    text: str


@dataclass(slots=True)
class Recipe:
    title: str
    minutes: int
    serves: int
    ingredients: list[str]


@dataclass(slots=True)
class Book:
    title: str
    author: str
    shelf: str
    available: bool = True


@dataclass(slots=True)
class Web:
    """What the local sites show."""

    articles: list[Article] = field(default_factory=list)
    recipes: list[Recipe] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
    town: str = "Elmford"


@dataclass(slots=True)
class CartLine:
    product: int
    color: str
    quantity: int = 1


@dataclass(slots=True)
class Order:
    id: int
    lines: list[CartLine]
    address: str
    payment: str
    total_cents: int


@dataclass(slots=True)
class Product:
    id: int
    name: str
    brand: str
    category: str
    price_cents: int
    rating: float
    colors: list[str]
    """`#rrggbb`; the swatches carry no label."""
    picture: str
    """Icon name for its drawing."""


@dataclass(slots=True)
class Popup:
    """A system dialog over whatever app is open; each button closes it."""

    kind: str
    """`permission`, `update`, `rating`."""
    title: str
    body: str
    buttons: list[str]
    app: str = ""
    effect: str = ""
    """The permission that a button starting with "Allow" or "While" grants to `app`."""


@dataclass(slots=True)
class Notification:
    id: int
    app: str
    title: str
    body: str
    page: Page | None = None
    """Where a tap leads."""
    heads_up: bool = False
    """Shown over the top of the screen until dismissed or tapped."""


@dataclass(slots=True)
class Settings:
    wifi: bool = True
    wifi_network: str = "Home"
    bluetooth: bool = False
    airplane: bool = False
    mobile_data: bool = True
    location: bool = True
    do_not_disturb: bool = False
    dark_theme: bool = False
    auto_rotate: bool = True
    battery_saver: bool = False
    brightness: float = 0.5
    volume_media: float = 0.5
    volume_ring: float = 0.7
    volume_alarm: float = 0.8
    font_scale: float = 1.0
    accent: str = "#3f6ad8"
    """Theme colour, chosen from unlabelled swatches."""
    wallpaper: int = 0
    language: str = "English"
    time_format_24h: bool = True
    screen_timeout_s: int = 60
    device_name: str = "My phone"
    permissions: dict[str, list[str]] = field(default_factory=dict)
    """App package -> permissions granted."""


@dataclass(slots=True)
class SystemState:
    """Everything. `app` is in front; each app keeps its own back stack."""

    app: str = "launcher"
    stacks: dict[str, list[Page]] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    focus: str = ""
    """Key of the focused text field; the keyboard is open while it is set."""
    shade_open: bool = False
    popups: list[Popup] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    clock_minute: int = 9 * 60 + 41
    """Minutes since midnight; frozen."""
    date: str = "2025-03-14"
    """ISO date; a Friday."""
    battery: int = 82
    """Percent."""
    settings: Settings = field(default_factory=Settings)
    contacts: list[Contact] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    timer: Timer = field(default_factory=Timer)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    notes: list[Note] = field(default_factory=list)
    note_folders: list[str] = field(default_factory=list)
    bookmarks: list[Bookmark] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    """Visited URLs, newest last."""
    downloads: list[str] = field(default_factory=list)
    web: Web = field(default_factory=Web)
    wifi_networks: list[str] = field(default_factory=list)
    """Networks in reach."""
    forms: list[FormEntry] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    cart: list[CartLine] = field(default_factory=list)
    favourites: list[int] = field(default_factory=list)
    """Product ids."""
    orders: list[Order] = field(default_factory=list)
    home_apps: list[str] = field(default_factory=list)
    """Packages on the home pages, in order."""
    dock: list[str] = field(default_factory=list)
    next_id: int = 1000

    def new_id(self) -> int:
        """A fresh id, unique on this phone."""
        self.next_id += 1
        return self.next_id

    def time_text(self, minute_of_day: int) -> str:
        """A time as the settings want it, e.g. `07:05` or `7:05 AM`."""
        hour, minute = divmod(minute_of_day % 1440, 60)
        if self.settings.time_format_24h:
            return f"{hour:02d}:{minute:02d}"
        return f"{hour % 12 or 12}:{minute:02d} {'AM' if hour < 12 else 'PM'}"

    def contact_of(self, number: str) -> Contact | None:
        """The contact with this phone number, or None."""
        return next((contact for contact in self.contacts if contact.phone == number), None)

    @property
    def online(self) -> bool:
        """Whether anything can reach the network."""
        return not self.settings.airplane and (self.settings.wifi or self.settings.mobile_data)


_ADAPTER = TypeAdapter(SystemState)


def dump(state: SystemState) -> bytes:
    """The state as JSON; equal states give equal bytes."""
    return _ADAPTER.dump_json(state)


def load(snapshot: bytes) -> SystemState:
    """The state that `dump` wrote."""
    return _ADAPTER.validate_json(snapshot)
