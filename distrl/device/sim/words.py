"""The words worlds and tasks are made of: pools with a part for training and a part that never appears there.

    pool("first_names", "train")              what training worlds and tasks draw from
    pool("first_names", "held_out_params")    names that no training world or task ever shows

Only `held_out_params` draws from the held-out part: the other held-out splits keep the training words, so that each
split measures one kind of novelty. All names of products, brands and sites are invented.
"""

from __future__ import annotations

from typing import Final

from distrl.errors import TaskError
from distrl.types import Split

COLORS: Final[dict[str, str]] = {
    "red": "#d64545",
    "blue": "#3f6ad8",
    "green": "#3f9d5a",
    "yellow": "#f2c230",
    "orange": "#ee8434",
    "purple": "#8a4fd0",
    "pink": "#ec8fb8",
    "black": "#26282c",
    "white": "#f7f7f5",
    "brown": "#8a5a3b",
}
"""Product colours by name: the swatches show only the colour."""

NOTE_COLORS: Final[dict[str, str]] = {
    "white": "#ffffff",
    "red": "#f6b8b1",
    "orange": "#f9cf9c",
    "yellow": "#fbf0a0",
    "green": "#bfe6b8",
    "blue": "#b5d5f7",
    "purple": "#d6c2f2",
}

ACCENTS: Final[dict[str, str]] = {
    "blue": "#3f6ad8",
    "green": "#2f8f57",
    "red": "#c9403a",
    "orange": "#d9731a",
    "purple": "#7d4ac9",
    "teal": "#1d8a92",
}

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LANGUAGES: Final = ("English", "Deutsch", "Español", "Français", "Italiano", "Nederlands", "Português", "Svenska")
PERMISSIONS: Final = ("Location", "Camera", "Microphone", "Contacts", "Notifications")
CATEGORIES: Final = ("Home", "Office", "Clothes", "Sports", "Electronics")

NOUNS: Final[dict[str, tuple[str, str, int, int]]] = {
    # Product noun: (category, picture, lowest price, highest price), prices in whole units of money.
    "mug": ("Home", "mug", 6, 18),
    "bottle": ("Home", "bottle", 9, 32),
    "plant": ("Home", "plant", 8, 45),
    "clock": ("Home", "clock", 14, 65),
    "lamp": ("Office", "lamp", 16, 85),
    "chair": ("Office", "chair", 55, 230),
    "notebook": ("Office", "book", 4, 16),
    "pencil": ("Office", "edit", 2, 9),
    "shirt": ("Clothes", "shirt", 14, 45),
    "hat": ("Clothes", "hat", 10, 35),
    "shoes": ("Clothes", "shoe", 35, 130),
    "umbrella": ("Clothes", "umbrella", 11, 38),
    "backpack": ("Sports", "backpack", 30, 110),
    "ball": ("Sports", "ball", 8, 38),
    "bike": ("Sports", "bike", 180, 640),
    "headphones": ("Electronics", "headphones", 28, 190),
    "camera": ("Electronics", "camera", 90, 420),
    "laptop": ("Electronics", "laptop", 380, 950),
    "teacup": ("Home", "mug", 5, 20),
    "flask": ("Home", "bottle", 12, 40),
    "lantern": ("Office", "lamp", 18, 60),
    "diary": ("Office", "book", 7, 25),
    "sweater": ("Clothes", "shirt", 28, 90),
    "cap": ("Clothes", "hat", 9, 30),
    "boots": ("Clothes", "shoe", 50, 150),
    "rucksack": ("Sports", "backpack", 40, 120),
    "football": ("Sports", "ball", 12, 45),
    "wristwatch": ("Electronics", "watch", 40, 210),
    "tablet": ("Electronics", "device", 120, 480),
}


_TRAIN_NOUNS: Final = 18
"""The first so many nouns are for training."""


def _words(block: str) -> tuple[str, ...]:
    return tuple(block.split())


def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.strip().splitlines())


