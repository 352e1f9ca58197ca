"""Arrays on a GPU: read where they are by an executor that runs there, refused by any other.

What needs no GPU is tested with objects that only say that they are on one.
"""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import NEEDS_GPU
from tests.gpu_memory import GpuArray
from ttsrt_rt import _core
from ttsrt_rt.arrays import float_matrix, id_vector, place_of
from ttsrt_rt.gpu_arrays import gpu_rows
from ttsrt_rt.synth import write_random_t3

ADDRESS = 0x7F0000000000
ROWS = ["text_features", "encoder_output", "context_embeddings"]


class Exporter:
    """Says that it is on a GPU, by `__cuda_array_interface__`."""

    def __init__(self, shape: tuple[int, ...] = (4, 8), **changes: Any) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": "<f4",
            "data": (ADDRESS, False),
            "version": 3,
            "stream": 5,
            **changes,
        }


class Capsules:
    """Says that it is on a GPU, by DLPack; its capsules are NumPy's."""

    def __init__(self, values: NDArray[Any], device: tuple[int, int] = (2, 0)) -> None:
        self.values, self.device = values, device
        self.streams: list[int] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int) -> object:
        self.streams.append(stream)
        return self.values.__dlpack__()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A machine whose GPU 0 has every address; returns the streams that were waited for."""
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(_core, "gpu_of", lambda address: 0)
    monkeypatch.setattr(
        _core, "wait_for_cuda_stream", lambda gpu, stream: made.append((gpu, stream))
    )
    return made


def test_places() -> None:
    values = np.zeros((2, 3), np.float32)
    for value in (values, [1, 2], (1,), b"", None, 3, Capsules(values, (1, 0))):
        assert place_of(value) == ""
    assert place_of(Capsules(values, (2, 3))) == "cuda:3"
    assert place_of(Capsules(values, (13, 0))) == "cuda:0"  # managed
    assert place_of(Exporter()) == "a GPU"


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_another_device_refuses_them_by_name(engine: Path, name: str, device: str) -> None:
    with rt.Executor(engine, device=device) as executor:
        message = f"{name}: expected an array in the memory of the host, as the executor runs on "
        rows = Capsules(np.ones((4, 8), np.float32), (2, 1))
        with pytest.raises(rt.ConfigError, match=f"{message}{device}, got one in that of cuda:1"):
            executor.submit(rt.Request(**{name: rows}))
        with pytest.raises(rt.ConfigError, match=f"{message}{device}, got one in that of a GPU"):
            executor.submit(rt.Request(**{name: Exporter()}))


def test_the_library_refuses_them_too(engine: Path) -> None:
    native = _core.Request()
    owner = Exporter()
    gone = weakref.ref(owner)
    native.encoder_output = _core.GpuRows(2, ADDRESS, 4, 8, owner)
    del owner
    rows = native.encoder_output
    assert isinstance(rows, _core.GpuRows)
    assert (rows.gpu, rows.address, rows.rows, rows.cols) == (2, ADDRESS, 4, 8)
    del rows
    executor = _core.Executor(_core.Engine.open(engine), _core.ExecutorOptions())
    with pytest.raises(
        rt.ConfigError, match=r"encoder_output: .* got rows in the memory of cuda:2"
    ):
        executor.submit(native)
    executor.close(False)
    assert gone() is not None
    del native
    wait_until(lambda: gone() is None)


def test_other_arrays_must_be_on_the_host() -> None:
    ids = Exporter(typestr="<i4", shape=(3,))
    with pytest.raises(rt.ConfigError, match="text_ids: expected an array in the memory of the ho"):
        id_vector(ids, "text_ids")
    with pytest.raises(rt.ConfigError, match=r"embeddings: .*, got one in that of cuda:0"):
        float_matrix(Capsules(np.ones((1, 2), np.float32)), "embeddings")


def test_a_capsule_is_read() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    kind, index, address, dtype, shape, strides = _core.read_dlpack(values.__dlpack__())
    assert (kind, index, address) == (1, 0, values.ctypes.data)
    assert dtype == (2, 32, 1) and shape == (4, 6) and strides in (None, (6, 1))
    part = values[1:, ::2]
    _, _, address, _, shape, strides = _core.read_dlpack(part.__dlpack__())
    assert (address, shape, strides) == (part.ctypes.data, (3, 3), (6, 2))
    taken = values.__dlpack__()
    np.from_dlpack(Taken(taken))
    with pytest.raises(rt.ConfigError, match=r"a capsule .dltensor. that nobody has taken"):
        _core.read_dlpack(taken)


class Taken:
    """Gives one capsule to one consumer."""

    def __init__(self, capsule: object) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> object:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def test_dlpack_is_read_where_it_is(waits: list[tuple[int, int]]) -> None:
    values = np.ones((4, 8), np.float32)
    exporter = Capsules(values)
    rows = gpu_rows(exporter, "x", "cuda:0")
    assert (rows.gpu, rows.address, rows.rows, rows.cols) == (0, values.ctypes.data, 4, 8)
    assert exporter.streams == [1]  # the producer's work comes before the default stream's
    assert waits == [(0, 1)]  # which has ended
    gone = weakref.ref(values)
    del exporter, values
    gc.collect()
    assert gone() is not None  # the capsule keeps it
    del rows
    wait_until(lambda: gone() is None)


@pytest.mark.parametrize(
    ("changes", "waited"),
    [({}, [(0, 5)]), ({"stream": None}, []), ({"stream": 1}, [(0, 1)])],
)
def test_the_interface_names_a_stream(
    waits: list[tuple[int, int]], changes: dict[str, Any], waited: list[tuple[int, int]]
) -> None:
    rows = gpu_rows(Exporter(**changes), "x", "cuda:0")
    assert (rows.gpu, rows.address, rows.rows, rows.cols) == (0, ADDRESS, 4, 8)
    assert waits == waited


def test_without_a_stream_the_default_one_is_waited_for(waits: list[tuple[int, int]]) -> None:
    exporter = Exporter(version=2)
    del exporter.__cuda_array_interface__["stream"]
    gpu_rows(exporter, "x", "cuda:0")
    assert waits == [(0, 1)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Exporter((4,)), r"x: expected \[rows, columns\], not empty, got \[4\]"),
        (Exporter((0, 8)), "not empty"),
        (Exporter((1 << 20, 1 << 10)), "x: expected at most 16777216 numbers"),
        (Exporter(typestr="<f2"), "x: expected float32 on a GPU, .* got '<f2'"),
        (Exporter(strides=(64, 4)), "x: expected rows without gaps"),
        (Exporter(mask=Exporter()), "x: expected an array without a mask"),
        (Exporter(data=None), "x: expected an array, got Exporter"),
        (Capsules(np.ones((4, 8), np.float16)), "got 'float16'"),
        (Capsules(np.ones((4, 8), np.int32)), "got 'int32'"),
        (Capsules(np.ones((4, 8), np.float32)[:, ::2]), r"strides \[8, 2\] of \[4, 4\]"),
        (Capsules(np.ones((4, 8), np.float32), (2, 1)), "host or of cuda:0, .* that of cuda:1"),
    ],
)
def test_what_can_not_be_read_there(waits: list[tuple[int, int]], value: Any, message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        gpu_rows(value, "x", "cuda:0")


def test_strides_of_axes_of_one_do_not_matter(waits: list[tuple[int, int]]) -> None:
    assert gpu_rows(Exporter((1, 8), strides=(12345, 4)), "x", "cuda:0").rows == 1


def wait_until(is_true: Callable[[], bool]) -> None:
    """What the library drops on another thread is dropped by the main thread a little later."""
    end = time.monotonic() + 10.0
    while not is_true():
        assert time.monotonic() < end
        gc.collect()
        time.sleep(0.001)


# --- on a GPU -----------------------------------------------------------------------------------


def rows_of(executor: rt.Executor, count: int, seed: int) -> NDArray[np.float32]:
    shape = (count, executor.engine.info.dim)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sound(name: str, rows: Any, ids: NDArray[np.int32], **fields: Any) -> rt.Request:
    text: dict[str, Any] = {} if name in ROWS[:2] else {"text_ids": ids}
    context: dict[str, Any] = {} if name == "context_embeddings" else {"voice": 0}
    return rt.Request(**{"seed": 7, "max_frames": 8, **text, **context, name: rows, **fields})


@NEEDS_GPU
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("case", ["tinyhf", "tiny2512"])
def test_rows_on_the_gpu_give_the_same_bits(
    engine_of: Callable[[str], Path], text_ids: NDArray[np.int32], case: str, name: str
) -> None:
    with rt.Executor(engine_of(case), device="cuda:0") as executor:
        rows = rows_of(executor, 9, seed=3)
        ids = text_ids % executor.engine.info.text_vocab
        expected = executor.generate(sound(name, rows, ids))
        on_gpu = GpuArray(rows)
        gone = weakref.ref(on_gpu)
        requests = [sound(name, each, ids) for each in (on_gpu, rows, on_gpu)]
        for result in executor.generate(requests):
            np.testing.assert_array_equal(result.codes, expected.codes)
        del on_gpu, requests
        wait_until(lambda: gone() is None)


@NEEDS_GPU
@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_not_finite_end_their_own_request(
    engine: Path, text_ids: NDArray[np.int32], name: str
) -> None:
    with rt.Executor(engine, device="cuda:0") as executor:
        rows = rows_of(executor, 9, seed=3)
        expected = executor.generate(sound(name, rows, text_ids))
        for value in (np.nan, np.inf, -np.inf):
            broken = rows.copy()
            broken[6, 1] = value
            requests = [sound(name, GpuArray(each), text_ids) for each in (rows, broken, rows)]
            first, failed, last = executor.generate(requests)
            assert failed.finish_reason == "error"
            assert "row 6: rows of the request: expected finite numbers" in failed.error
            for result in (first, last):
                np.testing.assert_array_equal(result.codes, expected.codes)


@NEEDS_GPU
def test_prompts_and_voices_of_t3(tmp_path: Path) -> None:
    source = tmp_path / "t3_cfg.safetensors"
    write_random_t3(source, "tiny", seed=1)
    rt.convert(source, tmp_path / "checkpoint", progress=False)
    rt.build(tmp_path / "checkpoint", tmp_path / "engine", dtype="float32")
    with rt.Executor(tmp_path / "engine", device="cuda:0") as executor:
        prompt, other = rows_of(executor, 12, seed=1), rows_of(executor, 12, seed=2)
        options: dict[str, Any] = {"seed": 7, "max_frames": 8, "cfg_scale": 1.5}
        voice = {"text_ids": [255, 5, 6, 7, 0], "context_embeddings": prompt}
        given = {"prompt_embeddings": prompt, "unconditional_embeddings": other}
        for fields in (voice, given):
            expected = executor.generate(rt.Request(**fields, **options))
            on_gpu = {
                name: GpuArray(value) if isinstance(value, np.ndarray) else value
                for name, value in fields.items()
            }
            requests = [rt.Request(**each, **options) for each in (on_gpu, fields, on_gpu)]
            for result in executor.generate(requests):
                np.testing.assert_array_equal(result.codes, expected.codes)


@NEEDS_GPU
def test_a_tensor_of_torch(engine: Path, text_ids: NDArray[np.int32]) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    with rt.Executor(engine, device="cuda:0") as executor:
        rows = rows_of(executor, 9, seed=3)
        expected = executor.generate(sound("encoder_output", rows, text_ids))
        with torch.cuda.stream(torch.cuda.Stream()):
            large = torch.ones((4096, 4096), device="cuda")
            for _ in range(20):
                large = large @ large.T / 4096.0  # ones again; the rows come late
            tensor = torch.from_numpy(rows).cuda(non_blocking=True) * large[0, 0]
            handle = executor.submit(sound("encoder_output", tensor, text_ids))
        np.testing.assert_array_equal(handle.result().codes, expected.codes)
        for wrong in (tensor.half(), tensor.T, tensor[:, ::2]):
            with pytest.raises(rt.ConfigError, match="encoder_output: expected"):
                executor.submit(sound("encoder_output", wrong, text_ids))


@NEEDS_GPU
def test_an_address_of_the_host_is_no_gpu() -> None:
    values = np.ones((4, 8), np.float32)
    with pytest.raises(rt.ConfigError, match="expected the address of memory of a GPU"):
        _core.gpu_of(values.ctypes.data)
