"""A real Triton server, where `nvidia-pytriton` is installed: it serves a model without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.triton_server import Stream, needs_server, serving
from ttsrt_rt.export import export_triton

pytestmark = needs_server

TEXT = list(range(3, 20))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, engine: Path) -> Iterator[str]:
    """The address of a server whose model is the engine."""
    folder = tmp_path_factory.mktemp("triton")
    repository = export_triton(engine, folder / "repository", num_threads=1)
    with serving(repository, folder, "ttsrt") as found:
        yield found


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
