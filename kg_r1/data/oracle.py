"""The oracle: a policy that walks a question's evidence path through the environment itself.

It is told the path, and nothing else of the graph: every name that it writes it has read in the episode, in
the question's topic entities or in an observation (a cut observation shows it less, and it goes on with
what it was shown). So the walks it plays are walks that a model could have played.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from kg_r1.data.evidence_path import Chain, Without, chains_of
from kg_r1.data.oracle_words import first_thought, last_thought, look_thought, more_thought, next_thought
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.paths import Hop, shortest_path
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ChatTokenizer, decode, encode

MAX_HOPS = 3  # of paths that have to be searched for

_OBSERVATION = re.compile(r"<information>(.*)</information>", re.DOTALL)
_LEFT_OUT = re.compile(r"(?:^| )\(\+\d+ more\)$")
_NOTES = re.compile(r" \((?:meant|unknown): ")


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

    def __post_init__(self) -> None:
        if self.max_list < 1 or self.max_searches < 1 or not 0.0 <= self.look_rate <= 1.0:
            raise ValueError(f"max_list and max_searches must be at least 1, look_rate a share: {self}")


class OracleStuck(Exception):
    """The environment showed nothing to go on with."""


def plan_of(graph: Subgraph, question: Question) -> list[Chain] | None:
    """The chains that answer a question: its own path, or else the shortest that the graph has.

    None when no path reaches any answer. Raises ValueError for a path that cannot be read.
    """
    if question.path:
        return chains_of(question)
    starts = {index: topic for topic in reversed(question.topic_entities) for index in graph.resolve(topic)}
    answers = {index for aliases in question.gold for alias in aliases for index in graph.resolve(alias)}
    found = shortest_path(graph, list(starts), answers, MAX_HOPS) if starts and answers else None
    return None if found is None else [Chain(starts[found[0]], tuple(found[1]))]


def oracle_turns(
    question: Question, chains: Sequence[Chain], rng: random.Random, config: OracleConfig
) -> Generator[str, str, None]:
    """One episode as a conversation: yields a turn's text, is sent the text of the observation.

    The last turn yielded is the answer. Raises OracleStuck when an observation shows no names.
    """
    walk = _Walk(question, chains, rng, config)
    if walk.wants_look():
        shown = yield walk.look_turn()
        walk.after_look(shown_items(shown))
    results: list[list[str]] = []
    for index, chain in enumerate(chains):
        names = [chain.topic]
        for position, part in enumerate(chain.steps):
            if isinstance(part, Without):
                names = [name for name in names if name != part.topic]
                continue
            found: dict[str, None] = {}
            for number, batch in enumerate(walk.batches(names, index, position)):
                shown = yield walk.hop_turn(part, batch, index, position, is_more=number > 0)
                found.update(dict.fromkeys(shown_items(shown)))
            names = list(found)
        results.append(names)
    yield walk.answer_turn([name for name in results[0] if all(name in other for other in results[1:])])


def shown_items(observation: str) -> list[str]:
    """The names that an observation lists; [] for an error."""
    match = _OBSERVATION.search(observation)
    text = match.group(1) if match else ""
    if text.startswith("Error:"):
        return []
    text = _LEFT_OUT.sub("", _NOTES.split(text)[0])
    return [item for item in text.split(SEPARATOR) if item]


class OraclePolicy:
    """Plays oracle walks, any number of episodes at once.

    Args:
        tokenizer: makes and reads the ids.
        plans: question and its chains, by question id or by request id ('<question id>#<number>', as
            `LLMGenerationManager` gives them out).
        config: how it walks.
        seed: with the request id, decides the wording.

    An episode in which it is stuck (an error, or no names shown) is aborted.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        plans: Mapping[str, tuple[Question, Sequence[Chain]]],
        config: OracleConfig | None = None,
        seed: int = 0,
    ) -> None:
        self._tokenizer = tokenizer
        self._plans = plans
        self._config = config or OracleConfig()
        self._seed = seed
        self._running: dict[str, _Playing] = {}

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        """The next turn of an episode. Raises KeyError for a request about an unknown question."""
        playing = self._running.get(request_id)
        if playing is None:
            playing = self._running[request_id] = _Playing(self._turns(request_id))
            text = next(playing.turns)
        else:
            # What was appended since: the oracle's own turn, and the observation after it.
            appended = decode(self._tokenizer, prompt_ids[playing.num_read :])
            try:
                text = playing.turns.send(appended)
            except (OracleStuck, StopIteration):
                del self._running[request_id]
                return Generation([], None, "aborted")
        playing.num_read = len(prompt_ids)
        if "</answer>" in text:
            del self._running[request_id]
        ids = encode(self._tokenizer, text)
        return Generation(ids[:max_tokens], None, "stop" if len(ids) <= max_tokens else "length")

    def _turns(self, request_id: str) -> Generator[str, str, None]:
        known = self._plans.get(request_id) or self._plans.get(request_id.rpartition("#")[0])
        if known is None:
            raise KeyError(f"the oracle has no plan for request {request_id!r}")
        rng = random.Random(f"{self._seed}:{request_id}")
        return oracle_turns(known[0], known[1], rng, self._config)


