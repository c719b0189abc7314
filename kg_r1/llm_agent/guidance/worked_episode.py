"""A worked episode for the prompt, on a graph built in here that no data set knows.

In: the settings of the episodes and the registry. Out: a question and the turns that answer it with the
actions on offer: look at the relations of an entity, follow one of them. The environment plays it as it plays
any episode, so that what the prompt shows is what the policy will see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.memory_store import MemoryStore
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.episode import Episode, EpisodeStatus, Turn
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.prompts import WorkedEpisode
from kg_r1.llm_agent.query import Query
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.llm_agent.tools import tool_call
from kg_r1.llm_agent.turn_form import QueryForm
from kg_r1.search.client import Retrieval, parse_item
from kg_r1.search.registry import Action, ActionRegistry
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.specs import ActionSpec, EntityForm, with_entity_form

if TYPE_CHECKING:
    from kg_r1.llm_agent.generation import LLMGenerationManager

ManagerMaker = Callable[..., "LLMGenerationManager"]
DATASET = "worked_episode"
# Nobody here exists: a name that some data set asks for would be an answer given away.
TRIPLES = (
    ("Rosa Lind", "teaches", "Botany"),
    ("Rosa Lind", "works_at", "Elm School"),
    ("Omar Vale", "works_at", "Elm School"),
    ("Ida Fenn", "attends", "Elm School"),
    ("Tom Asher", "attends", "Elm School"),
    ("Elm School", "located_in", "Northwick"),
)
Side = Literal["tail", "head"]


@dataclass(frozen=True)
class _Step:
    """One hop: the relation, on which side of the entity its other end lies, and the need that it meets."""

    side: Side
    relation: str
    ends: tuple[str, ...]
    need: str


# The thoughts go back to the question: a small model copies their form, and then looks at its own question.
_TO_SCHOOL = _Step("tail", "works_at", ("Elm School",), "the school where Rosa Lind works")
_TO_TOWN = _Step("tail", "located_in", ("Northwick",), "the town of Elm School")
_TO_PUPILS = _Step("head", "attends", ("Ida Fenn", "Tom Asher"), "who attends Elm School")
_TO_TEACHERS = _Step("head", "works_at", ("Omar Vale", "Rosa Lind"), "who works at Elm School")
# The sides that can be followed -> the question, its topic and the way.
_PLANS: Mapping[frozenset[str], tuple[str, str, tuple[_Step, ...]]] = {
    frozenset({"tail", "head"}): (
        "Who attends the school where Rosa Lind works?",
        "Rosa Lind",
        (_TO_SCHOOL, _TO_PUPILS),
    ),
    frozenset({"tail"}): (
        "What is the town of the school where Rosa Lind works?",
        "Rosa Lind",
        (_TO_SCHOOL, _TO_TOWN),
    ),
    frozenset({"head"}): ("Who works at Elm School?", "Elm School", (_TO_TEACHERS,)),
}


@dataclass(frozen=True)
class WorkedPlan:
    """A question about the built-in graph, and how it is answered.

    `turns` are texts with thoughts and tags, the answer last; `expected` holds, for each but the last, names
    that its search must list.
    """

    question: Question
    turns: tuple[str, ...]
    expected: tuple[frozenset[str], ...]


def worked_episode(
    manager: ManagerMaker, config: GenerationConfig, registry: ActionRegistry
) -> WorkedEpisode | None:
    """The episode that a prompt shows with these settings and actions; None where there is none to show.

    `manager` makes who plays it: the class whose instances play the others.
    """
    specs = registry.specs(config.actions)
    actions = tuple((spec.name, registry[spec.name]) for spec in specs)
    return _played(manager, actions, config.entity_form, config.no_think_rl, config.query_form)


@lru_cache(maxsize=16)
def _played(
    manager: ManagerMaker,
    actions: tuple[tuple[str, Action], ...],
    entity_form: EntityForm,
    no_think: bool,
    query_form: QueryForm,
) -> WorkedEpisode | None:
    """Play what is planned for the actions, with tags and a byte a token; write it as asked for."""
    registry = ActionRegistry(dict(actions))
    plan = worked_plan(with_entity_form(registry.specs(), entity_form), with_think=not no_think)
    if plan is None:
        return None
    config = GenerationConfig(
        max_turns=len(plan.turns) + 2,  # so that none of them is told to be the last
        max_start_length=100_000,
        max_prompt_length=200_000,
        no_think_rl=no_think,
        entity_form=entity_form,
    )
    tokenizer = ByteTokenizer()
    policy = ScriptedPolicy(tokenizer, plan.turns)
    playing = manager(config, tokenizer, policy, BuiltInClient(registry), registry)
    episode, _ = _at_once(playing.run_episode(plan.question))
    text = worked_text(plan, episode, query_form)
    return None if text is None else WorkedEpisode(plan.question, text)


def _at_once(playing: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that never waits. Raises RuntimeError for one that does."""
    try:
        playing.send(None)
    except StopIteration as finished:
        return finished.value
    playing.close()
    raise RuntimeError("an episode with a scripted policy and a built-in graph waited for something")


