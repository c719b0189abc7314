"""Maps that need no gradient descent, which have to be beaten before a trained one is worth having.

With X [n, d_student] and Y [n, d_teacher] of length 1 in each row, and means taken off where it says so:

- ridge: W = (X'X + a I)^-1 X'Y, a chosen by leave-one-out on the training rows (Hoerl and Kennard 1970);
- Procrustes: the orthogonal W nearest to X W = Y, the narrower side filled up with zeros, and one scale
  (Schoenemann 1966);
- CCA: both sides whitened by their principal components, and the singular value decomposition of what they
  have in common; each canonical direction is carried over by its correlation (Hotelling 1936).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import RidgeCV

from kblampp.align.heads import AlignmentHead

RIDGE_PENALTIES = tuple(10.0**power for power in range(-4, 3))
KEPT_VARIANCE = 0.99  # by the principal components that CCA goes on with


def ridge(student: np.ndarray, teacher: np.ndarray) -> AlignmentHead:
    """The ridge regression from student vectors [n, d_student] to teacher vectors [n, d_teacher]."""
    fitted = RidgeCV(alphas=RIDGE_PENALTIES).fit(unit(student), unit(teacher))
    return AlignmentHead.of(fitted.coef_.T, fitted.intercept_)


def procrustes(student: np.ndarray, teacher: np.ndarray) -> AlignmentHead:
    """The scaled orthogonal map between the centred vectors."""
    x, x_mean = _centred(unit(student))
    y, y_mean = _centred(unit(teacher))
    width = max(x.shape[1], y.shape[1])
    rotation, shared = orthogonal_procrustes(_padded(x, width), _padded(y, width))
    scale = shared / np.square(x).sum()
    weight = scale * rotation[: x.shape[1], : y.shape[1]]
    return AlignmentHead.of(weight, y_mean - x_mean @ weight)


def cca(student: np.ndarray, teacher: np.ndarray) -> AlignmentHead:
    """The prediction of the teacher from the canonical directions of both."""
    x, x_mean = _centred(unit(student))
    y, y_mean = _centred(unit(teacher))
    x_whitening, _ = _whitening(x)
    y_whitening, y_colouring = _whitening(y)
    left, correlations, right = np.linalg.svd((x @ x_whitening).T @ (y @ y_whitening), full_matrices=False)
    weight = x_whitening @ left @ np.diag(correlations) @ right @ y_colouring
    return AlignmentHead.of(weight, y_mean - x_mean @ weight)


CLOSED_FORMS: Mapping[str, Callable[[np.ndarray, np.ndarray], AlignmentHead]] = {
    "ridge": ridge,
    "procrustes": procrustes,
    "cca": cca,
}


def random_projection(d_student: int, d_teacher: int, seed: int) -> AlignmentHead:
    """A control: what a map gives that has learned nothing."""
    weight = np.random.default_rng(seed).normal(size=(d_student, d_teacher)) / np.sqrt(d_teacher)
    return AlignmentHead.of(weight, np.zeros(d_teacher))


def constant_mean(d_student: int, teacher: np.ndarray) -> AlignmentHead:
    """A control: the mean of the teacher's training vectors, whatever the text."""
    return AlignmentHead.of(np.zeros((d_student, teacher.shape[1])), unit(teacher).mean(axis=0))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row at length 1, in float64; a row of zeros stays."""
    wide = np.asarray(vectors, dtype=np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), np.finfo(np.float64).tiny)


def _centred(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = vectors.mean(axis=0)
    return vectors - mean, mean


def _padded(vectors: np.ndarray, width: int) -> np.ndarray:
    return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))


def _whitening(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix that gives the leading principal components unit norm, and the one that takes it back."""
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    shares = np.cumsum(np.square(sizes)) / np.square(sizes).sum()
    kept = int(np.searchsorted(shares, KEPT_VARIANCE)) + 1
    return directions[:kept].T / sizes[:kept], sizes[:kept, None] * directions[:kept]
