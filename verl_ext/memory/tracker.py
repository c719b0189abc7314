"""Runs PyTorch code for the sizes of its tensors: what is alive at every operation, and the most that was.

Every operation passes through :class:`SizeTracker`, which answers it with a fake tensor (shape and dtype, no
storage) and counts the bytes that its results would hold until they are freed. Small integers stay real, so
that code which reads lengths, offsets and positions takes the branches that it takes in a run. The tensors
lie on the processor: the same modules make the same tensors on an accelerator.

The counting is that of ``torch.distributed._tools.MemTracker`` (weak references to storages, resizes
included), without its hooks on modules, which allow one forward pass a step; verl makes several.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Results below this size that depend on real tensors alone are computed: lengths, offsets, positions, masks
# of short packs. Above it they are fake too, or the mask of 100,000 tokens would be made for real.
MAX_REAL_BYTES = 1 << 26
# From arguments below this size nothing larger than that comes (of 8,192 places a mask of 64 MiB), and the
# question need not be asked.
MAX_SMALL_BYTES = 1 << 16
# The parts of a peak are written down again once it has grown by this share; its total is exact.
PEAK_STEP = 0.002

PLAIN_TENSORS = (torch.Tensor, torch.nn.Parameter)

Groups = Mapping[str, Iterable[torch.Tensor]]


class SizeTracker(TorchDispatchMode):
    """Counts the bytes of all tensors made inside it.

    Args:
        fake: answer operations with fake tensors; False runs them and only counts.
    """

    def __init__(self, *, fake: bool = True) -> None:
        super().__init__()
        self.total = 0
        """Bytes alive now."""
        self.peak = 0
        """Most bytes alive at once since :meth:`restart`."""
        self._fake_mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
        self._live: dict[int, int] = {}
        self._references: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._groups: Callable[[], Groups] | None = None
        self._parts: dict[str, int] = {}
        self._peak_of_parts = 0
        self._resize = torch.UntypedStorage.resize_

    def restart(self, groups: Callable[[], Groups]) -> None:
        """Begin a phase: the peak is what is alive now, and ``groups`` names the tensors of its parts."""
        self._groups = groups
        self.peak = self._peak_of_parts = 0
        self._update_peak()

    def parts_at_peak(self, rest: str) -> dict[str, int]:
        """Bytes by group at the peak; what no group names is ``rest``, and the sum is :attr:`peak`."""
        return {**self._parts, rest: self.peak - sum(self._parts.values())}

    def sizes(self, groups: Groups) -> dict[str, int]:
        """Bytes alive of each group's tensors, a storage that two groups share counted in the first."""
        seen: set[int] = set()
        found = {}
        for name, tensors in groups.items():
            keys = {_key(tensor) for tensor in tensors} - seen
            found[name] = sum(self._live.get(key, 0) for key in keys)
            seen |= keys
        return found

    def __enter__(self) -> SizeTracker:
        # FSDP frees and takes back its gathered weights by resizing storages, which no operation tells of.
        tracker, resize = self, self._resize

        def resize_and_count(storage: torch.UntypedStorage, size: int) -> None:
            resize(storage, size)
            tracker._resized(storage)

        torch.UntypedStorage.resize_ = resize_and_count  # type: ignore[assignment, method-assign]
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]
        super().__exit__(*exception)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(not issubclass(kind, FakeTensor) and kind not in PLAIN_TENSORS for kind in types):
            # A subclass that wraps others (DTensor, nested tensors): what it does to them comes here in turn.
            return NotImplemented
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        fakes = [tensor for tensor in tensors if isinstance(tensor, FakeTensor)]
        if any(tensor.fake_mode is not self._fake_mode for tensor in fakes):
            # DTensor asks for the shape of a result in a fake mode of its own: nothing of it is ever alive.
            return func(*args, **kwargs)
        if self._fake_mode is None:
            result = func(*args, **kwargs)
        elif fakes:
            result = self._answer(func, fakes, args, kwargs)
        else:
            result = self._answer_or_compute(func, tensors, args, kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        self._update_peak()
        return result

    def _answer(
        self, func: Any, fakes: list[FakeTensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            # A loss, a norm of gradients: any finite value will do, none steers what is allocated.
            return 1.0 if fakes[0].is_floating_point() else 1
        assert self._fake_mode is not None
        with self._fake_mode:
            return func(*args, **kwargs)

    def _answer_or_compute(
        self, func: Any, tensors: list[torch.Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Without a fake tensor among the arguments: real if small, and not a floating-point factory."""
        assert self._fake_mode is not None
        if tensors and sum(tensor.nbytes for tensor in tensors) <= MAX_SMALL_BYTES:
            return func(*args, **kwargs)
        try:
            with self._fake_mode:
                answer = func(*args, **kwargs)
        except Exception:  # noqa: BLE001  its shape depends on values, or it has no fake: then it is computed
            return func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(answer) if isinstance(leaf, torch.Tensor)]
        is_small = all(result.nbytes <= MAX_REAL_BYTES for result in results)
        is_factory = not tensors and any(result.is_floating_point() for result in results)
        return func(*args, **kwargs) if is_small and not is_factory else answer

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            self._resized(storage)
            return
        self._live[key] = storage.nbytes()
        self.total += storage.nbytes()
        self._references[key] = weakref.ref(storage, lambda _: self._died(key))

    def _resized(self, storage: torch.UntypedStorage) -> None:
        known = self._live.get(storage._cdata)
        if known is not None and known != storage.nbytes():
            self._live[storage._cdata] = storage.nbytes()
            self.total += storage.nbytes() - known
            self.peak = max(self.peak, self.total)

    def _died(self, key: int) -> None:
        self.total -= self._live.pop(key)
        del self._references[key]

    def _update_peak(self) -> None:
        if self.total <= self.peak:
            return
        self.peak = self.total
        if self._groups is not None and self.peak > (1 + PEAK_STEP) * self._peak_of_parts:
            self._peak_of_parts, self._parts = self.peak, self.sizes(self._groups())


def _key(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
