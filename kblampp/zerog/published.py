"""The `.pt` files in which text-attributed graphs are published, read without running what is in them.

Such a file holds a dictionary, or a `Data` object of PyTorch Geometric, with `raw_texts`, `label_names`,
`edge_index` and `y`. PyTorch's restricted unpickler (`weights_only=True`) reads it: tensors and plain values
only. For the containers of PyTorch Geometric it is given empty stand-ins, so that neither that library nor
any code of the file is needed.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kblampp.zerog.errors import FileError


class _Container:
    """Takes the attributes of an unpickled container, and does nothing."""


_STAND_INS = (
    "torch_geometric.data.data.Data",
    "torch_geometric.data.data.DataEdgeAttr",
    "torch_geometric.data.data.DataTensorAttr",
    "torch_geometric.data.storage.BaseStorage",
    "torch_geometric.data.storage.NodeStorage",
    "torch_geometric.data.storage.EdgeStorage",
    "torch_geometric.data.storage.GlobalStorage",
)


def read_fields(path: Path) -> Mapping[str, Any]:
    """The named values of a `.pt` file.

    Raises FileError when it cannot be read, or holds anything but tensors, plain values and known containers.
    """
    try:
        # The stand-ins are allowed only here, not for whoever else loads files in this process.
        with torch.serialization.safe_globals([(_Container, name) for name in _STAND_INS]):
            whole = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error))
        raise FileError(
            f"{path}: holds more than tensors and plain values, and is not unpickled ({reason[:200]}); save "
            "a dictionary of raw_texts, label_names, edge_index and y with torch.save"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise FileError(
            f"{path}: is no file that torch.save wrote ({type(error).__name__}: {first})"
        ) from error
    return _fields(path, whole)


def _fields(path: Path, whole: Any) -> Mapping[str, Any]:
    if isinstance(whole, tuple | list) and whole:  # data sets are saved as (data, slices)
        return _fields(path, whole[0])
    if isinstance(whole, _Container):
        inside = vars(whole)
        store = inside.get("_store")
        # Before its version 2, Data kept its values as attributes.
        whole = vars(store).get("_mapping", {}) if isinstance(store, _Container) else inside
    if not isinstance(whole, Mapping):
        raise FileError(
            f"{path}: holds a {type(whole).__name__}; a dictionary or a Data object belongs there"
        )
    return whole
