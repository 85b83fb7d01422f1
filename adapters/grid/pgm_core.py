"""power-grid-model's C interface, called with buffers that are set up once.

The Python front end of power-grid-model builds its data sets anew at every call, which costs about 200 us,
five times as long as solving two scenarios of a street. The C interface (``power_grid_model_c.h``, documented
and versioned with the package) lets us keep them. Its library is the one that the package itself has loaded.
"""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.grid.errors import GridError

POINTER, TEXT, INDEX, REAL = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_double
BATCH_ERROR = 2
NEWTON_RAPHSON, ITERATIVE_CURRENT = 1, 3
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "create_handle": (POINTER, ()),
    "destroy_handle": (None, (POINTER,)),
    "error_code": (INDEX, (POINTER,)),
    "error_message": (TEXT, (POINTER,)),
    "clear_error": (None, (POINTER,)),
    "n_failed_scenarios": (INDEX, (POINTER,)),
    "failed_scenarios": (ctypes.POINTER(INDEX), (POINTER,)),
    "create_dataset_const": (POINTER, (POINTER, TEXT, INDEX, INDEX)),
    "destroy_dataset_const": (None, (POINTER,)),
    "dataset_const_add_buffer": (None, (POINTER, POINTER, TEXT, INDEX, INDEX, POINTER, POINTER)),
    "dataset_const_add_attribute_buffer": (None, (POINTER, POINTER, TEXT, TEXT, POINTER)),
    "create_dataset_mutable": (POINTER, (POINTER, TEXT, INDEX, INDEX)),
    "destroy_dataset_mutable": (None, (POINTER,)),
    "dataset_mutable_add_buffer": (None, (POINTER, POINTER, TEXT, INDEX, INDEX, POINTER, POINTER)),
    "dataset_mutable_add_attribute_buffer": (None, (POINTER, POINTER, TEXT, TEXT, POINTER)),
    "create_model": (POINTER, (POINTER, REAL, POINTER)),
    "destroy_model": (None, (POINTER,)),
    "update_model": (None, (POINTER, POINTER, POINTER)),
    "calculate": (None, (POINTER, POINTER, POINTER, POINTER, POINTER)),
    "create_options": (POINTER, (POINTER,)),
    "destroy_options": (None, (POINTER,)),
    "set_calculation_type": (None, (POINTER, POINTER, INDEX)),
    "set_calculation_method": (None, (POINTER, POINTER, INDEX)),
    "set_symmetric": (None, (POINTER, POINTER, INDEX)),
    "set_err_tol": (None, (POINTER, POINTER, REAL)),
    "set_max_iter": (None, (POINTER, POINTER, INDEX)),
    "set_threading": (None, (POINTER, POINTER, INDEX)),
}


