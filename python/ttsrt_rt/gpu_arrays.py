"""Arrays of callers in the memory of a GPU: they are read where they are, or refused.

Both protocols are taken: DLPack first, because it says which GPU has the array and orders the
producer's work before the consumer's; else `__cuda_array_interface__`, versions 2 and 3. The work
that writes an array has ended when these functions return.
"""

from __future__ import annotations

from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.arrays import MAX_NUMBERS, place_of, text_of
from ttsrt_rt.errors import ConfigError, DeviceError
from ttsrt_rt.quoting import show

__all__ = ["gpu_rows"]

_DEFAULT_STREAM = 1
_FLOAT = 2  # kDLFloat
_DLPACK_NAMES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}


def gpu_rows(value: Any, where: str, device: str, most: int = MAX_NUMBERS) -> _core.GpuRows:
    """Rows of float32 as a request reads them on its device, without a copy.

    Args:
        value: An array on a GPU, float32 [rows, columns], dense, that has `__dlpack__` or
            `__cuda_array_interface__`. The result keeps it.
        where: The argument's name, for messages.
        device: The device of the executor, "cuda:0".
        most: How many numbers it may have.

    Raises:
        ConfigError: It is on another device, has another type, other axes or gaps, is empty or too
            long, or can't be exported.
        DeviceError: The device failed.
    """
    _check_place(where, place_of(value), device)
    gpu = int(device.partition(":")[2])
    try:
        if hasattr(value, "__dlpack_device__"):
            return _of_dlpack(value, where, gpu, most)
        return _of_interface(value, where, device, most)
    except (ConfigError, DeviceError):
        raise
    except Exception as error:  # of any kind: each library has its own
        raise ConfigError(
            f"{where}: expected an array, got {type(value).__name__}: {text_of(error)}"
        ) from error


def _of_dlpack(value: Any, where: str, gpu: int, most: int) -> _core.GpuRows:
    capsule = value.__dlpack__(stream=_DEFAULT_STREAM)
    _, _, address, (code, bits, lanes), shape, strides = _core.read_dlpack(capsule)
    if (code, bits, lanes) != (_FLOAT, 32, 1):
        _refuse_type(where, f"{_DLPACK_NAMES.get(code, f'type {code} of ')}{bits}")
    _check_shape(where, shape, strides, 1, most)
    _core.wait_for_cuda_stream(gpu, _DEFAULT_STREAM)
    rows, cols = shape
    return _core.GpuRows(gpu, address, rows, cols, capsule)


def _of_interface(value: Any, where: str, device: str, most: int) -> _core.GpuRows:
    interface = dict(value.__cuda_array_interface__)
    if interface["typestr"] not in ("<f4", "=f4"):
        _refuse_type(where, interface["typestr"])
    if interface.get("mask") is not None:
        raise ConfigError(f"{where}: expected an array without a mask")
    shape = tuple(int(size) for size in interface["shape"])
    _check_shape(where, shape, interface.get("strides"), 4, most)
    address = int(interface["data"][0])
    gpu = _core.gpu_of(address)
    _check_place(where, f"cuda:{gpu}", device)
    # Without the entry, nothing is said about the producer's work; with None, it has ended.
    stream = interface.get("stream", _DEFAULT_STREAM)
    if stream is not None:
        _core.wait_for_cuda_stream(gpu, int(stream))
    rows, cols = shape
    return _core.GpuRows(gpu, address, rows, cols, value)


def _check_place(where: str, place: str, device: str) -> None:
    is_gpu = device.startswith("cuda:") and device[5:].isdigit()
    if is_gpu and place in (device, "a GPU"):
        return
    allowed = f"the host or of {device}" if is_gpu else "the host"
    raise ConfigError(
        f"{where}: expected an array in the memory of {allowed}, as the executor runs on {device}, "
        f"got one in that of {place}; copy it first"
    )


def _check_shape(where: str, shape: Any, strides: Any, item: int, most: int) -> None:
    sizes = [int(size) for size in shape]
    if len(sizes) != 2 or 0 in sizes:
        raise ConfigError(f"{where}: expected [rows, columns], not empty, got {sizes}")
    count = sizes[0] * sizes[1]
    if count > most:
        raise ConfigError(f"{where}: expected at most {most} numbers, got {count}")
    if strides is None:
        return
    dense = (sizes[1] * item, item)
    for size, stride, expected in zip(sizes, strides, dense, strict=True):
        if size > 1 and int(stride) != expected:
            raise ConfigError(
                f"{where}: expected rows without gaps on a GPU, got strides {show(list(strides))} "
                f"of {sizes}; make it contiguous first"
            )


def _refuse_type(where: str, name: str) -> None:
    raise ConfigError(
        f"{where}: expected float32 on a GPU, where nothing is converted, got {show(name)}"
    )
