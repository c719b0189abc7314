"""Oracle walks for the cold start: played through the environment, kept when they earn the full reward.

In: questions, a graph store, the tokenizer and the settings of the episodes that training will play. Out:
token ids and masks that are exactly the environment's own.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from kg_r1.data.evidence_path import Chain, hop_group
from kg_r1.data.files import write_lines
from kg_r1.data.oracle import OracleConfig, OraclePolicy, plan_of
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.llm_agent.tokens import ChatTokenizer
from kg_r1.reward.rubric import Rubric
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.server import KnowledgeGraphRetriever

MAX_PASSES = 4  # a question may be walked again, in other words, when there are too few
_BATCH = 128


@dataclass(frozen=True)
class Walk:
    """One episode to learn from.

    `response_mask` ([len(response_ids)]) is 1 on the tokens that the policy wrote. `group` is the question's
    hop group and `question_type` its type.
    """

    question_id: str
    group: str
    question_type: str
    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    reward: float


@dataclass
class WalkReport:
    """What became of the walks played: kept and dropped (by reason) per hop group, and mean lengths.

    `num_tokens` are the response tokens of the kept walks, observations included, summed per group.
    """

    num_kept: Counter[str] = field(default_factory=Counter)
    num_dropped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    num_tokens: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """The report as lines of text for a terminal."""
        lines = [f"{'group':<12} {'kept':>8} {'tokens':>8}  dropped"]
        for group in sorted(set(self.num_kept) | set(self.num_dropped)):
            kept = self.num_kept[group]
            mean = self.num_tokens[group] / kept if kept else 0.0
            reasons = self.num_dropped.get(group, Counter())
            told = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items())) or "none"
            lines.append(f"{group:<12} {kept:>8,} {mean:>8.1f}  {told}")
        return "\n".join(lines)


def build_walks(
    questions: Sequence[Question],
    store: GraphStore,
    tokenizer: ChatTokenizer,
    generation: GenerationConfig,
    num_walks: int,
    seed: int = 0,
    oracle: OracleConfig | None = None,
    on_kept: Callable[[int], None] | None = None,
) -> tuple[list[Walk], WalkReport]:
    """Plays oracle walks until `num_walks` are kept or the questions run out; balanced over hop groups.

    A walk is kept when its answer is exactly right and grounded, every turn is well formed and every search
    is answered, and no walk kept before has the same tokens. The same arguments give the same walks.

    Args:
        questions: each with a path, or with answers that a path in its graph leads to.
        store: where the graphs of the questions' data sets are.
        oracle: how the oracle walks; its searches are cut to what `generation.max_turns` allows, and
            thoughts are left out when `generation.no_think_rl` says so.
        on_kept: called with the number of walks kept since the last call.

    Returns:
        The walks in an order that mixes the groups, and what was dropped.
    """
    maker = _WalkMaker(store, tokenizer, generation, seed, oracle or OracleConfig(), on_kept)
    groups: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        groups[hop_group(question)].append(question)
    missing = num_walks
    for rank, (_, members) in enumerate(sorted(groups.items(), key=lambda item: (len(item[1]), item[0]))):
        # The smallest group first: what it cannot fill is shared among the others.
        missing -= maker.make(members, -(-missing // (len(groups) - rank)))
    walks = maker.walks
    random.Random(f"{seed}:walks").shuffle(walks)
    return walks, maker.report


def write_walks(path: Path, walks: Sequence[Walk]) -> None:
    """One JSON object a line with the fields of `Walk`, whole or not at all."""
    write_lines(path, (json.dumps(asdict(walk), ensure_ascii=False) for walk in walks))


class _WalkMaker:
    """Plays, judges and keeps."""

    def __init__(
        self,
        store: GraphStore,
        tokenizer: ChatTokenizer,
        generation: GenerationConfig,
        seed: int,
        oracle: OracleConfig,
        on_kept: Callable[[int], None] | None,
    ) -> None:
        self.walks: list[Walk] = []
        self.report = WalkReport()
        self._store = store
        self._tokenizer = tokenizer
        self._generation = generation
        self._seed = seed
        self._oracle = OracleConfig(
            max_list=oracle.max_list,
            max_searches=max(1, min(oracle.max_searches, generation.max_turns - 1)),
            look_rate=oracle.look_rate,
            with_think=oracle.with_think and not generation.no_think_rl,
        )
        self._on_kept = on_kept
        self._client = InProcessKGClient(KnowledgeGraphRetriever(store))
        self._rubric = Rubric()
        self._seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        self._num_batches = 0
        self._hopeless: set[str] = set()  # other words would not help these questions

    def make(self, questions: Sequence[Question], num_wanted: int) -> int:
        """Plays until `num_wanted` more walks are kept or the questions run out; returns the number kept."""
        target = len(self.walks) + num_wanted
        rng = random.Random(f"{self._seed}:{hop_group(questions[0])}")
        for _ in range(MAX_PASSES):
            order = [question for question in questions if question.question_id not in self._hopeless]
            rng.shuffle(order)
            left = iter(order)
            while batch := list(islice(left, min(_BATCH, target - len(self.walks)))):
                num_kept = sum(self._keep(episode, buffer) for episode, buffer in self._play(batch))
                if self._on_kept is not None:
                    self._on_kept(num_kept)
        return len(self.walks) - (target - num_wanted)

    def _play(self, questions: Sequence[Question]) -> list[tuple[Episode, TokenBuffer]]:
        plans: dict[str, tuple[Question, Sequence[Chain]]] = {}
        known = []
        for question in questions:
            graph = self._store.graph(question.dataset_name, question.sample_id)
            chains = plan_of(graph, question)
            if chains is None:
                self._drop(question, "without a path")
            else:
                plans[question.question_id] = (question, chains)
                known.append(question)
        policy = OraclePolicy(self._tokenizer, plans, self._oracle, _mixed(self._seed, self._num_batches))
        self._num_batches += 1
        manager = LLMGenerationManager(self._generation, self._tokenizer, policy, self._client)
        return asyncio.run(manager.run_episodes(known))

    def _keep(self, episode: Episode, buffer: TokenBuffer) -> bool:
        question = episode.question
        group = hop_group(question)
        reward = self._rubric.score(episode)
        key = (tuple(buffer.prompt_ids), tuple(buffer.response_ids))
        fault = _fault(episode, reward.metrics)
        if fault is not None:
            self._drop(question, fault)
            return False
        if key in self._seen:
            self.report.num_dropped[group]["repeated"] += 1
            return False
        self._seen.add(key)
        self.report.num_kept[group] += 1
        self.report.num_tokens[group] += len(buffer.response_ids)
        self.walks.append(
            Walk(
                question_id=question.question_id,
                group=group,
                question_type=question.question_type,
                prompt_ids=list(buffer.prompt_ids),
                response_ids=list(buffer.response_ids),
                response_mask=list(buffer.response_mask),
                reward=reward.total,
            )
        )
        return True

    def _drop(self, question: Question, reason: str) -> None:
        self._hopeless.add(question.question_id)
        self.report.num_dropped[hop_group(question)][reason] += 1


def _fault(episode: Episode, metrics: dict[str, float]) -> str | None:
    """Why a walk is nothing to learn from; None for a good one."""
    if episode.status is None or episode.status.value != "answered":
        return str(episode.status)
    if metrics["em"] < 1.0:
        return "not exactly right"
    if metrics["evidence"] < 1.0:
        return "not grounded"
    if any(not turn.is_well_formed for turn in episode.turns) or metrics["valid_query_rate"] < 1.0:
        return "with a faulty turn"
    return None


def _mixed(seed: int, number: int) -> int:
    """A seed for batch `number`, unlike any other batch's."""
    return random.Random(f"{seed}:{number}").getrandbits(63)
