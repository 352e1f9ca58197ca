"""Times of llama.cpp, by the clocks of its own two benchmarks, each run in a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from ttsrt_rt.errors import ConfigError, InternalError

__all__ = ["LLAMA_TYPES", "LlamaCpp"]

LLAMA_TYPES = ("bf16", "q8_0", "q4_0")


class LlamaCpp:
    """One file of weights.

    Args:
        folder: Where llama-bench and llama-batched-bench are.
        model: What `write_gguf` wrote.
        threads: Of both programs.
        prompt: Positions before the first token.
        steps: Tokens of a request.

    Raises:
        ConfigError: A file is absent.
    """

    def __init__(self, folder: Path, model: Path, *, threads: int, prompt: int, steps: int):
        self._bench, self._batched = folder / "llama-bench", folder / "llama-batched-bench"
        for path in (self._bench, self._batched, model):
            if not path.is_file():
                raise ConfigError(
                    f"{path}: expected a file (docs/performance.md says how to make it)"
                )
        self._model, self._threads = str(model), str(threads)
        self._prompt, self._steps = prompt, steps

    def _lines(self, program: Path, *flags: object) -> list[dict[str, Any]]:
        """The JSON objects that a program prints, one a line.

        Raises:
            InternalError: It failed, or printed none.
        """
        command = [str(program), "-m", self._model, "-t", self._threads, *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode != 0 or not lines:
            raise InternalError(
                f"{program.name}: exit status {done.returncode}, expected lines of JSON, got "
                f"{done.stdout[-200:]!r}: {done.stderr[-500:]}"
            )
        return [json.loads(line) for line in lines]

    def _test_ms(self, *flags: object) -> float:
        """Milliseconds of one test of llama-bench, which warms up before it."""
        (found,) = self._lines(self._bench, "-r", 1, "-o", "jsonl", *flags)
        return float(found["avg_ns"]) / 1e6

    def step_ms(self) -> float:
        """Milliseconds of a step of one sequence."""
        return self._test_ms("-p", 0, "-n", self._steps, "-d", self._prompt) / self._steps

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds of a prompt."""
        return self._test_ms("-p", rows, "-n", 0)

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step of `count` sequences.

        A second test, of one token, follows: the program can end before it has printed its last
        line.
        """
        context = count * (self._prompt + self._steps)
        tokens = f"{self._steps},1"
        shape = ("-npp", self._prompt, "-ntg", tokens, "-npl", count, "-c", context)
        found = self._lines(self._batched, *shape, "--output-format", "jsonl")[0]
        return 1e3 * float(found["t_tg"]) / self._steps
