"""Levels 1 and 2: the browser and the shop."""

from __future__ import annotations

import random
from collections.abc import Sequence

from distrl.device.sim.apps.sites import SITES
from distrl.device.sim.state import Article, Book, Bookmark, CartLine, FormEntry, Product, Recipe, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import go_online, phone_number, short_text, top, word
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.tasks.level2_forms import pick_swatch
from distrl.device.sim.words import COLORS, NOUNS
from distrl.types import Split

SITE_TITLES = {title: host for host, title in SITES.items() if host != "findit.example"}


class OpenSite(Template):
    name = "browser.open_site"
    level = 1
    apps = ("browser",)
    instructions = (
        "Open the site {site} in the browser.",
        "Visit {site} with the browser.",
        "Go to the web page of {site}.",
    )
    longest = 2
    closed_params = True
    start_in_app = 0.5

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"site": rng.choice(list(SITE_TITLES))}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        go_online(state)

    def arrived(self, state: SystemState, params: Params) -> bool:
        return shown_url(state) == SITE_TITLES[params["site"]]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("browser")
        yield from hand.tap(params["site"])


def shown_url(state: SystemState) -> str:
    """The address in the browser when it is in front, else nothing."""
    page = top(state, "browser")
    return str(page.args.get("url", "")) if state.app == "browser" and page is not None else ""


