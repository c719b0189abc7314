"""A tiny world with everything that answers questions about it, made in a second and without training.

Four people, their employers one after the other, four firms, four towns and two countries; the models are
random. `make_world` writes it all and gives the config that `load_answerer` takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from transformers import AutoConfig, AutoModelForCausalLM

from kblampp.answering import QuestionAnswerer, load_answerer
from kblampp.checkpoint import save_checkpoint
from kblampp.config import Config, StoreConfig
from kblampp.encoders.loading import load_encoder
from kblampp.loading import load_answer_format
from kblampp.offline.encode_kv import encode_facts
from kblampp.questions import REFUSAL, Question, write_questions
from kblampp.quintuples import Quintuple, write_quintuples
from kblampp.time_window import TIMELESS, TimeWindow
from tests.kblampp import tiny

PEOPLE = {
    # name: birthplace, first employer with its last year, second employer, spouse
    "Ada Brook": ("Arden", "Lumen Mills", 1990, 1994, "Corvo Bank", "Theo Lund"),
    "Theo Lund": ("Bexley", "Corvo Bank", 1985, 1999, "Hale Press", "Ada Brook"),
    "Ida Marsh": ("Carrow", "Hale Press", 1978, 1986, "Lumen Mills", "Otto Venn"),
    "Otto Venn": ("Dunmore", "Sable Tools", 1991, 2003, "Hale Press", "Ida Marsh"),
}
FIRMS = {"Lumen Mills": "Arden", "Corvo Bank": "Bexley", "Hale Press": "Carrow", "Sable Tools": "Dunmore"}
TOWNS = {"Arden": "Norland", "Bexley": "Norland", "Carrow": "Sudland", "Dunmore": "Sudland"}
COUNTRIES = {"Norland": ("Arden", "crown"), "Sudland": ("Carrow", "florin")}


def facts() -> list[Quintuple]:
    """32 facts; the ids say what they are, such as 'ada-brook/birthplace'."""
    found = []
    for name, (town, first, start, end, second, spouse) in PEOPLE.items():
        found += [
            _fact(name, "birthplace", town),
            _fact(name, "employer", first, years(start, end), "first-employer"),
            _fact(name, "employer", second, TimeWindow(years(end + 1, end + 1).start, None)),
            _fact(name, "spouse", spouse),
        ]
    found += [_fact(firm, "headquarters", town) for firm, town in FIRMS.items()]
    found += [_fact(town, "country", country) for town, country in TOWNS.items()]
    for country, (capital, currency) in COUNTRIES.items():
        found += [_fact(country, "capital", capital), _fact(country, "currency", currency)]
    found += [_fact(town, "mayor", name) for town, name in zip(TOWNS, PEOPLE, strict=True)]
    return found


def years(first: int, last: int) -> TimeWindow:
    """From the first day of one year to the last of another."""
    return TimeWindow.from_json([f"{first}-01-01", f"{last}-12-31"])


def _fact(head: str, relation: str, tail: str, window: TimeWindow = TIMELESS, key: str = "") -> Quintuple:
    return Quintuple(
        id=f"{head.lower().replace(' ', '-')}/{key or relation}",
        head=head,
        relation=relation,
        tail=tail,
        context=f"The {relation} of {head} is {tail}.",
        time_window=window,
        source="tiny",
    )


def questions() -> list[Question]:
    """Eight questions: single-hop, multi-hop, temporal and unanswerable, two of each."""
    told: list[tuple[str, str, Any, tuple[str, ...], TimeWindow]] = [
        ("Where was Ada Brook born?", "Arden", "single-hop", ("ada-brook/birthplace",), TIMELESS),
        ("Who is the spouse of Otto Venn?", "Ida Marsh", "single-hop", ("otto-venn/spouse",), TIMELESS),
        (
            "In which country was Theo Lund born?",
            "Norland",
            "multi-hop",
            ("theo-lund/birthplace", "bexley/country"),
            TIMELESS,
        ),
        (
            "What is the currency of the country of Carrow?",
            "florin",
            "multi-hop",
            ("carrow/country", "sudland/currency"),
            TIMELESS,
        ),
        (
            "Who was the employer of Ada Brook in 1992?",
            "Lumen Mills",
            "temporal",
            ("ada-brook/first-employer",),
            years(1992, 1992),
        ),
        (
            "Who was the employer of Ida Marsh in 1990?",
            "Lumen Mills",
            "temporal",
            ("ida-marsh/employer",),
            years(1990, 1990),
        ),
        ("What is the shoe size of Ada Brook?", REFUSAL, "unanswerable", (), TIMELESS),
        ("Who is the mayor of Norland?", REFUSAL, "unanswerable", (), TIMELESS),
    ]
    return [
        Question(
            qid=f"tiny-{number}",
            dataset="tiny",
            question=text,
            answer=answer,
            type=kind,
            supporting_facts=supporting,
            question_time=asked,
        )
        for number, (text, answer, kind, supporting, asked) in enumerate(told)
    ]


def make_world(
    folder: Path, more: Sequence[Quintuple] = (), *, store: str = "store/tiny", **settings: Any
) -> Config:
    """Writes facts, questions, models and the encoded store under a folder.

    Args:
        folder: where to; models that are there already are used again.
        more: facts beside those of `facts`; one with a known id takes that fact's place.
        store: the store's folder, under `folder`.
        settings: fields of the config that differ from the tiny ones.
    """
    every = list({fact.id: fact for fact in [*facts(), *more]}.values())
    name = store.replace("/", "-")
    write_quintuples(folder / f"{name}.jsonl", every)
    for split in ("train", "dev", "test"):
        write_questions(folder / f"{split}.jsonl", questions())
    config = tiny_config(folder, folder / f"{name}.jsonl", folder / store)
    config = replace(config, **settings)
    encode_facts(config, load_encoder(config.encoder), load_answer_format(config))
    return config


def tiny_config(folder: Path, facts_path: Path, store: Path) -> Config:
    """A config over two random models in `folder`, which are made if they are not there."""
    encoder, backbone = folder / "encoder", folder / "backbone"
    if not encoder.is_dir():
        words = " ".join([f"{it.context} {it.head}" for it in facts()] + [it.question for it in questions()])
        tiny.checkpoint(encoder, "bert", words=" ".join(words.lower().replace("?", " ?").split()))
        tiny.checkpoint(backbone, "llama")
        _with_a_head(backbone)
    return Config(
        train_5tuple_path=str(facts_path),
        train_qa_path=str(folder / "train.jsonl"),
        dev_qa_path=str(folder / "dev.jsonl"),
        test_qa_path=str(folder / "test.jsonl"),
        backbone=str(backbone),
        embedding_model=str(encoder),
        text_encoder="minilm",
        d_ctx=tiny.HIDDEN,
        d_k=tiny.HIDDEN,
        d_v=tiny.HIDDEN,
        d_attention=16,
        inject_layers=[0, 1],
        K_top=8,
        num_candidates=16,
        num_hops=3,
        max_seq_len=128,
        max_new_tokens=4,
        device="cpu",
        store=StoreConfig(path=str(store), max_tail_tokens=24),
    )


def _with_a_head(folder: Path) -> None:
    """Makes the checkpoint of a decoder one that can be asked for the next token."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5.0)
    model.save_pretrained(folder)


def make_answerer(config: Config, *, is_stirred: bool = True) -> QuestionAnswerer:
    """An untrained answerer; stirred, its KB modules are random, so that facts change what is said."""
    answerer = load_answerer(config)
    if is_stirred:
        stir(answerer)
    return answerer


def stir(answerer: QuestionAnswerer) -> None:
    """Makes the injection random; the selector stays as it was, so that it chooses by the encoder."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in answerer.model.attentions.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)


def write_checkpoint(config: Config, folder: Path) -> Path:
    """A checkpoint of a stirred answerer, for `--checkpoint`."""
    save_checkpoint(make_answerer(config).model, config, folder)
    return folder


def write_config(config: Config, path: Path) -> Path:
    """The config as a YAML file, for `--config`."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(asdict(config))), encoding="utf-8")
    return path
