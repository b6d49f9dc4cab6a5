"""A shop: catalogue, product pages, favourites; the cart and what follows are in `checkout.py`."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import App
from distrl.device.sim.apps import checkout
from distrl.device.sim.apps.drafts import draft_field, matches, remember, search_field
from distrl.device.sim.apps.offline import offline_screen
from distrl.device.sim.state import CartLine, Page, Product, SystemState
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    button,
    chip,
    column,
    icon_button,
    list_item,
    picture,
    radio,
    row,
    scroll,
    swatch,
    text,
)

SORTS = ("Featured", "Price: low to high", "Price: high to low", "Best rated")
_RATINGS = {"Any": 0.0, "3+": 3.0, "4+": 4.0, "4.5+": 4.5}


class ShopApp(App):
    package = "shop"
    label = "Shop"
    icon = "bag"
    tint = "#d0512f"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        titles = {
            "home": "Shop",
            "cart": "Cart",
            "checkout": "Checkout",
            "favourites": "Favourites",
            "orders": "Orders",
        }
        if not phone.online:
            return offline_screen(phone, titles.get(page.name, "Shop"), back_arrow=page.name != "home")
        if page.name == "filter":
            return self._filter(phone, page)
        if page.name == "product":
            product = find_product(phone, page.args.get("id"))
            if product is not None:
                return self._product(phone, page, product)
        if page.name == "favourites":
            return self._favourites(phone)
        if page.name == "orders":
            return checkout.orders_screen(phone)
        if page.name == "cart":
            return checkout.cart_screen(phone, self)
        if page.name == "checkout":
            return checkout.checkout_screen(phone, page, self)
        if page.name == "placed":
            return checkout.placed_screen(phone, page, self)
        return self._home(phone, page)

    def _home(self, phone: SystemState, page: Page) -> Screen:
        args = page.args
        found = [p for p in phone.products if _wanted(p, args)]
        found.sort(key=partial(_sort_key, args.get("sort", SORTS[0])))
        filtered = any(args.get(name) for name in ("category", "brand", "max_price", "rating"))
        header = column(
            [
                search_field(phone, page, "query", "Search products"),
                row(
                    [
                        chip("Filter", selected=filtered, on_tap=partial(self._open_filter, phone, page), key="filter"),
                        chip(
                            "Sort",
                            selected=args.get("sort", SORTS[0]) != SORTS[0],
                            on_tap=remember(page, dialog="sort"),
                            key="sort",
                        ),
                        text(f"{len(found)} products", color="muted", size_sp=13),
                    ],
                    gap=8,
                ),
            ],
            gap=6,
        )
        dialog = None
        if args.get("dialog") == "sort":
            dialog = Dialog(
                "Sort by",
                content=[
                    radio(name, name == args.get("sort", SORTS[0]), on_tap=remember(page, sort=name, dialog=""))
                    for name in SORTS
                ],
                on_dismiss=remember(page, dialog=""),
                sheet=True,
            )
        return Screen(
            scroll("products", [self._item(phone, p) for p in found] or [text("No products found", color="muted")]),
            title="Shop",
            header=header,
            actions=[
                icon_button("heart", "Favourites", on_tap=partial(self.push, phone, "favourites")),
                icon_button("truck", "Orders", on_tap=partial(self.push, phone, "orders")),
                icon_button("cart", "Cart", on_tap=partial(self.push, phone, "cart"), selected=bool(phone.cart)),
            ],
            dialog=dialog,
        )

    def _item(self, phone: SystemState, product: Product) -> Node:
        return list_item(
            product.name,
            f"{money(product.price_cents)} · ★ {product.rating:.1f} · {product.brand}",
            leading=picture(product.picture, number=product.id, color=product.colors[0], height=56, width=56),
            on_tap=partial(self.push, phone, "product", id=product.id),
            key=f"product_{product.id}",
        )

    def _open_filter(self, phone: SystemState, page: Page) -> None:
        kept = {name: page.args.get(name, "") for name in ("category", "brand", "max_price", "rating")}
        self.push(phone, "filter", **kept)

    def _filter(self, phone: SystemState, page: Page) -> Screen:
        apply = partial(self._apply_filter, phone, page)
        categories = sorted({p.category for p in phone.products})
        brands = sorted({p.brand for p in phone.products})
        body: list[Node] = [
            text("Category", bold=True),
            *_choices(page, "category", categories),
            draft_field(page, "max_price", "Maximum price", on_enter=apply),
            *([text(page.args["error"], color="error", size_sp=13)] if page.args.get("error") else []),
            text("Minimum rating", bold=True),
            *_choices(page, "rating", [name for name in _RATINGS if name != "Any"]),
            text("Brand", bold=True),
            *_choices(page, "brand", brands),
        ]
        clear = remember(page, category="", brand="", max_price="", rating="", error="")
        return Screen(
            scroll("filters", body, gap=10, padding=16),
            title="Filter",
            back_arrow=True,
            actions=[button("Clear", on_tap=clear, filled=False), button("Apply", on_tap=apply)],
        )

    def _apply_filter(self, phone: SystemState, page: Page) -> None:
        typed = page.args.get("max_price", "").strip()
        if typed and parse_cents(typed) is None:
            page.args["error"] = "Enter a price, for example 40"
            return
        chosen = {name: page.args.get(name, "") for name in ("category", "brand", "max_price", "rating")}
        self.pop(phone)
        self.page(phone).args.update(chosen)
        self.page(phone).scroll_dp.clear()

    def _product(self, phone: SystemState, page: Page, product: Product) -> Screen:
        color = page.args.get("color", product.colors[0])
        quantity = page.args.get("quantity", 1)
        favourite = product.id in phone.favourites
        swatches = [
            swatch(code, selected=code == color, on_tap=remember(page, color=code, added=False), key=f"color_{number}")
            for number, code in enumerate(product.colors)
        ]
        body = [
            picture(product.picture, number=product.id, color=color, height=150),
            text(product.name, size_sp=22, bold=True, wrap=True, max_lines=2),
            text(f"by {product.brand} · {product.category} · ★ {product.rating:.1f}", color="muted"),
            text(money(product.price_cents), size_sp=22, color="primary", bold=True, key="price"),
            text("Colour", bold=True),
            row(list(swatches), gap=10),
            row(
                [
                    text("Quantity", bold=True, grow=1),
                    icon_button(
                        "minus",
                        "Decrease quantity",
                        on_tap=remember(page, quantity=max(1, quantity - 1), added=False),
                        enabled=quantity > 1,
                    ),
                    text(str(quantity), size_sp=18, key="quantity"),
                    icon_button(
                        "plus", "Increase quantity", on_tap=remember(page, quantity=min(20, quantity + 1), added=False)
                    ),
                ],
                gap=8,
            ),
            *([text("Added to cart", color="primary", bold=True)] if page.args.get("added") else []),
        ]
        return Screen(
            scroll("product", body, gap=8, padding=16),
            title="Product",
            back_arrow=True,
            actions=[
                icon_button(
                    "heart_filled" if favourite else "heart",
                    "Remove from favourites" if favourite else "Add to favourites",
                    selected=favourite,
                    on_tap=partial(_toggle_favourite, phone, product.id),
                ),
                icon_button("cart", "Cart", on_tap=partial(self.push, phone, "cart"), selected=bool(phone.cart)),
            ],
            footer=row([button("Add to cart", on_tap=partial(_add_to_cart, phone, page, product), grow=1)], padding=12),
        )

    def _favourites(self, phone: SystemState) -> Screen:
        items = [self._item(phone, p) for p in phone.products if p.id in phone.favourites]
        return Screen(
            scroll("favourites", items or [text("No favourites yet", color="muted")]),
            title="Favourites",
            back_arrow=True,
        )


def _choices(page: Page, name: str, values: list[str]) -> list[Node]:
    """Rows of three chips, one of which can be chosen; a second tap takes the choice back."""
    current = page.args.get(name, "")
    chips = [
        chip(
            value,
            selected=value == current,
            on_tap=remember(page, **{name: "" if value == current else value}),
            key=f"{name}_{value}",
        )
        for value in values
    ]
    return [row(chips[start : start + 3], gap=8) for start in range(0, len(chips), 3)]


def _wanted(product: Product, args: dict[str, str]) -> bool:
    limit = parse_cents(args.get("max_price", ""))
    return (
        matches(args.get("query", ""), product.name, product.brand, product.category)
        and args.get("category", "") in ("", product.category)
        and args.get("brand", "") in ("", product.brand)
        and product.rating >= _RATINGS.get(args.get("rating", ""), 0.0)
        and (limit is None or product.price_cents <= limit)
    )


def _sort_key(sort: str, product: Product) -> tuple[float, int]:
    if sort == SORTS[1]:
        return product.price_cents, product.id
    if sort == SORTS[2]:
        return -product.price_cents, product.id
    if sort == SORTS[3]:
        return -product.rating, product.id
    return 0.0, product.id


def _toggle_favourite(phone: SystemState, product_id: int) -> None:
    if product_id in phone.favourites:
        phone.favourites.remove(product_id)
    else:
        phone.favourites.append(product_id)


def _add_to_cart(phone: SystemState, page: Page, product: Product) -> None:
    color, quantity = page.args.get("color", product.colors[0]), page.args.get("quantity", 1)
    for line in phone.cart:
        if (line.product, line.color) == (product.id, color):
            line.quantity += quantity
            break
    else:
        phone.cart.append(CartLine(product.id, color, quantity))
    page.args.update(added=True, quantity=1)


def find_product(phone: SystemState, product_id: int | None) -> Product | None:
    """The product with this id, or None."""
    return next((p for p in phone.products if p.id == product_id), None)


def money(cents: int) -> str:
    """A price, e.g. `$12.50`."""
    return f"${cents // 100}.{cents % 100:02d}"


def parse_cents(content: str) -> int | None:
    """A typed price in cents, e.g. 1250 for `12.5` or `$12.50`; None for anything else."""
    whole, _, part = content.strip().removeprefix("$").partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 6 and len(part) <= 2):
        return None
    if part and not (part.isascii() and part.isdigit()):
        return None
    return int(whole) * 100 + int(part.ljust(2, "0"))