class WebSearch(Template):
    """Finds a recipe, a book or a headline and opens it."""

    name = "browser.search"
    level = 2
    apps = ("browser",)
    instructions = (
        'Search the web for "{title}" and open the page.',
        'Use the browser to search for "{title}" and open the result.',
        'Find "{title}" on the web and open it.',
    )
    longest = 5

    def sample(self, rng: random.Random, split: Split) -> Params:
        kind = rng.choice(["recipes", "books", "headlines"])
        return {"kind": kind, "title": short_text(rng, kind, split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        publish(state, params)
        go_online(state)

    def arrived(self, state: SystemState, params: Params) -> bool:
        return shown_url(state) == url_of(state, params)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("browser")
        yield from hand.type_into("Search or type address", params["title"])
        yield from hand.enter()
        yield from hand.tap(params["title"])


def publish(state: SystemState, params: Params) -> None:
    """Makes sure that the web has the page the task is about."""
    web = state.web
    kinds: dict[str, Sequence[Recipe | Book | Article]]
    kinds = {"recipes": web.recipes, "books": web.books, "headlines": web.articles}
    items = kinds[params["kind"]]
    if all(item.title != params["title"] for item in items):
        items[0].title = params["title"]


def url_of(state: SystemState, params: Params) -> str:
    """The address of the page the task is about."""
    for kind, prefix, items in (
        ("recipes", "kitchen.example/recipe", state.web.recipes),
        ("books", "library.example/book", state.web.books),
        ("headlines", "daily.example/article", state.web.articles),
    ):
        titles = [item.title for item in items]
        if kind == params["kind"]:
            return f"{prefix}/{titles.index(params['title'])}"
    raise AssertionError(params["kind"])


class BookmarkPage(Template):
    name = "browser.bookmark"
    level = 2
    apps = ("browser",)
    instructions = (
        'Bookmark the page "{title}" of {site}.',
        'Open "{title}" on the site {site} and add a bookmark.',
        'In the browser, go to {site} and bookmark "{title}".',
    )
    longest = 4
    _sites = {"recipes": "Kitchen Table", "books": "Public Library", "headlines": "The Daily"}

    def sample(self, rng: random.Random, split: Split) -> Params:
        kind = rng.choice(list(self._sites))
        return {"kind": kind, "title": word(rng, kind, split), "site": self._sites[kind]}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        publish(state, params)
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        state.bookmarks.append(Bookmark(params["title"], url_of(state, params)))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("browser")
        yield from hand.tap(params["site"])
        yield from hand.tap(params["title"])
        yield from hand.tap("Add bookmark")


class BookCourt(Template):
    """A web form with two texts and a choice."""

    name = "browser.book_court"
    level = 2
    apps = ("browser",)
    instructions = (
        "Book a tennis court at the Town Hall for {day}: name {first}, phone {phone}.",
        "On the site Town Hall, book a tennis court: {first}, {day}, phone {phone}.",
        "Book a tennis court for {first} on {day}, phone {phone}, with the Town Hall site.",
    )
    longest = 9

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {
            "first": word(rng, "first_names", split),
            "phone": phone_number(rng, split),
            "day": rng.choice(["Friday", "Saturday", "Sunday"]),
        }

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        fields = {"name": params["first"], "day": params["day"], "phone": params["phone"]}
        state.forms.append(FormEntry("town.example/court", fields))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("browser")
        yield from hand.tap("Town Hall")
        yield from hand.tap("Book a tennis court")
        yield from hand.tap(params["day"])
        yield from hand.type_into("Name", params["first"])
        yield from hand.type_into("Phone", params["phone"])
        yield from hand.tap("Book")


class ProductTemplate(Template):
    """About the product called `product`, which the shop has in several colours."""

    level = 2
    apps = ("shop",)

    def sample(self, rng: random.Random, split: Split) -> Params:
        adjective, noun = word(rng, "adjectives", split), word(rng, "nouns", split)
        return {"product": f"{adjective} {noun}", "color": rng.choice(list(COLORS))}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        stock(state, params["product"], params["color"], rng)
        go_online(state)

    def open_product(self, hand: Hand, params: Params) -> Script:
        """Goes to the page of the product that the instruction names."""
        yield from hand.open_app("shop")
        yield from hand.type_into("Search products", params["product"])
        yield from hand.tap(params["product"])


def stock(state: SystemState, name: str, color: str, rng: random.Random) -> Product:
    """Makes sure that the shop has exactly one product of this name, in this colour among others but not first."""
    noun = name.rsplit(maxsplit=1)[-1]
    product = next((item for item in state.products if item.name.split()[-1] == noun), state.products[0])
    for item in state.products:
        if item.name == name:
            item.name = f"Other {noun}"
    product.category, product.picture, low, high = NOUNS[noun]
    product.name, product.price_cents = name, 100 * rng.randint(low, high)
    others = [code for other, code in COLORS.items() if other != color]
    product.colors = rng.sample(others, 3)
    product.colors.insert(rng.randint(1, 3), COLORS[color])
    state.favourites = [favourite for favourite in state.favourites if favourite != product.id]
    state.cart = [line for line in state.cart if line.product != product.id]
    return product


def product_named(state: SystemState, name: str) -> Product:
    """The product of this name; set-up has made sure that there is one."""
    return next(product for product in state.products if product.name == name)


class ShowProduct(ProductTemplate):
    name = "shop.open_product"
    instructions = (
        "Open the page of the {product} in the shop.",
        "Search the shop for the {product} and open it.",
        "Find the {product} in the shop and show its page.",
    )
    longest = 4

    def arrived(self, state: SystemState, params: Params) -> bool:
        page = top(state, "shop")
        wanted = product_named(state, params["product"]).id
        return state.app == "shop" and page is not None and page.name == "product" and page.args.get("id") == wanted

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_product(hand, params)


class AddToCart(ProductTemplate):
    name = "shop.add_to_cart"
    instructions = (
        "Add the {product} to the cart.",
        "Put the {product} into the shop's cart.",
        "In the shop, find the {product} and add it to the cart.",
    )
    longest = 5

    def intend(self, state: SystemState, params: Params) -> None:
        product = product_named(state, params["product"])
        state.cart.append(CartLine(product.id, product.colors[0]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_product(hand, params)
        yield from hand.tap("Add to cart")


class AddColor(ProductTemplate):
    """The colour is to be chosen from unlabelled swatches."""

    name = "shop.add_color"
    needs_pixels = True
    instructions = (
        "Add the {product} in {color} to the cart.",
        "Put a {color} {product} into the shop's cart.",
        "In the shop, choose the colour {color} for the {product} and add it to the cart.",
    )
    longest = 6

    def intend(self, state: SystemState, params: Params) -> None:
        state.cart.append(CartLine(product_named(state, params["product"]).id, COLORS[params["color"]]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_product(hand, params)
        yield from pick_swatch(hand, "color_", COLORS[params["color"]])
        yield from hand.tap("Add to cart")


class Favourite(ProductTemplate):
    name = "shop.favourite"
    instructions = (
        "Add the {product} to the favourites.",
        "Make the {product} a favourite in the shop.",
        "In the shop, mark the {product} as a favourite.",
    )
    longest = 5

    def intend(self, state: SystemState, params: Params) -> None:
        state.favourites.append(product_named(state, params["product"]).id)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_product(hand, params)
        yield from hand.tap("Add to favourites")


class FavouritePicture(ProductTemplate):
    """Three products differ in nothing but the colour of their picture."""

    name = "shop.favourite_picture"
    needs_pixels = True
    instructions = (
        "Add the {product} whose picture is {color} to the favourites.",
        "In the shop, mark the {color} {product} as a favourite; look at the pictures.",
        "The shop has several {product} pictures: make the {color} one a favourite.",
    )
    longest = 5

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        product = stock(state, params["product"], params["color"], rng)
        others = [item for item in state.products if item is not product]
        same = [product, *rng.sample(others, 2)]
        colors = [COLORS[params["color"]], *rng.sample([c for c in COLORS.values() if c != COLORS[params["color"]]], 2)]
        rng.shuffle(colors)
        for item, color in zip(same, colors, strict=True):
            item.name, item.brand, item.category = product.name, product.brand, product.category
            item.price_cents, item.rating, item.picture = product.price_cents, product.rating, product.picture
            item.colors = [color]
        taken = {item.id for item in same}
        state.favourites = [favourite for favourite in state.favourites if favourite not in taken]
        state.cart = [line for line in state.cart if line.product not in taken]
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        colors = [COLORS[params["color"]]]
        product = next(p for p in state.products if p.name == params["product"] and p.colors == colors)
        state.favourites.append(product.id)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("shop")
        yield from hand.type_into("Search products", params["product"])
        items = hand.all(params["product"])
        yield from hand.touch(hand.nearest_color(items, COLORS[params["color"]]))
        yield from hand.tap("Add to favourites")


TEMPLATES: tuple[Template, ...] = (
    OpenSite(),
    WebSearch(),
    BookmarkPage(),
    BookCourt(),
    ShowProduct(),
    AddToCart(),
    AddColor(),
    Favourite(),
    FavouritePicture(),
)
