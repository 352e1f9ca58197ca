"""A real Triton server, where `nvidia-pytriton` is installed: it serves a model without a GPU."""

from __future__ import annotations

import importlib.util
import os
import queue
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.fake_triton import as_tensor
from ttsrt_rt.export import export_triton

NEEDED = ("pytriton", "tritonclient")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")

TEXT = list(range(3, 20))
TYPES = {"int32": "INT32", "uint64": "UINT64", "float32": "FP32", "object": "BYTES"}
WAIT = 60.0


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def server_files(folder: Path) -> tuple[Path, Path]:
    """Returns the server's program and a folder of backends with the stub for this interpreter."""
    spec = importlib.util.find_spec("pytriton")
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent / "tritonserver"
    shutil.copytree(root / "backends" / "python", folder / "backends" / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = root / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy2(stub, folder / "backends" / "python")
    return root / "bin" / "tritonserver", folder / "backends"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, engine: Path) -> Iterator[str]:
    """The address of a server whose model is the engine."""
    import tritonclient.grpc as grpc

    folder = tmp_path_factory.mktemp("triton")
    repository = export_triton(engine, folder / "repository", num_threads=1)
    program, backends = server_files(folder)
    ports = {"http": free_port(), "grpc": free_port()}
    flags = [
        f"--{kind}-{what}={value}"
        for kind, port in ports.items()
        for what, value in (("address", "127.0.0.1"), ("port", port))
    ]
    # The stub's own libraries, and the libpython of exactly this interpreter.
    libraries = f"{program.parents[3] / 'nvidia_pytriton.libs'}:{sys.base_prefix}/lib"
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                str(program),
                f"--model-repository={repository}",
                f"--backend-directory={backends}",
                "--allow-metrics=false",
                *flags,
            ],
            env={**os.environ, "PATH": programs, "LD_LIBRARY_PATH": libraries},
            stdout=log,
            stderr=log,
        )
    try:
        client = grpc.InferenceServerClient(f"127.0.0.1:{ports['grpc']}")
        end = time.monotonic() + WAIT
        while not is_ready(client):
            alive = server.poll() is None and time.monotonic() < end
            assert alive, (folder / "log").read_text("utf-8", "replace")[-3000:]
            time.sleep(0.2)
        client.close()
        yield f"127.0.0.1:{ports['grpc']}"
    finally:
        server.terminate()
        server.wait(WAIT)


def is_ready(client: Any) -> bool:
    from tritonclient.utils import InferenceServerException

    try:
        return bool(client.is_model_ready("ttsrt"))
    except InferenceServerException:
        return False


class Stream:
    """One client's stream of requests; `events` gives the responses of one of them."""

    def __init__(self, address: str) -> None:
        import tritonclient.grpc as grpc

        self._grpc = grpc
        self._client = grpc.InferenceServerClient(address)
        self._answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))

    def send(self, name: str, **fields: Any) -> None:
        inputs = []
        for field, value in fields.items():
            values = as_tensor(field, value)
            made = self._grpc.InferInput(field, list(values.shape), TYPES[values.dtype.name])
            made.set_data_from_numpy(values)
            inputs.append(made)
        self._client.async_stream_infer(
            "ttsrt", inputs, request_id=name, enable_empty_final_response=True
        )

    def take(self) -> Any:
        """Waits for the next response; raises what the server reports."""
        result, error = self._answers.get(timeout=WAIT)
        if error is not None:
            raise error
        return result

    def codes(self, names: list[str]) -> dict[str, Any]:
        """Waits for the final responses of some requests and returns their codes."""
        chunks: dict[str, list[Any]] = {name: [] for name in names}
        waiting = set(names)
        while waiting:
            result = self.take()
            response = result.get_response()
            part = result.as_numpy("codes")
            if part is not None:
                assert result.as_numpy("first_frame")[0] == sum(map(len, chunks[response.id]))
                chunks[response.id].append(part)
            if response.parameters["triton_final_response"].bool_param:
                waiting.remove(response.id)
        return {name: np.concatenate(parts) for name, parts in chunks.items()}

    def close(self, *, cancel: bool = False) -> None:
        self._client.stop_stream(cancel_requests=cancel)
        self._client.close()


def test_streams_are_the_executor_bit_for_bit(address: str, engine: Path) -> None:
    fields = {"text_ids": TEXT, "cfg_scale": 2.5, "temperature": 0.75, "max_frames": 30}
    stream = Stream(address)
    wanted = {f"{seed}-{chunk}": (seed, chunk) for seed in (7, 2**63 + 5) for chunk in (1, 4, 9)}
    for name, (seed, chunk) in wanted.items():
        stream.send(name, **fields, seed=seed, chunk_frames=chunk, voice="0")
    found = stream.codes(list(wanted))
    stream.close()
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        for name, (seed, _) in wanted.items():
            expected = executor.generate(**fields, seed=seed, voice=0).codes
            assert np.array_equal(found[name], expected), name


def test_errors_are_those_of_the_request(address: str) -> None:
    from tritonclient.utils import InferenceServerException

    stream = Stream(address)
    for fields, message in [
        ({"voice": "nobody"}, "nobody"),
        ({"voice": "0", "temperature": -1.0}, "temperature: expected a number"),
        ({"voice": "0", "max_frames": 0}, "max_frames"),
    ]:
        stream.send("bad", text_ids=TEXT, **fields)
        with pytest.raises(InferenceServerException, match=message):
            stream.take()
    stream.close()


def test_a_cancelled_stream_frees_the_server(address: str) -> None:
    """More requests than the engine has places are left; the next one is served all the same."""
    for _ in range(12):
        stream = Stream(address)
        stream.send("long", text_ids=TEXT, voice="0", temperature=0.9, max_frames=400)
        assert len(stream.take().as_numpy("codes"))
        stream.close(cancel=True)
    stream = Stream(address)
    stream.send("next", text_ids=TEXT, voice="0", max_frames=4)
    assert len(stream.codes(["next"])["next"]) == 4
    stream.close()
