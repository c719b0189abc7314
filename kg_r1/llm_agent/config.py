"""The settings of an episode, checked where they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from kg_r1.llm_agent.prompts import PromptStyle
from kg_r1.llm_agent.turn_form import QUERY_FORMS, QueryForm
from kg_r1.search.specs import EntityForm

# Below this an answer between its tags does not fit, so a turn is not worth starting.
MIN_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class GenerationConfig:
    """How episodes are played. Raises ValueError, naming the field, for a value that cannot work."""

    max_turns: int = 10
    """Turns the policy gets, the answer included."""
    max_start_length: int = 1024
    """Tokens of the prompt before the first turn."""
    max_prompt_length: int = 4096
    """Tokens of the whole context: prompt, turns and observations."""
    max_response_length: int = 500
    """Tokens of one turn."""
    max_obs_length: int = 512
    """Tokens of one observation as appended, tags and the last-turn line included."""
    num_gpus: int = 1
    """Accepted for compatibility and not used: the policy knows its own devices."""
    no_think_rl: bool = False
    """Play without thinking: it is not asked for, and a turn without it is well formed."""
    search_url: str = "http://127.0.0.1:8001/retrieve"
    """Where the retrieval server answers; used when no client is handed over."""
    topk: int = 3
    """Accepted for compatibility and not used: listings are cut by `max_obs_length` alone."""
    prompt_style: PromptStyle = "compact"
    """'names', 'compact' or 'full', see prompts.py."""
    worked_episode: bool | None = None
    """Whether the prompt shows a short episode that was played with the actions on offer; None shows it where
    the style is 'full'."""
    begin_with_think: bool = False
    """Whether every turn is begun for the policy with a think tag, which then counts as prompt."""
    query_form: QueryForm = "tags"
    """'tags': a search is a query between search tags; 'tools': it is a tool call of the chat template."""
    actions: tuple[str, ...] | None = None
    """The actions on offer, in this order; None offers every registered one. An optional action has to be
    enabled in the registry that the episodes are played with (kg_r1/search/optional_actions.py)."""
    entity_form: EntityForm = "list"
    """What may stand for entities in a query: 'name', 'list', or 'handle' (a list, or an earlier result)."""
    kg_failure: Literal["continue", "end"] = "continue"
    """What an unreachable graph does: the episode goes on with an error observation, or it ends."""
    max_kg_failures: int = 2
    """Unreachable-graph failures an episode survives when it goes on."""
    max_episode_tokens: int | None = None
    """Tokens of all turns and observations together; None leaves the bound to `max_prompt_length`."""

    def __post_init__(self) -> None:
        for name in ("max_turns", "max_start_length", "max_obs_length"):
            _at_least(name, getattr(self, name), 1)
        for name in ("max_prompt_length", "max_response_length"):
            _at_least(name, getattr(self, name), MIN_ANSWER_TOKENS)
        _at_least("max_kg_failures", self.max_kg_failures, 0)
        if self.max_episode_tokens is not None:
            _at_least("max_episode_tokens", self.max_episode_tokens, MIN_ANSWER_TOKENS)
        _one_of("prompt_style", self.prompt_style, get_args(PromptStyle))
        _one_of("query_form", self.query_form, QUERY_FORMS)
        if self.query_form == "tools" and self.prompt_style == "names":
            raise ValueError("prompt_style names does not go with query_form tools: use compact or full")
        if self.begin_with_think and self.no_think_rl:
            raise ValueError("begin_with_think does not go with no_think_rl: switch one of them off")
        _one_of("entity_form", self.entity_form, get_args(EntityForm))
        _one_of("kg_failure", self.kg_failure, ("continue", "end"))
        if self.actions is not None and not self.actions:
            raise ValueError("actions must name at least one action, or be None for all")

    @property
    def shows_worked_episode(self) -> bool:
        """Whether the prompt shows an episode, the style's own habit taken into account."""
        return self.prompt_style == "full" if self.worked_episode is None else self.worked_episode


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
