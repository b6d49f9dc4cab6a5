"""Browser and shop: driven through their views, checked on the state they leave; and whole flows by touch."""

from __future__ import annotations

import random

import pytest
from sim_driver import APPS, HARD_TEXT, Driver, small_state

from distrl.device.sim.app import launch
from distrl.device.sim.apps.shop import parse_cents
from distrl.device.sim.apps.sites import SITES, resolve
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import CartLine, Message, SystemState, dump, load
from distrl.device.sim.words import COLORS
from distrl.device.sim.world import make_world
from distrl.types import Action, ActionKind, Element


@pytest.fixture
def state() -> SystemState:
    return small_state()


# --- browser ---


def _browse(state: SystemState, address: str) -> Driver:
    driver = Driver(state, "browser")
    driver.type("Search or type address", address)
    driver.enter("address")
    return driver


def test_addresses_are_told_from_searches():
    typed = ["daily.example", "https://www.Daily.example/article/1/", "tomato soup", "soup", "is 1.5 enough"]
    assert [resolve(content) for content in typed] == [
        "daily.example",
        "daily.example/article/1",
        "findit.example?q=tomato soup",
        "findit.example?q=soup",
        "findit.example?q=is 1.5 enough",
    ]


def test_a_search_leads_to_the_page_and_into_the_history():
    state = make_world(random.Random(3))
    recipe = state.web.recipes[2]
    driver = _browse(state, recipe.title)
    driver.tap(recipe.title)
    assert driver.sees(f"{recipe.minutes} minutes")
    assert all(driver.sees(ingredient) for ingredient in recipe.ingredients)
    assert state.history[-2:] == [f"findit.example?q={recipe.title}", "kitchen.example/recipe/2"]
    driver.back()
    assert driver.sees("Results for")


def test_every_link_of_every_site_leads_somewhere():
    start = dump(make_world(random.Random(4)))
    seen: set[str] = set()
    frontier = [*SITES, "findit.example?q=a"]
    while frontier:
        url = frontier.pop()
        if url in seen:
            continue
        seen.add(url)
        driver = _browse(load(start), url)
        assert not driver.sees("can't be reached"), url
        assert driver.screen().title != url
        shown = dump(driver.state)
        for number, node in enumerate(driver.nodes()):
            if node.kind in ("list_item", "button") and node.key != "address_bar":
                driver.state = load(shown)
                again = driver.nodes()[number]
                assert again.on_tap is not None
                again.on_tap()
                frontier += driver.state.history[-1:]
    assert len(seen) > 20


@pytest.mark.parametrize(
    "address", ["nowhere.example", "daily.example/article/99", "kitchen.example/x", "findit.examples"]
)
def test_unknown_addresses_cannot_be_reached(address):
    driver = _browse(make_world(random.Random(5)), address)
    assert driver.sees("This site can't be reached")


def test_bookmarks_are_added_opened_and_removed(state):
    driver = _browse(state, "town.example")
    driver.tap("Add bookmark")
    assert [(b.title, b.url) for b in state.bookmarks] == [("Town Hall", "town.example")]
    driver.tap("More options")
    driver.tap("Bookmarks")
    driver.tap("Town Hall")
    assert state.history[-1] == "town.example"
    driver.tap("Remove bookmark")
    assert state.bookmarks == []


def test_history_lists_the_newest_first_and_is_cleared_after_a_question(state):
    driver = _browse(state, "town.example")
    driver.tap("More options")
    driver.tap("Home page")
    driver.type("address", "daily.example")
    driver.tap("Go")
    driver.tap("More options")
    driver.tap("History")
    assert [node.secondary for node in driver.nodes() if node.kind == "list_item"] == ["daily.example", "town.example"]
    driver.tap("Clear")
    driver.tap("Cancel")
    assert len(state.history) == 2
    driver.tap("Clear")
    driver.tap("Clear")
    assert state.history == []


def test_a_form_names_each_wrong_field_and_sends_only_when_all_are_right(state):
    driver = _browse(state, "library.example/card")
    driver.type("Email", "nobody")
    driver.type("Phone", "12")
    driver.tap("Submit")
    expected = ("This field is required", "Enter a valid email address", "Enter a valid phone number", "Choose one",
                "Accept the rules to go on")  # fmt: skip
    assert all(driver.sees(message) for message in expected)
    assert state.forms == []
    driver.type("Full name", 'Anna "A" Keller')
    driver.type("Email", "anna@mail.example")
    driver.type("Phone", "555 0001")
    driver.tap("Lakeside")
    driver.tap("I accept the rules")
    driver.tap("Submit")
    assert [(f.site, f.fields) for f in state.forms] == [
        (
            "library.example/card",
            {
                "name": 'Anna "A" Keller',
                "email": "anna@mail.example",
                "phone": "555 0001",
                "branch": "Lakeside",
                "terms": "yes",
            },
        )
    ]
    assert driver.sees("Thank you")


