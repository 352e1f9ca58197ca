"""Arrays in the memory of a GPU, by the driver alone: no test needs another library for them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _driver() -> ctypes.CDLL:
    """The driver, with the primary context of the first GPU current, as the CUDA runtime has it."""
    driver = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    _check(driver.cuInit(0))
    _check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
    _check(driver.cuCtxSetCurrent(context))
    return driver


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"the driver answered {status}")


class GpuBytes:
    """Bytes on the first GPU, freed with the object."""

    def __init__(self, size: int) -> None:
        self._driver = _driver()
        address = ctypes.c_uint64()
        _check(self._driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)))
        self.address: int = address.value

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self._driver.cuMemFree_v2(ctypes.c_uint64(self.address))

    def write(self, values: NDArray[Any]) -> None:
        """Copies an array there, and waits for it."""
        source = np.ascontiguousarray(values)
        pointer = source.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(source.nbytes)
        _check(self._driver.cuMemcpyHtoD_v2(ctypes.c_uint64(self.address), pointer, size))
        _check(self._driver.cuCtxSynchronize())


class GpuArray:
    """A copy of an array on the first GPU, with `__cuda_array_interface__`."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._bytes = GpuBytes(max(values.nbytes, 1))
        self._bytes.write(values)
        self.__cuda_array_interface__ = {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (self._bytes.address, True),
            "version": 3,
            "strides": None,
            "stream": None,
        }


def free_bytes() -> int:
    """The memory of the first GPU that is free."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _check(_driver().cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    return free.value
