"""How the entities of one graph are called, and which entities a given text means.

In: one id and one name per entity, by index. Out: an unambiguous label per entity, the entities that a text
means, and the names nearest to a text that means none.
"""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

MAX_QUERY_CHARS = 200
MAX_POSTINGS = 20_000
MIN_SIMILARITY = 0.3


def fold(text: str) -> str:
    """`text` for comparison without regard to case: NFC, stripped, case-folded."""
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return unicodedata.normalize("NFC", folded)


def make_labels(ids: Sequence[str], names: Sequence[str]) -> list[str]:
    """One label per entity: its name where that means nobody else, else 'Name [id]'.

    No label equals another entity's id or label, so that a label, looked up by id first and by label next,
    leads back to exactly its entity.
    """
    owner = {entity_id: index for index, entity_id in enumerate(ids)}
    num_bearers = Counter(names)
    labels = [""] * len(ids)
    taken: set[str] = set()
    qualified: list[int] = []
    for index, (entity_id, name) in enumerate(zip(ids, names, strict=True)):
        if name == entity_id or (num_bearers[name] == 1 and name not in owner):
            labels[index] = name
            taken.add(name)
        else:
            qualified.append(index)
    for index in qualified:
        label = f"{names[index]} [{ids[index]}]"
        while label in taken or owner.get(label, index) != index:
            label += f" [{ids[index]}]"
        labels[index] = label
        taken.add(label)
    return labels


class NameIndex:
    """Look-up of entities by id, label and name. Safe to read from many threads.

    Args:
        ids: the entities' ids, by index, no two alike.
        names: the entities' names, by index; the id stands in where there is none.
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str]) -> None:
        self.labels: list[str] = make_labels(ids, names)
        self._by_id = {entity_id: index for index, entity_id in enumerate(ids)}
        self._by_label = {label: index for index, label in enumerate(self.labels)}
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_folded: dict[str, list[int]] = defaultdict(list)
        for index, spellings in enumerate(zip(ids, names, self.labels, strict=True)):
            self._by_name[spellings[1]].append(index)
            for folded in sorted({fold(spelling) for spelling in set(spellings)}):
                self._by_folded[folded].append(index)
        self._trigrams: dict[str, list[int]] | None = None
        self._trigrams_lock = threading.Lock()

    def resolve(self, text: str) -> list[int]:
        """The entities that `text` means, ascending: by id, else label, else name, else case-folded."""
        if text in self._by_id:
            return [self._by_id[text]]
        if text in self._by_label:
            return [self._by_label[text]]
        if text in self._by_name:
            return list(self._by_name[text])
        return list(self._by_folded.get(fold(text), ()))

    def close_labels(self, text: str, max_labels: int = 3) -> list[str]:
        """The labels most like `text` (shared character trigrams), best first; none that is far from it."""
        wanted = trigrams(fold(text[:MAX_QUERY_CHARS]))
        postings = self._trigram_postings()
        num_shared: Counter[int] = Counter()
        num_seen = 0
        # Rare trigrams say the most, and reading them first keeps a look-up bounded in a large graph.
        for trigram in sorted(wanted, key=lambda one: (len(postings.get(one, ())), one)):
            bearers = postings.get(trigram, [])
            num_seen += len(bearers)
            if num_seen > MAX_POSTINGS and num_shared:
                break
            num_shared.update(bearers)
        scored = []
        for index, shared in num_shared.items():
            num_own = len(trigrams(fold(self.labels[index])))
            scored.append((-2 * shared / (num_own + len(wanted)), self.labels[index]))
        return [label for score, label in sorted(scored)[:max_labels] if -score >= MIN_SIMILARITY]

    def _trigram_postings(self) -> dict[str, list[int]]:
        # Built on the first misspelt name only: most graphs never need it.
        with self._trigrams_lock:
            if self._trigrams is None:
                postings: dict[str, list[int]] = defaultdict(list)
                for index, label in enumerate(self.labels):
                    for trigram in trigrams(fold(label)):
                        postings[trigram].append(index)
                self._trigrams = dict(postings)
            return self._trigrams


def trigrams(text: str) -> set[str]:
    """The character trigrams of `text`, its two ends marked with spaces; empty for an empty text."""
    padded = f"  {text} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)} if text else set()
