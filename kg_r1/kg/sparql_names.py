"""What entities behind an endpoint are called, and which entities a text means.

The rules are those of `kg_r1.kg.names`, asked of the endpoint instead of an index of every name: an
entity's label is its name, or 'Name [id]' where the name alone is ambiguous; a text means by id, else by
label, else by name, else by case-folded spelling.
"""

from __future__ import annotations

import logging
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from kg_r1.kg.names import NameIndex, fold
from kg_r1.kg.sparql_cache import BoundedCache
from kg_r1.kg.sparql_config import CaseFolding
from kg_r1.kg.sparql_reader import EndpointReader, Meanings
from kg_r1.kg.sparql_terms import askable, bracketed

logger = logging.getLogger(__name__)

MAX_TEXTS_A_SCAN = 20


class AllNames:
    """Every entity's name, read from the endpoint once and only if needed. Thread-safe.

    Args:
        reader: raises as `EndpointReader.entities`.
        max_names: most names that `index` reads.
    """

    def __init__(self, reader: EndpointReader, max_names: int) -> None:
        self._reader = reader
        self._max_names = max_names
        self._lock = threading.Lock()  # others wait, since they would read the same
        self._read: tuple[list[str], NameIndex] | None = None

    @cached_property
    def num_entities(self) -> int:
        """How many entities there are; counted by the endpoint, once."""
        return self._reader.num_entities()

    def read(self) -> tuple[list[str], NameIndex]:
        """The ids of all entities, sorted, and an index of their names in that order."""
        with self._lock:
            if self._read is None:
                names = self._reader.entities()
                self._read = list(names), NameIndex(list(names), list(names.values()))
            return self._read

    def index(self) -> tuple[list[str], NameIndex] | None:
        """As `read`, where there are at most `max_names`; else None, and nothing is read."""
        return self.read() if self._max_names and self._is_within else None

    @cached_property
    def _is_within(self) -> bool:
        if self.num_entities > self._max_names:
            problem = "%d entities are more than max_indexed_names: no spelling is suggested"
            logger.warning(problem, self.num_entities)
        return self.num_entities <= self._max_names