def test_optional_fields_may_stay_empty(state):
    driver = _browse(state, "town.example/report")
    driver.tap("Full bin")
    driver.type("Street", "Mill Lane")
    driver.type("Email", "a@b")
    driver.tap("Send report")
    assert state.forms[0].fields == {"kind": "Full bin", "street": "Mill Lane", "details": "", "email": "a@b"}


@pytest.mark.parametrize("package", ["browser", "shop"])
def test_offline_pages_lead_to_the_network_settings(state, package):
    driver = _browse(state, "daily.example") if package == "browser" else Driver(state, package)
    state.settings.airplane = True
    assert driver.sees("You're offline")
    driver.tap("Network settings")
    assert state.app == "settings"
    driver.tap("Airplane mode")
    launch(state, package)
    assert not driver.sees("You're offline")


# --- shop ---


def test_the_catalogue_is_searched_filtered_and_sorted(state):
    driver = Driver(state, "shop")

    def shown() -> list[str]:
        return [node.text for node in driver.nodes() if node.kind == "list_item"]

    driver.tap("Sort")
    driver.tap("Price: low to high")
    assert shown() == ["Soft hat", "Red mug", "Tall lamp"]
    driver.tap("Sort")
    driver.tap("Best rated")
    assert shown() == ["Red mug", "Soft hat", "Tall lamp"]
    driver.tap("Filter")
    driver.tap("Tavrin")
    driver.type("Maximum price", "9")
    driver.tap("Apply")
    assert shown() == ["Soft hat"]
    driver.tap("Filter")
    driver.tap("Clear")
    driver.tap("4.5+")
    driver.tap("Apply")
    assert shown() == ["Red mug"]
    driver.tap("Filter")
    driver.tap("4.5+")
    driver.tap("Office")
    driver.tap("Apply")
    assert shown() == ["Tall lamp"]
    driver.tap("Filter")
    driver.type("max_price", "cheap")
    driver.tap("Apply")
    assert driver.sees("Enter a price")
    driver.back()
    driver.type("query", "tavrin")
    assert driver.sees("No products found")


def test_a_product_goes_into_the_cart_in_the_chosen_colour_and_number(state):
    driver = Driver(state, "shop")
    driver.tap("Red mug")
    driver.swatch(COLORS["blue"])
    driver.tap("Decrease quantity")
    driver.tap("Increase quantity")
    driver.tap("Increase quantity")
    driver.tap("Add to favourites")
    driver.tap("Add to cart")
    assert state.cart == [CartLine(40, COLORS["blue"], 3)]
    assert driver.sees("Added to cart")
    driver.tap("Add to cart")
    assert state.cart == [CartLine(40, COLORS["blue"], 4)]
    driver.swatch(COLORS["green"])
    driver.tap("Add to cart")
    assert len(state.cart) == 2
    assert state.favourites == [40]
    driver.tap("Remove from favourites")
    assert state.favourites == []


def test_an_order_takes_address_and_payment_and_empties_the_cart(state):
    state.cart = [CartLine(40, COLORS["red"], 2), CartLine(42, COLORS["blue"])]
    driver = Driver(state, "shop")
    driver.tap("Cart")
    assert driver.find("total").text == "$34.00"
    driver.tap("Increase Soft hat")
    driver.tap("Decrease Red mug")
    assert driver.find("total").text == "$30.50"
    driver.tap("Checkout")
    driver.tap("Place order")
    assert driver.sees("Enter an address")
    driver.type("Address", "5 Oak Street")
    driver.tap("Place order")
    assert driver.sees("Choose how to pay")
    driver.tap("Gift card")
    assert state.orders == []
    driver.tap("Place order")
    (order,) = state.orders
    assert (order.address, order.payment, order.total_cents) == ("5 Oak Street", "Gift card", 3050)
    assert order.lines == [CartLine(40, COLORS["red"], 1), CartLine(42, COLORS["blue"], 2)]
    assert state.cart == []
    assert driver.sees("Order placed")
    driver.tap("Continue shopping")
    driver.tap("Orders")
    assert driver.sees("1 × Red mug")


def test_a_line_is_removed_and_an_empty_cart_cannot_be_bought(state):
    state.cart = [CartLine(40, COLORS["red"]), CartLine(40, COLORS["blue"])]
    driver = Driver(state, "shop")
    driver.tap("Cart")
    driver.tap("Remove Red mug")
    assert state.cart == [CartLine(40, COLORS["blue"])]
    driver.tap("Remove Red mug")
    assert driver.sees("Your cart is empty")
    assert not driver.find("Checkout").enabled


def test_typed_prices_are_read_in_cents():
    assert [parse_cents(t) for t in ("40", "12.5", "$3.99", "0", "")] == [4000, 1250, 399, 0, None]
    assert [parse_cents(t) for t in ("-1", "1.234", "ten", "1.x", ".5")] == [None] * 5


# --- the same flows by touch alone ---