def worked_plan(specs: Sequence[ActionSpec], *, with_think: bool = True) -> WorkedPlan | None:
    """What to play with these actions; None where none of them follows a relation.

    Relations are looked at where an action lists them, and the way is through tails, heads or both, as the
    actions allow. Entities stand as handles where the actions take them.

    Args:
        specs: the actions on offer, in the entity form of the profile.
        with_think: whether a turn has a thought before its action.
    """
    offered = {spec.name: _fields(spec) for spec in specs}
    sides = frozenset(
        side for side in ("tail", "head") if offered.get(f"get_{side}_entities") == ("entity_id", "relation")
    )
    if sides not in _PLANS:
        return None
    text, topic, steps = _PLANS[sides]
    by_handle = any(argument.takes_handle for spec in specs for argument in spec.arguments)
    turns: list[str] = []
    expected: list[frozenset[str]] = []
    place = topic
    for step in steps:
        # The topic is #1, and every search so far has added one.
        entity = f"#{len(expected) + 1}" if by_handle else place
        look = next(
            (name for name in (f"get_{step.side}_relations", "get_relations")
             if offered.get(name) == ("entity_id",)),
            None,
        )  # fmt: skip
        if look is not None:
            lead = "from" if step.side == "tail" else "to"
            thought = f"I need {step.need}. Which relations lead {lead} {place}?"
            turns.append(_turn(thought, _call(look, entity), with_think))
            expected.append(frozenset({step.relation}))
        turns.append(
            _turn(
                f"I need {step.need}: {step.relation} fits.",
                _call(f"get_{step.side}_entities", entity, step.relation),
                with_think,
            )
        )
        expected.append(frozenset(step.ends))
        place = step.ends[0]
    ends = steps[-1].ends
    found = f"The question asks {steps[-1].need}: {' and '.join(ends)}."
    answer = f"<answer>{SEPARATOR.join(ends)}</answer>"
    turns.append(_thought(found, with_think) + answer)
    question = Question(DATASET, text, (topic,), tuple((name,) for name in ends), DATASET)
    return WorkedPlan(question, tuple(turns), tuple(expected))


class BuiltInClient:
    """A client of the built-in graph that answers at once, in the caller's thread."""

    def __init__(self, registry: ActionRegistry) -> None:
        store = MemoryStore({DATASET: Subgraph.from_triples(TRIPLES)})
        self._retriever = KnowledgeGraphRetriever(store, registry)

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        """Answers one request."""
        return parse_item(self._retriever.retrieve(request))

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        """Answers several requests, in the order given."""
        return [await self.retrieve(request) for request in requests]

    async def aclose(self) -> None:
        """Nothing is held."""


def worked_text(plan: WorkedPlan, episode: Episode, query_form: QueryForm) -> str | None:
    """The turns and observations of the episode that was played, as a policy would see them.

    None where it went otherwise than planned, as it may when another package has put its own action in the
    place of one that is used: what is no good example is not shown.
    """
    found = [frozenset(retrieval.items()) for retrieval in episode.retrievals()]
    is_as_planned = (
        episode.status is EpisodeStatus.ANSWERED
        and all(turn.is_well_formed for turn in episode.turns)
        and len(found) == len(plan.expected)
        and all(names <= items for names, items in zip(plan.expected, found, strict=True))
    )
    if not is_as_planned:
        return None
    if query_form == "tags":
        return "".join(turn.text + (turn.observation or "") for turn in episode.turns)
    return "\n".join(map(_as_tool_turn, episode.turns))


def _as_tool_turn(turn: Turn) -> str:
    if turn.query is None or turn.observation is None:
        return turn.text
    query = Query(turn.query["action"], turn.query["arguments"])
    thought = turn.text[: turn.text.index("<search>")]
    result = turn.observation.partition("<information>")[2].rpartition("</information>")[0]
    return f"{thought}{tool_call(query)}\n<tool_response>\n{result}\n</tool_response>"


def _fields(spec: ActionSpec) -> tuple[str, ...]:
    return tuple(argument.name for argument in spec.arguments if argument.required)


def _turn(thought: str, call: str, with_think: bool) -> str:
    return f"{_thought(thought, with_think)}<search>{call}</search>"


def _thought(text: str, with_think: bool) -> str:
    return f"<think>{text}</think>\n" if with_think else ""


def _call(action: str, *arguments: str) -> str:
    return f"{action}({', '.join(map(json.dumps, arguments))})"
