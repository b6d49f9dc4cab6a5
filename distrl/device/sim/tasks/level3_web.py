"""Level 3: the shop and the browser, with several conditions at once."""

from __future__ import annotations

import random

from distrl.device.sim.apps.sites import KINDS
from distrl.device.sim.state import CartLine, FormEntry, Order, Product, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import go_online, word
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.tasks.level2_web import ProductTemplate, product_named
from distrl.device.sim.words import CATEGORIES
from distrl.types import Split


class OrderProduct(ProductTemplate):
    """From the catalogue to a placed order."""

    name = "shop.order"
    level = 3
    instructions = (
        'Order the {product} to the address "{address}" and pay with {payment}.',
        'Buy the {product} in the shop: address "{address}", payment {payment}.',
        'Put the {product} in the cart and place the order: "{address}", {payment}.',
    )
    longest = 12

    def sample(self, rng: random.Random, split: Split) -> Params:
        params = super().sample(rng, split)
        payment = rng.choice(["Card", "Cash on delivery", "Gift card"])
        return {**params, "address": f"{word(rng, 'streets', split)} {rng.randint(1, 99)}", "payment": payment}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        super().set_up(state, params, rng)
        state.cart = []

    def intend(self, state: SystemState, params: Params) -> None:
        product = product_named(state, params["product"])
        lines = [CartLine(product.id, product.colors[0])]
        state.orders.append(Order(state.new_id(), lines, params["address"], params["payment"], product.price_cents))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_product(hand, params)
        yield from hand.tap("Add to cart")
        yield from hand.tap("Cart")
        yield from hand.tap("Checkout")
        yield from hand.type_into("Address", params["address"])
        yield from hand.tap(params["payment"])
        yield from hand.tap("Place order")


class Cheapest(Template):
    """Filter by category, sort by price, and take the first."""

    name = "shop.cheapest"
    level = 3
    apps = ("shop",)
    instructions = (
        "Add the cheapest product of the category {category} to the cart.",
        "In the shop, find the lowest price in {category} and put that product in the cart.",
        "Put the {category} product with the lowest price in the cart.",
    )
    longest = 8
    closed_params = True

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"category": rng.choice(CATEGORIES)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        go_online(state)
        products = [product for product in state.products if product.category == params["category"]]
        if len(products) < 2:
            products = state.products[:2]
            for product in products:
                product.category = params["category"]
        rng.choice(products).price_cents = min(product.price_cents for product in products) - rng.randint(10, 90)
        chosen = self.cheapest(state, params)
        state.cart = [line for line in state.cart if line.product != chosen.id]

    def cheapest(self, state: SystemState, params: Params) -> Product:
        """The product that the instruction means; set-up leaves no two at its price."""
        products = [product for product in state.products if product.category == params["category"]]
        return min(products, key=lambda product: product.price_cents)

    def intend(self, state: SystemState, params: Params) -> None:
        product = self.cheapest(state, params)
        state.cart.append(CartLine(product.id, product.colors[0]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("shop")
        yield from hand.tap("Filter")
        yield from hand.tap(params["category"])
        yield from hand.tap("Apply")
        yield from hand.tap("Sort")
        yield from hand.tap("Price: low to high")
        yield from hand.touch(hand.keyed("product_")[0])
        yield from hand.tap("Add to cart")


class ReportProblem(Template):
    """A web form with a choice and two texts, one field left empty."""

    name = "browser.report"
    level = 3
    apps = ("browser",)
    instructions = (
        'Report a problem to the Town Hall: {kind}, street "{street}", email "{email}".',
        'On the site Town Hall, report the problem {kind} in "{street}"; the email is "{email}".',
        'Use the browser to report a {kind} in "{street}" to the Town Hall, email "{email}".',
    )
    longest = 9

    def sample(self, rng: random.Random, split: Split) -> Params:
        first = word(rng, "first_names", split).lower()
        return {
            "kind": rng.choice(KINDS),
            "street": word(rng, "streets", split),
            "email": f"{first}@{word(rng, 'email_domains', split)}",
        }

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        fields = {"kind": params["kind"], "street": params["street"], "details": "", "email": params["email"]}
        state.forms.append(FormEntry("town.example/report", fields))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("browser")
        yield from hand.tap("Town Hall")
        yield from hand.tap("Report a problem")
        yield from hand.tap(params["kind"])
        yield from hand.type_into("Street", params["street"])
        yield from hand.type_into("Email", params["email"])
        yield from hand.tap("Send report")


TEMPLATES: tuple[Template, ...] = (OrderProduct(), Cheapest(), ReportProblem())
