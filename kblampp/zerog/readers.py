"""Graphs from files: the published `.pt`, a `.json` of the same fields, or a folder of CSV files.

Which of them it is, the path tells. Splits that a file does not give are drawn by the seed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kblampp.files import write_text
from kblampp.zerog.errors import FileError
from kblampp.zerog.graph import NO_LABEL, SPLITS, TextGraph, random_split
from kblampp.zerog.published import read_fields

# The same field goes by several names in published files; the first is ours.
TEXTS = ("texts", "raw_texts", "raw_text")
LABEL_NAMES = ("label_names", "label_name", "category_names")
LABEL_TEXTS = ("label_texts", "label_text", "label_descs")
_OTHER = ("name", "description", "edge_index", "y", "train_mask", "val_mask", "test_mask")
_JSON_KEYS = (*TEXTS, *LABEL_NAMES, *LABEL_TEXTS, *_OTHER)


def read_graph(path: Path, seed: int = 0) -> TextGraph:
    """The graph in a `.pt` or `.json` file or a folder of CSV files.

    Raises:
        FileError: there is none, or it cannot be read; with file and line.
        GraphError: its parts do not fit; with file and field.
    """
    if path.is_dir():
        return _read_csv(path, seed)
    if not path.is_file():
        raise FileError(f"{path}: there is no such file; give a .pt or .json file or a folder with nodes.csv")
    if path.suffix == ".pt":
        return _from_fields(path, read_fields(path), seed)
    if path.suffix == ".json":
        return _from_fields(path, _read_json(path), seed)
    raise FileError(f"{path}: ends in {path.suffix!r}; .pt and .json files and folders of CSV files are read")


def write_json(graph: TextGraph, path: Path) -> None:
    """Writes a graph as `read_graph` reads it, the whole file or none."""
    values: dict[str, Any] = {
        "name": graph.name,
        "description": graph.description,
        "label_names": graph.label_names,
        "label_texts": graph.label_texts,
        "texts": graph.texts,
        "edge_index": graph.edge_index.tolist(),
        "y": graph.y.tolist(),
    }
    values |= {f"{which}_mask": getattr(graph, f"{which}_mask").tolist() for which in SPLITS}
    write_text(path, json.dumps(values, ensure_ascii=False) + "\n")


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FileError(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path}: cannot be read as UTF-8 JSON ({error})") from error
    if not isinstance(whole, dict):
        raise FileError(
            f"{path}:1: holds a {type(whole).__name__}; an object with texts, y, ... belongs there"
        )
    unknown = [key for key in whole if key not in _JSON_KEYS]
    if unknown:
        raise FileError(f"{path}: field {unknown[0]!r} is unknown; there are {', '.join(_JSON_KEYS)}")
    return whole


def _from_fields(path: Path, fields: Mapping[str, Any], seed: int) -> TextGraph:
    name = fields.get("name") or path.stem
    texts = _texts(path, fields, TEXTS)
    label_texts = _texts(path, fields, LABEL_TEXTS, is_needed=False)
    label_names = _texts(path, fields, LABEL_NAMES, is_needed=not label_texts) or label_texts
    y = _numbers(path, fields, "y").flatten()
    masks = _masks(path, fields)
    train, val, test = masks or random_split(y, seed)
    return TextGraph(
        name=str(name),
        description=str(fields.get("description") or _description(str(name))),
        texts=texts,
        label_names=label_names,
        label_texts=label_texts or label_names,
        edge_index=_numbers(path, fields, "edge_index"),
        y=y,
        train_mask=train,
        val_mask=val,
        test_mask=test,
        source=str(path),
    )


def _description(name: str) -> str:
    return f"A graph of texts called {name}."


def _texts(path: Path, fields: Mapping[str, Any], names: Sequence[str], is_needed: bool = True) -> tuple:
    for name in names:
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, list | tuple):
            raise FileError(f"{path}: field {name} is {type(value).__name__}; a list of texts belongs there")
        return tuple(value)
    if is_needed:
        raise FileError(f"{path}: has no field {names[0]} ({', '.join(names[1:])}); it has {_listed(fields)}")
    return ()


def _listed(fields: Mapping[str, Any]) -> str:
    return ", ".join(map(str, fields)) or "none"


def _numbers(path: Path, fields: Mapping[str, Any], name: str) -> Tensor:
    """A field as int64. Raises FileError when it is missing or holds anything but whole numbers."""
    value = fields.get(name)
    if value is None:
        raise FileError(f"{path}: has no field {name}; it has {_listed(fields)}")
    try:
        made = value if isinstance(value, Tensor) else torch.tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileError(f"{path}: field {name} is no table of numbers ({error})") from error
    if made.numel() == 0 and not isinstance(value, Tensor):
        return made.to(torch.int64)  # an empty list has no type of its own
    if made.is_floating_point() or made.is_complex() or made.dtype == torch.bool:
        raise FileError(f"{path}: field {name} holds {made.dtype}; whole numbers belong there")
    return made.to(torch.int64)


def _masks(path: Path, fields: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor] | None:
    names = [f"{which}_mask" for which in SPLITS]
    given = [name for name in names if fields.get(name) is not None]
    if not given:
        return None
    if len(given) < len(names):
        missing = next(name for name in names if name not in given)
        raise FileError(f"{path}: has {given[0]} but no {missing}; give all three masks, or none")
    masks = []
    for name in names:
        value = fields[name]
        if isinstance(value, list) and value and isinstance(value[0], Tensor):
            value = value[0]  # several splits as a list
        if not isinstance(value, Tensor):
            if not isinstance(value, list) or not all(isinstance(item, bool) for item in value):
                raise FileError(f"{path}: field {name} is no list of true and false")
            value = torch.tensor(value, dtype=torch.bool)
        masks.append(value[:, 0] if value.dim() == 2 else value)  # several splits as columns
    return masks[0], masks[1], masks[2]


def _read_csv(folder: Path, seed: int) -> TextGraph:
    labels = {row["label"]: row.get("text") or row["label"] for _, row in _rows(folder, "labels", ("label",))}
    number_of = {label: number for number, label in enumerate(labels)}
    path = folder / "nodes.csv"
    ids: dict[str, int] = {}
    texts: list[str] = []
    y: list[int] = []
    splits: list[str] = []
    for line, row in _rows(folder, "nodes", ("id", "text", "label")):
        if row["id"] in ids:
            raise FileError(f"{path}:{line}: id {row['id']!r} is there already; each node has its own")
        if row["label"] and row["label"] not in number_of:
            raise FileError(
                f"{path}:{line}: label {row['label']!r} is not in labels.csv, which has {', '.join(labels)}"
            )
        split = row.get("split") or ""
        if split not in ("", *SPLITS):
            raise FileError(f"{path}:{line}: split {split!r} is none of {', '.join(SPLITS)}")
        ids[row["id"]] = len(ids)
        texts.append(row["text"])
        y.append(number_of.get(row["label"], NO_LABEL))
        splits.append(split)
    labels_of_nodes = torch.tensor(y, dtype=torch.int64)
    if any(splits):
        made = [torch.tensor([split == which for split in splits], dtype=torch.bool) for which in SPLITS]
        train, val, test = made
    else:
        train, val, test = random_split(labels_of_nodes, seed)
    described = folder / "description.txt"
    return TextGraph(
        name=folder.name,
        description=described.read_text(encoding="utf-8").strip()
        if described.is_file()
        else _description(folder.name),
        texts=tuple(texts),
        label_names=tuple(labels),
        label_texts=tuple(labels.values()),
        edge_index=_csv_edges(folder, ids),
        y=labels_of_nodes,
        train_mask=train,
        val_mask=val,
        test_mask=test,
        source=str(folder),
    )


def _csv_edges(folder: Path, ids: Mapping[str, int]) -> Tensor:
    edges: list[tuple[int, int]] = []
    for line, row in _rows(folder, "edges", ("source", "target")):
        for end in ("source", "target"):
            if row[end] not in ids:
                raise FileError(f"{folder / 'edges.csv'}:{line}: {end} {row[end]!r} is no id of nodes.csv")
        edges.append((ids[row["source"]], ids[row["target"]]))
    return torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous()


def _rows(folder: Path, name: str, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line on which the row ends, column -> value) for each row. Raises FileError with file and line."""
    path = folder / f"{name}.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or ()
            missing = [column for column in needed if column not in columns]
            if missing:
                raise FileError(
                    f"{path}:1: has no column {missing[0]}; it has {', '.join(columns) or 'none'}"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise FileError(
                        f"{path}:{reader.line_num}: has not {len(columns)} fields ({','.join(columns)}); "
                        "put texts with commas in double quotes"
                    )
                yield reader.line_num, row
    except csv.Error as error:
        # DictReader's own count stops at the last good row.
        raise FileError(f"{path}:{reader.reader.line_num}: not CSV ({error})") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error