class EntityNames:
    """Names, labels and meanings of entities, by id. Thread-safe. Raises as `EndpointReader`."""

    def __init__(
        self, reader: EndpointReader, cache: BoundedCache, everyone: AllNames, case_folding: CaseFolding
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._everyone = everyone
        self._case_folding = case_folding

    def remember(self, names: dict[str, str], ids: Iterable[str]) -> None:
        """Notes the names of `ids` that an answer brought along; one that is not in `names` has none."""
        for one in ids:
            self._cache.put(("name", one), names.get(one, one))

    def names(self, ids: Sequence[str]) -> dict[str, str]:
        """The name of each of `ids`; the id where there is none."""
        known = self._known("name", ids)
        missing = [one for one in dict.fromkeys(ids) if one not in known]
        found = self._reader.names(missing) if missing else {}
        self.remember(found, missing)
        return {**known, **{one: found.get(one, one) for one in missing}}

    def labels(self, ids: Sequence[str]) -> dict[str, str]:
        """The label of each of `ids`."""
        known = self._known("label", ids)
        missing = [one for one in dict.fromkeys(ids) if one not in known]
        names = self.names(missing) if missing else {}
        labels = {one: one for one in missing if names[one] == one}
        named = {one: names[one] for one in missing if names[one] != one}
        census = self._reader.census(list(dict.fromkeys(named.values()))) if named else None
        qualified: dict[str, str] = {}
        for one, name in named.items():
            if census is None or name in census.ids or census.num_bearers.get(name, 0) > 1:
                qualified[one] = f"{name} [{one}]"
            else:
                labels[one] = name
        labels |= self._free(qualified)
        for one, label in labels.items():
            self._cache.put(("label", one), label)
        return {**known, **labels}

    def meanings(self, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the entities that each of `texts` means, sorted; () for one that means nobody."""
        known = self._known("meaning", texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        found: dict[str, tuple[str, ...]] = {text: () for text in missing if not askable(text)}
        asked = [text for text in missing if text not in found]
        if asked:
            exact = self._exact(asked)
            found |= {text: tuple(sorted(ids)) for text, ids in exact.items()}
            rest = [text for text in asked if not exact[text]]
            folded = self._folded(rest) if rest else {}
            found |= {text: tuple(sorted(ids)) for text, ids in folded.items()}
        for text in asked:
            self._cache.put(("meaning", text), found[text])
        return {**known, **found}

    def _known(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        found = ((key, self._cache.get((kind, key))) for key in keys)
        return {key: value for key, value in found if value is not None}

    def _free(self, labels: dict[str, str]) -> dict[str, str]:
        """The qualified labels, their ids added again until nobody else is called so."""
        free: dict[str, str] = {}
        while labels:
            census = self._reader.census(list(labels.values()))
            # One bearer shows it unqualified, and so owns it; several show it qualified themselves.
            taken = census.ids | {text for text, number in census.num_bearers.items() if number == 1}
            free |= {one: label for one, label in labels.items() if label not in taken}
            labels = {one: f"{label} [{one}]" for one, label in labels.items() if label in taken}
        return free

    def _exact(self, texts: Sequence[str]) -> dict[str, set[str]]:
        """By id, else label, else name. A name is any label in the languages of the settings."""
        inner = [one for text in texts for one in bracketed(text)]
        found = self._reader.meanings(list(dict.fromkeys([*texts, *inner])))
        unclear = [text for text in texts if text not in found.ids]
        candidates = [one for text in unclear for one in bracketed(text) if one in found.ids]
        labels = self.labels(candidates) if candidates else {}
        exact: dict[str, set[str]] = {text: {text} for text in texts if text in found.ids}
        for text in unclear:
            by_label = {one for one in bracketed(text) if labels.get(one) == text}
            exact[text] = by_label or found.bearers.get(text, set())
        return exact

    def _folded(self, texts: Sequence[str]) -> dict[str, set[str]]:
        """By case-folded spelling: in the index of all names if there is one, else as settings say."""
        indexed = self._everyone.index()
        if indexed is not None:
            ids, index = indexed
            return {text: {ids[place] for place in index.resolve(text)} for text in texts}
        return {} if self._case_folding == "off" else self._folded_there(texts)

    def _folded_there(self, texts: Sequence[str]) -> dict[str, set[str]]:
        folded: dict[str, set[str]] = {}
        for start in range(0, len(texts), MAX_TEXTS_A_SCAN):
            part = texts[start : start + MAX_TEXTS_A_SCAN]
            wanted = [one for text in part for one in (text, *bracketed(text.strip()))]
            found = self._spelt_alike([one for one in dict.fromkeys(wanted) if askable(one)])
            inner = {one: fold(one) for one in sorted(found.ids)}
            by_fold = {text: {fold(one) for one in bracketed(text.strip())} for text in part}
            candidates = [one for one in inner if any(inner[one] in ids for ids in by_fold.values())]
            labels = self.labels(candidates) if candidates else {}
            for text in part:
                key = fold(text)
                folded[text] = {one for one, own in inner.items() if own == key}
                folded[text] |= {one for one in candidates if fold(labels[one]) == key}
                for name, bearers in found.bearers.items():
                    folded[text] |= bearers if fold(name) == key else set()
        return folded

    def _spelt_alike(self, texts: Sequence[str]) -> Meanings:
        """Ids and labels that differ from one of `texts` in case, and a superset of them at that."""
        if self._case_folding == "variants":
            variants = [one for text in texts for one in _variants(text)]
            return self._reader.meanings(list(dict.fromkeys(variants)))
        lower = dict.fromkeys(form.lower() for text in texts for form in _forms(text))
        upper = dict.fromkeys(form.upper() for text in texts for form in _forms(text))
        return self._reader.folded(list(lower), list(upper))


def _forms(text: str) -> list[str]:
    """A text as it stands, in both compositions, and folded: an endpoint compares code points."""
    stripped = text.strip()
    forms = (text, *(unicodedata.normalize(form, stripped) for form in ("NFC", "NFD")), fold(text))
    return list(dict.fromkeys(forms))


def _variants(text: str) -> list[str]:
    """The spellings of a text that are looked up where a scan of all names would cost too much."""
    found = []
    for form in _forms(text):
        found += [form, form.lower(), form.upper(), form.title(), form.capitalize()]
        found.append(" ".join(word[:1].upper() + word[1:] for word in form.split(" ")))
    return list(dict.fromkeys(found))
