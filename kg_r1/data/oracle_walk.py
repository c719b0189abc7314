"""One oracle walk as a conversation: a turn's text out, the text of the observation in.

The walk is told the question's path, and nothing else of the graph: every name that it writes it has read in
the episode, in the question's topic entities or in an observation (a cut observation shows it less, and it
goes on with what it was shown). So it is a walk that a model could have played.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from kg_r1.data.evidence_path import Chain, Without
from kg_r1.data.oracle_detours import Detour, Habits, draw_detour, draw_extra_hop, mistaken
from kg_r1.data.oracle_words import (
    back_thought,
    first_thought,
    last_thought,
    look_thought,
    more_thought,
    next_thought,
)
from kg_r1.kg.paths import Hop
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.question import Question
from kg_r1.search.specs import EntityForm

_OBSERVATION = re.compile(r"<information>(.*)</information>", re.DOTALL)
_MARK = re.compile(r"^(#\d+): ")
_LEFT_OUT = re.compile(r"(?:^| )\(\+\d+ more\)$")
_NOTES = re.compile(r" \((?:meant: |unknown: |asked before\))")
FIRST_RATE = 0.5  # of the detours


@dataclass(frozen=True)
class OracleConfig:
    """How the oracle walks. Raises ValueError for a value that cannot work."""

    max_list: int = 8
    """Names in one query."""
    max_searches: int = 4
    """Searches in one episode; names that do not fit are left aside."""
    look_rate: float = 0.3
    """How often a walk begins with a look at the topic's relations, where the question does not name the
    first relation and there is a search to spare."""
    with_think: bool = True
    """Whether it writes thoughts; off for episodes without thinking."""
    detour_rate: float = 0.0
    """How often a walk with a search to spare takes a wrong turn and comes back."""
    entity_form: EntityForm = "list"
    """What it writes for a set of entities: one name, a list, or the handle of the result that has them."""

    def __post_init__(self) -> None:
        if self.max_list < 1 or self.max_searches < 1:
            raise ValueError(f"max_list and max_searches must be at least 1: {self}")
        if not (0.0 <= self.look_rate <= 1.0 and 0.0 <= self.detour_rate <= 1.0):
            raise ValueError(f"look_rate and detour_rate must be shares: {self}")


class OracleStuck(Exception):
    """The environment showed nothing to go on with."""


@dataclass(frozen=True)
class _Entities:
    """Where a walk stands: names it has read, and the handle by which a query may call them all."""

    names: list[str]
    handle: str | None = None

    def without(self, left_out: str, called: str) -> _Entities:
        """All but the one named `left_out`, which a query calls `called`."""
        handle = None if self.handle is None else f"{self.handle} except {called}"
        return _Entities([name for name in self.names if name != left_out], handle)


class OracleWalk:
    """The budget, the wording and what became of one episode.

    Args:
        question: what is asked.
        chains: its path.
        rng: decides wording, looks and detours.
        config: how it walks.
        habits: what detours take by mistake; without it only the question's own hops.

    Attributes:
        unlearned: the turns (by number, from 0) that are mistakes made on purpose, not to be learned.
        traits: what the walk has beside its hops, such as 'look' or 'wrong direction'.
    """

    def __init__(
        self,
        question: Question,
        chains: Sequence[Chain],
        rng: random.Random,
        config: OracleConfig,
        habits: Habits | None = None,
    ) -> None:
        self.unlearned: list[int] = []
        self.traits: Counter[str] = Counter()
        self._question = question
        self._chains = chains
        self._handles = _topic_handles(question) if config.entity_form == "handle" else {}
        # Plans call the topics as queries do: by a name that has to be copied, or by its handle.
        self._said = [_called(chain, self._handles) for chain in chains]
        self._rng = rng
        self._config = config
        self._habits = habits or Habits()
        self._num_turns = 0
        self._num_searches = 0
        self._detour_hop: int | None = None
        if rng.random() < config.detour_rate and self._to_spare(0, -1) > 0:
            self._detour_hop = self._place()

    def turns(self) -> Generator[str, str, None]:
        """The episode: yields a turn's text, is sent the text of the observation; the last is the answer.

        Raises OracleStuck when an observation shows no names.
        """
        if self._wants_look():
            self._look_at_relations(shown_items((yield self._look_turn())))
        results: list[list[str]] = []
        for index, chain in enumerate(self._chains):
            here = _Entities([chain.topic], self._handles.get(chain.topic))
            for position, part in enumerate(chain.steps):
                if isinstance(part, Without):
                    here = here.without(part.topic, self._handles.get(part.topic, part.topic))
                else:
                    here = yield from self._hop(part, here, index, position)
            results.append(here.names)
        goes_too_far = self._detour_hop == 0 and self._num_searches < self._config.max_searches
        if goes_too_far and here.names:
            yield self._extra_turn(here)
        names = [name for name in results[0] if all(name in other for other in results[1:])]
        yield self._answer(names, went_too_far=goes_too_far)

    def _hop(self, hop: Hop, here: _Entities, chain: int, step: int) -> Generator[str, str, _Entities]:
        """The searches for what is one hop away from `here`, a detour before them where one was drawn."""
        if not here.names:
            raise OracleStuck(self._question.question_id)
        detour = self._take_detour(hop, here, chain, step)
        if detour is not None:
            yield self._detour_turn(detour, here, chain, step)
        found: dict[str, None] = {}
        handle = None
        groups = self._groups(here, chain, step)
        for number, entity in enumerate(groups):
            thought = self._thought(chain, step, is_more=number > 0, detour=detour)
            shown = yield self._search(
                thought, f"get_{hop.direction}_entities({entity}, {_quoted(hop.relation)})"
            )
            found.update(dict.fromkeys(shown_items(shown)))
            handle = shown_handle(shown)
            self.traits["truncated list"] += bool(_LEFT_OUT.search(_listing(shown)))
        self.traits["several queries"] += len(groups) > 1
        return _Entities(list(found), handle if len(groups) == 1 else None)

    def _groups(self, here: _Entities, chain: int, step: int) -> list[str]:
        """The entities as queries write them, in as many as leave a search for every later hop."""
        if self._config.entity_form == "handle" and here.handle is not None:
            return [_quoted(here.handle)]
        size = 1 if self._config.entity_form == "name" else self._config.max_list
        lists = [here.names[start : start + size] for start in range(0, len(here.names), size)]
        return [_entity(names) for names in lists[: max(1, self._to_spare(chain, step))]]

    def _thought(self, chain: int, step: int, is_more: bool, detour: Detour | None) -> str:
        if is_more:
            return more_thought(self._rng, self._said, chain, step)
        if detour is not None:
            return back_thought(self._rng, self._said, chain, step, detour.kind)
        if chain == 0 and step == 0:
            return first_thought(self._rng, self._said)
        return next_thought(self._rng, self._said, chain, step)

    def _place(self) -> int:
        """The number of the hop to take a detour before; after the last of a single chain it goes too far.

        Half of all detours come first: that is where a model goes wrong that has misread the question.
        """
        num_hops = sum(chain.num_hops for chain in self._chains)
        can_go_on = len(self._chains) == 1 and bool(self._habits.relations)
        return 0 if self._rng.random() < FIRST_RATE else self._rng.randrange(num_hops + can_go_on)

    def _take_detour(self, hop: Hop, here: _Entities, chain: int, step: int) -> Detour | None:
        """The mistake to make before this hop, if it is the one drawn."""
        if self._detour_hop is None:
            return None
        self._detour_hop -= 1
        if self._detour_hop >= 0 or self._to_spare(chain, step) <= 1:
            return None
        self._detour_hop = None
        name = here.names[0] if here.handle is None else None
        return draw_detour(self._rng, self._chains[chain].steps[step:], name, self._habits)

    def _detour_turn(self, detour: Detour, here: _Entities, chain: int, step: int) -> str:
        wrong = mistaken(self._said, chain, step, detour)
        is_first = chain == 0 and step == 0
        thought = first_thought(self._rng, wrong) if is_first else next_thought(self._rng, wrong, chain, step)
        entity = _quoted(detour.name) if detour.name else self._groups(here, chain, step)[0]
        self.unlearned.append(self._num_turns)
        self.traits[detour.kind] += 1
        return self._search(thought, _entities_query(detour.hop, entity))

    def _extra_turn(self, here: _Entities) -> str:
        """A search that goes on from the answer, where the walk should have ended."""
        *_, last = (part for part in self._chains[0].steps if isinstance(part, Hop))
        detour = draw_extra_hop(self._rng, last, self._habits)
        end = len(self._chains[0].steps)
        longer = Chain(self._said[0].topic, (*self._said[0].steps, detour.hop))
        self.unlearned.append(self._num_turns)
        self.traits[detour.kind] += 1
        thought = next_thought(self._rng, [longer], 0, end)
        return self._search(thought, _entities_query(detour.hop, self._groups(here, 0, end)[0]))

    def _wants_look(self) -> bool:
        """Whether this walk looks at the relations first."""
        is_drawn = self._rng.random() < self._config.look_rate
        return is_drawn and self._to_spare(0, -1) > 0 and not self._is_named(self._first_hop())

    def _look_turn(self) -> str:
        topic, hop = self._said[0].topic, self._first_hop()
        self.traits["look"] += 1
        return self._search(
            look_thought(self._rng, topic), f"get_{hop.direction}_relations({_quoted(topic)})"
        )

    def _look_at_relations(self, relations: Sequence[str]) -> None:
        if self._first_hop().relation not in relations:
            raise OracleStuck(self._question.question_id)

    def _answer(self, names: Sequence[str], went_too_far: bool) -> str:
        if not names:
            raise OracleStuck(self._question.question_id)
        thought = last_thought(self._rng, self._said, went_too_far)
        # After a space a name has the tokens that it had in the listing, where it is to be copied from.
        return self._framed(thought, "answer", " " + SEPARATOR.join(names))

    def _search(self, thought: str, query: str) -> str:
        self._num_searches += 1
        return self._framed(thought, "search", query)

    def _framed(self, thought: str, tag: str, body: str) -> str:
        self._num_turns += 1
        think = f"<think>{thought}</think>\n" if self._config.with_think else ""
        return f"{think}<{tag}>{body}</{tag}>"

    def _first_hop(self) -> Hop:
        return next(part for part in self._chains[0].steps if isinstance(part, Hop))

    def _is_named(self, hop: Hop) -> bool:
        words = re.split(r"[^a-z]+", self._question.question.casefold())
        return any(word in words for word in re.split(r"[^a-z]+", hop.relation.casefold()) if word)

    def _to_spare(self, chain: int, step: int) -> int:
        """Searches left for the hop at `step` of chain `chain`, every later hop having one."""
        own = self._chains[chain].steps[step + 1 :]
        later = sum(part.num_hops for part in self._chains[chain + 1 :])
        num_after = later + sum(isinstance(part, Hop) for part in own)
        return self._config.max_searches - self._num_searches - num_after


def oracle_turns(
    question: Question, chains: Sequence[Chain], rng: random.Random, config: OracleConfig
) -> Generator[str, str, None]:
    """One episode as a conversation, see `OracleWalk.turns`."""
    return OracleWalk(question, chains, rng, config).turns()


def shown_items(observation: str) -> list[str]:
    """The names that an observation lists; [] for an error."""
    text = _MARK.sub("", _LEFT_OUT.sub("", _listing(observation)))
    return [item for item in text.split(SEPARATOR) if item]


def shown_handle(observation: str) -> str | None:
    """The handle that an observation gives its result; None when it gives none."""
    match = _MARK.match(_listing(observation))
    return None if match is None else match.group(1)


def _listing(observation: str) -> str:
    """What an observation lists, handle and count included, notes left out; '' for an error."""
    match = _OBSERVATION.search(observation)
    text = match.group(1) if match else ""
    return "" if text.startswith("Error:") else _NOTES.split(text)[0]


def _topic_handles(question: Question) -> dict[str, str]:
    """Topic entity -> the handle that the prompt gives it."""
    return {topic: f"#{number}" for number, topic in enumerate(question.topic_entities, start=1)}


def _called(chain: Chain, handles: Mapping[str, str]) -> Chain:
    """The chain with its topics called by their handles, where they have some."""
    steps = (
        Without(handles.get(part.topic, part.topic)) if isinstance(part, Without) else part
        for part in chain.steps
    )
    return Chain(handles.get(chain.topic, chain.topic), tuple(steps))


def _entities_query(hop: Hop, entity: str) -> str:
    return f"get_{hop.direction}_entities({entity}, {_quoted(hop.relation)})"


def _entity(names: Sequence[str]) -> str:
    return _quoted(names[0]) if len(names) == 1 else f"[{', '.join(map(_quoted, names))}]"


def _quoted(name: str) -> str:
    # A JSON string is a string of the call form too, and a quote inside a name stays a name.
    return json.dumps(name, ensure_ascii=False)
