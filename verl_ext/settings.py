"""What this project adds to verl's configuration: three sections, typed, parsed once at the door.

``actor_rollout_ref.rollout.search`` becomes :class:`SearchSettings`, ``reward.kg`` becomes
:class:`kg_r1.reward.rubric.RubricConfig` and ``trainer.kg`` :class:`RunSettings`. verl refuses keys that it
does not know in the first two places, so :func:`take_settings` removes those. :func:`hand_to_agent_loop` puts
them where verl leaves room for others (``rollout.custom``): the configuration reaches every worker of every
node, so that the agent loop needs no file, and the nodes no disk in common.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf, open_dict

from kg_r1.data.rows import AGENT_NAME
from kg_r1.llm_agent.generation import GenerationConfig
from kg_r1.llm_agent.prompts import PromptStyle
from kg_r1.llm_agent.turn_form import QueryForm
from kg_r1.reward.rubric import RubricConfig
from kg_r1.search.access import read_key
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry
from kg_r1.search.client import HttpKGClient
from kg_r1.search.errors import UnknownAction
from kg_r1.search.optional_actions import enable
from kg_r1.search.specs import EntityForm

SEARCH_KEY = "actor_rollout_ref.rollout.search"
REWARD_KEY = "reward.kg"
RUN_KEY = "trainer.kg"
MAX_SEED = 2**31 - 1  # the engine adds the number of a replica to it, and NumPy takes 32 bits


class SettingsError(ValueError):
    """A key or a value of ours that cannot be used; the message says which keys exist."""

    code = "bad_settings"


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How episodes search the knowledge graph during training and validation."""

    enable: bool = True
    """Off: the model answers with no search at all (a closed-book baseline)."""
    enable_during_training: bool = True
    enable_during_validation: bool = True
    search_url: str = "http://127.0.0.1:8001/retrieve"
    """Where the KG retrieval server answers."""
    base_data_path: str | None = None
    """A folder of data sets to search in this process, with no server; ``search_url`` is then unused."""
    max_turns: int = 5
    """Turns in one episode, the answer included."""
    max_turn_tokens: int = 96
    """Sampled tokens in one turn."""
    max_obs_length: int = 160
    """Tokens of one observation, cut at a whole item."""
    topk: int = 3
    """Kept for scripts written against the published configuration; KG actions return whole sets."""
    actions: tuple[str, ...] | None = None
    """Names of the actions that the prompt offers; all that are registered when null. Naming an optional
    one enables it in the workers; a server needs it enabled as well."""
    entity_form: EntityForm = "list"
    """What may stand for entities in a query: one name, a list too, or an earlier result (``#1``) as well."""
    prompt_style: PromptStyle = "compact"
    worked_episode: bool | None = None
    """Whether the prompt shows an episode that was played on a built-in graph; null: with style ``full``."""
    begin_with_think: bool = False
    """Whether each turn is begun with a think tag, which is prompt and carries no loss."""
    query_form: QueryForm = "tags"
    """``tags``, or ``tools``: searches are tool calls of the model's chat template."""
    no_think_rl: bool = False
    """Leave the think tag out of the prompt and of what counts as well formed."""
    api_key_file: str | None = None
    """The file with the key of a server that asks for one."""
    timeout_s: float = 10.0
    max_retries: int = 3
    kg_failure: Literal["continue", "end"] = "continue"
    """What an episode does when the graph cannot be reached after the retries."""
    max_kg_failures: int = 2

    def http_client(self) -> HttpKGClient:
        """A client of the server at `search_url`. Raises ValueError for settings it cannot work with."""
        key = read_key(Path(self.api_key_file), None) if self.api_key_file is not None else None
        return HttpKGClient(
            self.search_url, timeout_s=self.timeout_s, max_retries=self.max_retries, api_key=key
        )

    def generation_config(
        self, *, prompt_length: int, response_length: int, validate: bool
    ) -> GenerationConfig:
        """The environment's own configuration; verl's two length limits bound the whole context."""
        searching = self.enable and (
            self.enable_during_validation if validate else self.enable_during_training
        )
        return GenerationConfig(
            max_turns=self.max_turns if searching else 1,
            max_start_length=prompt_length,
            max_prompt_length=prompt_length + response_length,
            max_response_length=self.max_turn_tokens,
            max_episode_tokens=response_length,
            max_obs_length=self.max_obs_length,
            no_think_rl=self.no_think_rl,
            search_url=self.search_url,
            topk=self.topk,
            prompt_style=self.prompt_style,
            worked_episode=self.worked_episode,
            begin_with_think=self.begin_with_think,
            query_form=self.query_form,
            actions=self.actions,
            entity_form=self.entity_form,
            kg_failure=self.kg_failure,
            max_kg_failures=self.max_kg_failures,
        )


def check_search(search: SearchSettings, *, prompt_length: int, response_length: int) -> None:
    """Refuse now what an episode or its client would refuse minutes later, in a worker.

    Raises:
        SettingsError: naming the value that cannot work.
    """
    try:
        search.http_client()
        for validate in (False, True):
            search.generation_config(
                prompt_length=prompt_length, response_length=response_length, validate=validate
            )
        offered_actions(search)
    except (ValueError, UnknownAction) as error:
        raise SettingsError(f"{SEARCH_KEY}: {error}") from error


