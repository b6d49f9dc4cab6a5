"""Level 1: going somewhere: an app, the home screen, a person, a conversation."""

from __future__ import annotations

import random

from distrl.device.sim.app import launch
from distrl.device.sim.state import Page, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.distractors import permission_popup
from distrl.device.sim.tasks.draws import HELD_OUT_APP, contact_named, thread_with, top
from distrl.device.sim.tasks.hand import APP_NAMES, Hand, Script
from distrl.device.sim.tasks.level2 import ConversationTemplate, PersonTemplate
from distrl.device.sim.tasks.level2_forms import grant
from distrl.device.sim.words import PERMISSIONS
from distrl.types import Split

_TRAINED_APPS = tuple(package for package in APP_NAMES if package != HELD_OUT_APP)


class OpenApp(Template):
    """From the home screen or from inside another app."""

    name = "launcher.open_app"
    level = 1
    apps = ()
    instructions = ("Open {app}.", "Go to the {app} app.", "Launch {app}.", "Start the app {app}.")
    longest = 2
    closed_params = True
    start_in_app = 0.0

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"app": APP_NAMES[rng.choice(_TRAINED_APPS)]}

    def place(self, state: SystemState, params: Params, rng: random.Random) -> None:
        others = [package for package in _TRAINED_APPS if APP_NAMES[package] != params["app"]]
        if rng.random() < 0.4:
            launch(state, rng.choice(others))

    def arrived(self, state: SystemState, params: Params) -> bool:
        return state.app in APP_NAMES and APP_NAMES[state.app] == params["app"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app(params["app"].lower())


class GoHome(Template):
    """From a page deep in some app."""

    name = "launcher.go_home"
    level = 1
    apps = ()
    instructions = ("Go to the home screen.", "Return to the home screen.", "Leave this app: go home.")
    longest = 1
    closed_params = True
    start_in_app = 0.0
    _places = (
        ("settings", Page("display")),
        ("settings", Page("sound")),
        ("settings", Page("network")),
        ("clock", Page("home", {"tab": "Timer"})),
        ("clock", Page("home", {"tab": "Stopwatch"})),
        ("contacts", Page("edit")),
        ("contacts", Page("home")),
        ("messages", Page("new")),
        ("browser", Page("home")),
        ("shop", Page("home")),
    )

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"place": rng.randrange(len(self._places))}

    def place(self, state: SystemState, params: Params, rng: random.Random) -> None:
        package, page = self._places[params["place"]]
        launch(state, package, None if page.name == "home" and not page.args else page)
        if page.name == "home":
            state.stacks[package] = [Page("home", dict(page.args))]
        else:
            state.stacks[package] = [Page("home"), Page(page.name, dict(page.args))]

    def arrived(self, state: SystemState, params: Params) -> bool:
        return state.app == "launcher"

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.home()


class OpenContact(PersonTemplate):
    name = "contacts.open"
    level = 1
    apps = ("contacts",)
    instructions = (
        "Open the contact {first} {last}.",
        "Show the contact page of {first} {last}.",
        "Look up {first} {last} in the contacts.",
    )
    longest = 4
    start_in_app = 0.5

    def arrived(self, state: SystemState, params: Params) -> bool:
        page = top(state, "contacts")
        wanted = contact_named(state, params["first"], params["last"]).id
        return state.app == "contacts" and page is not None and page.name == "detail" and page.args.get("id") == wanted

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_contact(hand, params)


class OpenConversation(ConversationTemplate):
    name = "messages.open"
    level = 1
    instructions = (
        "Open the conversation with {first} {last}.",
        "Show the messages from {first} {last}.",
        "Read what {first} {last} wrote: open the conversation.",
    )
    longest = 2
    start_in_app = 0.5

    def arrived(self, state: SystemState, params: Params) -> bool:
        page = top(state, "messages")
        wanted = thread_with(state, params["phone"]).id
        return state.app == "messages" and page is not None and page.name == "thread" and page.args.get("id") == wanted

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_thread(hand, params)


class PermissionDialog(Template):
    """The dialog in the way is the task."""

    name = "system.permission_dialog"
    level = 1
    apps = ()
    instructions = (
        "{verb} what the dialog asks for.",
        "Answer the permission dialog: {verb}.",
        "The phone asks for a permission: {verb} it.",
    )
    longest = 1
    closed_params = True
    start_in_app = 0.0

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {
            "verb": rng.choice(["allow", "don't allow"]),
            "app": APP_NAMES[rng.choice(_TRAINED_APPS)],
            "permission": rng.choice(PERMISSIONS),
        }

    def place(self, state: SystemState, params: Params, rng: random.Random) -> None:
        package = params["app"].lower()
        grant(state, package, params["permission"], on=False)
        launch(state, package)
        state.popups = [permission_popup(params["app"], params["permission"])]

    def intend(self, state: SystemState, params: Params) -> None:
        if params["verb"] == "allow":
            grant(state, params["app"].lower(), params["permission"], on=True)

    def arrived(self, state: SystemState, params: Params) -> bool:
        title = permission_popup(params["app"], params["permission"]).title
        return all(popup.title != title for popup in state.popups)

    def oracle(self, hand: Hand, params: Params) -> Script:
        hand.dismiss_popups = False
        yield from hand.tap("Allow" if params["verb"] == "allow" else "Don't allow")


TEMPLATES: tuple[Template, ...] = (
    OpenApp(),
    GoHome(),
    OpenContact(),
    OpenConversation(),
    PermissionDialog(),
)
