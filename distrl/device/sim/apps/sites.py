"""The web that the browser reaches: a search engine, a newspaper, a cookbook, a library, a town; all local.

findit.example?q=soup     kitchen.example/recipe/2     library.example/card     town.example/report
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from distrl.device.sim.apps.drafts import draft_field, matches, remember
from distrl.device.sim.state import FormEntry, Page, SystemState
from distrl.device.sim.ui import (
    Node,
    button,
    card,
    checkbox,
    chip,
    icon,
    list_item,
    picture,
    row,
    text,
)

T = TypeVar("T")
Visit = Callable[[str], None]

SITES: Final = {
    "findit.example": "Findit",
    "daily.example": "The Daily",
    "kitchen.example": "Kitchen Table",
    "library.example": "Public Library",
    "town.example": "Town Hall",
}
"""Host -> title."""

SECTIONS: Final = ("Local", "Sport", "Culture")
BRANCHES: Final = ("Central", "North", "Lakeside")
KINDS: Final = ("Broken light", "Blocked drain", "Full bin")


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a web form."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `email`, `phone`, `optional`, `choice` or `terms`."""
    choices: tuple[str, ...] = ()


FORMS: Final[dict[str, tuple[str, tuple[FormField, ...], str]]] = {
    # Address: (title, fields, what the button says).
    "library.example/card": (
        "Get a library card",
        (
            FormField("name", "Full name"),
            FormField("email", "Email", "email"),
            FormField("phone", "Phone", "phone"),
            FormField("branch", "Branch", "choice", BRANCHES),
            FormField("terms", "I accept the rules", "terms"),
        ),
        "Submit",
    ),
    "town.example/report": (
        "Report a problem",
        (
            FormField("kind", "What is wrong?", "choice", KINDS),
            FormField("street", "Street"),
            FormField("details", "Details", "optional"),
            FormField("email", "Email", "email"),
        ),
        "Send report",
    ),
    "town.example/court": (
        "Book a tennis court",
        (
            FormField("name", "Name"),
            FormField("day", "Day", "choice", ("Friday", "Saturday", "Sunday")),
            FormField("phone", "Phone", "phone"),
        ),
        "Book",
    ),
}


def resolve(typed: str) -> str:
    """The address for what was typed: itself when it looks like one, else a search for it."""
    typed = typed.strip().removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")
    host = typed.partition("/")[0]
    if " " not in typed and "." in host.strip("."):
        return host.lower() + typed[len(host) :]
    return f"findit.example?q={typed}"


def title_of(phone: SystemState, url: str) -> str:
    """The title of the page at an address, as bookmarks and history show it."""
    if url.startswith("findit.example?q="):
        return f"{url.removeprefix('findit.example?q=')} - Findit"
    return next((title for title, address, _ in _index(phone) if address == url), url)


def site_nodes(phone: SystemState, page: Page, url: str, visit: Visit) -> list[Node] | None:
    """The page's content; None where nothing answers at this address."""
    host, _, path = url.partition("/")
    if url == "findit.example" or url.startswith("findit.example?q="):
        return _search(phone, page, url.partition("?q=")[2], visit)
    if url in FORMS:
        return _form(phone, page, url, visit)
    if path.endswith("/thanks") and f"{host}/{path.removesuffix('/thanks')}" in FORMS:
        return [
            icon("check_circle", size=56, color="primary"),
            text("Thank you", size_sp=22, bold=True),
            text("We have received your form.", color="muted"),
            button("Back to start", on_tap=partial(visit, host), filled=False),
        ]
    builders = {"daily.example": _news, "kitchen.example": _kitchen, "library.example": _library, "town.example": _town}
    return builders[host](phone, page, path, visit) if host in builders else None


