"""Every layout gives the same graph; what is malformed is named by file and place; no code is unpickled."""

from __future__ import annotations

import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from kblampp.zerog.errors import FileError, GraphError
from kblampp.zerog.readers import read_graph, write_json

FIELDS: dict[str, Any] = {
    "raw_texts": ["paris, a city", "euro", "lima", "peso"],
    "label_names": ["town", "money"],
    "edge_index": torch.tensor([[0, 2], [1, 3]]),
    "y": torch.tensor([0, 1, 0, 1]),
    "train_mask": torch.tensor([True, True, False, False]),
    "val_mask": torch.tensor([False, False, True, False]),
    "test_mask": torch.tensor([False, False, False, True]),
}


def plain(**changes: Any) -> dict[str, Any]:
    values = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in FIELDS.items()}
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def write_csv(folder: Path, **changes: str) -> Path:
    files = {
        "nodes": 'id,text,label,split\np,"paris, a city",town,train\ne,euro,money,train\nl,lima,town,val\n'
        "s,peso,money,test\n",
        "edges": "source,target\np,e\nl,s\n",
        "labels": "label,text\ntown,town\nmoney,money\n",
    }
    folder.mkdir()
    for name, text in {**files, **changes}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("layout", ["dictionary", "json", "csv", "list of one"])
def test_every_layout_gives_the_same_graph(tmp_path: Path, layout: str) -> None:
    path = tmp_path / ("g.json" if layout == "json" else "g.pt")
    if layout == "json":
        path.write_text(json.dumps(plain()), encoding="utf-8")
    elif layout == "csv":
        path = write_csv(tmp_path / "g")
    else:
        torch.save(FIELDS if layout == "dictionary" else [FIELDS, None], path)
    graph = read_graph(path)
    assert graph.name == "g"
    assert graph.texts == tuple(FIELDS["raw_texts"])
    assert graph.label_names == graph.label_texts == ("town", "money")
    for name in ("edge_index", "y", "train_mask", "val_mask", "test_mask"):
        assert torch.equal(getattr(graph, name), FIELDS[name])


@pytest.mark.parametrize("version", [1, 2])
def test_a_data_object_of_pytorch_geometric_is_read_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """The classes here are pickled under the library's names, as its two ways of keeping values do."""
    with monkeypatch.context() as patch:
        data_module, storage_module = types.ModuleType("d"), types.ModuleType("s")
        data = type("Data", (), {"__module__": "torch_geometric.data.data"})
        storage = type("GlobalStorage", (), {"__module__": "torch_geometric.data.storage"})
        data_module.Data, storage_module.GlobalStorage = data, storage  # type: ignore[attr-defined]
        for name, module in (
            ("torch_geometric", types.ModuleType("p")),
            ("torch_geometric.data", types.ModuleType("q")),
            ("torch_geometric.data.data", data_module),
            ("torch_geometric.data.storage", storage_module),
        ):
            patch.setitem(sys.modules, name, module)
        whole: Any = data()
        if version == 1:
            whole.__dict__.update(FIELDS, x=None)
        else:
            whole._store = storage()
            whole._store.__dict__.update(_mapping=dict(FIELDS, x=torch.zeros(4, 2)), _parent=whole)
        torch.save((whole, None), tmp_path / "cora.pt")
    assert "torch_geometric.data.data" not in sys.modules
    graph = read_graph(tmp_path / "cora.pt")
    assert graph.texts == tuple(FIELDS["raw_texts"])
    assert torch.equal(graph.test_mask, FIELDS["test_mask"])
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "cora.pt", weights_only=True)  # nobody else is allowed what we are


class Harmful:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    torch.save({**FIELDS, "y": Harmful(marker)}, tmp_path / "g.pt")
    with pytest.raises(FileError, match=r"g\.pt: holds more than tensors and plain values"):
        read_graph(tmp_path / "g.pt")
    assert not marker.exists()
    torch.load(tmp_path / "g.pt", weights_only=False)
    assert marker.exists()  # the file would have done it


def test_names_of_published_files_are_known_and_split_columns_are_the_first(tmp_path: Path) -> None:
    fields = {**FIELDS, "label_names": None, "label_texts": ["town: a place", "money: to pay"]}
    for which in ("train", "val", "test"):
        mask = FIELDS[f"{which}_mask"]
        fields[f"{which}_mask"] = torch.stack([mask, ~mask], dim=1)
    torch.save(fields, tmp_path / "g.pt")
    graph = read_graph(tmp_path / "g.pt")
    assert graph.label_names == graph.label_texts == ("town: a place", "money: to pay")
    assert torch.equal(graph.val_mask, FIELDS["val_mask"])