@dataclass
class _Playing:
    turns: Generator[str, str, None]
    num_read: int = 0


@dataclass
class _Walk:
    """The budget and the wording of one episode."""

    question: Question
    chains: Sequence[Chain]
    rng: random.Random
    config: OracleConfig
    num_searches: int = field(default=0)

    def wants_look(self) -> bool:
        """Whether this walk looks at the relations first."""
        is_drawn = self.rng.random() < self.config.look_rate
        has_room = self._hops_after(0, -1) < self.config.max_searches
        return is_drawn and has_room and not self._is_named(self._first_hop())

    def look_turn(self) -> str:
        """The search for the topic's relations."""
        topic, hop = self.chains[0].topic, self._first_hop()
        self.num_searches += 1
        return self._turn(look_thought(self.rng, topic), f"get_{hop.direction}_relations({_quoted(topic)})")

    def after_look(self, relations: Sequence[str]) -> None:
        """Raises OracleStuck unless the relation that the path takes was shown."""
        if self._first_hop().relation not in relations:
            raise OracleStuck(self.question.question_id)

    def batches(self, names: Sequence[str], chain: int, step: int) -> list[Sequence[str]]:
        """The names in lists that one query can hold, as many as leave a search for every later hop."""
        if not names:
            raise OracleStuck(self.question.question_id)
        size = self.config.max_list
        to_spare = self.config.max_searches - self.num_searches - self._hops_after(chain, step)
        return [names[start : start + size] for start in range(0, len(names), size)][: max(1, to_spare)]

    def hop_turn(self, hop: Hop, names: Sequence[str], chain: int, step: int, is_more: bool) -> str:
        """The search for the entities one hop away from `names`."""
        if is_more:
            thought = more_thought(self.rng, self.chains, chain, step)
        elif chain == 0 and step == 0:
            thought = first_thought(self.rng, self.chains)
        else:
            thought = next_thought(self.rng, self.chains, chain, step)
        self.num_searches += 1
        entity = _quoted(names[0]) if len(names) == 1 else f"[{', '.join(map(_quoted, names))}]"
        return self._turn(thought, f"get_{hop.direction}_entities({entity}, {_quoted(hop.relation)})")

    def answer_turn(self, names: Sequence[str]) -> str:
        """The answer. Raises OracleStuck when there is none."""
        if not names:
            raise OracleStuck(self.question.question_id)
        return self._framed(last_thought(self.rng, self.chains), "answer", SEPARATOR.join(names))

    def _turn(self, thought: str, query: str) -> str:
        return self._framed(thought, "search", query)

    def _framed(self, thought: str, tag: str, body: str) -> str:
        think = f"<think>{thought}</think>\n" if self.config.with_think else ""
        return f"{think}<{tag}>{body}</{tag}>"

    def _first_hop(self) -> Hop:
        return next(part for part in self.chains[0].steps if isinstance(part, Hop))

    def _is_named(self, hop: Hop) -> bool:
        words = re.split(r"[^a-z]+", self.question.question.casefold())
        return any(word in words for word in re.split(r"[^a-z]+", hop.relation.casefold()) if word)

    def _hops_after(self, chain: int, step: int) -> int:
        """Hops that come after the one at `step` of chain `chain`."""
        own = self.chains[chain].steps[step + 1 :]
        later = sum(part.num_hops for part in self.chains[chain + 1 :])
        return later + sum(isinstance(part, Hop) for part in own)


def _quoted(name: str) -> str:
    # A JSON string is a string of the call form too, and a quote inside a name stays a name.
    return json.dumps(name, ensure_ascii=False)