def _index(phone: SystemState) -> Iterator[tuple[str, str, str]]:
    """Title, address and summary of every page a search can find."""
    web = phone.web
    yield "The Daily", "daily.example", "News from your town, sport and culture"
    yield "Kitchen Table", "kitchen.example", "Recipes for every day"
    yield "Public Library", "library.example", "Books, opening hours, library cards"
    yield "Town Hall", "town.example", f"Services of the town of {web.town}"
    yield "Findit", "findit.example", "Search the web"
    for url, (title, _, _) in FORMS.items():
        yield title, url, SITES[url.partition("/")[0]]
    for number, article in enumerate(web.articles):
        yield article.title, f"daily.example/article/{number}", article.text
    for number, recipe in enumerate(web.recipes):
        yield recipe.title, f"kitchen.example/recipe/{number}", f"Recipe, {recipe.minutes} minutes"
    for number, book in enumerate(web.books):
        yield book.title, f"library.example/book/{number}", f"Book by {book.author}"


def _search(phone: SystemState, page: Page, query: str, visit: Visit) -> list[Node]:
    go = partial(_go_search, page, visit)
    nodes: list[Node] = [text("Findit", size_sp=28, bold=True, color="primary", align="center")]
    field = draft_field(page, "search", "Search the web", on_enter=go, icon="search")
    nodes.append(row([field, button("Search", on_tap=go)], gap=8))
    if query:
        nodes.append(text(f"Results for {query}", color="muted"))
        found = [entry for entry in _index(phone) if matches(query, entry[0], entry[2])][:12]
        for title, url, summary in found:
            node = list_item(title, f"{url} · {summary}", on_tap=partial(visit, url), icon="globe")
            nodes.append(node)
        if not found:
            nodes.append(text("No results", color="muted"))
    return nodes


def _go_search(page: Page, visit: Visit) -> None:
    query = page.args.get("search", "").strip()
    if query:
        visit(f"findit.example?q={query}")


def _news(phone: SystemState, page: Page, path: str, visit: Visit) -> list[Node] | None:
    if path.startswith("article/"):
        article = _item(phone.web.articles, path.removeprefix("article/"))
        if article is None:
            return None
        return [
            text(article.section, color="primary", bold=True, size_sp=13),
            text(article.title, size_sp=22, bold=True, wrap=True, max_lines=3),
            picture("news", number=len(article.title), height=110),
            text(article.text, size_sp=16, wrap=True, max_lines=0),
        ]
    if path:
        return None
    section = page.args.get("section", "")
    chips = [
        chip(name, selected=section == value, on_tap=remember(page, section=value), key=f"section_{name}")
        for name, value in (("All", ""), *((name, name) for name in SECTIONS))
    ]
    return [
        text("The Daily", size_sp=26, bold=True),
        row(chips, gap=6),
        *(
            list_item(
                article.title, article.section, icon="news", on_tap=partial(visit, f"daily.example/article/{number}")
            )
            for number, article in enumerate(phone.web.articles)
            if section in ("", article.section)
        ),
    ]


def _kitchen(phone: SystemState, page: Page, path: str, visit: Visit) -> list[Node] | None:
    if path.startswith("recipe/"):
        recipe = _item(phone.web.recipes, path.removeprefix("recipe/"))
        if recipe is None:
            return None
        return [
            text(recipe.title, size_sp=22, bold=True, wrap=True, max_lines=2),
            picture("food", number=recipe.minutes, height=110),
            row([text(f"{recipe.minutes} minutes", bold=True, grow=1), text(f"Serves {recipe.serves}", bold=True)]),
            text("Ingredients", color="primary", bold=True),
            *(text(f"• {ingredient}", size_sp=16) for ingredient in recipe.ingredients),
        ]
    if path:
        return None
    return [
        text("Kitchen Table", size_sp=26, bold=True),
        *(
            list_item(recipe.title, f"{recipe.minutes} minutes, serves {recipe.serves}", icon="food",
                      on_tap=partial(visit, f"kitchen.example/recipe/{number}"))
            for number, recipe in enumerate(phone.web.recipes)
        ),
    ]  # fmt: skip


