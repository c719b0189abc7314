"""Every node of a batch teaches, validation alone chooses, what was chosen is saved, and it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kblampp.encoders.errors import FullFineTuningRefused
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.zerog import training
from kblampp.zerog.checkpoints import load_checkpoint, read_record, write_whole
from kblampp.zerog.errors import CheckpointError, GraphError, OptionError
from kblampp.zerog.graph import TextGraph
from kblampp.zerog.metrics import scores
from kblampp.zerog.model import GraphVectors, ModelConfig, encode_graph, encode_part, logits
from kblampp.zerog.sampling import Sampler, Subgraph
from kblampp.zerog.training import TrainConfig, step_loss, train
from tests.kblampp.zerog.conftest import toy_graph

Load = Callable[..., TextEncoder]
MODEL = ModelConfig(num_rounds=1)
FULL = TrainConfig(training="full", num_epochs=6, learning_rate=1e-3, nodes_per_batch=8, max_nodes=32)


def macro_f1(encoder: TextEncoder, graph: TextGraph, model: ModelConfig = MODEL) -> float:
    found = logits(encode_graph(encoder, graph), graph.edge_index, model)
    return scores(graph.y, found.argmax(dim=-1)).macro_f1


def test_every_node_of_a_batch_has_its_share_in_the_loss(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = toy_graph(0)
    torch.manual_seed(0)
    leaf = torch.randn(5, 8, requires_grad=True)
    rest = torch.randn(4, 8)
    monkeypatch.setattr(training, "encode_part", lambda *_: GraphVectors(leaf, rest[:1], rest[1:]))
    part = Subgraph(torch.tensor([7, 3, 20, 11, 2]), 4, torch.zeros(2, 0, dtype=torch.int64))
    model = ModelConfig(num_rounds=0, scale=1.0)
    loss = step_loss(load("bert"), graph, part, model)
    loss.backward()
    assert leaf.grad is not None
    shares = leaf.grad.abs().sum(dim=1)
    assert (shares[:4] > 1e-4).all()  # the targets
    assert shares[4] == 0.0  # a neighbour, which nothing is aggregated from here
    log_shares = (leaf.detach() @ rest[1:].T).log_softmax(dim=1)
    expected = -log_shares[range(4), graph.y[part.nodes[:4]]].mean()
    torch.testing.assert_close(loss.detach(), expected)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_neighbours_labels_and_the_prompt_are_trained_through(load: Load, model_type: str) -> None:
    """Vectors of a part are those of the whole graph, and gradients reach each of them."""
    graph, encoder = toy_graph(0), load(model_type, batch_size=7)
    whole = encode_graph(encoder, graph)
    part = Sampler(graph.edge_index, graph.num_nodes).sample(
        torch.tensor([5, 9]), 2, 12, torch.Generator().manual_seed(0)
    )
    vectors = encode_part(encoder, graph, part.nodes)
    torch.testing.assert_close(vectors.nodes.detach(), whole.nodes[part.nodes], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vectors.labels.detach(), whole.labels, atol=1e-4, rtol=1e-4)
    for one in (vectors.nodes, vectors.labels, vectors.prompt):
        one.retain_grad()
    found = logits(vectors, part.edge_index, MODEL)
    torch.nn.functional.cross_entropy(found[:2], graph.y[part.nodes[:2]]).backward()
    assert vectors.prompt.grad is not None
    assert vectors.labels.grad is not None
    assert vectors.nodes.grad is not None
    assert vectors.prompt.grad.abs().sum() > 0
    assert (vectors.labels.grad.abs().sum(dim=1) > 0).all()
    near = {0, 1} | {int(b) for a, b in part.edge_index.T.tolist() if a < 2}
    reached = set(torch.nonzero(vectors.nodes.grad.abs().sum(dim=1) > 0).flatten().tolist())
    assert reached == near


def test_an_epoch_takes_every_training_node_once(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graphs = [toy_graph(0, 50, "a"), toy_graph(1, 30, "b")]
    taken: dict[str, list[int]] = {"a": [], "b": []}

    def noted(encoder: TextEncoder, graph: TextGraph, part: Subgraph, model: ModelConfig) -> torch.Tensor:
        taken[graph.name] += part.nodes[: part.num_targets].tolist()
        return step_loss(encoder, graph, part, model)

    monkeypatch.setattr(training, "step_loss", noted)
    config = replace(FULL, num_epochs=1, nodes_per_batch=7)
    train(load("bert"), graphs, MODEL, config, tmp_path / "out")
    for graph in graphs:
        assert sorted(taken[graph.name]) == graph.nodes("train").tolist()


def test_a_tiny_encoder_learns_what_an_unseen_graph_needs(load: Load, tmp_path: Path) -> None:
    source, unseen = toy_graph(0, 90), toy_graph(7, 60)
    assert not set(source.texts) & set(unseen.texts)
    before = macro_f1(load("bert"), unseen)
    record = train(load("bert"), [source], MODEL, FULL, tmp_path / "out")
    after = macro_f1(load_checkpoint(tmp_path / "out", load("bert").config), unseen)
    assert record.epoch > 0
    assert record.history[-1]["loss"] < record.history[1]["loss"]
    assert after > before + 0.2


@pytest.mark.parametrize(("model_type", "how"), [("bert", "lora"), ("bert", "full"), ("llama", "lora")])
def test_a_checkpoint_gives_the_same_scores_again(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str, how: str
) -> None:
    graph, encoder = toy_graph(0), load(model_type)
    values = iter([0.1, 0.2, 0.3])
    one = training.scores(torch.tensor([0]), torch.tensor([0]))
    # Each epoch counts as better, so that the last is kept and the encoder at hand is what was saved.
    monkeypatch.setattr(training, "validate", lambda *_: replace(one, macro_f1=next(values)))
    config = replace(FULL, training=how, num_epochs=2, learning_rate=5e-3)
    untrained = logits(encode_graph(encoder, graph), graph.edge_index, MODEL)
    record = train(encoder, [graph], MODEL, config, tmp_path / "out")
    assert record.epoch == 2
    expected = logits(encode_graph(encoder, graph), graph.edge_index, MODEL)
    assert (expected - untrained).abs().max() > 1e-2
    again = load_checkpoint(tmp_path / "out", load(model_type).config)
    found = logits(encode_graph(again, graph), graph.edge_index, MODEL)
    assert torch.equal(found, expected)
    assert read_record(tmp_path / "out") == record
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".json", ".safetensors", ".md"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def other_labels(graph: TextGraph, which: str) -> TextGraph:
    """The graph with each label of a split turned into the next."""
    y = graph.y.clone()
    nodes = graph.nodes(which)
    y[nodes] = (y[nodes] + 1) % graph.num_labels
    return replace(graph, y=y)


def test_validation_chooses_and_test_labels_change_nothing(load: Load, tmp_path: Path) -> None:
    """With false labels in validation an early epoch is kept; false ones in test change not a byte."""
    graph = toy_graph(0, 90)
    kept, weights = {}, {}
    for name, source in {
        "plain": graph,
        "test": other_labels(graph, "test"),
        "val": other_labels(graph, "val"),
    }.items():
        kept[name] = train(load("bert"), [source], MODEL, FULL, tmp_path / name)
        weights[name] = (tmp_path / name / "weights.safetensors").read_bytes()
        best = max(row["val_macro_f1"] for row in kept[name].history)
        first = next(row["epoch"] for row in kept[name].history if row["val_macro_f1"] == best)
        assert kept[name].epoch == first
    assert kept["test"].history == kept["plain"].history
    assert weights["test"] == weights["plain"]
    assert kept["plain"].epoch > kept["val"].epoch
    # What was kept on false labels is worse on the true ones: it was not the test nodes that chose.
    encoder = {name: load_checkpoint(tmp_path / name, load("bert").config) for name in ("plain", "val")}
    assert macro_f1(encoder["plain"], graph) > macro_f1(encoder["val"], graph)


def test_the_same_seed_gives_the_same_history_and_another_another(load: Load, tmp_path: Path) -> None:
    config = TrainConfig(num_epochs=1, learning_rate=1e-2)
    histories = [
        train(load("bert"), [toy_graph(0)], MODEL, replace(config, seed=seed), tmp_path / "out").history
        for seed in (0, 0, 1)
    ]
    assert histories[0] == histories[1]
    assert histories[0][1]["loss"] != histories[2][1]["loss"]


def test_a_checkpoint_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def write(text: str, fails: bool) -> Callable[[Path], None]:
        def written(unfinished: Path) -> None:
            (unfinished / "a").write_text(text)
            if fails:
                raise RuntimeError("disk full")

        return written

    with pytest.raises(RuntimeError):
        write_whole(folder, write("broken", True))
    assert not folder.exists()
    write_whole(folder, write("first", False))
    with pytest.raises(RuntimeError):
        write_whole(folder, write("broken", True))
    assert (folder / "a").read_text() == "first"
    write_whole(folder, write("second", False))
    assert (folder / "a").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_trained_is_refused(load: Load, tmp_path: Path) -> None:
    graph = toy_graph(0)
    empty = replace(graph, val_mask=torch.zeros(60, dtype=torch.bool))
    with pytest.raises(GraphError, match="val_mask is empty"):
        train(load("bert"), [empty], MODEL, FULL, tmp_path / "out")
    with pytest.raises(FullFineTuningRefused):
        train(load("llama"), [graph], MODEL, FULL, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(CheckpointError, match="is no checkpoint of zerog"):
        train(load("bert"), [graph], MODEL, FULL, tmp_path / "mine")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "values", [{"num_epochs": 0}, {"learning_rate": 0.0}, {"nodes_per_batch": 65}, {"num_hops": -1}]
)
def test_impossible_options_are_named(values: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(values))):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_a_folder_without_a_checkpoint_or_with_another_models_is_named(load: Load, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"zerog\.json: cannot be read .*'train' wrote"):
        load_checkpoint(tmp_path, load("bert").config)
    (tmp_path / "zerog.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is no record"):
        read_record(tmp_path)
    config = TrainConfig(num_epochs=1)
    train(load("bert"), [toy_graph(0)], MODEL, config, tmp_path / "out")
    (tmp_path / "out" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no adapter_model\.safetensors"):
        load_checkpoint(tmp_path / "out", load("bert").config)
