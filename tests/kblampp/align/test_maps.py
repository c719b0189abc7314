"""Maps: closed forms find what there is to find, a trained head too, and metrics tell them from controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kblampp.align.closed_form import CLOSED_FORMS, constant_mean, procrustes, random_projection, unit
from kblampp.align.errors import AlignError
from kblampp.align.heads import AlignmentHead, load_head, save_head
from kblampp.align.metrics import closeness, pairwise_spearman, ranks, retrieval, shared_top
from kblampp.align.training import TrainingConfig, alignment_loss, train_head

Pairs = tuple[np.ndarray, np.ndarray]


def linear_pairs(d_student: int, d_teacher: int, noise: float = 0.01, number: int = 400) -> Pairs:
    """A teacher that is a linear map of the student with a common offset, as language models have."""
    rng = np.random.default_rng(0)
    student = unit(rng.normal(size=(number, d_student)))
    teacher = student @ rng.normal(size=(d_student, d_teacher)) + 2.0
    return student, teacher + noise * rng.normal(size=teacher.shape)


@pytest.mark.parametrize("name", CLOSED_FORMS)
@pytest.mark.parametrize(("d_student", "d_teacher"), [(8, 8), (8, 20), (20, 8)])
def test_a_closed_form_beats_the_mean_on_rows_it_has_not_seen(
    name: str, d_student: int, d_teacher: int
) -> None:
    student, teacher = linear_pairs(d_student, d_teacher)
    head = CLOSED_FORMS[name](student[:300], teacher[:300])
    mean = unit(teacher[:300]).mean(axis=0)
    near = closeness(head.apply_to(student[300:]), teacher[300:], mean, 0)
    flat = closeness(constant_mean(d_student, teacher[:300]).apply_to(student[300:]), teacher[300:], mean, 0)
    assert near.centred_cosine > 0.5 > flat.centred_cosine
    assert near.centred_cosine > near.shuffled_centred_cosine + 0.4
    assert near.spearman > 0.5 > abs(flat.spearman)


def test_a_high_cosine_is_no_proof() -> None:
    """The mean alone is near to every vector; only the centred cosine tells."""
    student, teacher = linear_pairs(8, 20)
    mean = unit(teacher).mean(axis=0)
    flat = closeness(constant_mean(8, teacher).apply_to(student), teacher, mean, 0)
    assert flat.cosine > 0.8
    assert flat.shuffled_cosine > 0.8
    assert abs(flat.centred_cosine) < 0.05


def test_procrustes_finds_a_rotation() -> None:
    rng = np.random.default_rng(1)
    student = unit(rng.normal(size=(100, 6)))
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    head = procrustes(student, student @ rotation)
    np.testing.assert_allclose(head.apply_to(student), student @ rotation, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"kind": "mlp"}, {"contrast_weight": 0.1}])
def test_a_trained_head_learns_and_says_how_far(
    options: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    student, teacher = linear_pairs(8, 20)
    config = TrainingConfig(num_epochs=40, learning_rate=1e-2, **options)  # type: ignore[arg-type]
    head = train_head(student[:300], teacher[:300], config)
    mean = unit(teacher[:300]).mean(axis=0)
    near = closeness(head.apply_to(student[300:]), teacher[300:], mean, 0)
    assert near.centred_cosine > 0.8
    assert [record.args[0] for record in caplog.records if record.args] == list(range(1, 41))
    again = train_head(student[:300], teacher[:300], config)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters(), strict=True))


def test_the_loss_is_what_it_says() -> None:
    mapped, teacher = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    config = TrainingConfig(mse_weight=0.5)
    # cosines 1 and 0; squared errors 4, 0, 1, 4
    assert float(alignment_loss(mapped, teacher, config)) == pytest.approx(0.5 + 0.5 * 9 / 4)
    contrast = TrainingConfig(mse_weight=0.0, contrast_weight=2.0, temperature=1.0)
    both = torch.eye(2)
    expected = 2.0 * -np.log(np.e / (np.e + 1))
    assert float(alignment_loss(both, both, contrast)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "options", [{"kind": "deep"}, {"num_epochs": 0}, {"temperature": 0.0}, {"learning_rate": -1.0}]
)
def test_a_config_that_cannot_work_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(AlignError):
        TrainingConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_is_kept_exactly(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    head = AlignmentHead(4, 6, kind)  # type: ignore[arg-type]
    save_head(tmp_path / "deep" / "head.safetensors", head, {"student": "s"})
    again, about = load_head(tmp_path / "deep" / "head.safetensors")
    rows = np.random.default_rng(0).normal(size=(3, 4))
    assert again.apply_to(rows).tobytes() == head.apply_to(rows).tobytes()
    assert about == {"student": "s"}


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x80\x04K\x01."])
def test_a_file_that_is_no_head_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.safetensors"
    with pytest.raises(AlignError, match="no alignment head"):
        load_head(path)
    path.write_bytes(content)
    with pytest.raises(AlignError, match="no alignment head"):
        load_head(path)


def test_ranks_count_ties_against_the_query() -> None:
    index = np.eye(4)
    queries = np.array([[1.0, 0.5, 0, 0], [0.2, 1.0, 0.5, 0], [1.0, 1.0, 1.0, 1.0]])
    assert ranks(queries, index, [0, 2, 3]).tolist() == [1, 2, 4]
    figures = retrieval(np.array([1, 2, 4, 20]))
    assert figures["recall@1"] == 0.25
    assert figures["recall@5"] == 0.75
    assert figures["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 20) / 4)


def test_shared_top_is_one_for_the_same_queries_and_less_for_others() -> None:
    rng = np.random.default_rng(0)
    queries, index = rng.normal(size=(5, 8)), rng.normal(size=(100, 8))
    assert shared_top(queries, queries * 3.0, index) == 1.0
    assert shared_top(queries, -queries, index) == 0.0


def test_spearman_needs_an_order() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 4))
    assert pairwise_spearman(rows, rows * 2.0) == pytest.approx(1.0)
    assert pairwise_spearman(np.ones((10, 4)), rows) == 0.0


def test_a_random_projection_knows_nothing_of_the_teacher() -> None:
    student, teacher = linear_pairs(8, 20)
    head = random_projection(8, 20, 0)
    near = closeness(head.apply_to(student), teacher, unit(teacher).mean(axis=0), 0)
    assert abs(near.cosine) < 0.3
