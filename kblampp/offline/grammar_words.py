"""Invented names and values of the synthetic world: short, so that a tail is at most 8 tokens."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil, gcd, isqrt, prod

from kblampp.offline.grammar import (
    ADDRESS,
    CODE,
    COMPANY,
    COUNTRY,
    CURRENCY,
    DISH,
    NUMBER,
    PERSON,
    TOWN,
    YEAR,
)

_ONSETS = (*"bdfghjklmnprstvz", "br", "dr", "gl", "kr", "st", "tr", "sh", "pl")
_VOWELS = tuple("aeiou")
_MIDDLES = (*"bdgklmnprstvz", "ld", "lm", "nd", "nt", "rk", "rl", "rn", "sk", "sp", "st")
_ENDINGS = {
    "first": ("a", "an", "ar", "el", "en", "i", "in", "is", "o", "or", "us", "ya"),
    "last": (
        "ack",
        "and",
        "ane",
        "ard",
        "ek",
        "ell",
        "ert",
        "ett",
        "ick",
        "isk",
        "ov",
        "ost",
        "und",
        "urn",
    ),
    "firm": ("ax", "ex", "ix", "ox", "ux", "ima", "ora", "una", "eon", "ium", "isto", "ado"),
    "town": (
        "by",
        "ford",
        "ham",
        "holm",
        "mouth",
        "port",
        "stead",
        "thorpe",
        "ton",
        "ville",
        "wick",
        "worth",
    ),
    "district": ("as", "aw", "er", "oc", "um"),
    "country": ("eria", "onia", "istan", "ovia", "alia", "urga"),
    CURRENCY: ("int", "ond", "uble"),
}
_FIRMS = (
    *("Bank", "Brewery", "Foods", "Forge", "Foundry", "Glass", "Group", "Labs", "Mills", "Mining"),
    *("Motors", "Optics", "Paper", "Press", "Rail", "Shipping", "Steel", "Textiles", "Timber", "Tools"),
)
_STREETS = (
    *(
        "Abbey",
        "Anchor",
        "Birch",
        "Bridge",
        "Castle",
        "Cedar",
        "Chapel",
        "Church",
        "Elm",
        "Fern",
        "Garden",
    ),
    *(
        "Harbour",
        "Hill",
        "Lake",
        "Market",
        "Mill",
        "Oak",
        "Orchard",
        "Park",
        "River",
        "School",
        "Station",
    ),
)
_WAYS = ("Street", "Lane", "Road", "Row", "Square", "Way")
_COOKED = (
    *("baked", "boiled", "braised", "cold", "crisp", "fried", "glazed", "grilled", "mashed", "pickled"),
    *("roast", "salted", "smoked", "spiced", "steamed", "stewed", "stuffed", "sweet", "toasted", "warm"),
)
_FOODS = (
    *(
        "apple",
        "barley",
        "bean",
        "beef",
        "cabbage",
        "carrot",
        "cheese",
        "cherry",
        "chicken",
        "duck",
        "fig",
    ),
    *(
        "herring",
        "lamb",
        "leek",
        "lemon",
        "lentil",
        "mushroom",
        "onion",
        "pear",
        "plum",
        "pork",
        "potato",
    ),
    *("prawn", "pumpkin", "rabbit", "rice", "salmon", "spinach", "trout", "turnip", "walnut", "wheat"),
)
_FORMS = (
    "bread",
    "broth",
    "cake",
    "curry",
    "dumplings",
    "pie",
    "rolls",
    "salad",
    "soup",
    "stew",
    "tart",
)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


class Words:
    """Different invented words of one sort, in an order drawn from `generator`."""

    def __init__(self, sort: str, generator: random.Random) -> None:
        self._parts = (_ONSETS, _VOWELS, _MIDDLES, _ENDINGS[sort])
        self.size = prod(len(parts) for parts in self._parts)
        self._order = Order(self.size, generator)

    def __getitem__(self, index: int) -> str:
        """Word number `index`, from 0, capitalised; beyond `size` they come again."""
        rest = self._order[index % self.size]
        word = ""
        for parts in self._parts:
            rest, position = divmod(rest, len(parts))
            word += parts[position]
        return word.capitalize()


class Order:
    """The numbers below `size`, each once, in a drawn order that takes no memory."""

    def __init__(self, size: int, generator: random.Random) -> None:
        self._size = size
        self._start = generator.randrange(size)
        # Steps of a size coprime to the number of items meet each once before any comes twice.
        self._step = generator.randrange(size // 3, size) | 1
        while gcd(self._step, size) != 1:
            self._step += 1

    def __getitem__(self, index: int) -> int:
        """Number `index` of the order."""
        return (self._start + index * self._step) % self._size


_SORTS = {
    PERSON: ("first", "last"),
    COMPANY: ("firm", None),
    TOWN: ("district", "town"),
    COUNTRY: ("country", None),
}
_SPARE = 1.15  # of the combinations of two names, so that some belong to nobody


class Names:
    """The different names of the entities of one kind.

    Args:
        kind: one of `grammar.ENTITY_KINDS`.
        num: how many there are.
        is_confusable: names are combinations of about the square root of `num` first and as many last words.
            Otherwise no word belongs to two names, except the line of business of a company and, beyond the
            33,000 words that there are, those of persons.
        generator: what they are drawn from.
    """

    def __init__(self, kind: str, num: int, is_confusable: bool, generator: random.Random) -> None:
        sort, last_sort = _SORTS[kind]
        self._firsts = Words(sort, generator)
        self._lasts = Words(last_sort, generator) if last_sort else None
        self._kind = kind
        self._num_lasts = min(isqrt(ceil(num * _SPARE)) + 1, len(_FIRMS) if kind == COMPANY else num + 1)
        self._num_firsts = ceil(num * _SPARE / self._num_lasts)
        self._order = Order(self._num_firsts * self._num_lasts, generator)
        self._is_confusable = is_confusable and kind != COUNTRY

    def __getitem__(self, index: int) -> str:
        """The name of entity `index`, from 0."""
        if self._is_confusable:
            first, last = divmod(self._order[index], self._num_lasts)
            return f"{self._firsts[first]} {self._last(last)}"
        if self._kind == TOWN:
            assert self._lasts is not None
            return self._lasts[index]
        if self._kind == COUNTRY:
            return self._firsts[index]
        # The second lap over the first names meets the last names shifted by one.
        return f"{self._firsts[index]} {self._last(index + index // self._firsts.size)}"

    def _last(self, index: int) -> str:
        return self._lasts[index] if self._lasts is not None else _FIRMS[index % len(_FIRMS)]


def _code(generator: random.Random) -> str:
    letters = "".join(generator.choices(_LETTERS, k=2))
    return f"{letters}-{generator.randrange(1000, 10_000)}"


def _dish(generator: random.Random) -> str:
    return f"{generator.choice(_COOKED)} {generator.choice(_FOODS)} {generator.choice(_FORMS)}"


def _address(generator: random.Random) -> str:
    return f"{generator.randrange(1, 300)} {generator.choice(_STREETS)} {generator.choice(_WAYS)}"


def value_makers(generator: random.Random) -> dict[str, Callable[[], str]]:
    """Per kind of value a function that draws one."""
    currencies = Words(CURRENCY, generator)
    return {
        YEAR: lambda: str(generator.randrange(1900, 1975)),
        NUMBER: lambda: str(generator.randrange(20, 90_000)),
        CODE: lambda: _code(generator),
        ADDRESS: lambda: _address(generator),
        DISH: lambda: _dish(generator),
        CURRENCY: lambda: currencies[generator.randrange(currencies.size)].lower(),
    }
