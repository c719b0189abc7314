"""Maps from the student's space to the teacher's: a linear layer or a small network, kept as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kblampp.align.errors import AlignError
from kblampp.files import whole

HeadKind = Literal["linear", "mlp"]
HIDDEN_FACTOR = 2  # the small network's width, over the teacher's


class AlignmentHead(nn.Module):
    """Student vectors [n, d_student] to the teacher's space [n, d_teacher].

    Inputs are brought to length 1, and then, with `standardise`, to mean 0 and deviation 1 in each dimension:
    a language model's vectors share most of their length, and descent is slow along what is left.

    Args:
        d_student: length of a student's vector.
        d_teacher: length of a teacher's.
        kind: 'linear', or 'mlp': two layers with GELU between, beside a linear way round them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, d_student: int, d_teacher: int, kind: HeadKind = "linear") -> None:
        super().__init__()
        self.kind = kind
        self.d_student, self.d_teacher = d_student, d_teacher
        self.register_buffer("mean", torch.zeros(d_student))
        self.register_buffer("deviation", torch.ones(d_student))
        self.linear = nn.Linear(d_student, d_teacher)
        self.deep: nn.Module | None = None
        if kind == "mlp":
            width = HIDDEN_FACTOR * d_teacher
            self.deep = nn.Sequential(nn.Linear(d_student, width), nn.GELU(), nn.Linear(width, d_teacher))

    @classmethod
    def of(cls, weight: np.ndarray, bias: np.ndarray) -> AlignmentHead:
        """The linear head `x @ weight + bias`; weight is [d_student, d_teacher]."""
        head = cls(*weight.shape)
        with torch.no_grad():
            head.linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T, dtype=np.float32)))
            head.linear.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias, dtype=np.float32)))
        return head

    def standardise(self, student: Tensor) -> None:
        """Takes mean and deviation from training vectors [n, d_student]."""
        unit = nn.functional.normalize(student, dim=-1)
        self.mean = unit.mean(dim=0)
        self.deviation = unit.std(dim=0).clamp(min=1e-6)

    def forward(self, student: Tensor) -> Tensor:
        """[n, d_student] -> [n, d_teacher]."""
        standard = (nn.functional.normalize(student, dim=-1) - self.mean) / self.deviation
        mapped: Tensor = self.linear(standard)
        return mapped if self.deep is None else mapped + self.deep(standard)

    def apply_to(self, student: np.ndarray) -> np.ndarray:
        """As `forward`, without gradients."""
        with torch.inference_mode():
            mapped: np.ndarray = self(torch.from_numpy(np.array(student, dtype=np.float32))).numpy()
        return mapped


def save_head(path: Path, head: AlignmentHead, about: dict[str, object]) -> None:
    """Writes the weights; `about` (JSON values) goes into the file's metadata."""
    metadata = {
        "kind": head.kind,
        "d_student": str(head.d_student),
        "d_teacher": str(head.d_teacher),
        "about": json.dumps(about),
    }
    with whole(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in head.state_dict().items()}, temporary, metadata
        )


def load_head(path: Path) -> tuple[AlignmentHead, dict[str, object]]:
    """Reads a head and what was said about it. Raises AlignError for a file that is none."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        head = AlignmentHead(int(metadata["d_student"]), int(metadata["d_teacher"]), metadata["kind"])
        head.load_state_dict(weights)
        return head.eval(), json.loads(metadata["about"])
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise AlignError(f"{path} is no alignment head ({error}); `kblampp-align train` makes one") from error
