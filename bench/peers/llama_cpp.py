"""Times of llama.cpp and of ik_llama.cpp, by the clocks of their own two benchmarks.

Each sample is a process of its own. ik_llama.cpp left llama.cpp years ago: its benchmarks know
other flags, and one prints a table where the other prints JSON.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ttsrt_rt.errors import ConfigError, InternalError

__all__ = ["GGUF_TYPES", "IkLlamaCpp", "LlamaCpp"]

# By class of precisions.
GGUF_TYPES = {"float32": "f32", "bfloat16": "bf16", "int8": "q8_0", "int4": "q4_0"}
_TRIED_STEPS = "8,12"  # ids of the prompt, and steps behind it
_TRIED_ROWS = 64


class LlamaCpp:
    """One file of weights.

    Args:
        folder: Where llama-bench and llama-batched-bench are.
        model: What `write_llama` wrote.
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

    def step_ms(self) -> float:
        """Milliseconds of a step of one sequence."""
        spent = self._test_ns("-r", 1, "-p", 0, "-n", self._steps, "-d", self._prompt)
        return spent / 1e6 / self._steps

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds of a prompt, after the same one to warm up."""
        return self._test_ns("-r", 1, "-p", rows, "-n", 0) / 1e6

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step of `count` sequences.

        A second test, of one token, follows: the program can end before it has printed its last
        line.
        """
        flags = (*self._crowd_flags(count, f"{self._steps},1"), "--output-format", "jsonl")
        found = _lines_of(self._run(self._batched, *flags), "{")
        return 1e3 * float(json.loads(found[0])["t_tg"]) / self._steps

    def _test_ns(self, *flags: object) -> float:
        """Nanoseconds of the last repetition of one test of llama-bench."""
        (line,) = _lines_of(self._run(self._bench, "-o", "jsonl", *flags), "{")
        return float(json.loads(line)["samples_ns"][-1])

    def _crowd_flags(self, count: int, tokens: str) -> tuple[object, ...]:
        context = count * (self._prompt + self._steps)
        return "-npp", self._prompt, "-ntg", tokens, "-npl", count, "-c", context

    def _run(self, program: Path, *flags: object, errors: int = subprocess.PIPE) -> str:
        """What a program prints; with `errors` = STDOUT, also what it prints as an error.

        Raises:
            InternalError: It failed.
        """
        paths = (str(program.resolve()), "-m", str(Path(self._model).resolve()))
        command = [*paths, "-t", self._threads, *map(str, flags)]
        with TemporaryDirectory() as folder:  # ik_llama.cpp writes a log where it runs
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False, cwd=folder
            )
        if done.returncode != 0:
            raise InternalError(
                f"{program.name}: exit status {done.returncode}, expected 0, got "
                f"{done.stdout[-200:]!r}: {(done.stderr or '')[-500:]}"
            )
        return done.stdout


class IkLlamaCpp(LlamaCpp):
    """One file of weights in ik_llama.cpp; arguments are those of `LlamaCpp`.

    It can rearrange the weights as it loads them (`-rtr`). Whether that is faster depends on the
    type and on the rows, so both are tried once, for one row and for many, and the faster is used.
    """

    def __init__(self, folder: Path, model: Path, *, threads: int, prompt: int, steps: int):
        super().__init__(folder, model, threads=threads, prompt=prompt, steps=steps)
        self._is_rearranged: dict[str, bool] = {}

    def step_ms(self) -> float:
        """Milliseconds of a step of one sequence."""
        shape = f"{self._prompt},{self._steps}"
        is_rearranged = self._faster("one row", "-p", 0, "-n", 0, "-gp", _TRIED_STEPS)
        flags = ("-r", 1, "-p", 0, "-n", 0, "-gp", shape)
        return self._ik_test_ns(is_rearranged, *flags) / 1e6 / self._steps

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds of a prompt, after the same one: the program warms up with one row."""
        is_rearranged = self._faster("rows", "-p", _TRIED_ROWS, "-n", 0)
        return self._ik_test_ns(is_rearranged, "-r", 2, "-p", rows, "-n", 0) / 1e6

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step of `count` sequences, of the table among its messages."""
        is_rearranged = self._faster("rows", "-p", _TRIED_ROWS, "-n", 0)
        flags = self._crowd_flags(count, str(self._steps))
        flags += ("-rtr",) if is_rearranged else ()
        printed = self._run(self._batched, *flags, errors=subprocess.STDOUT)
        rows = [line.split("|") for line in _lines_of(printed, "|")]
        column = [name.strip() for name in rows[0]].index("T_TG s")
        return 1e3 * float(rows[-1][column]) / self._steps

    def _faster(self, what: str, *flags: object) -> bool:
        """Whether rearranged weights are faster in this test, which runs at its first use."""
        if what not in self._is_rearranged:
            spent = [self._ik_test_ns(each, "-r", 2, *flags) for each in (False, True)]
            self._is_rearranged[what] = spent[1] < spent[0]
        return self._is_rearranged[what]

    def _ik_test_ns(self, is_rearranged: bool, *flags: object) -> float:
        """Nanoseconds of the last repetition of one test of llama-bench."""
        printed = self._run(self._bench, "-o", "json", "-rtr", int(is_rearranged), *flags)
        (found,) = _read_list(printed)
        return float(found["samples_ns"][-1])


def _lines_of(printed: str, mark: str) -> list[str]:
    """The lines that begin with the mark.

    Raises:
        InternalError: There are none.
    """
    lines = [line for line in printed.splitlines() if line.startswith(mark)]
    if not lines:
        raise InternalError(f"expected lines that begin with {mark}, got {printed[-200:]!r}")
    return lines


def _read_list(printed: str) -> list[dict[str, Any]]:
    """The list of JSON in what a program printed.

    Raises:
        InternalError: There is none.
    """
    begin = printed.find("[\n")
    try:
        found: list[dict[str, Any]] = json.loads(printed[max(begin, 0) :])
    except ValueError as error:
        raise InternalError(f"expected a list of JSON, got {printed[-200:]!r}") from error
    return found
