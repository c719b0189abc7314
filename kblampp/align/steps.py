"""The six steps, each from files to files; what they print comes back as text."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from kblampp.align.closed_form import unit
from kblampp.align.dataset import (
    Sentence,
    build_dataset,
    build_distractors,
    of_split,
    read_dataset,
    read_texts,
    unique_texts,
    write_dataset,
)
from kblampp.align.errors import AlignError, DatasetError
from kblampp.align.evaluation import evaluate
from kblampp.align.frames import read_frames
from kblampp.align.heads import load_head, save_head
from kblampp.align.paraphrasing import paraphrase
from kblampp.align.providers import IN_PROCESS, EmbeddingProvider, make_provider
from kblampp.align.report import markdown, write_report
from kblampp.align.training import TrainingConfig, train_head
from kblampp.align.vectors import embed_all, load_vectors, save_vectors
from kblampp.files import write_text

PROBE = "Which river flows through the capital?"


def env_check(options: argparse.Namespace) -> str:
    """Asks both models for one vector."""
    lines = []
    for role in ("student", "teacher"):
        model, host = getattr(options, f"{role}_model"), getattr(options, f"{role}_host")
        started = time.perf_counter()
        vector = make_provider(model, host, options.key, options.dtype).embed([PROBE])
        lines.append(f"{role}: {model}, {vector.shape[1]} dimensions, {time.perf_counter() - started:.1f} s")
    return "\n".join(lines)


def build_dataset_step(options: argparse.Namespace) -> str:
    """Writes the data set, its split, the templates that it is made from, and the distractors."""
    data = options.folder / "data"
    sentences = build_dataset(options.target, options.seed)
    if options.llm_base_url:
        sentences = paraphrase(sentences, options.llm_base_url, options.llm_model, options.key)
    distractors = build_distractors(options.distractors, sentences, options.seed)
    write_dataset(data / "dataset.jsonl", sentences)
    split = {name: [one.sentence_id for one in of_split(sentences, name)] for name in ("train", "test")}
    write_text(data / "split.json", json.dumps(split) + "\n")
    frames = "".join(json.dumps(asdict(frame), ensure_ascii=False) + "\n" for frame in read_frames())
    write_text(data / "raw_sentences.jsonl", frames)
    write_text(data / "distractors.json", json.dumps(distractors, ensure_ascii=False, indent=0) + "\n")
    further = read_texts(options.texts, {*unique_texts(sentences), *distractors}) if options.texts else []
    write_text(data / "further_texts.json", json.dumps(further, ensure_ascii=False, indent=0) + "\n")
    return (
        f"{len(sentences):,} sentences ({len(split['train']):,} train, {len(split['test']):,} test), "
        f"{len(unique_texts(sentences)):,} texts, {len(distractors):,} distractors, {len(further):,} further "
        f"texts to learn from in {data}"
    )


def cache_teacher(options: argparse.Namespace) -> str:
    """Asks the teacher for the vector of every text; those that are kept already are not asked for."""
    data = options.folder / "data"
    texts = [
        *unique_texts(read_dataset(data / "dataset.jsonl")),
        *_texts(data / "distractors.json"),
        *_texts(data / "further_texts.json"),
    ]
    provider = make_provider(options.model, options.host, options.key, options.dtype)
    vectors = embed_all(provider, texts, data / "vectors.sqlite", "teacher")
    if vectors.s_per_1000 is None and (data / "teacher_index.json").is_file():
        # Nothing was computed this time; what it took is known from before.
        earlier = load_vectors(data, "teacher")
        vectors = replace(vectors, s_per_1000=earlier.s_per_1000 if earlier.name == vectors.name else None)
    save_vectors(data, "teacher", vectors)
    return f"{len(vectors.rows):,} vectors of {vectors.name}, {vectors.matrix.shape[1]} dimensions, in {data}"


def adapt(options: argparse.Namespace) -> str:
    """Teaches a local student itself, through a head that is thrown away, and writes it as a model."""
    from kblampp.align.adapting import AdaptingConfig, adapt_student, save_student
    from kblampp.encoders.loading import load_by_family

    if not options.student_model.startswith(IN_PROCESS):
        raise AlignError(
            f"--student-model {options.student_model} is a server's; only hf: models can be taught"
        )
    if options.out.exists():
        raise AlignError(f"{options.out} is there already; give a new folder with --out")
    config = AdaptingConfig(
        training=options.training,
        num_epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.lr,
        head=_training_config(options),
        seed=options.seed,
    )
    data = options.folder / "data"
    texts = _learned(data, read_dataset(data / "dataset.jsonl"))
    wanted = load_vectors(data, "teacher").of(texts)
    encoder = load_by_family(options.student_model.removeprefix(IN_PROCESS), dtype=options.dtype)
    started = time.perf_counter()
    cosine = adapt_student(encoder, texts, wanted, config)
    save_student(encoder, options.out)
    return (
        f"{options.training} training on {len(texts):,} texts, {time.perf_counter() - started:.0f} s, cosine "
        f"{cosine:.3f} on those kept aside, in {options.out}; its head: kblampp-align train --student-model "
        f"hf:{options.out}"
    )


def train(options: argparse.Namespace) -> str:
    """Trains the head on the training sentences, from cached vectors alone on the teacher's side."""
    config = replace(
        _training_config(options),
        num_epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.lr,
        weight_decay=options.weight_decay,
    )
    data, artifacts = options.folder / "data", options.folder / "artifacts"
    texts = _learned(data, read_dataset(data / "dataset.jsonl"))
    teacher = load_vectors(data, "teacher")
    wanted = teacher.of(texts)
    student = embed_all(_student(options), texts, data / "vectors.sqlite", "student")
    started = time.perf_counter()
    head = train_head(student.of(texts), wanted, config)
    seconds = time.perf_counter() - started
    about = {
        "student": student.name,
        "teacher": teacher.name,
        "texts": len(texts),
        "fit_s": round(seconds, 2),
    }
    save_head(artifacts / "align_head.safetensors", head, about)
    write_text(
        artifacts / "run_config.json", json.dumps({**about, "training": asdict(config)}, indent=2) + "\n"
    )
    return f"{head.kind} head {head.d_student} -> {head.d_teacher}, {seconds:.1f} s, in {artifacts}"