def test_splits_that_are_not_given_are_drawn_by_the_seed(tmp_path: Path) -> None:
    fields = plain(train_mask=None, val_mask=None, test_mask=None)
    fields |= {"raw_texts": ["lima"] * 50, "y": [0, 1] * 20 + [-1] * 10}
    (tmp_path / "g.json").write_text(json.dumps(fields))
    graphs = [read_graph(tmp_path / "g.json", seed) for seed in (0, 0, 1)]
    assert torch.equal(graphs[0].test_mask, graphs[1].test_mask)
    assert not torch.equal(graphs[0].test_mask, graphs[2].test_mask)
    assert [len(graphs[0].nodes(which)) for which in ("train", "val", "test", "all")] == [24, 8, 8, 40]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    graph = read_graph(write_csv(tmp_path / "g"))
    write_json(graph, tmp_path / "deep" / "h.json")
    again = read_graph(tmp_path / "deep" / "h.json")
    assert again.fingerprint() == graph.fingerprint()
    assert again.description == graph.description
    for name in ("edge_index", "y", "train_mask", "val_mask", "test_mask"):
        assert torch.equal(getattr(again, name), getattr(graph, name))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["h.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": "id,text\n"}, r"nodes\.csv:1: has no column label; it has id, text"),
        ({"nodes": "id,text,label\np,paris,town\np,lima,town\n"}, r"nodes\.csv:3: id 'p' is there already"),
        ({"nodes": "id,text,label\np,paris,river\n"}, r"nodes\.csv:2: label 'river' is not in labels\.csv"),
        ({"nodes": "id,text,label\np,paris, a city,town\n"}, r"nodes\.csv:2: has not 3 fields"),
        ({"nodes": "id,text,label\np,paris\n"}, r"nodes\.csv:2: has not 3 fields"),
        ({"nodes": 'id,text,label\np,paris,town\nq,"li"ma,town\n'}, r"nodes\.csv:3: not CSV"),
        ({"nodes": 'id,text,label\np,paris,town\nq,"lima,town\n'}, r"nodes\.csv:3: not CSV"),
        ({"nodes": "id,text,label,split\np,paris,town,dev\n"}, r"nodes\.csv:2: split 'dev'"),
        ({"edges": "source,target\np,e\np,x\n"}, r"edges\.csv:3: target 'x' is no id"),
        (
            {"labels": "label\ntown\n", "nodes": "id,text,label\np,a,town\n", "edges": "source,target\n"},
            "two",
        ),
    ],
)
def test_malformed_csv_is_named_by_file_and_line(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises((FileError, GraphError), match=message) as caught:
        read_graph(write_csv(tmp_path / "g", **changes))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_file_is_named(tmp_path: Path) -> None:
    (write_csv(tmp_path / "g") / "edges.csv").unlink()
    with pytest.raises(FileError, match=r"edges\.csv: cannot be read \(No such file"):
        read_graph(tmp_path / "g")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"y": [0,\n}', r"g\.json:3: not JSON"),
        ("[1]", r"g\.json:1: holds a list"),
        (json.dumps(plain(y=None)), "has no field y"),
        (json.dumps(plain(raw_texts=None)), "has no field texts"),
        (json.dumps(plain(colour=1)), "field 'colour' is unknown"),
        (json.dumps(plain(y=[0, 1, 0, 2])), r"g\.json: y\[3\] is 2; labels are numbered 0 to 1"),
        (json.dumps(plain(y=[0, 1, 0])), "g.json: y is .* 4 whole numbers"),
        (json.dumps(plain(y=[0, 1, 0, 0.5])), "field y holds torch.float32"),
        (json.dumps(plain(edge_index=[[0, 4], [1, 3]])), r"g\.json: edge_index\[0\]\[1\] is 4"),
        (json.dumps(plain(edge_index=[[0, 4], [1]])), "field edge_index is no table"),
        (json.dumps(plain(edge_index=[0, 1])), r"edge_index is torch.int64 of shape \[2\]"),
        (json.dumps(plain(raw_texts=["a", 1, "b", "c"])), r"texts\[1\] is 1, not text"),
        (json.dumps(plain(label_names=["town", "town"])), "'town' twice"),
        (json.dumps(plain(val_mask=None)), "has train_mask but no val_mask"),
        (json.dumps(plain(val_mask=[True] * 4)), "share node 0"),
        (json.dumps(plain(val_mask=[1, 0, 0, 0])), "no list of true and false"),
        (json.dumps(plain(y=[0, 1, 0, -1])), r"test_mask\[3\] is true, but that node has no label"),
    ],
)
def test_malformed_json_is_named_by_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "g.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((FileError, GraphError), match=message) as caught:
        read_graph(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no pickle at all", b"PK\x03\x04 a broken archive"])
def test_a_file_that_torch_did_not_write_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"g\.pt: "):
        read_graph(tmp_path / "g.pt")


def test_a_path_that_is_nothing_known_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.txt").touch()
    with pytest.raises(FileError, match=r"ends in '\.txt'"):
        read_graph(tmp_path / "g.txt")
    with pytest.raises(FileError, match="there is no such file"):
        read_graph(tmp_path / "missing.pt")
    torch.save(torch.zeros(2), tmp_path / "g.pt")
    with pytest.raises(FileError, match="holds a Tensor"):
        read_graph(tmp_path / "g.pt")
