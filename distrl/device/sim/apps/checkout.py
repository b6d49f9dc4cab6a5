"""From the shop's cart to a placed order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from distrl.device.sim.apps.drafts import draft_field, remember
from distrl.device.sim.state import CartLine, Order, Page, Product, SystemState
from distrl.device.sim.ui import (
    Node,
    Screen,
    button,
    card,
    column,
    icon,
    icon_button,
    list_item,
    picture,
    radio,
    row,
    scroll,
    spacer,
    text,
)

if TYPE_CHECKING:
    from distrl.device.sim.apps.shop import ShopApp

PAYMENTS = ("Card", "Cash on delivery", "Gift card")


def cart_screen(phone: SystemState, shop: ShopApp) -> Screen:
    """The cart: quantities, removal, total."""
    lines = [_cart_line(phone, line) for line in phone.cart]
    footer = column(
        [
            row(
                [text("Total", bold=True, grow=1), text(_money(total_cents(phone)), bold=True, size_sp=18, key="total")]
            ),
            row(
                [
                    button(
                        "Checkout",
                        on_tap=partial(shop.push, phone, "checkout"),
                        enabled=bool(phone.cart),
                        grow=1,
                    )
                ]
            ),
        ],
        gap=8,
        padding=12,
    )
    return Screen(
        scroll("cart", lines or [text("Your cart is empty", color="muted")], gap=8, padding=12),
        title="Cart",
        back_arrow=True,
        footer=footer,
    )


def _cart_line(phone: SystemState, line: CartLine) -> Node:
    product = _product(phone, line)
    name = product.name if product else "Unknown product"
    price = product.price_cents if product else 0
    return card(
        [
            row(
                [
                    picture(product.picture if product else "bag", color=line.color, height=56, width=56),
                    column([text(name, bold=True, size_sp=15), text(_money(price), color="muted")], grow=1),
                ],
                gap=12,
            ),
            row(
                [
                    icon_button(
                        "minus",
                        f"Decrease {name}",
                        on_tap=partial(setattr, line, "quantity", max(1, line.quantity - 1)),
                        enabled=line.quantity > 1,
                    ),
                    text(str(line.quantity), size_sp=16),
                    icon_button(
                        "plus",
                        f"Increase {name}",
                        on_tap=partial(setattr, line, "quantity", min(20, line.quantity + 1)),
                    ),
                    spacer(0, grow=1),
                    icon_button("trash", f"Remove {name}", on_tap=partial(_remove, phone, line)),
                ],
                gap=4,
            ),
        ],
        padding=10,
    )


def _remove(phone: SystemState, line: CartLine) -> None:
    phone.cart = [other for other in phone.cart if other is not line]


def checkout_screen(phone: SystemState, page: Page, shop: ShopApp) -> Screen:
    """Address and payment."""
    place = partial(_place_order, phone, page, shop)
    body: list[Node] = [
        text("Delivery", bold=True, size_sp=16),
        draft_field(page, "address", "Address", icon="location"),
        text("Payment", bold=True, size_sp=16),
        *(
            radio(
                name,
                page.args.get("payment") == name,
                on_tap=remember(page, payment=name, error=""),
                key=f"pay_{number}",
            )
            for number, name in enumerate(PAYMENTS)
        ),
        row([text("Total", bold=True, grow=1), text(_money(total_cents(phone)), bold=True, size_sp=18)]),
        *([text(page.args["error"], color="error")] if page.args.get("error") else []),
    ]
    return Screen(
        scroll("checkout", body, gap=8, padding=16),
        title="Checkout",
        back_arrow=True,
        footer=row([button("Place order", on_tap=place, grow=1)], padding=12),
    )


def _place_order(phone: SystemState, page: Page, shop: ShopApp) -> None:
    address, payment = page.args.get("address", "").strip(), page.args.get("payment", "")
    if not phone.cart:
        page.args["error"] = "Your cart is empty"
    elif not address:
        page.args["error"] = "Enter an address"
    elif not payment:
        page.args["error"] = "Choose how to pay"
    else:
        order = Order(phone.new_id(), phone.cart, address, payment, total_cents(phone))
        phone.orders.append(order)
        phone.cart = []
        phone.stacks[shop.package] = phone.stacks[shop.package][:1]
        shop.push(phone, "placed", id=order.id)


def placed_screen(phone: SystemState, page: Page, shop: ShopApp) -> Screen:
    """Thanks for the order."""
    order = next((o for o in phone.orders if o.id == page.args.get("id")), None)
    body = [spacer(48), icon("check_circle", size=72, color="primary")]
    body.append(text("Order placed", size_sp=22, bold=True, align="center"))
    if order is not None:
        body.append(text(f"{_money(order.total_cents)}, {order.payment}", color="muted", align="center"))
        body.append(text(order.address, color="muted", align="center", wrap=True, max_lines=2))
    body.append(button("Continue shopping", on_tap=partial(shop.pop, phone)))
    return Screen(column(body, gap=14, padding=24, align="center"), title="Thank you", back_arrow=True)


def orders_screen(phone: SystemState) -> Screen:
    """Everything ordered so far, newest first."""
    items = []
    for order in reversed(phone.orders):
        products = [(_product(phone, line), line.quantity) for line in order.lines]
        names = ", ".join(f"{quantity} × {product.name}" for product, quantity in products if product)
        items.append(list_item(names or "Order", f"{_money(order.total_cents)} · {order.address}", icon="truck"))
    return Screen(scroll("orders", items or [text("No orders yet", color="muted")]), title="Orders", back_arrow=True)


def total_cents(phone: SystemState) -> int:
    """What the cart costs."""
    found = ((_product(phone, line), line.quantity) for line in phone.cart)
    return sum(product.price_cents * quantity for product, quantity in found if product)


def _product(phone: SystemState, line: CartLine) -> Product | None:
    return next((p for p in phone.products if p.id == line.product), None)


def _money(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02d}"
