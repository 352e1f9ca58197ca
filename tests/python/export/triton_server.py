"""A real Triton server of `nvidia-pytriton`, which needs no GPU, and clients of it."""

from __future__ import annotations

import contextlib
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

from tests.python.export.fake_triton import as_tensor

__all__ = ["Stream", "needs_server", "serving", "tensors_of"]

NEEDED = ("pytriton", "tritonclient")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_server = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")

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


@contextlib.contextmanager
def serving(repository: Path, folder: Path, *models: str) -> Iterator[str]:
    """Serves a repository; gives the address of gRPC when the models are ready.

    Args:
        repository: As `export_triton` writes it.
        folder: For the server's files.
        models: What must be ready.
    """
    import tritonclient.grpc as grpc

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
        while not all(is_ready(client, model) for model in models):
            alive = server.poll() is None and time.monotonic() < end
            assert alive, (folder / "log").read_text("utf-8", "replace")[-3000:]
            time.sleep(0.2)
        client.close()
        yield f"127.0.0.1:{ports['grpc']}"
    finally:
        server.terminate()
        try:
            server.wait(WAIT)
        except subprocess.TimeoutExpired:  # a backend that has crashed holds it up
            server.kill()
            server.wait()


def is_ready(client: Any, model: str) -> bool:
    from tritonclient.utils import InferenceServerException

    try:
        return bool(client.is_model_ready(model))
    except InferenceServerException:
        return False


def tensors_of(fields: dict[str, Any]) -> list[Any]:
    """The fields of a request as the client's inputs."""
    import tritonclient.grpc as grpc

    inputs = []
    for field, value in fields.items():
        values = as_tensor(field, value)
        made = grpc.InferInput(field, list(values.shape), TYPES[values.dtype.name])
        made.set_data_from_numpy(values)
        inputs.append(made)
    return inputs


class Stream:
    """One client's stream of requests; `events` gives the responses of one of them."""

    def __init__(self, address: str) -> None:
        import tritonclient.grpc as grpc

        self._client = grpc.InferenceServerClient(address)
        self._answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))

    def send(self, name: str, **fields: Any) -> None:
        self._client.async_stream_infer(
            "ttsrt", tensors_of(fields), request_id=name, enable_empty_final_response=True
        )

    def take(self) -> Any:
        """Waits for the next response; raises what the server reports."""
        result, error = self._answers.get(timeout=WAIT)
        if error is not None:
            raise error
        return result

    def all(self, names: list[str]) -> dict[str, list[Any]]:
        """Waits for the final responses of some requests and returns the responses of each."""
        results: dict[str, list[Any]] = {name: [] for name in names}
        waiting = set(names)
        while waiting:
            result = self.take()
            response = result.get_response()
            if result.as_numpy("codes") is not None:
                results[response.id].append(result)
            if response.parameters["triton_final_response"].bool_param:
                waiting.remove(response.id)
        return results

    def codes(self, names: list[str]) -> dict[str, Any]:
        """Waits for the final responses of some requests and returns their codes."""
        joined = {}
        for name, results in self.all(names).items():
            parts = [result.as_numpy("codes") for result in results]
            begins = [int(result.as_numpy("first_frame")[0]) for result in results]
            assert begins == [0, *np.cumsum([len(part) for part in parts])[:-1]]
            joined[name] = np.concatenate(parts)
        return joined

    def close(self, *, cancel: bool = False) -> None:
        self._client.stop_stream(cancel_requests=cancel)
        self._client.close()
