"""Questions taken apart, and how relation paths fit the parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kblampp import readings
from kblampp.config import Config
from kblampp.encoders.loading import load_encoder
from kblampp.entity_names import MAX_MENTIONS
from kblampp.kb_store import KBStore
from kblampp.readings import MAX_AFTER, MAX_BEFORE, MAX_READINGS, QuestionReader, fits_of, phrases_of
from kblampp.relation_paths import RelationPaths


def test_phrases_are_the_runs_of_words_around_a_name() -> None:
    assert phrases_of("Who is the mentor of X?") == [
        ("the mentor of X", "Who is X?"),
        ("mentor of X", "Who is the X?"),
        ("of X", "Who is the mentor X?"),
    ]
    assert phrases_of("") == phrases_of("Who is it?") == phrases_of("Who is X?") == []


def test_what_ends_a_phrase_stays_in_the_rest() -> None:
    assert ("X's mentor", "Where is X's town?") in phrases_of("Where is X's mentor's town?")
    assert ("the mentor of X", "Where is X\u2019s town?") in phrases_of(
        "Where is the mentor of X\u2019s town?"
    )
    assert ("the town X lives in", "Who runs X?") in phrases_of("Who runs the town X lives in?")
    assert ("the mentor of X", "Is it X, or not?") in phrases_of("Is it the mentor of X, or not?")


def test_each_name_of_a_question_has_its_phrases() -> None:
    found = phrases_of("Did the mentor of X meet X here?")
    assert ("the mentor of X", "Did X meet X here?") in found
    assert ("X here", "Did the mentor of X meet X?") in found
    assert len(set(found)) == len(found)
    most = MAX_MENTIONS * (MAX_BEFORE + 1) * (MAX_AFTER + 1)
    assert len(phrases_of("X " * 1000)) <= most and len(phrases_of("a X b c d e f g h " * 99)) <= most


@pytest.fixture(scope="module")
def store(world: Config) -> KBStore:
    return KBStore(Path(world.store.path))


def test_the_likeliest_readings_come_first_and_are_encoded_once(world: Config, store: KBStore) -> None:
    encoder = load_encoder(world.encoder)
    relations = store.array("R").astype(np.float32)
    reader = QuestionReader(encoder, relations)
    text = "On which doorstep would one find the spouse of X?"
    vectors = reader.read([text, "Who is X?", text, "Who?"])
    assert vectors.shape == (4, MAX_READINGS, 2, encoder.dim)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not vectors[3].any() and not vectors[1, 1:].any()
    phrases = phrases_of(text)
    near = (encoder.encode([it for it, _ in phrases], normalise=True) @ relations.T).max(-1)
    best = phrases[int(near.argmax())]
    wanted = encoder.encode(best, normalise=True)
    np.testing.assert_allclose(vectors[0, 0].astype(np.float32), wanted, atol=1e-3)
    kept = len(reader)
    np.testing.assert_array_equal(reader.read([text])[0], vectors[0])
    assert len(reader) == kept
    assert reader.read([]).shape == (0, MAX_READINGS, 2, encoder.dim)


def test_parts_are_forgotten_oldest_first(
    world: Config, store: KBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "MAX_KEPT", 3)
    reader = QuestionReader(load_encoder(world.encoder), store.array("R"))
    texts = ["Who is the spouse of X?", "Who is the mayor of X?"]
    first = reader.read(texts)
    assert len(reader) == 3
    np.testing.assert_allclose(reader.read(texts).astype(np.float32), first.astype(np.float32), atol=1e-3)


def test_a_path_fits_by_its_best_reading(world: Config, store: KBStore) -> None:
    paths = RelationPaths(load_encoder(world.encoder), store.relation_names, store.array("R"))
    spouse, mayor, capital = (store.relation_names.index(it) for it in ("spouse", "mayor", "capital"))
    single = paths.vectors([(spouse,), (mayor,), (capital,)])
    pair = paths.vectors([(mayor, capital)])[0]
    readings_ = np.zeros((MAX_READINGS, 2, single.shape[1]), dtype=np.float16)
    readings_[0] = single[0], single[1]
    readings_[1] = single[0], pair
    asked = [(spouse,), (spouse, mayor), (mayor, spouse), (spouse, mayor, capital)]
    fits = fits_of(single[0], readings_, asked, paths)
    np.testing.assert_allclose(fits[0, :3], [1, 1, 1], atol=2e-3)
    np.testing.assert_allclose(fits[1, :2], [1, 1], atol=2e-3)
    np.testing.assert_allclose(fits[3, :2], [1, 1], atol=2e-3)
    backwards = single[0] @ single[1], max(single[0] @ single[0], pair @ single[0])
    assert fits[2, 0] <= np.mean([backwards[0], 1]) + 2e-3 and fits[2, 1] < 1
    assert fits[2, 2] == pytest.approx(float(single[0] @ paths.vectors([(mayor, spouse)])[0]), abs=2e-3)
    every = store.array("R").astype(np.float32)
    rivals = every @ single[0], every @ single[1]
    assert fits[0, 3] == pytest.approx(float(rivals[0][spouse] - rivals[0].max()), abs=2e-3)
    assert fits[1, 3] == pytest.approx(float(rivals[1][mayor] - rivals[1].max()), abs=2e-3)
    assert (fits[:, 3] <= 0).all()
    # One that cannot be taken apart is compared whole.
    whole = fits_of(single[0], np.zeros_like(readings_), asked, paths)
    np.testing.assert_allclose(whole[:, 0], paths.vectors(asked) @ single[0], atol=1e-5)
    np.testing.assert_array_equal(whole[:, 0], whole[:, 1])
    assert not whole[:, 2].any()