class _Library:
    """The functions of the shared library with their prototypes set, as ``PGM_<name>``."""

    _instance: "_Library | None" = None

    def __init__(self) -> None:
        from power_grid_model._core.power_grid_model_c.get_pgm_dll_path import get_pgm_dll_path

        dll = ctypes.CDLL(str(get_pgm_dll_path()))
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(dll, f"PGM_{name}")
            function.restype, function.argtypes = result, list(arguments)
            setattr(self, name, function)

    @classmethod
    def get(cls) -> Any:
        """The one instance, made on first use."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance


ONE_BY_ONE = 4
"""Largest batch whose scenarios are solved one after the other: as a batch the core copies its model first, which
costs as much as two solutions of a street."""


class BatchPlan:
    """Update and output buffers for batches of one size, registered with the core once.

    ``update`` and ``output`` map component and attribute to arrays of shape (k, n) or, per phase, (k, n, 3). ``data``
    holds the core's pointers to update and output: one pair for the batch, or one for each row of a small one.
    """

    def __init__(
        self,
        library: Any,
        handle: Any,
        k: int,
        update: Mapping[str, Any],
        output: Mapping[str, Any],
        kind: str,
    ) -> None:
        self._library = library
        self.update = update
        self.output = output
        self.tables: tuple[Any, ...] | None = None  # for who reads them always in the same order
        self.one_by_one = k <= ONE_BY_ONE
        rows = range(k) if self.one_by_one else [slice(None)]
        n_scenarios = 1 if self.one_by_one else k
        batch = int(not self.one_by_one)
        self.data: list[tuple[Any, Any]] = []
        for row in rows:
            given = library.create_dataset_const(handle, b"update", batch, n_scenarios)
            wanted = library.create_dataset_mutable(handle, kind.encode(), batch, n_scenarios)
            self.data.append((given, wanted))
            for pointer, prefix, tables in (
                (given, "dataset_const", update),
                (wanted, "dataset_mutable", output),
            ):
                add = getattr(library, f"{prefix}_add_buffer")
                add_attribute = getattr(library, f"{prefix}_add_attribute_buffer")
                for component, attributes in tables.items():
                    n = next(iter(attributes.values())).shape[1]
                    add(handle, pointer, component.encode(), n, n * n_scenarios, None, None)
                    for attribute, buffer in attributes.items():
                        address = buffer[row].ctypes.data
                        add_attribute(handle, pointer, component.encode(), attribute.encode(), address)

    def __del__(self) -> None:
        for given, wanted in self.data:
            self._library.destroy_dataset_const(given)
            self._library.destroy_dataset_mutable(wanted)


class CoreModel:
    """A power-grid-model model with reusable batch buffers. Not for use from several threads at once."""

    def __init__(
        self,
        data: Mapping[str, Any],
        frequency_hz: float,
        update: Mapping[str, tuple[str, ...]],
        output: Mapping[str, tuple[str, ...]],
        *,
        symmetric: bool = True,
    ) -> None:
        """Build the model.

        Args:
            data: input arrays as ``power_grid_model.initialize_array`` makes them.
            frequency_hz: system frequency.
            update: component -> attributes that every batch sets, for all components in input order.
            output: component -> attributes that are read back.
            symmetric: balanced (scalars) or per phase (three values each).

        Raises:
            GridError: the core refuses the data; the text is its own.
        """
        self._library = _Library.get()
        self._handle = self._library.create_handle()
        self._symmetric = symmetric
        self._counts = {name: len(rows) for name, rows in data.items()}
        self._update, self._output = update, output
        self._plans: dict[int, BatchPlan] = {}
        self._options: dict[tuple[int, float, int], Any] = {}
        self._model = self._create(data, frequency_hz)

    def _create(self, data: Mapping[str, Any], frequency_hz: float) -> Any:
        pointer = self._library.create_dataset_const(self._handle, b"input", 0, 1)
        for name, rows in data.items():
            n = len(rows)
            self._library.dataset_const_add_buffer(
                self._handle, pointer, name.encode(), n, n, None, rows.ctypes.data
            )
        model = self._library.create_model(self._handle, frequency_hz, pointer)
        self._library.destroy_dataset_const(pointer)
        self._raise_if_failed()
        return model

    def _raise_if_failed(self) -> None:
        if self._library.error_code(self._handle):
            text = self._library.error_message(self._handle).decode(errors="replace").strip()
            self._library.clear_error(self._handle)
            raise GridError(f"power-grid-model refuses the model: {text}")

    def plan(self, k: int) -> BatchPlan:
        """Buffers for batches of k scenarios; those of small batches are kept."""
        found = self._plans.get(k)
        if found is not None:
            return found
        tail = () if self._symmetric else (3,)
        allocate = {
            what: {
                component: {name: np.empty((k, self._counts[component], *tail)) for name in attributes}
                for component, attributes in wanted.items()
                if self._counts.get(component)
            }
            for what, wanted in (("update", self._update), ("output", self._output))
        }
        kind = "sym_output" if self._symmetric else "asym_output"
        made = BatchPlan(self._library, self._handle, k, allocate["update"], allocate["output"], kind)
        self._raise_if_failed()
        if k <= 256:
            self._plans[k] = made
        return made

    def _option(self, method: int, tolerance: float, iterations: int) -> Any:
        key = (method, tolerance, iterations)
        if key not in self._options:
            pointer = self._library.create_options(self._handle)
            for name, value in (
                *(("calculation_type", 0), ("calculation_method", method)),
                *(("symmetric", int(self._symmetric)), ("err_tol", tolerance)),
                *(("max_iter", iterations), ("threading", -1)),
            ):
                getattr(self._library, f"set_{name}")(self._handle, pointer, value)
            self._options[key] = pointer
        return self._options[key]

    def calculate(self, plan: BatchPlan, method: int, tolerance: float, iterations: int) -> list[int]:
        """Solve the batch that stands in the plan's update buffers; return the scenarios that failed."""
        options = self._option(method, tolerance, iterations)
        if plan.one_by_one:
            return [row for row, data in enumerate(plan.data) if not self._solved(options, *data)]
        return self._failed_of_batch(options, *plan.data[0])

    def _solved(self, options: Any, given: Any, wanted: Any) -> bool:
        """Solve one scenario; the model keeps its powers, which the next one overwrites."""
        library, handle = self._library, self._handle
        library.update_model(handle, self._model, given)
        self._raise_if_failed()
        library.calculate(handle, self._model, options, wanted, None)
        failed = bool(library.error_code(handle))
        if failed:
            library.clear_error(handle)
        return not failed

    def _failed_of_batch(self, options: Any, given: Any, wanted: Any) -> list[int]:
        library, handle = self._library, self._handle
        library.calculate(handle, self._model, options, wanted, given)
        code = library.error_code(handle)
        if not code:
            return []
        if code != BATCH_ERROR:
            self._raise_if_failed()
        n_failed = library.n_failed_scenarios(handle)
        failed = [int(library.failed_scenarios(handle)[i]) for i in range(n_failed)]
        library.clear_error(handle)
        return failed

    def __del__(self) -> None:
        self._plans = {}
        for pointer in self._options.values():
            self._library.destroy_options(pointer)
        if getattr(self, "_model", None):
            self._library.destroy_model(self._model)
        if getattr(self, "_handle", None):
            self._library.destroy_handle(self._handle)
