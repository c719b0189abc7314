"""A baseline without a model: a seeded random walk through the environment, which answers where it ends."""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Mapping, Sequence

from kg_r1.data.oracle import fitted_turn, shown_items
from kg_r1.llm_agent.observation import SEPARATOR
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ChatTokenizer, decode

DIRECTIONS = ("tail", "head")
SEARCHES_PER_HOP = 2  # one lists the relations, one takes one of them


def walkable(actions: Sequence[str]) -> list[str]:
    """The directions in which a walk can go with the actions on offer."""
    offered = set(actions)
    return [way for way in DIRECTIONS if {f"get_{way}_relations", f"get_{way}_entities"} <= offered]


class RandomWalkPolicy:
    """Walks at random from a topic, any number of episodes at once.

    A walk draws its number of hops, from 1 to as many as fit before the last turn. For each hop it lists
    the relations of where it stands, in a random direction, takes a random one of them, and stands on a
    random item of the result. It answers with all items of the last result that listed entities; where none
    did, with its topic. A direction without relations costs it the search.

    Args:
        tokenizer: makes and reads the ids.
        questions: by question id; request ids are '<question id>#<number>'.
        max_turns: turns of an episode, the answer included.
        actions: names of the actions on offer.
        with_think: whether it writes a thought before each action, as the prompt asks.
        seed: with the request id, decides every draw.

    Raises ValueError when the actions on offer lead nowhere.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        questions: Mapping[str, Question],
        *,
        max_turns: int,
        actions: Sequence[str],
        with_think: bool = True,
        seed: int = 0,
    ) -> None:
        self._directions = walkable(actions)
        if not self._directions:
            raise ValueError(
                "a random walk needs get_tail_relations and get_tail_entities, or those of heads"
            )
        self._tokenizer = tokenizer
        self._questions = questions
        self._max_searches = max_turns - 1
        self._with_think = with_think
        self._seed = seed
        self._running: dict[str, tuple[Generator[list[str], str, None], int]] = {}

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        """The next turn of an episode. Raises KeyError for a request about an unknown question."""
        if request_id in self._running:
            turns, num_read = self._running[request_id]
            action = turns.send(decode(self._tokenizer, prompt_ids[num_read:]))
        else:
            turns = self._turns(request_id)
            action = next(turns)
        ids = fitted_turn(self._tokenizer, self._text(action), max_tokens, prompt_ids)
        if action[0] == "answer":
            self._running.pop(request_id, None)
        else:
            self._running[request_id] = (turns, len(prompt_ids) + len(ids))
        return Generation(ids[:max_tokens], None, "stop" if len(ids) <= max_tokens else "length")

    def _turns(self, request_id: str) -> Generator[list[str], str, None]:
        """Actions as [tag, parts of the body]; is sent the text of each observation."""
        question = self._questions[request_id.rpartition("#")[0]]
        rng = random.Random(f"{self._seed}:{request_id}")
        topics = list(question.topic_entities) or [question.question]
        place = rng.choice(topics)
        found = [place]
        num_hops = rng.randint(1, max(1, self._max_searches // SEARCHES_PER_HOP))
        num_left = self._max_searches
        while num_hops and num_left >= SEARCHES_PER_HOP:
            way = rng.choice(self._directions)
            num_left -= 1
            relations = shown_items((yield ["search", _call(f"get_{way}_relations", place)]))
            if not relations:
                continue
            num_left -= 1
            items = shown_items(
                (yield ["search", _call(f"get_{way}_entities", place, rng.choice(relations))])
            )
            num_hops -= 1
            if items:
                found, place = items, rng.choice(items)
        yield ["answer", *found]

    def _text(self, action: Sequence[str]) -> str:
        tag, *parts = action
        think = "<think>Anywhere.</think>\n" if self._with_think else ""
        return f"{think}<{tag}>{SEPARATOR.join(parts)}</{tag}>"


def _call(action: str, *arguments: str) -> str:
    return f"{action}({', '.join(json.dumps(argument, ensure_ascii=False) for argument in arguments)})"
