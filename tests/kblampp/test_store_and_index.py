"""Facts on disk, and the nearest of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kblampp.config import Config, StoreConfig
from kblampp.encoders.loading import load_encoder
from kblampp.errors import ArtefactMissing, ArtefactStale
from kblampp.kb_store import NO_ENTITY, NO_TOKEN, KBStore
from kblampp.knowledge_index import build_hnsw, exact_index, load_index, save_hnsw
from kblampp.loading import load_answer_format, load_retriever
from kblampp.offline import cut_store, encode_kv
from kblampp.offline.encode_kv import encode_facts
from kblampp.quintuples import read_quintuples
from tests.kblampp.injection import facts, make_world, write_config


@pytest.fixture
def store(world: Config) -> KBStore:
    return KBStore(Path(world.store.path), verify=True)


def test_every_fact_comes_back(store: KBStore, world: Config) -> None:
    written = read_quintuples(Path(world.train_5tuple_path))
    assert [store.fact(row) for row in range(len(store))] == written == facts()
    assert store.row_of["arden/country"] == written.index(store.fact(store.row_of["arden/country"]))
    assert store.relation_names[:3] == ["birthplace", "employer", "spouse"]
    with pytest.raises(IndexError, match="there are 32"):
        store.fact(32)


def test_rows_hold_what_their_facts_say(store: KBStore, world: Config) -> None:
    encoder, answers = load_encoder(world.encoder), load_answer_format(world)
    row = store.row_of["ada-brook/first-employer"]
    taken = store.take(np.array([[row, store.row_of["arden/mayor"]]]))
    key, tail = encoder.encode(["employer of Ada Brook", "Lumen Mills"], normalise=True)
    np.testing.assert_allclose(taken.keys[0, 0], key, atol=1e-3)
    np.testing.assert_allclose(taken.tails[0, 0], tail, atol=1e-3)
    tokens = [token for token in taken.tail_ids[0, 0].tolist() if token != NO_TOKEN]
    assert tokens == [*answers.answer_ids("Lumen Mills"), answers.end_id]
    assert answers.text_of(tokens) == "Lumen Mills"
    window = store.fact(row).time_window
    assert window.start and window.end
    assert taken.times[0, 0].tolist() == [window.start.toordinal(), window.end.toordinal()]


def test_values_can_be_whole_statements(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = make_world(tmp_path)
    answers = load_answer_format(config)
    store_of_statements = StoreConfig(str(tmp_path / "said"), max_tail_tokens=60, value_text="statement")
    said = replace(config, store=store_of_statements)
    encode_facts(said, load_encoder(said.encoder), answers)
    store = KBStore(Path(said.store.path))
    tokens = store.take(np.array([[store.row_of["ada-brook/first-employer"]]])).tail_ids[0, 0].tolist()
    assert answers.text_of(tokens) == "The employer is Lumen Mills."
    with pytest.raises(ArtefactStale, match="each fact's statement, store"):
        load_retriever(
            replace(said, store=replace(said.store, value_text="tail")), load_encoder(said.encoder), answers
        )
    short = replace(said, store=replace(said.store, max_tail_tokens=3, path=str(tmp_path / "short")))
    encode_facts(short, load_encoder(short.encoder), answers)
    assert "32 of 32 statements were cut at 3 tokens; raise store.max_tail_tokens" in caplog.text
    manifest = Path(config.store.path) / "manifest.json"
    record = json.loads(manifest.read_text())
    del record["value_text"]
    manifest.write_text(json.dumps(record))
    assert KBStore(Path(config.store.path)).manifest.value_text == "tail"


def test_a_tail_leads_to_the_facts_about_it(store: KBStore) -> None:
    head, tail = store.array("entities")[store.row_of["theo-lund/birthplace"]]
    about = {store.fact(int(row)).id for row in store.with_head(int(tail))}
    assert about == {"bexley/country", "bexley/mayor"}
    assert "theo-lund/birthplace" in {store.fact(int(row)).id for row in store.with_head(int(head))}
    assert store.array("entities")[store.row_of["norland/currency"]][1] == NO_ENTITY
    assert not len(store.with_head(NO_ENTITY))


def test_the_graph_agrees_with_exact_search(tmp_path: Path) -> None:
    """On a thousand random keys; on real ones `build_index --compare` measures it."""
    config = make_world(tmp_path)
    store = KBStore(Path(config.store.path))
    generator = np.random.default_rng(0)
    keys = generator.standard_normal((1000, store.manifest.d)).astype(np.float32)
    store._arrays["K"] = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    graph, exact = build_hnsw(store, StoreConfig(ef_search=200)), exact_index(store)
    queries = keys[:50] + 0.1 * generator.standard_normal((50, keys.shape[1])).astype(np.float32)
    found = [[set(rows) for rows in index.search(queries, 16)[1].tolist()] for index in (graph, exact)]
    assert np.mean([len(a & b) / 16 for a, b in zip(*found, strict=True)]) >= 0.95
    assert exact.search(queries, 5000)[1].shape == (50, 1000)


def test_an_interrupted_encoding_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_world(tmp_path)
    whole = KBStore(Path(config.store.path)).manifest.checksums
    shutil.rmtree(config.store.path)
    monkeypatch.setattr(encode_kv, "_PART", 8)
    encoder, answers = load_encoder(config.encoder), load_answer_format(config)
    fill, calls = encode_kv._fill, []

    def fails_at_the_third(*arguments: object) -> None:
        calls.append(arguments[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        fill(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(encode_kv, "_fill", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        encode_facts(config, encoder, answers)
    with pytest.raises(ArtefactMissing, match="--steps encode"):
        KBStore(Path(config.store.path))
    done = encode_facts(config, encoder, answers)
    assert calls == [0, 8, 16, 16, 24]
    assert (done.num_facts, done.num_encoded) == (32, 16)
    assert KBStore(Path(config.store.path), verify=True).manifest.checksums == whole


def test_what_is_missing_or_stale_is_named(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    encoder, answers = load_encoder(config.encoder), load_answer_format(config)
    large = replace(config, store=replace(config.store, max_exact=10))
    with pytest.raises(ArtefactMissing, match="--steps index"):
        load_retriever(large, encoder, answers)
    store = KBStore(Path(config.store.path))
    save_hnsw(build_hnsw(store, config.store), store, config.store)
    assert load_index(store, large.store).kind == "hnsw"
    assert load_index(store, config.store).kind == "exact"
    with pytest.raises(ArtefactStale, match="other keys or settings"):
        load_index(store, replace(large.store, hnsw_m=8))
    with pytest.raises(ArtefactStale, match="tokens of a tail"):
        load_retriever(replace(config, store=replace(config.store, max_tail_tokens=4)), encoder, answers)
    manifest = Path(config.store.path) / "manifest.json"
    record = json.loads(manifest.read_text())
    for field, words in (("encoder_recipe", "was encoded by"), ("tokenizer_sha256", "holds tokens of")):
        manifest.write_text(json.dumps(record | {field: record[field] and type(record[field])()}))
        with pytest.raises(ArtefactStale, match=words):
            load_retriever(config, encoder, answers)
    manifest.write_text(json.dumps(record))
    (Path(config.store.path) / "times.npy").write_bytes(b"other")
    with pytest.raises(ArtefactStale, match=r"times.npy is not the file"):
        KBStore(Path(config.store.path), verify=True)
    (Path(config.store.path) / "times.npy").unlink()
    with pytest.raises(ArtefactMissing, match=r"times.npy is not there"):
        KBStore(Path(config.store.path))


def test_a_cut_store_is_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    path = write_config(config, tmp_path / "config.yaml")
    out = tmp_path / "small"
    arguments = ["--config", str(path), "--num-facts", "12", "--out", str(out)]
    assert cut_store.main(arguments) == 0
    assert "12 facts and 8 questions" in capsys.readouterr().out
    small, large = KBStore(out, verify=True), KBStore(Path(config.store.path))
    for row in range(len(small)):
        fact = small.fact(row)
        there = large.row_of[fact.id]
        np.testing.assert_array_equal(small.array("K")[row], large.array("K")[there])
        about = {small.fact(int(other)).id for other in small.with_head(int(small.array("entities")[row][1]))}
        wanted = {large.fact(int(it)).id for it in large.with_head(int(large.array("entities")[there][1]))}
        assert about == wanted & set(small.row_of)
    assert cut_store.main([*arguments[:3], "33", *arguments[4:]]) == 2
    assert cut_store.main([*arguments[:5], config.store.path]) == 2
    assert "name another folder" in capsys.readouterr().err