def _find(phone: Phone, label: str) -> Element:
    spoken = [e for e in phone.elements() if label in (e.text, e.text.partition(", ")[0], e.content_description)]
    assert spoken, (label, [e.text or e.content_description for e in phone.elements()])
    return next((e for e in spoken if e.clickable), spoken[0])


def _play(phone: Phone, *steps: str) -> int:
    """Taps each label; `field=text` taps the field where it has no focus and types; returns the number of actions."""
    num = 0
    for step in steps:
        label, typed, content = step.partition("=")
        element = _find(phone, label)
        if not (typed and element.focused):
            x, y = element.center
            phone.apply(Action(ActionKind.TAP, touch=(x / phone.size[0], y / phone.size[1])))
            num += 1
        if typed:
            phone.apply(Action(ActionKind.TYPE, text=content))
            num += 1
    return num


@pytest.fixture(params=[(540, 1200), (108, 240)], ids=str)
def phone(request, state):
    return Phone(state, size=request.param)


def test_touches_add_a_contact_in_few_actions(phone):
    launch(phone.state, "contacts")
    steps = ("New contact", "First name=Tara", "Last name=Ito", "Phone=5551234", "Save")
    assert _play(phone, *steps) <= 8
    assert (phone.state.contacts[-1].name, phone.state.contacts[-1].phone) == ("Tara Ito", "5551234")


def test_touches_add_an_alarm_in_few_actions_typing_over_the_time(phone):
    launch(phone.state, "clock")
    assert _play(phone, "Add alarm", "Hour=9", "Minute=5", "Save") <= 8
    assert (phone.state.alarms[-1].hour, phone.state.alarms[-1].minute) == (9, 5)
    assert _play(phone, "Alarm 07:30 on", "07:30", "Hour=21", "Minute=45", "Save") <= 8
    assert (phone.state.alarms[0].hour, phone.state.alarms[0].minute, phone.state.alarms[0].on) == (21, 45, True)


def test_touches_send_a_message_and_keep_the_newest_in_sight(phone):
    launch(phone.state, "messages")
    thread = phone.state.threads[0]
    thread.messages += [Message("5550001", f"Message {number}", 410 + number) for number in range(11)]
    _play(phone, "Anna Keller")
    assert any(e.text == "Message 10" for e in phone.elements())
    phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.4), lift=(0.5, 0.8)))
    assert not any(e.text == "Message 10" for e in phone.elements())
    _play(phone, "Text message=Fine, thanks", "Send")
    assert phone.state.threads[0].messages[-1].text == "Fine, thanks"
    assert any(e.text == "Fine, thanks" for e in phone.elements())
    phone.apply(Action(ActionKind.BACK))
    for _ in range(6):
        phone.apply(Action(ActionKind.SWIPE, touch=(0.5, 0.4), lift=(0.5, 0.8)))
    assert not any(e.text == "Fine, thanks" for e in phone.elements())


def test_touches_order_a_product(phone):
    launch(phone.state, "shop")
    _play(phone, "Red mug", "Increase quantity", "Add to cart", "Cart", "Checkout", "Address=5 Oak Street", "Enter")
    _play(phone, "Card", "Place order")
    (order,) = phone.state.orders
    assert (order.lines, order.payment, order.total_cents) == ([CartLine(40, COLORS["red"], 2)], "Card", 2500)


def test_a_disabled_switch_does_not_answer_touches(phone):
    phone.state.settings.airplane = True
    launch(phone.state, "settings")
    _play(phone, "Network", "Wi-Fi")
    assert phone.state.settings.wifi
    _play(phone, "Airplane mode", "Wi-Fi")
    assert not phone.state.settings.wifi


@pytest.mark.parametrize("package", [name for name in APPS if name != "launcher"])
def test_no_series_of_touches_breaks_an_app(package):
    """Any page reached has a title and keys of its own, and the state survives JSON."""
    rng = random.Random(package)
    phone = Phone(make_world(rng), size=(108, 240))
    for step in range(150):
        if step % 30 == 0 or phone.state.app != package:
            launch(phone.state, package)
        keys = [e.resource_id for e in phone.elements() if e.resource_id and e.package == package]
        assert len(keys) == len(set(keys)), keys
        touchable = [e for e in phone.elements() if e.clickable and e.package == package] or list(phone.elements())
        x, y = rng.choice(touchable).center
        kind = rng.choice([ActionKind.TAP] * 5 + [ActionKind.LONG_PRESS, ActionKind.BACK, ActionKind.SWIPE])
        if phone.state.focus and rng.random() < 0.6:
            phone.apply(Action(ActionKind.TYPE, text=rng.choice(["7", "a@b", HARD_TEXT])))
            kind = rng.choice([ActionKind.ENTER, ActionKind.BACK])
        phone.apply(Action(kind, touch=(x / 108, y / 240), lift=(0.5, 0.2)))
        assert load(phone.snapshot()) == phone.state
        assert phone.render().shape == (240, 108, 3)