def offered_actions(search: SearchSettings) -> ActionRegistry:
    """The actions that a worker will have, in a copy: what this process offers is not for a check to change.

    Raises:
        UnknownAction: for a name that there is not.
    """
    registry = ActionRegistry(ACTION_REGISTRY)
    registry.load_entry_points()
    enable(registry, search.actions or ())
    return registry


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run is looked after."""

    max_stage_s: float = 3600.0
    """Seconds that one stage of a step may take before the run is ended with its name; 0 never ends it."""
    max_sync_s: float = 600.0
    """The same for weight synchronisation alone, which takes seconds: where it fails in the engine, the
    trainer waits for ever."""
    skip_equal_groups: bool = True
    """Leave questions all of whose rollouts earned the same out of the update: they have no advantage."""
    leave_out_lost: bool = True
    """Learn nothing from episodes in which the graph could not be reached."""
    actor_check_freq: int = 10
    """Where the engine's log-probabilities are the old ones (``bypass_mode``): every how many steps the
    actor's own are computed beside them, for their entropy and for how far the two are apart; 0 never."""
    gpu_gib: float | None = None
    """GiB of one card (on a processor, of the machine) that ``--check`` holds every phase against."""


def check_seed(seed: Any) -> None:
    """The one seed of a run: the order of the data, new weights and the engine's samples follow from it.

    Raises:
        SettingsError: for anything but a whole number that all of them take.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"data.seed is {seed!r}: it takes a whole number from 0 to {MAX_SEED}")


def parse(section: type[Any], values: dict[str, Any], where: str) -> Any:
    """A dataclass from plain values.

    Raises:
        SettingsError: for a key that the class has not, or a value of another type.
    """
    hints = typing.get_type_hints(section)
    names = [field.name for field in dataclasses.fields(section)]
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise SettingsError(f"{where} has no key {key!r}: {hint}it takes {', '.join(names)}")
        parsed[key] = _coerce(value, hints[key], f"{where}.{key}")
    return section(**parsed)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise SettingsError(f"{where} is {value!r}: it takes one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{where} is {value!r}: it takes a list of names")
        return tuple(value)
    if origin is None:
        return _coerce_plain(value, hint, where)
    if value is None and type(None) in arguments:
        return None
    inner = [argument for argument in arguments if argument is not type(None)]
    return _coerce(value, inner[0], where)


def _coerce_plain(value: Any, kind: type, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise SettingsError(f"{where} is {value!r}: it takes a value of type {kind.__name__}")
    return value


@dataclass(frozen=True)
class Settings:
    """The sections of ours."""

    search: SearchSettings
    rubric: RubricConfig
    run: RunSettings


def take_settings(config: DictConfig) -> Settings:
    """Read our sections, and remove from ``config`` those that verl would refuse.

    Raises:
        SettingsError: as :func:`parse`.
    """
    found: dict[str, dict[str, Any]] = {}
    for key in (SEARCH_KEY, REWARD_KEY, RUN_KEY):
        section = OmegaConf.select(config, key)
        values = OmegaConf.to_container(section, resolve=True) if section is not None else {}
        if not isinstance(values, dict):
            raise SettingsError(f"{key} is {values!r}: it takes a section of keys")
        found[key] = {str(name): value for name, value in values.items()}
        if key != RUN_KEY:
            parent_key, _, name = key.rpartition(".")
            parent = OmegaConf.select(config, parent_key)
            with open_dict(parent):
                parent.pop(name, None)
    return Settings(
        search=parse(SearchSettings, found[SEARCH_KEY], SEARCH_KEY),
        rubric=parse(RubricConfig, found[REWARD_KEY], REWARD_KEY),
        run=parse(RunSettings, found[RUN_KEY], RUN_KEY),
    )


def hand_to_agent_loop(config: DictConfig, settings: Settings) -> None:
    """Put into ``config`` what :func:`agent_loop_settings` reads in the workers."""
    search = dataclasses.asdict(settings.search)
    search["actions"] = list(settings.search.actions) if settings.search.actions is not None else None
    rollout = config.actor_rollout_ref.rollout
    ours = {AGENT_NAME: {"search": search, "rubric": dataclasses.asdict(settings.rubric)}}
    with open_dict(rollout):
        rollout.custom = OmegaConf.merge(rollout.get("custom") or {}, ours)


def agent_loop_settings(rollout: DictConfig) -> tuple[SearchSettings, RubricConfig]:
    """What :func:`hand_to_agent_loop` put into verl's section ``actor_rollout_ref.rollout``.

    Raises:
        SettingsError: when nothing was put there, or as :func:`parse`.
    """
    section = OmegaConf.select(rollout, f"custom.{AGENT_NAME}")
    if section is None:
        raise SettingsError(
            f"actor_rollout_ref.rollout.custom has no {AGENT_NAME}: start with python -m verl_ext.main_ppo"
        )
    values: Any = OmegaConf.to_container(section, resolve=True)
    return (
        parse(SearchSettings, values["search"], SEARCH_KEY),
        parse(RubricConfig, values["rubric"], REWARD_KEY),
    )