def evaluate_step(options: argparse.Namespace) -> str:
    """Compares on the test sentences, and writes the reports."""
    data = options.folder / "data"
    sentences, distractors = read_dataset(data / "dataset.jsonl"), _texts(data / "distractors.json")
    learned = _learned(data, sentences)
    head, about = load_head(options.folder / "artifacts" / "align_head.safetensors")
    teacher = load_vectors(data, "teacher")
    provider = _student(options)
    _check_student(provider, about)
    texts = [*unique_texts(sentences), *distractors, *learned]
    student = embed_all(provider, texts, data / "vectors.sqlite", "student")
    rows = evaluate(head, sentences, student, teacher, distractors, learned, options.seed)
    # The student's own speed, now and on this machine; the teacher's is that of when it was asked.
    queries = [text for one in of_split(sentences, "test") for text in one.paraphrases]
    started = time.perf_counter()
    provider.embed(queries)
    student_s = (time.perf_counter() - started) / len(queries) * 1000
    facts = {
        **about,
        "student, s for 1,000 texts": round(student_s, 2),
        "teacher, s for 1,000 texts": teacher.s_per_1000 and round(teacher.s_per_1000, 2),
        "test sentences": len(of_split(sentences, "test")),
        "distractors": len(distractors),
    }
    report, table = write_report(options.folder / "reports", rows, facts)
    return f"{markdown(rows, facts)}\n{report}\n{table}"


def demo(options: argparse.Namespace) -> str:
    """Searches the teacher's index of test sentences with the student's mapped paraphrases."""
    data = options.folder / "data"
    test = of_split(read_dataset(data / "dataset.jsonl"), "test")
    head, about = load_head(options.folder / "artifacts" / "align_head.safetensors")
    texts = [one.text for one in test]
    index = unit(load_vectors(data, "teacher").of(texts))
    provider = _student(options)
    _check_student(provider, about)
    lines: list[str] = []
    for one in random.Random(options.seed).sample(test, min(options.samples, len(test))):
        started = time.perf_counter()
        query = unit(head.apply_to(provider.embed([one.paraphrases[0]])))[0]
        scores = index @ query
        first = np.argsort(-scores, kind="stable")[: options.topk]
        lines.append(f"{one.paraphrases[0]}  ({(time.perf_counter() - started) * 1000:.0f} ms)")
        lines += [
            f"  {'*' if texts[row] == one.text else ' '} {scores[row]:.3f} {texts[row]}" for row in first
        ]
    return "\n".join(lines)


def _training_config(options: argparse.Namespace) -> TrainingConfig:
    return TrainingConfig(
        kind=options.head,
        mse_weight=options.mse_weight,
        contrast_weight=options.contrast_weight,
        seed=options.seed,
    )


def _student(options: argparse.Namespace) -> EmbeddingProvider:
    return make_provider(options.student_model, options.student_host, options.key, options.dtype)


def _check_student(student: EmbeddingProvider, about: dict[str, object]) -> None:
    if student.name != about.get("student"):
        raise DatasetError(
            f"the head was trained for the student {about.get('student')}, not for {student.name}; "
            "name that one with --student-model, or train again"
        )


def _learned(data: Path, sentences: Sequence[Sentence]) -> list[str]:
    """What maps and students learn from: the training sentences' texts, and further ones."""
    own = unique_texts(of_split(sentences, "train"))
    return list(dict.fromkeys([*own, *_texts(data / "further_texts.json")]))


def _texts(path: Path) -> list[str]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path} ({error}); `kblampp-align build-dataset` makes it") from error
    if not isinstance(read, list) or not all(isinstance(text, str) for text in read):
        raise DatasetError(f"{path} is no list of texts; `kblampp-align build-dataset` makes one")
    return read
