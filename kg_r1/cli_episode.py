"""`kg-r1 episode`: one question, played by a model, a script or a person, printed with its tags."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kg_r1.data.rows import read_questions
from kg_r1.kg.errors import KGError
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.policies import Generation, Policy, ScriptedPolicy
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer, ChatTokenizer, decode, encode
from kg_r1.reward.rubric import Reward, Rubric
from kg_r1.search.access import read_key
from kg_r1.search.client import HttpKGClient, InProcessKGClient, KGClient
from kg_r1.search.server import KnowledgeGraphRetriever

_AFTER_CLOSING_TAG = re.compile(r"(?<=</search>)|(?<=</answer>)")


class UserMistake(Exception):
    """Something on the command line that cannot work, said in one line."""


class TypedPolicy:
    """Asks the person at the terminal for each turn; what was appended since the last one goes to stderr."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._num_shown = 0

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        sys.stderr.write(decode(self._tokenizer, prompt_ids[self._num_shown :]))
        sys.stderr.flush()
        text = ""
        while not any(string in text for string in stop):
            line = sys.stdin.readline()
            if not line:
                break
            text += line
        ids = encode(self._tokenizer, text.rstrip("\n"))
        self._num_shown = len(prompt_ids) + len(ids)
        if not ids:
            return Generation([], None, "aborted")
        return Generation(ids[:max_tokens], None, "stop" if len(ids) <= max_tokens else "length")


def play(options: argparse.Namespace) -> None:
    """Play what the options ask for and print it. Raises UserMistake."""
    try:
        question = _question(Path(options.questions), options.index)
        tokenizer, policy, limits = _player(options)
        config = replace(limits, max_turns=options.max_turns, no_think_rl=options.no_think)
        manager = LLMGenerationManager(config, tokenizer, policy, _client(options))
    except (KGError, OSError, ValueError) as error:
        raise UserMistake(" ".join(str(error).split())) from error
    ((episode, _),) = manager.run_llm_loop([question])
    reward = Rubric().score(episode)
    sys.stdout.write((_as_json(episode, reward) if options.json else transcript(episode, reward)) + "\n")


def transcript(episode: Episode, reward: Reward) -> str:
    """The episode with its tags as it was played, and one line on how it ended."""
    played = "".join(turn.text + (turn.observation or "\n") for turn in episode.turns)
    gold = " | ".join(aliases[0] for aliases in episode.question.gold if aliases)
    status = "running" if episode.status is None else episode.status.value
    metrics = reward.metrics
    return (
        f"Question: {episode.question.question}\n{played}"
        f"gold: {gold}\nstatus: {status}  reward: {reward.total:.2f}  em: {metrics['em']:.0f}  "
        f"f1: {metrics['f1']:.2f}  evidence: {metrics['evidence']:.2f}"
    )


def _as_json(episode: Episode, reward: Reward) -> str:
    scored = {"total": reward.total, "parts": reward.parts, "turns": reward.turn_rewards}
    return json.dumps(episode.to_dict() | {"reward": scored, "metrics": reward.metrics}, ensure_ascii=False)


def _question(path: Path, index: int) -> Question:
    questions = read_questions(path)
    if not 0 <= index < len(questions):
        raise UserMistake(f"--index {index}: {path} holds {len(questions)} questions, counted from 0")
    return questions[index]


def _client(options: argparse.Namespace) -> KGClient:
    if options.search_url is not None:
        key = read_key(Path(options.api_key_file), None) if options.api_key_file is not None else None
        return HttpKGClient(options.search_url, api_key=key)
    return InProcessKGClient(KnowledgeGraphRetriever(GraphStore(Path(options.base_data_path))))


def _player(options: argparse.Namespace) -> tuple[Any, Policy, GenerationConfig]:
    """The tokenizer, the policy, and limits: wide ones where a byte is a token."""
    wide = GenerationConfig(max_start_length=50_000, max_prompt_length=400_000, max_response_length=50_000)
    if options.model is not None:
        return (*_model(options), GenerationConfig())
    tokenizer = ByteTokenizer()
    if options.script is None:
        return tokenizer, TypedPolicy(tokenizer), wide
    text = Path(options.script).read_text(encoding="utf-8")
    turns = [turn.strip() for turn in _AFTER_CLOSING_TAG.split(text) if turn.strip()]
    return tokenizer, ScriptedPolicy(tokenizer, turns), wide


def _model(options: argparse.Namespace) -> tuple[Any, Policy]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kg_r1.llm_agent.policies_hf import HuggingFacePolicy

    if options.temperature < 0:
        raise UserMistake(f"--temperature {options.temperature}: it must not be negative")
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model).eval()
    return tokenizer, HuggingFacePolicy(model, tokenizer, options.temperature, options.seed)
