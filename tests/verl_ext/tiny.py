"""A world small enough for a real trainer in a test: a KG of a few capitals and a random decoder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kg_r1.data.rows import write_questions
from kg_r1.data.walks import Walk, build_walks, write_walks
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.prompts import build_messages
from kg_r1.llm_agent.question import Question
from kg_r1.search.actions import ACTION_REGISTRY
from verl_ext.cold_start import ColdStartConfig, cold_start
from verl_ext.profiles import composed, episode_limits

CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Austria": "Vienna",
    "Norway": "Oslo",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Japan": "Tokyo",
}
# What makes the profile's episodes small enough for it.
EPISODE_OVERRIDES = (
    "data.max_prompt_length=512",
    "data.max_response_length=320",
    "actor_rollout_ref.rollout.search.max_turns=3",
    "actor_rollout_ref.rollout.search.max_turn_tokens=48",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_graph(folder: Path) -> None:
    """A shared KG named ``capitals`` under ``folder``."""
    data_set = folder / "capitals"
    data_set.mkdir(parents=True)
    lines = [f"{country}\tcapital\t{city}\n" for country, city in CAPITALS.items()]
    (data_set / "triples.tsv").write_text("".join(lines), encoding="utf-8")


def questions(split: str) -> list[Question]:
    return [
        Question(
            question_id=f"{split}-{number}",
            question=f"What is the capital of {country}?",
            topic_entities=(country,),
            gold=((city,),),
            dataset_name="capitals",
            num_hops=1,
            question_type="capital",
            split=split,
            path=(("tail", "capital"),),
        )
        for number, (country, city) in enumerate(CAPITALS.items())
    ]


def write_rows(folder: Path) -> tuple[Path, Path]:
    """Training and validation rows; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    train, val = folder / "train.parquet", folder / "val.parquet"
    write_questions(train, questions("train"))
    write_questions(val, questions("val")[:4])
    return train, val


def sample_texts() -> list[str]:
    """What the tokenizer is made from: a prompt and a walk for every question."""
    specs = ACTION_REGISTRY.specs()
    texts = []
    for question in questions("train"):
        texts += [message["content"] for message in build_messages(question, specs)]
        city = question.gold[0][0]
        search = '<search>get_tail_entities("#1", "capital")</search>'
        texts.append(
            f"<think>Plan</think>\n{search}\n<information>#2: {city}</information>\n<answer> {city}</answer>"
        )
    return texts


def write_half_trained_model(folder: Path) -> None:
    """The tiny model after a short cold start: it searches well, and answers rightly half of the time.

    A random model earns the same in every rollout, and so does one that is always right: either teaches a
    group baseline nothing.
    """
    write_model(folder / "random")
    write_graph(folder / "data_kg")
    tokenizer = AutoTokenizer.from_pretrained(str(folder / "random"))
    store = GraphStore(folder / "data_kg")
    limits, _ = episode_limits(composed("cpu_135m", EPISODE_OVERRIDES), validate=False)
    walks, _ = build_walks(questions("train"), store, tokenizer, limits, num_walks=64)
    doubted = walks + [with_wrong_answer(walk, tokenizer) for walk in walks]
    _learn(walks, folder / "random", folder / "sure", num_epochs=240, learning_rate=3e-3)
    _learn(doubted, folder / "sure", folder / "model", num_epochs=8, learning_rate=1e-3)


def _learn(walks: list[Walk], model: Path, out: Path, num_epochs: int, learning_rate: float) -> None:
    """A cold start of `model` on the walks, saved as `out`."""
    path = out.with_suffix(".walks.jsonl")
    write_walks(path, walks)
    cold_start(
        ColdStartConfig(
            model=str(model),
            walks=path,
            out=out,
            num_epochs=num_epochs,
            learning_rate=learning_rate,
            batch_size=8,
            micro_batch_size=8,
            num_held_out=0,
            save_steps=10_000,
        )
    )


def with_wrong_answer(walk: Walk, tokenizer: PreTrainedTokenizerFast) -> Walk:
    """The same walk up to its last observation, and then the capital of another country."""
    start = max(place for place, learned in enumerate(walk.response_mask) if not learned) + 1
    last_turn = tokenizer.decode(walk.response_ids[start:])
    cities = list(CAPITALS.values())
    (city,) = (city for city in cities if f"<answer> {city}</answer>" in last_turn)
    wrong = cities[(cities.index(city) + 1) % len(cities)]
    told = last_turn.replace(f"<answer> {city}</answer>", f"<answer> {wrong}</answer>")
    ids = tokenizer.encode(told, add_special_tokens=False)
    return replace(
        walk,
        response_ids=walk.response_ids[:start] + ids,
        response_mask=walk.response_mask[:start] + [1] * len(ids),
    )


def write_model(folder: Path, seed: int = 0) -> None:
    """A random two-layer Llama and a byte-level tokenizer with a ChatML template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(sample_texts(), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=wrapped.bos_token_id,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
        dtype=torch.bfloat16,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(str(folder))
    wrapped.save_pretrained(str(folder))


def read_metrics(path: Path) -> dict[int, dict[str, float]]:
    """verl's JSON-lines metrics, by step."""
    rows: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.setdefault(row["step"], {}).update(row["data"])
    return rows