_TRAIN: Final[dict[str, tuple[str, ...]]] = {
    "first_names": _words("""
        Anna Ben Clara David Emma Felix Grace Hugo Iris Jonas Karin Leo Maria Nils Olivia Paul Quinn
        Ruth Simon Tara Ursula Victor Wendy Xavier Yara Zoe Adam Bella Carl Diana Erik Fiona Gavin
        Helen Ivan Julia Kevin Laura Marco Nora Oscar Petra Rosa Stefan Tina Vera Walter Amir Chen
        Deepa Farid Hana Kofi Lin Mei Omar Priya Ravi
    """),
    "last_names": _words("""
        Adler Baker Castro Dahl Evans Fischer Garcia Hansen Ibarra Jensen Keller Lopez Meyer Novak
        Olsen Parker Quist Rossi Smith Turner Ullman Vargas Weber Young Ziegler Brandt Cooper Duarte
        Ellis Foster Gomez Huber Ito Jones Kumar Larsen Moreno Nguyen Okafor Perez Reyes Silva
        Tanaka Usman Varga Walsh Yilmaz Zhang
    """),
    "email_domains": ("mail.example", "post.example", "inbox.example"),
    "note_titles": _lines("""
        Shopping list
        Weekend plans
        Book ideas
        Gift ideas
        Packing list
        Garden jobs
        Meeting notes
        Dinner menu
        Train times
        Gym plan
        Car service
        Holiday budget
        Movie night
        School forms
        House repairs
        Birthday party
        Doctor questions
        Language words
        Project goals
        Travel route
        Weekly budget
        Moving boxes
    """),
    "note_bodies": _lines("""
        milk, bread and eggs
        call the office before noon
        bring the blue folder
        two tickets for Saturday
        ask about the new price
        clean the kitchen first
        the code is on the table
        meet at the station at six
        buy paint and a brush
        send the photos to the team
        run three times a week
        check the tires and the oil
        water the plants every second day
        read chapter four tonight
        save a little every month
        take warm socks and a coat
    """),
    "list_items": _words("""
        milk bread eggs rice apples cheese butter coffee tomatoes onions peppers oats flour sugar salt
        beans carrots yogurt pasta lemons
    """),
    "note_folders": ("Work", "Family", "Travel", "Ideas", "Health", "Money"),
    "message_texts": _lines("""
        See you at noon
        I am on my way
        Can you call me later?
        Thanks for your help
        Dinner is at seven
        The meeting moved to Monday
        Please bring the keys
        Happy birthday!
        Running ten minutes late
        Did you get the package?
        Let's meet at the park
        The train was on time
        What should I buy?
        Good luck today
        I will be home soon
        Are you free tomorrow?
        The tickets are ready
        Call me when you land
        Lunch on Friday?
        I left the door open
        The kids are asleep
        Great work yesterday
        Where did you park?
        Do not forget the milk
        It starts at eight
        Send me the address
        I found your umbrella
        The doctor said all is fine
        We need more chairs
        How was the concert?
        The water is off until four
        Take the second street on the left
    """),
    "alarm_labels": ("Work", "Gym", "School", "Pills", "Walk the dog", "Call home", "Train", "Yoga", "Meeting", "Nap"),
    "adjectives": _words("""
        Classic Soft Bright Compact Modern Simple Sturdy Light Warm Smart Round Tall Little Fresh
        Quiet Bold
    """),
    "nouns": tuple(NOUNS)[:_TRAIN_NOUNS],
    "brands": _words("""
        Tavrin Oskelo Brumel Quindle Peltova Marrowby Sunfell Kestwick
    """),
    "streets": _lines("""
        Oak Street
        Mill Lane
        River Road
        Park Avenue
        Station Road
        Church Lane
        Hill Street
        Garden Road
        Lake Avenue
        Bridge Street
    """),
    "towns": ("Elmford", "Northwick", "Sandbury", "Westhollow", "Greenmere"),
    "wifi_networks": ("Home", "Cafe Corner", "Office Guest", "Library Free", "Neighbour 5G", "Train Net"),
    "device_names": ("My phone", "Blue phone", "Work phone", "Travel phone", "Kitchen phone"),
    "headlines": _lines("""
        New bridge opens to traffic
        Rain expected all weekend
        Local team wins the cup
        Museum shows rare maps
        Bakery celebrates fifty years
        Council plans more bus lanes
        Students build a solar boat
        Old cinema to become a library
        Record crowd at the harvest fair
        Swimmers cross the cold lake
        Farmers hope for a dry autumn
        City plants a thousand trees
        Choir sings in the main square
        Night train returns in spring
    """),
    "news_sentences": _lines("""
        Hundreds of people came to see it.
        The mayor thanked all helpers.
        Work will last until the end of June.
        Nobody knows yet who will pay.
        Children under ten enter free.
        The weather stayed dry all day.
        Organisers speak of a full success.
        A second date is planned for May.
        The doors open at half past nine.
        Neighbours had asked for it for years.
    """),
    "recipes": _lines("""
        Tomato soup
        Lemon chicken
        Bean stew
        Apple cake
        Rice salad
        Carrot curry
        Cheese pie
        Potato pancakes
        Onion bread
        Coffee cream
    """),
    "books": _lines("""
        The Silver Road
        A Quiet Harbour
        Winter Garden
        The Last Map
        Seven Letters
        River of Glass
        The Clockmaker
        Under Green Hills
        Northern Lights
        The Empty Boat
    """),
    "problems": ("Broken light", "Blocked drain", "Loud noise", "Missing sign", "Full bin"),
}

