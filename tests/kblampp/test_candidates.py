"""Which facts are looked at: those about named entities, near ones, and those that they lead to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kblampp import relation_paths
from kblampp.candidates import MAX_OF_ENTITY, Asked, CandidateFinder, Found
from kblampp.config import Config
from kblampp.encoders.loading import load_encoder
from kblampp.entity_names import MASK, EntityNames
from kblampp.kb_store import KBStore
from kblampp.loading import load_answer_format, load_backbone, load_retriever, make_model
from kblampp.query_tensors import encode_queries
from kblampp.relation_paths import NUM_VIEWS, RelationPaths
from kblampp.retrieved import NO_ROW
from kblampp.retriever import Retriever
from kblampp.time_window import TIMELESS
from tests.kblampp.injection import make_world


@pytest.fixture(scope="module")
def retriever(world: Config) -> Retriever:
    return load_retriever(world, load_encoder(world.encoder), load_answer_format(world))


def finder_of(retriever: Retriever, num_candidates: int, num_hops: int) -> CandidateFinder:
    return CandidateFinder(
        retriever.store,
        retriever.index,
        retriever.finder.paths,
        num_candidates=num_candidates,
        num_hops=num_hops,
    )


def key_of(store: KBStore, fact: str) -> np.ndarray:
    return np.asarray(store.array("K")[store.row_of[fact]], dtype=np.float32)


def named(store: KBStore, found: dict[int, Found]) -> dict[str, Found]:
    return {store.fact(row).id: it for row, it in found.items()}


def path(store: KBStore, *relations: str) -> tuple[int, ...]:
    return tuple(store.relation_names.index(relation) for relation in relations)


def test_hops_are_followed_from_the_nearest_where_nobody_is_named(retriever: Retriever) -> None:
    store = retriever.store
    key = key_of(store, "theo-lund/birthplace")
    for num_hops, wanted in (
        (1, {}),
        (2, {"bexley/country": ("birthplace", "country")}),
        (3, {"norland/capital": ("birthplace", "country", "capital")}),
    ):
        found = named(store, finder_of(retriever, 2, num_hops).find([Asked(key, key, key)])[0])
        assert found["theo-lund/birthplace"].depth == 0
        for fact, relations in wanted.items():
            assert found[fact].rows[0] == store.row_of["theo-lund/birthplace"]
            assert found[fact].rows[-1] == store.row_of[fact]
            assert found[fact].path == path(store, *relations)
        assert max(it.depth for it in found.values()) == num_hops - 1


def test_facts_about_named_entities_are_found_wherever_their_keys_are(retriever: Retriever) -> None:
    store = retriever.store
    far = -key_of(store, "ada-brook/birthplace")
    ada = int(store.array("entities")[store.row_of["ada-brook/birthplace"]][0])
    [found] = finder_of(retriever, 1, 2).find([Asked(far, far, far, entities=(ada,))])
    by_name = named(store, found)
    assert [name for name, it in by_name.items() if name.startswith("ada-brook/")] == list(by_name)[:4]
    assert by_name["lumen-mills/headquarters"].path == path(store, "employer", "headquarters")
    assert by_name["lumen-mills/headquarters"].rows[0] == store.row_of["ada-brook/first-employer"]


def test_a_chain_that_must_be_there_comes_with_its_path(retriever: Retriever) -> None:
    store = retriever.store
    key = key_of(store, "ada-brook/spouse")
    chain = tuple(store.row_of[it] for it in ("carrow/country", "sudland/currency"))
    [found] = finder_of(retriever, 1, 2).find([Asked(key, key, key, must_have=chain)])
    assert found[chain[1]] == Found(chain, path(store, "country", "currency"))
    apart = tuple(store.row_of[it] for it in ("carrow/country", "norland/capital"))
    [found] = finder_of(retriever, 1, 1).find([Asked(key, key, key, must_have=apart)])
    assert found[apart[1]] == Found((apart[1],), path(store, "capital"))
    assert finder_of(retriever, 1, 1).find([]) == []


def test_names_are_found_by_their_words(retriever: Retriever) -> None:
    names, store = retriever.names, retriever.store

    def heads(question: str) -> tuple[list[str], str]:
        linked = names.link(question)
        first_rows = [int(store.with_head(entity)[0]) for entity in linked.entities]
        return [store.fact(row).head for row in first_rows], linked.masked

    assert heads("Where was ADA Brook\u2019s spouse born?") == (
        ["Ada Brook"],
        f"Where was {MASK}\u2019s spouse born?",
    )
    assert heads("Is Arden's mayor Theo Lund?") == (["Theo Lund", "Arden"], f"Is {MASK}'s mayor {MASK}?")
    assert heads("Who is Ada?") == ([], "Who is Ada?")
    assert heads("") == ([], "")
    many = "Arden, Bexley, Carrow, Dunmore and Norland"
    assert len(heads(many)[0]) == 4


def test_the_longest_name_wins(tmp_path: Path, world: Config) -> None:
    fact = KBStore(Path(world.store.path)).fact(0)
    config = make_world(
        tmp_path, [replace(fact, id="x", head="Brook"), replace(fact, id="y", head="ADA BROOK")]
    )
    store = KBStore(Path(config.store.path))
    linked = EntityNames(store).link("Whom did Ada Brook marry near Brook?")
    found = [store.fact(int(store.with_head(entity)[0])).head for entity in linked.entities]
    assert sorted(found[:2]) == ["ADA BROOK", "Ada Brook"] and found[2:] == ["Brook"]


def test_a_path_is_encoded_once_and_says_its_relations(world: Config, retriever: Retriever) -> None:
    store, encoder = retriever.store, load_encoder(world.encoder)
    paths = RelationPaths(encoder, store.relation_names, store.array("R"))
    two = path(store, "birthplace", "mayor")
    assert paths.text(two) == "mayor of the birthplace"
    views = paths.views([two, path(store, "spouse"), two])
    assert views.shape == (3, NUM_VIEWS, encoder.dim) and len(paths) == 2
    np.testing.assert_allclose(np.linalg.norm(views, axis=-1), 1, atol=1e-3)
    np.testing.assert_array_equal(views[0], views[2])
    bare, about = encoder.encode([paths.text(two), f"{paths.text(two)} of {MASK}"], normalise=True)
    np.testing.assert_allclose(views[0, :2], [bare, about], atol=1e-5)
    beside = store.array("R")[list(two)].astype(np.float32).sum(0)
    np.testing.assert_allclose(views[0, 2], beside / np.linalg.norm(beside), atol=1e-3)
    np.testing.assert_allclose(views[1, 2], views[1, 0], atol=2e-3)
    mean = (bare + about) / np.linalg.norm(bare + about)
    np.testing.assert_allclose(paths.vectors([two])[0], mean, atol=1e-5)


def test_paths_are_forgotten_oldest_first(
    world: Config, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relation_paths, "MAX_KEPT", 2)
    store = retriever.store
    paths = RelationPaths(load_encoder(world.encoder), store.relation_names, store.array("R"))
    some = [path(store, name) for name in ("spouse", "mayor", "capital")]
    first = paths.views(some)
    assert first.shape[0] == 3 and len(paths) == 2
    np.testing.assert_allclose(paths.views(some), first, atol=1e-5)
    assert len(paths) == 2


def test_a_batch_of_candidates_says_where_each_is_from(world: Config, retriever: Retriever) -> None:
    encoder, answers = load_encoder(world.encoder), load_answer_format(world)
    model = make_model(world, load_backbone(world), answers)
    texts = ["Where was Theo Lund born?", "Who?"]
    query = encode_queries(texts, [TIMELESS] * 2, encoder, retriever.names, retriever.reader)
    found = retriever.retrieve(model.selector, query)
    rows = found.facts.rows[0].tolist()
    place = rows.index(retriever.store.row_of["bexley/country"])
    theo = retriever.store.array("name_words")[retriever.store.row_of["theo-lund/birthplace"]]
    assert int(found.depth[0, place]) == 1
    way = [retriever.store.row_of[it] for it in ("theo-lund/birthplace", "bexley/country")]
    assert found.ways[0, place].tolist()[:2] == way and set(found.ways[0, place].tolist()[2:]) <= {NO_ROW}
    assert found.root_words[0, place].tolist() == theo.tolist()
    wanted = retriever.finder.paths.views([path(retriever.store, "birthplace", "country")])[0]
    np.testing.assert_allclose(found.paths[0, place].numpy(), wanted, atol=1e-6)
    fits = retriever.finder.fits(
        Asked(
            query.vectors[0].numpy(),
            query.masked[0].numpy(),
            query.masked[0].numpy(),
            query.readings[0].numpy(),
        ),
        [path(retriever.store, "birthplace", "country")],
    )
    np.testing.assert_allclose(found.fits[0, place].numpy(), fits[0], atol=1e-6)
    counts = found.is_real.sum(-1)
    assert int(counts.max()) == len(rows) > int(counts.min())


def test_of_an_entity_with_many_facts_those_of_the_nearest_relations_are_taken(
    tmp_path: Path, world: Config
) -> None:
    known = KBStore(Path(world.store.path))
    fact = known.fact(0)
    facts = [
        replace(fact, id=f"{relation}-{number}", head="Hub", relation=relation, tail=f"{relation} {number}")
        for relation in ("spouse", "mayor")
        for number in range(MAX_OF_ENTITY)
    ]
    store_of_hub = load_retriever(
        make_world(tmp_path, facts), load_encoder(world.encoder), load_answer_format(world)
    )
    store, finder = store_of_hub.store, store_of_hub.finder
    hub = int(store.array("entities")[store.row_of["mayor-0"]][0])
    mayor = finder.paths.vectors([path(store, "mayor")])[0]
    far = -key_of(store, "mayor-0")
    asked = Asked(far, mayor, mayor, entities=(hub,))
    [found] = CandidateFinder(store, store_of_hub.index, finder.paths, num_candidates=1, num_hops=2).find(
        [asked]
    )
    taken = [store.fact(row).id for row in found][:MAX_OF_ENTITY]
    assert taken == [f"mayor-{number}" for number in range(MAX_OF_ENTITY)]
    gone = replace(asked, without=frozenset(store.row_of[it] for it in taken[:3]))
    assert next(iter(finder.find([gone])[0])) == store.row_of["mayor-3"]
