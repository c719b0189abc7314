"""Who is evaluated: the model, and the baselines beside it, each as the environment it plays in.

A system is nothing but a way to play a question: every one of them goes through the same episodes, limits
and scoring, so that its numbers stand beside the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kg_r1.data.evidence_path import Chain, chains_of
from kg_r1.data.oracle import OracleConfig, OraclePolicy, plan_of
from kg_r1.eval.answer_at_once import AnswerAtOnce
from kg_r1.eval.facts import TripleSearch, gold_facts
from kg_r1.eval.random_walk import RandomWalkPolicy, walkable
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.policies import Policy, ScriptedPolicy
from kg_r1.llm_agent.prompts_facts import FactsInPrompt
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ChatTokenizer
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.client import KGClient

Kind = Literal["model", "baseline", "ceiling"]

MODEL = "model"
BASELINES = ("closed_book", "gold_subgraph", "bm25", "random_walk", "oracle")
KINDS: dict[str, Kind] = {MODEL: "model", **dict.fromkeys(BASELINES, "baseline"), "oracle": "ceiling"}
# Those in which the model itself writes, so that it has to be loaded for them.
PLAYED_BY_MODEL = frozenset({MODEL, "closed_book", "gold_subgraph", "bm25"})


@dataclass(frozen=True)
class World:
    """What systems are made from.

    `policy` is None where no system that the model plays is asked for; `store` is None where the graph can
    be searched through a server only.
    """

    config: GenerationConfig
    tokenizer: ChatTokenizer
    policy: Policy | None
    client: KGClient
    store: GraphStore | None
    questions: Sequence[Question]
    seed: int
    num_facts: int
    max_fact_tokens: int


@dataclass(frozen=True)
class System:
    """A way to play questions: `manager_of` gives the manager that plays one."""

    name: str
    kind: Kind
    manager_of: Callable[[Question], LLMGenerationManager]


def reason_against(
    baseline: str, *, config: GenerationConfig, has_graph: bool, questions: Sequence[Question]
) -> str | None:
    """Why a baseline does not apply; None where it does."""
    if baseline in ("gold_subgraph", "bm25") and not has_graph:
        return "it reads the graph itself, which needs --base_data_path"
    if baseline == "oracle" and not has_graph and not any(question.path for question in questions):
        return "no question says its evidence path, and finding one needs --base_data_path"
    if baseline == "random_walk" and not walkable(_actions(config)):
        return "it needs the actions get_tail_relations and get_tail_entities, or those of heads"
    return None


def check_tokenizer(config: GenerationConfig, tokenizer: ChatTokenizer) -> None:
    """Raises ValueError for settings that do not work with the tokenizer or its chat template."""
    LLMGenerationManager(config, tokenizer, ScriptedPolicy(tokenizer, ()))


def build_system(name: str, world: World) -> System:
    """The system of that name. Raises ValueError for a name that is none."""
    makers: dict[str, Callable[[World], Callable[[Question], LLMGenerationManager]]] = {
        MODEL: _model,
        "closed_book": _closed_book,
        "gold_subgraph": _gold_subgraph,
        "bm25": _bm25,
        "random_walk": _random_walk,
        "oracle": _oracle,
    }
    if name not in makers:
        raise ValueError(f"there is no system {name!r}, only {', '.join(makers)}")
    return System(name, KINDS[name], makers[name](world))


def _model(world: World) -> Callable[[Question], LLMGenerationManager]:
    return _always(world, world.config, _policy(world))


def _closed_book(world: World) -> Callable[[Question], LLMGenerationManager]:
    return _always(world, replace(world.config, max_turns=1), _answering(world))


def _random_walk(world: World) -> Callable[[Question], LLMGenerationManager]:
    policy = RandomWalkPolicy(
        world.tokenizer,
        {question.question_id: question for question in world.questions},
        max_turns=world.config.max_turns,
        actions=_actions(world.config),
        with_think=not world.config.no_think_rl,
        seed=world.seed,
    )
    return _always(world, _with_tags(world.config), policy)


def _oracle(world: World) -> Callable[[Question], LLMGenerationManager]:
    """The walk along each question's path. A question without one is given up at once: nothing reaches it."""
    plans = {question.question_id: (question, _chains(world, question)) for question in world.questions}
    config = OracleConfig(
        max_searches=max(1, world.config.max_turns - 1),
        look_rate=0.0,
        with_think=not world.config.no_think_rl,
        entity_form=world.config.entity_form,
    )
    known = {name: (question, chains) for name, (question, chains) in plans.items() if chains}
    limits = _with_tags(world.config)
    walking = _always(world, limits, OraclePolicy(world.tokenizer, known, config, world.seed))
    giving_up = _always(world, limits, ScriptedPolicy(world.tokenizer, ()))
    return lambda question: (walking if question.question_id in known else giving_up)(question)


def _gold_subgraph(world: World) -> Callable[[Question], LLMGenerationManager]:
    store = _store(world)

    def facts_of(question: Question) -> list[Triple]:
        return gold_facts(store.graph(question.dataset_name, question.sample_id), question)

    return _with_facts(world, facts_of)


def _bm25(world: World) -> Callable[[Question], LLMGenerationManager]:
    search = TripleSearch(_store(world))
    return _with_facts(world, lambda question: search.facts(question, world.num_facts))


def _always(
    world: World, config: GenerationConfig, policy: Policy
) -> Callable[[Question], LLMGenerationManager]:
    manager = LLMGenerationManager(config, world.tokenizer, policy, world.client)
    return lambda question: manager


def _with_facts(
    world: World, facts_of: Callable[[Question], list[Triple]]
) -> Callable[[Question], LLMGenerationManager]:
    """One turn after a prompt that shows facts; the prompt may be longer by as much as these may take."""
    policy = _answering(world)
    start = world.config.max_start_length + world.max_fact_tokens
    config = replace(
        world.config,
        max_turns=1,
        max_start_length=start,
        max_prompt_length=start + world.config.max_response_length,
        max_episode_tokens=world.config.max_response_length,
    )

    def manager_of(question: Question) -> LLMGenerationManager:
        tokenizer = FactsInPrompt(world.tokenizer, facts_of(question), world.max_fact_tokens)
        return LLMGenerationManager(config, tokenizer, policy, world.client)

    return manager_of


def _with_tags(config: GenerationConfig) -> GenerationConfig:
    """The same limits for a system that no model plays: it writes its searches between tags only."""
    return replace(config, query_form="tags")


def _chains(world: World, question: Question) -> Sequence[Chain]:
    if world.store is None:
        return chains_of(question)
    return plan_of(world.store.graph(question.dataset_name, question.sample_id), question) or []


def _actions(config: GenerationConfig) -> list[str]:
    return [spec.name for spec in ACTION_REGISTRY.specs(config.actions)]


def _policy(world: World) -> Policy:
    if world.policy is None:
        raise ValueError("this system is played by the model, which was not loaded")
    return world.policy


def _answering(world: World) -> Policy:
    return AnswerAtOnce(
        _policy(world),
        world.tokenizer,
        with_think=not world.config.no_think_rl,
        begun_with_think=world.config.begin_with_think,
    )


def _store(world: World) -> GraphStore:
    if world.store is None:
        raise ValueError("this system reads the graph, which is not at hand")
    return world.store
