"""Time per step of magpie-tts.cpp, the other native program for this model, by its own clock.

Its `bench` counts the prefill of the context as part of its steps. Therefore a measurement is two
runs, of few and of all steps: the difference of their times, divided by the difference of their
steps, has neither start nor prefill. The number of steps is set in the header of the model's file.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.errors import ConfigError, InternalError

__all__ = ["PEER_TYPES", "Peer", "PeerRun", "parse_output", "peer_turns", "set_frames"]

PEER_TYPES = ("f32", "f16", "q8_0")

_FRAMES_KEY = b"magpie.sampling.max_decoder_steps"
_UINT32 = 4  # the type's number in the format
_HEADER_BYTES = 1 << 20  # the key lies within these
_FEW_STEPS = 2
_TRIES = 3  # on a busy machine few steps may take longer than all
_EXTRA_IDS = 2  # its byte tokenizer appends one id to a text, and its model another


@dataclass(frozen=True)
class PeerRun:
    """One request.

    Attributes:
        steps: Decoder steps.
        decode_seconds: Prefill of the context and all steps.
        encode_seconds: The text.
        codec_seconds: The sound of all frames.
        total_seconds: All of it.
        audio_seconds: How long the sound is.
    """

    steps: int
    decode_seconds: float
    encode_seconds: float
    codec_seconds: float
    total_seconds: float
    audio_seconds: float


def parse_output(text: str) -> PeerRun:
    """What `magpie-cli bench --json` printed for one run.

    Raises:
        InternalError: It is something else.
    """
    try:
        runs: list[dict[str, Any]] = json.loads(text)["runs_detail"]
        (run,) = runs
        return PeerRun(
            steps=int(run["decode_steps"]),
            decode_seconds=float(run["decode_ms"]) / 1e3,
            encode_seconds=float(run["encode_ms"]) / 1e3,
            codec_seconds=float(run["codec_ms"]) / 1e3,
            total_seconds=float(run["total_ms"]) / 1e3,
            audio_seconds=float(run["audio_seconds"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InternalError(f"peer: expected the JSON of one run, got {text[:200]!r}") from error


def set_frames(model: Path, frames: int) -> None:
    """Writes the frames of a request into the header of its file.

    Raises:
        ConfigError: It isn't such a file.
    """
    with model.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        at = header.find(_FRAMES_KEY)
        value = at + len(_FRAMES_KEY) + 4
        if at < 0 or struct.unpack_from("<I", header, value - 4) != (_UINT32,):
            raise ConfigError(f"{model}: expected a file that bench/peer_gguf.py wrote")
        file.seek(value)
        file.write(struct.pack("<I", frames))


class Peer:
    """Its command-line program and one file of weights.

    Args:
        binary: magpie-cli.
        model: What bench/peer_gguf.py wrote.
        text_len: Text tokens of a request, at least 3.
        num_threads: Of the program.

    Raises:
        ConfigError: A file is absent.
    """

    def __init__(self, binary: Path, model: Path, *, text_len: int, num_threads: int) -> None:
        for path in (binary, model):
            if not path.is_file():
                raise ConfigError(
                    f"{path}: expected a file (docs/performance.md says how to make it)"
                )
        self._model = model
        self._command = [
            *(str(binary), "bench", "--model", str(model), "--json", "--runs", "1"),
            *("--lang", "fr", "--text", "a" * (text_len - _EXTRA_IDS)),
            *("--threads", str(num_threads)),
        ]

    def run(self, frames: int) -> PeerRun:
        """Runs one guided request of so many frames in its own process.

        Raises:
            InternalError: The program failed.
        """
        set_frames(self._model, frames)
        done = subprocess.run(self._command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InternalError(f"peer: exit status {done.returncode}: {done.stderr[-500:]}")
        return parse_output(done.stdout)

    def step_ms(self, frames: int, frames_per_step: int) -> float:
        """Milliseconds of a step after the first few, without prefill."""
        for _ in range(_TRIES):
            few = self.run(_FEW_STEPS * frames_per_step)
            all_ = self.run(frames)
            steps, seconds = all_.steps - few.steps, all_.decode_seconds - few.decode_seconds
            if steps > 0 and seconds > 0:
                return 1e3 * seconds / steps
        raise InternalError(
            f"peer: {few.steps} and {all_.steps} steps in {few.decode_seconds:.2f} and "
            f"{all_.decode_seconds:.2f} s say nothing of one"
        )


def peer_turns(
    binary: Path, folder: Path, size: str, *, text_len: int, frames: int, frames_per_step: int
) -> dict[str, Callable[[], float]]:
    """A measurement of a step's milliseconds for each type, with a thread per usable core.

    Raises:
        ConfigError: The program or one of SIZE.TYPE.gguf in `folder` is absent.
    """
    threads = usable_cores()

    def turn(kind: str) -> Callable[[], float]:
        model = folder / f"{size}.{kind}.gguf"
        peer = Peer(binary, model, text_len=text_len, num_threads=threads)
        return lambda: peer.step_ms(frames, frames_per_step)

    return {kind: turn(kind) for kind in PEER_TYPES}