_HELD_OUT: Final[dict[str, tuple[str, ...]]] = {
    "first_names": _words("""
        Astrid Bruno Celine Dmitri Elsa Fatima Gustav Hedda Ingrid Jamal Kirsten Lars Milena Nadia
        Otto Pilar Rafael Selma Tobias Yusuf
    """),
    "last_names": _words("""
        Abbott Bergman Cohen Dupont Eriksen Ferrari Goldberg Hoffman Ivanov Johansson Kowalski
        Lindgren Mbeki Nakamura Ortega Petrov Ramirez Sandoval Thorne Virtanen
    """),
    "email_domains": ("letter.example",),
    "note_titles": _lines("""
        Camping gear
        Piano lessons
        Wedding guests
        Vaccine dates
        Puppy names
        Tax receipts
        Podcast topics
        Marathon training
    """),
    "note_bodies": _lines("""
        borrow a ladder from upstairs
        reserve seats near the window
        print both contracts twice
        collect shells along the beach
        replace the battery in autumn
        practise scales before breakfast
    """),
    "list_items": _words("""
        spinach honey walnuts garlic vinegar noodles cucumber raisins
    """),
    "note_folders": ("Hobbies", "Recipes", "Studies"),
    "message_texts": _lines("""
        My flight got cancelled
        Shall we rent bicycles?
        Congratulations on your promotion!
        The plumber arrives before lunch
        Remember your passport
        Everyone loved the cake
        I lost my wallet
        Could you feed our cat?
        Traffic is terrible here
        Let's postpone until Thursday
    """),
    "alarm_labels": ("Piano", "Laundry", "Vitamins", "Rehearsal", "Airport"),
    "adjectives": _words("""
        Rustic Elegant Slim Cosy Rugged Vivid
    """),
    "nouns": tuple(NOUNS)[_TRAIN_NOUNS:],
    "brands": _words("""
        Duvane Ollimar Fennbrook Zarquel
    """),
    "streets": ("Maple Crescent", "Cliff Walk", "Castle Row", "Orchard Close"),
    "towns": ("Pinecombe", "Rushwell"),
    "wifi_networks": ("Attic", "Hotel Lobby", "Marina Hotspot", "Studio 12"),
    "device_names": ("Spare phone", "Holiday phone"),
    "headlines": _lines("""
        Volcano tours restart safely
        Orchestra hires young violinist
        Ferry strike ends after talks
        Beavers return to upper valley
        Chess champion visits schools
        Lighthouse gets fresh paint
    """),
    "news_sentences": _lines("""
        Experts call the result surprising.
        Volunteers served hot chocolate afterwards.
        Tickets sold out within minutes.
        Police closed two lanes overnight.
    """),
    "recipes": ("Garlic noodles", "Spinach omelette", "Honey muffins", "Walnut brownies", "Pumpkin risotto"),
    "books": ("Desert Orchids", "Whispering Stones", "Midnight Ferry", "Copper Kingdom", "Falcon Summer"),
    "problems": ("Icy pavement", "Fallen branch"),
}


def pool(name: str, split: Split = "train") -> tuple[str, ...]:
    """The words called `name` that `split` may use; raises `TaskError` for a name that is not a pool.

    Only `held_out_params` gets the held-out words: the other splits are new in something else.
    """
    pools = _HELD_OUT if split == "held_out_params" else _TRAIN
    if name not in pools:
        raise TaskError(f"Word pools have fixed names; {name!r} is not one of them. Use one of: {', '.join(pools)}.")
    return pools[name]


def pool_names() -> tuple[str, ...]:
    """The names that `pool` knows, in a fixed order."""
    return tuple(_TRAIN)


def rotated(codes: list[str], start: int) -> list[str]:
    """A palette from its `start`th colour on, round to the one before: phones differ in where theirs begin."""
    start %= len(codes)
    return codes[start:] + codes[:start]


def color_name(code: str) -> str:
    """The name of a product, note or accent colour, e.g. `red`; the code itself where it has none."""
    for palette in (COLORS, NOTE_COLORS, ACCENTS):
        for name, value in palette.items():
            if value == code:
                return name
    return code


def every_word() -> tuple[str, ...]:
    """All words and phrases of all pools, held-out ones included: what a vocabulary should cover."""
    return tuple(dict.fromkeys(word for pools in (_TRAIN, _HELD_OUT) for words in pools.values() for word in words))
