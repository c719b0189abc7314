"""Oracle walks for the cold start: played through the environment, kept when they earn the full reward.

In: questions, a graph store, the tokenizer and the settings of the episodes that training will play. Out:
token ids and masks that are exactly the environment's own.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

from kg_r1.data.evidence_path import Chain, chains_of, hop_group
from kg_r1.data.files import write_lines
from kg_r1.data.oracle import OraclePolicy, plan_of
from kg_r1.data.oracle_detours import Habits
from kg_r1.data.oracle_walk import OracleConfig, OracleWalk
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.generation import GenerationConfig, LLMGenerationManager
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.llm_agent.tokens import ChatTokenizer
from kg_r1.reward.evidence import is_grounded, predicted_answers
from kg_r1.reward.metrics import match
from kg_r1.reward.rubric import Rubric
from kg_r1.reward.text import normalise
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.server import KnowledgeGraphRetriever

MAX_PASSES = 4  # a question may be walked again, in other words, when there are too few
_BATCH = 128


@dataclass(frozen=True)
class Walk:
    """One episode to learn from.

    `response_mask` ([len(response_ids)]) is 1 on the tokens to learn: those that the policy wrote, but for
    mistakes made on purpose. `group` is the question's hop group and `question_type` its type.
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

    `num_tokens` are the response tokens of the kept walks, observations included, summed per group, and
    `num_learned` those of them that are learned. `traits` counts the kept walks that have a look at the
    relations, a detour, a list that was cut. `num_excluded` questions stood among those to be kept apart.
    """

    num_kept: Counter[str] = field(default_factory=Counter)
    num_dropped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    num_tokens: Counter[str] = field(default_factory=Counter)
    num_learned: Counter[str] = field(default_factory=Counter)
    types: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    traits: Counter[str] = field(default_factory=Counter)
    num_excluded: int = 0

    def text(self) -> str:
        """The report as lines of text for a terminal."""
        lines = [f"{'group':<12} {'kept':>8} {'types':>6} {'tokens':>8} {'learned':>8}  dropped"]
        for group in sorted(set(self.num_kept) | set(self.num_dropped)):
            kept = self.num_kept[group]
            tokens, learned = (sums[group] / max(kept, 1) for sums in (self.num_tokens, self.num_learned))
            reasons = self.num_dropped.get(group, Counter())
            told = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items())) or "none"
            num_types = len(self.types.get(group, ()))
            lines.append(f"{group:<12} {kept:>8,} {num_types:>6} {tokens:>8.1f} {learned:>8.1f}  {told}")
        traits = ", ".join(f"{number:,} {name}" for name, number in sorted(self.traits.items()) if number)
        lines.append(f"walks with: {traits or 'nothing beside their hops'}")
        lines.append(f"questions left out because they stand in the files kept apart: {self.num_excluded:,}")
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
    kept_apart: Iterable[Question] = (),
) -> tuple[list[Walk], WalkReport]:
    """Plays oracle walks until `num_walks` are kept or the questions run out; balanced over hop groups.

    A walk is kept when its answer is right and grounded, every turn to be learned is well formed and every
    search in them is answered, and no walk kept before has the same tokens. A right answer names every gold
    answer and nothing else; where the limits cut a list, what was left of it. The same arguments give the
    same walks.

    Args:
        questions: each with a path, or with answers that a path in its graph leads to.
        store: where the graphs of the questions' data sets are.
        oracle: how the oracle walks; its searches are cut to what `generation.max_turns` allows, and
            thoughts are left out when `generation.no_think_rl` says so.
        on_kept: called with the number of walks kept since the last call.
        kept_apart: questions for validation and tests; none with the text of one of them is walked.

    Returns:
        The walks in an order that mixes the groups, and what was dropped.
    """
    groups: dict[str, list[Question]] = defaultdict(list)
    apart = {normalise(question.question) for question in kept_apart}
    for question in questions:
        if normalise(question.question) not in apart:
            groups[hop_group(question)].append(question)
    kept = [question for members in groups.values() for question in members]
    habits = Habits(chains_of(question) for question in kept)
    maker = _WalkMaker(store, tokenizer, generation, seed, oracle or OracleConfig(), habits, on_kept)
    maker.report.num_excluded = len(questions) - len(kept)
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
        habits: Habits,
        on_kept: Callable[[int], None] | None,
    ) -> None:
        self.walks: list[Walk] = []
        self.report = WalkReport()
        self._store = store
        self._tokenizer = tokenizer
        self._generation = generation
        self._seed = seed
        self._oracle = replace(
            oracle,
            max_searches=max(1, min(oracle.max_searches, generation.max_turns - 1)),
            with_think=oracle.with_think and not generation.no_think_rl,
            entity_form=generation.entity_form,
        )
        self._habits = habits
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
                num_kept = sum(self._keep(*played) for played in self._play(batch))
                if self._on_kept is not None:
                    self._on_kept(num_kept)
        return len(self.walks) - (target - num_wanted)

    def _play(self, questions: Sequence[Question]) -> list[tuple[Episode, TokenBuffer, OracleWalk | None]]:
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
        seed = _mixed(self._seed, self._num_batches)
        policy = OraclePolicy(self._tokenizer, plans, self._oracle, seed, self._habits)
        self._num_batches += 1
        manager = LLMGenerationManager(self._generation, self._tokenizer, policy, self._client)
        played = asyncio.run(manager.run_episodes(known))
        walks = {request_id.rpartition("#")[0]: walk for request_id, walk in policy.walks.items()}
        return [(episode, buffer, walks.get(episode.question.question_id)) for episode, buffer in played]

    def _keep(self, episode: Episode, buffer: TokenBuffer, walk: OracleWalk | None) -> bool:
        question = episode.question
        group = hop_group(question)
        reward = self._rubric.score(episode)
        key = (tuple(buffer.prompt_ids), tuple(buffer.response_ids))
        fault = _fault(episode, walk)
        if fault is not None:
            self._drop(question, fault)
            return False
        if key in self._seen:
            self.report.num_dropped[group]["repeated"] += 1
            return False
        self._seen.add(key)
        self.report.num_kept[group] += 1
        mask = _learned(buffer, () if walk is None else walk.unlearned)
        self.report.num_tokens[group] += len(buffer.response_ids)
        self.report.num_learned[group] += sum(mask)
        self.report.types[group][question.question_type] += 1
        self.report.traits.update(name for name, count in (walk.traits if walk else {}).items() if count)
        self.walks.append(
            Walk(
                question_id=question.question_id,
                group=group,
                question_type=question.question_type,
                prompt_ids=list(buffer.prompt_ids),
                response_ids=list(buffer.response_ids),
                response_mask=mask,
                reward=reward.total,
            )
        )
        return True

    def _drop(self, question: Question, reason: str) -> None:
        self._hopeless.add(question.question_id)
        self.report.num_dropped[hop_group(question)][reason] += 1


def _fault(episode: Episode, walk: OracleWalk | None) -> str | None:
    """Why a walk is nothing to learn from; None for a good one."""
    if episode.status is None or episode.status.value != "answered" or walk is None:
        return str(episode.status)
    found = match(predicted_answers(episode), episode.question.gold)
    was_cut = bool(walk.traits["truncated list"] or walk.traits["several queries"])
    if found.num_wrong or not found.right or (len(found.right) < found.num_gold and not was_cut):
        return "not exactly right"
    if not is_grounded(episode):
        return "not grounded"
    learned = [turn for turn in episode.turns if turn.index not in walk.unlearned]
    if any(not turn.is_well_formed for turn in learned) or any(
        turn.kind is TurnKind.SEARCH and not turn.has_succeeded for turn in learned
    ):
        return "with a faulty turn"
    return None


def _learned(buffer: TokenBuffer, unlearned: Sequence[int]) -> list[int]:
    """The response mask with the turns numbered in `unlearned` taken out."""
    mask = list(buffer.response_mask)
    for number in unlearned:
        start, end = buffer.turn_spans[number]
        mask[start:end] = [0] * (end - start)
    return mask


def _mixed(seed: int, number: int) -> int:
    """A seed for batch `number`, unlike any other batch's."""
    return random.Random(f"{seed}:{number}").getrandbits(63)
