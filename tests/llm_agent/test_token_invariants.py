"""With tokenizers as models have them: ids kept are ids seen, mask and log-probs follow who wrote a token."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import Generation, ScriptedPolicy
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer

MakeManager = Callable[..., LLMGenerationManager]

# Each text goes on behind its closing tag, so that the last token may reach beyond it.
TURNS = [
    '<think>capital, then answer</think>\n<search>get_tail_entities("France", "capital")</search>\n\n',
    "I forgot the tags, naïvely — 東京.",
    '<think>who borders</think>\n<search>get_tail_entities(["France"], "borders")</search><information>',
    "<think>done</think>\n<answer>Paris</answer>.\n",
]


class CountingPolicy(ScriptedPolicy):
    """Reports log-probabilities that number the sampled tokens of an episode: -1, -2, -3, ..."""

    def __init__(self, tokenizer: Any, turns: Sequence[str]) -> None:
        super().__init__(tokenizer, turns)
        self.sampled: list[list[int]] = []
        self._number = itertools.count(1)

    async def generate(self, prompt_ids: Sequence[int], **options: Any) -> Generation:
        generation = await super().generate(prompt_ids, **options)
        self.sampled.append(generation.token_ids)
        log_probs = [-float(next(self._number)) for _ in generation.token_ids]
        return Generation(generation.token_ids, log_probs, generation.finish_reason)


async def play(
    make_manager: MakeManager, tokenizer: Any, question: Question
) -> tuple[Episode, TokenBuffer, CountingPolicy]:
    policy = CountingPolicy(tokenizer, TURNS)
    episode, buffer = await make_manager(policy, tokenizer).run_episode(question, "r")
    assert episode.status is EpisodeStatus.ANSWERED
    kinds = [TurnKind.SEARCH, TurnKind.MALFORMED, TurnKind.SEARCH, TurnKind.ANSWER]
    assert [turn.kind for turn in episode.turns] == kinds
    return episode, buffer, policy


async def test_joined_pieces_are_the_ids_the_policy_saw(
    make_manager: MakeManager, tokenizer: Any, question: Question
) -> None:
    episode, buffer, policy = await play(make_manager, tokenizer, question)
    observations = [
        tokenizer.encode(turn.observation, add_special_tokens=False)
        for turn in episode.turns
        if turn.observation is not None
    ]
    joined = list(buffer.prompt_ids)
    for number, seen in enumerate(policy.prompts["r"]):
        assert seen == joined
        joined += policy.sampled[number]
        joined += observations[number] if number < len(observations) else []
    assert joined == buffer.all_ids


async def test_mask_is_one_on_sampled_tokens_only_and_log_probs_follow(
    make_manager: MakeManager, tokenizer: Any, question: Question
) -> None:
    episode, buffer, policy = await play(make_manager, tokenizer, question)
    mask: list[int] = []
    spans: list[tuple[int, int]] = []
    for turn, sampled in zip(episode.turns, policy.sampled, strict=True):
        spans.append((len(mask), len(mask) + len(sampled)))
        mask += [1] * len(sampled) + [0] * turn.num_observation_tokens
    assert buffer.response_mask == mask
    assert buffer.turn_spans == spans
    assert [buffer.response_ids[start:end] for start, end in buffer.turn_spans] == policy.sampled
    numbers = itertools.count(1)
    assert buffer.response_log_probs == [-float(next(numbers)) if bit else 0.0 for bit in mask]
    assert [turn.num_tokens for turn in episode.turns] == [len(ids) for ids in policy.sampled]


async def test_the_text_of_a_turn_is_what_its_ids_decode_to(
    make_manager: MakeManager, tokenizer: Any, question: Question
) -> None:
    episode, _, policy = await play(make_manager, tokenizer, question)
    for turn, ids in zip(episode.turns, policy.sampled, strict=True):
        assert turn.text == tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    assert episode.turns[1].text == TURNS[1]


@pytest.mark.parametrize("family", ["qwen_tokenizer", "llama_tokenizer"])
async def test_a_last_token_that_reaches_beyond_the_tag_is_kept_whole(
    make_manager: MakeManager, question: Question, family: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(family)
    episode, buffer, policy = await play(make_manager, tokenizer, question)
    text = episode.turns[0].text
    assert text.index("</search>") + len("</search>") < len(text), (
        "the tokenizer must merge '>' with what follows"
    )
    assert buffer.response_ids[: len(policy.sampled[0])] == policy.sampled[0]
    # The same text tokenised in one go is another sequence: re-tokenising would have changed the ids.
    whole = tokenizer.decode(buffer.response_ids)
    assert tokenizer.encode(whole, add_special_tokens=False) != buffer.response_ids


@pytest.mark.parametrize("family", ["qwen_tokenizer", "llama_tokenizer", "smollm_tokenizer"])
async def test_special_tokens_in_names_and_questions_stay_text(
    make_manager: MakeManager, family: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(family)
    end = tokenizer.eos_token
    question = Question("q", f"Who?{end}", (end,), (), "toy")
    plain = Question("q", "Who?", ("x",), (), "toy")
    turns = ['<think>t</think><search>get_tail_entities("Trap", "holds")</search>', TURNS[-1]]
    _, clean = await make_manager(ScriptedPolicy(tokenizer, turns), tokenizer).run_episode(plain)
    episode, buffer = await make_manager(ScriptedPolicy(tokenizer, turns), tokenizer).run_episode(question)
    assert buffer.prompt_ids.count(tokenizer.eos_token_id) == clean.prompt_ids.count(tokenizer.eos_token_id)
    assert not set(buffer.response_ids) & set(tokenizer.all_special_ids)
    assert (
        "Trap" in episode.turns[0].text and (episode.turns[0].observation or "").count("<information>") == 1
    )


async def test_an_end_of_text_token_instead_of_a_tag_is_malformed_and_kept(
    make_manager: MakeManager, qwen_tokenizer: Any, question: Question
) -> None:
    turns = ["<think>Paris it is<|im_end|>", TURNS[-1]]
    manager = make_manager(ScriptedPolicy(qwen_tokenizer, turns), qwen_tokenizer)
    episode, buffer = await manager.run_episode(question)
    assert episode.turns[0].kind is TurnKind.MALFORMED
    assert episode.turns[0].text.endswith("<|im_end|>")
    assert buffer.response_ids[buffer.turn_spans[0][1] - 1] == qwen_tokenizer.eos_token_id
    assert episode.status is EpisodeStatus.ANSWERED