def _library(phone: SystemState, page: Page, path: str, visit: Visit) -> list[Node] | None:
    if path.startswith("book/"):
        book = _item(phone.web.books, path.removeprefix("book/"))
        if book is None:
            return None
        return [
            text(book.title, size_sp=22, bold=True, wrap=True, max_lines=2),
            text(f"by {book.author}", color="muted"),
            card([text(f"Shelf {book.shelf}", bold=True), text("Available" if book.available else "On loan")]),
        ]
    if path:
        return None
    books = list(enumerate(phone.web.books))
    query = page.args.get("book_query", "")
    return [
        text("Public Library", size_sp=26, bold=True),
        button("Get a library card", on_tap=partial(visit, "library.example/card")),
        draft_field(page, "book_query", "Find a book", icon="search"),
        *(
            list_item(book.title, book.author, icon="book", on_tap=partial(visit, f"library.example/book/{number}"))
            for number, book in books
            if matches(query, book.title, book.author)
        ),
    ]


def _town(phone: SystemState, page: Page, path: str, visit: Visit) -> list[Node] | None:
    if path:
        return None
    return [
        text(f"Town of {phone.web.town}", size_sp=26, bold=True),
        picture("home", number=len(phone.web.town), height=96),
        list_item(
            "Report a problem", "Lights, drains, bins", icon="tool", on_tap=partial(visit, "town.example/report")
        ),
        list_item("Book a tennis court", "Friday to Sunday", icon="ball", on_tap=partial(visit, "town.example/court")),
        text("Office hours: Monday to Friday, 9 to 16", color="muted", size_sp=13),
    ]


def _item(items: list[T], number: str) -> T | None:
    index = int(number) if number.isascii() and number.isdigit() else -1
    return items[index] if 0 <= index < len(items) else None


def _form(phone: SystemState, page: Page, url: str, visit: Visit) -> list[Node]:
    title, fields, action = FORMS[url]
    submit = partial(_submit, phone, page, url, visit)
    errors: dict[str, str] = page.args.get("errors", {})
    nodes: list[Node] = [text(title, size_sp=22, bold=True, wrap=True, max_lines=2)]
    for field in fields:
        if field.kind == "choice":
            chips = [
                chip(
                    choice,
                    selected=page.args.get(field.name) == choice,
                    on_tap=remember(page, **{field.name: choice}),
                    key=f"{field.name}_{choice}",
                )
                for choice in field.choices
            ]
            nodes += [text(field.label, bold=True, size_sp=13), row(chips, gap=6)]
        elif field.kind == "terms":
            on = bool(page.args.get(field.name))
            nodes.append(checkbox(field.label, on, on_tap=remember(page, **{field.name: "" if on else "yes"})))
        else:
            nodes.append(draft_field(page, field.name, field.label))
        if field.name in errors:
            nodes.append(text(errors[field.name], color="error", size_sp=13))
    nodes.append(button(action, on_tap=submit))
    return nodes


def _submit(phone: SystemState, page: Page, url: str, visit: Visit) -> None:
    fields = FORMS[url][1]
    values = {field.name: str(page.args.get(field.name, "")).strip() for field in fields}
    errors = {field.name: problem for field in fields if (problem := _problem(field, values[field.name]))}
    page.args["errors"] = errors
    phone.focus = ""
    if not errors:
        phone.forms.append(FormEntry(url, values))
        visit(f"{url}/thanks")


def _problem(field: FormField, value: str) -> str:
    if field.kind == "optional":
        return ""
    if field.kind == "terms":
        return "" if value else "Accept the rules to go on"
    if field.kind == "choice":
        return "" if value else "Choose one"
    if not value:
        return "This field is required"
    if field.kind == "email" and ("@" not in value[1:-1] or " " in value):
        return "Enter a valid email address"
    if field.kind == "phone" and (sum(c.isdigit() for c in value) < 5 or not set(value) <= set("+0123456789 -()")):
        return "Enter a valid phone number"
    return ""
