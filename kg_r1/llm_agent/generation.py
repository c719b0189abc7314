"""Plays episodes: any policy against any KG client, each episode its own coroutine.

Tokens in, tokens out. The policy continues ids; its text is what those ids decode to; an observation is
tokenised alone and appended. Nothing is ever tokenised again, so the ids kept are the ids the policy saw.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kg_r1.llm_agent.config import MIN_ANSWER_TOKENS, GenerationConfig
from kg_r1.llm_agent.episode import Episode, EpisodeStatus, Turn
from kg_r1.llm_agent.guidance.hints import hint_text
from kg_r1.llm_agent.guidance.worked_episode import worked_episode
from kg_r1.llm_agent.handles import ResultSets
from kg_r1.llm_agent.observation import (
    INFRASTRUCTURE_CODES,
    Observation,
    break_special,
    frame,
    render,
    render_error,
    repeats_message,
)
from kg_r1.llm_agent.policies import Generation, Policy
from kg_r1.llm_agent.prompts import build_messages
from kg_r1.llm_agent.protocol import TurnKind, parse_turn
from kg_r1.llm_agent.query import Hint, Query, QueryProblem
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.llm_agent.tokens import (
    ChatTokenizer,
    chat_prompt_ids,
    decode,
    encode,
    special_texts,
)
from kg_r1.llm_agent.tools import tool_schemas
from kg_r1.llm_agent.turn_form import TurnForm, form_of_tags, form_of_tools
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry, ActionSpec
from kg_r1.search.client import HttpKGClient, KGClient
from kg_r1.search.specs import with_entity_form

__all__ = ["EpisodesFailed", "GenerationConfig", "LLMGenerationManager"]

logger = logging.getLogger(__name__)

Played = tuple[Episode, TokenBuffer]


class EpisodesFailed(ExceptionGroup[Exception]):
    """Some of many episodes raised; all the others were played to their end.

    `played` holds, in the order asked, each finished episode, and None where one failed. The exceptions of
    the group carry the question's id in a note and in the group's message.
    """

    played: list[Played | None]


@dataclass
class _Run:
    """What belongs to one episode while it is played."""

    question: Question
    request_id: str
    specs: list[ActionSpec]
    episode: Episode
    buffer: TokenBuffer
    results: ResultSets
    asked: set[Any] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    """The errors and empty results shown so far: what no answer is made of."""
    num_kg_failures: int = 0


class LLMGenerationManager:
    """Plays questions with one policy, one tokenizer and one KG client.

    Args:
        config: limits and habits.
        tokenizer: the policy's own.
        policy: continues token ids.
        client: answers searches; None makes an HTTP client for `config.search_url`.
        registry: the actions on offer, read anew for every episode.

    Raises ValueError when `config.max_obs_length` cannot hold even an empty observation, or when searches are
    to be tool calls and the tokenizer's chat template has none.
    """

    def __init__(
        self,
        config: GenerationConfig,
        tokenizer: ChatTokenizer,
        policy: Policy,
        client: KGClient | None = None,
        registry: ActionRegistry = ACTION_REGISTRY,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.policy = policy
        self.client = client if client is not None else HttpKGClient(config.search_url)
        self.registry = registry
        self._special = special_texts(tokenizer)
        self._num_requests: Counter[str] = Counter()
        self._form = self._turn_form()
        mark = "#99: " if config.entity_form == "handle" else ""
        least = self._count(frame(f"{mark}… (+999999 more)", True, self._form))
        if config.max_obs_length < least:
            raise ValueError(f"max_obs_length must be at least {least} with this tokenizer")

    async def run_episode(self, question: Question, request_id: str | None = None) -> Played:
        """Play one question to its end.

        Raises whatever the policy raises; the KG's failures become observations or a status.
        """
        run = self._start(question, request_id or self._next_request_id(question))
        while run.episode.status is None:
            await self._play_turn(run)
        return run.episode, run.buffer

    async def run_episodes(self, questions: Sequence[Question], max_concurrency: int = 64) -> list[Played]:
        """Play many questions, at most `max_concurrency` at a time, and return them in the order asked.

        Raises EpisodesFailed, after all of them have ended, when some raised.
        """
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}")
        gate = asyncio.Semaphore(max_concurrency)

        async def play(question: Question, request_id: str) -> Played:
            async with gate:
                return await self.run_episode(question, request_id)

        # Ids are given out before anything runs, so that they do not depend on who finishes first.
        ids = [self._next_request_id(question) for question in questions]
        jobs = [play(question, request_id) for question, request_id in zip(questions, ids, strict=True)]
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        return _all_or_raise(questions, outcomes)

    def run_llm_loop(self, questions: Sequence[Question]) -> list[Played]:
        """`run_episodes` for callers without an event loop. Closes the KG client's connections at the end."""

        async def run() -> list[Played]:
            try:
                return await self.run_episodes(questions)
            finally:
                await self.client.aclose()

        return asyncio.run(run())

    def _next_request_id(self, question: Question) -> str:
        number = self._num_requests[question.question_id]
        self._num_requests[question.question_id] += 1
        return f"{question.question_id}#{number}"

    def _count(self, text: str) -> int:
        return len(encode(self.tokenizer, text))

    def prompt_ids(self, question: Question) -> list[int]:
        """What the policy sees of a question before its first turn, however long."""
        return self._opening(question)[1]

    def _specs(self) -> list[ActionSpec]:
        return with_entity_form(self.registry.specs(self.config.actions), self.config.entity_form)

    def _turn_form(self) -> TurnForm:
        begin_with_think = self.config.begin_with_think
        if self.config.query_form == "tags":
            return form_of_tags(begin_with_think=begin_with_think)
        return form_of_tools(self.tokenizer, tool_schemas(self._specs()), begin_with_think=begin_with_think)

    def _opening(self, question: Question) -> tuple[list[ActionSpec], list[int]]:
        """The actions on offer in an episode, and the ids of its prompt."""
        config, specs = self.config, self._specs()
        shown = replace(
            question,
            question=break_special(question.question, self._special),
            topic_entities=tuple(break_special(name, self._special) for name in question.topic_entities),
        )
        worked = None
        if config.shows_worked_episode:
            worked = worked_episode(LLMGenerationManager, config, self.registry)
        messages = build_messages(
            shown,
            specs,
            config.prompt_style,
            config.no_think_rl,
            must_answer=config.max_turns == 1,
            query_form=config.query_form,
            worked=worked,
        )
        tools = tool_schemas(specs) if config.query_form == "tools" else None
        ids = chat_prompt_ids(self.tokenizer, messages, config.no_think_rl, tools, self._form.begin)
        return specs, ids

    def _start(self, question: Question, request_id: str) -> _Run:
        config = self.config
        specs, prompt_ids = self._opening(question)
        episode = Episode(question, num_prompt_tokens=len(prompt_ids))
        topics = question.topic_entities if config.entity_form == "handle" else ()
        run = _Run(question, request_id, specs, episode, TokenBuffer(prompt_ids), ResultSets(topics))
        if len(prompt_ids) > config.max_start_length or self._room(run) < MIN_ANSWER_TOKENS:
            episode.finish(EpisodeStatus.PROMPT_TOO_LONG)
        return run

    def _room(self, run: _Run) -> int:
        """How many more tokens the episode may hold."""
        room = self.config.max_prompt_length - len(run.buffer.prompt_ids)
        if self.config.max_episode_tokens is not None:
            room = min(room, self.config.max_episode_tokens)
        return room - len(run.buffer.response_ids)

    async def _play_turn(self, run: _Run) -> None:
        max_tokens = min(self.config.max_response_length, self._room(run))
        generation = await self.policy.generate(
            run.buffer.all_ids, stop=self._form.stop, max_tokens=max_tokens, request_id=run.request_id
        )
        if len(generation.token_ids) > max_tokens:
            num_tokens = len(generation.token_ids)
            raise ValueError(f"the policy returned {num_tokens} tokens where at most {max_tokens} were asked")
        if not generation.token_ids:
            run.episode.finish(EpisodeStatus.POLICY_ABORTED)
            return
        run.buffer.append_sampled(generation.token_ids, generation.log_probs)
        turn, query, hint = self._read(run, generation)
        run.episode.add(turn)
        status = self._end_after(run, turn, generation)
        if status is None:
            status = await self._observe(run, turn, query, hint)
        if status is not None:
            run.episode.finish(status)

    def _read(self, run: _Run, generation: Generation) -> tuple[Turn, Query | None, Hint | None]:
        """The turn, what it asks of the KG, and what should be told beside its problem."""
        text = decode(self.tokenizer, generation.token_ids)
        turn = Turn(len(run.episode.turns), text, TurnKind.MALFORMED, num_tokens=len(generation.token_ids))
        if generation.finish_reason == "aborted":
            turn.problem = "the generation was aborted"
            return turn, None, None
        parsed = parse_turn(
            self._form.begin + text,
            run.specs,
            think_required=not self.config.no_think_rl,
            search_tag=self._form.search_tag,
        )
        turn.kind, turn.think, turn.answer = parsed.kind, parsed.think, parsed.answer
        turn.problem = parsed.problem
        if parsed.answer is not None and repeats_message(parsed.answer, run.messages):
            turn.kind, turn.answer = TurnKind.MALFORMED, None
            turn.problem = "the answer repeats a message and names nothing"
            return turn, None, Hint.TURN
        if generation.finish_reason == "length" and not any(tag in text for tag in self._form.stop):
            turn.problem = f"the turn was cut at {turn.num_tokens} tokens, before its closing tag"
        if parsed.query is None:
            return turn, None, parsed.hint
        spec = next(spec for spec in run.specs if spec.name == parsed.query.action)
        try:
            query = run.results.resolve(parsed.query, spec)
        except QueryProblem as error:
            turn.kind, turn.problem = TurnKind.MALFORMED, str(error)
            return turn, None, error.hint
        turn.query = parsed.query.to_dict()
        turn.is_repeated = query.key() in run.asked
        return turn, query, None

    def _end_after(self, run: _Run, turn: Turn, generation: Generation) -> EpisodeStatus | None:
        """How the episode ends with this turn, before anything is asked of the KG; None when it goes on."""
        if generation.finish_reason == "aborted":
            return EpisodeStatus.POLICY_ABORTED
        if turn.kind is TurnKind.ANSWER:
            return EpisodeStatus.ANSWERED
        if turn.kind is TurnKind.MALFORMED and self._room(run) < MIN_ANSWER_TOKENS:
            return EpisodeStatus.MAX_TOKENS
        # The last turn's search is not sent: nobody would read what comes back.
        if len(run.episode.turns) == self.config.max_turns:
            return EpisodeStatus.MAX_TURNS
        return None

    async def _observe(
        self, run: _Run, turn: Turn, query: Query | None, hint: Hint | None
    ) -> EpisodeStatus | None:
        """Ask the KG where there is a query, and append the observation. Returns the status it ends in."""
        if query is not None:
            await self._search(run, turn, query)
            if self._has_lost_kg(run, turn):
                return EpisodeStatus.KG_UNAVAILABLE
        must_answer = len(run.episode.turns) == self.config.max_turns - 1
        mark = self._mark(run, turn)

        def framed(text: str) -> str:
            whole = frame(break_special(mark + text, self._special), must_answer, self._form)
            # What closes the policy's message stands there once, whoever wrote it.
            return whole.removeprefix(self._form.end) if turn.text.endswith(self._form.end) else whole

        observation = self._rendered(run, turn, hint, lambda text: self._count(framed(text)))
        if not observation.num_shown and not observation.num_left_out:
            run.messages.append(observation.text)
        text = framed(observation.text)
        ids = encode(self.tokenizer, text)
        if self._room(run) - len(ids) < MIN_ANSWER_TOKENS:
            return EpisodeStatus.MAX_TOKENS
        run.buffer.append_observation(ids)
        turn.observation, turn.num_observation_tokens = text, len(ids)
        return None

    def _rendered(
        self, run: _Run, turn: Turn, hint: Hint | None, count_tokens: Callable[[str], int]
    ) -> Observation:
        limit = self.config.max_obs_length
        if turn.retrieval is not None:
            return render(turn.retrieval, count_tokens, limit, is_repeated=turn.is_repeated)
        with_think = not (self.config.no_think_rl or self._form.begin)
        told = hint_text(hint, run.specs, self.config.query_form, with_think=with_think)
        return render_error(turn.problem or "", count_tokens, limit, told)

    def _mark(self, run: _Run, turn: Turn) -> str:
        """What stands before a result, so that later queries can refer to it: '#1: ', or nothing."""
        if self.config.entity_form != "handle" or turn.retrieval is None or not turn.retrieval.ok:
            return ""
        items = turn.retrieval.items()
        return f"{run.results.add(items)}: " if items else ""

    async def _search(self, run: _Run, turn: Turn, query: Query) -> None:
        request: dict[str, Any] = {"action_type": query.action, "dataset_name": run.question.dataset_name}
        if run.question.sample_id is not None:
            request["sample_id"] = run.question.sample_id
        start = time.perf_counter()
        turn.retrieval = await self.client.retrieve({**query.arguments, **request})
        turn.kg_seconds = time.perf_counter() - start
        error = turn.retrieval.error
        if error is not None and error.code in INFRASTRUCTURE_CODES:
            logger.warning("%s: the KG did not answer: %s", run.request_id, error.message)
            run.num_kg_failures += 1
        else:
            # A query that the graph never answered has not been asked yet: trying again is no repetition.
            run.asked.add(query.key())

    def _has_lost_kg(self, run: _Run, turn: Turn) -> bool:
        error = None if turn.retrieval is None else turn.retrieval.error
        if error is None or error.code not in INFRASTRUCTURE_CODES:
            return False
        return self.config.kg_failure == "end" or run.num_kg_failures > self.config.max_kg_failures


def _all_or_raise(questions: Sequence[Question], outcomes: Sequence[Played | BaseException]) -> list[Played]:
    played: list[Played] = []
    errors: list[Exception] = []
    failed: list[str] = []
    for question, outcome in zip(questions, outcomes, strict=True):
        if isinstance(outcome, Exception):
            outcome.add_note(f"while playing question {question.question_id}")
            errors.append(outcome)
            failed.append(question.question_id)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            played.append(outcome)
    if errors:
        listed = ", ".join(failed[:10]) + (", …" if len(failed) > 10 else "")
        group = EpisodesFailed(f"{len(failed)} of {len(questions)} episodes failed: {listed}", errors)
        group.played = [None if isinstance(outcome, BaseException) else outcome for outcome in outcomes]
        raise group
    return played
