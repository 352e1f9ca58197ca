"""The process that measures one build for `bench.builds`: lines of JSON in and out.

{"open": {a case}}, {"run": true}, {"close": true}; the answer to "run" is {"ms": a number}. It is
started as `python -m bench.builds_worker CORE FOLDER THREADS`, where CORE is the extension module,
or empty if the package has its own.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

__all__ = ["main", "use_core"]

_SHAPE = (3072, 768)  # outputs, inputs: the widest of a decoder layer of Magpie
_SECONDS = 0.05  # of a sample of a product
_MANY_ROWS = 256  # from here on, one weight is multiplied again and again: arithmetic is the limit
_TEXT, _CONTEXT, _FRAMES = 58, 110, 40  # of a request of a crowd
_LONG_TEXT, _LONG_CONTEXT = 512, 512  # of the phase


def use_core(path: str) -> None:
    """Makes `ttsrt_rt._core` the module in this file."""
    loader = importlib.machinery.ExtensionFileLoader("ttsrt_rt._core", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)


def _product(case: dict[str, Any], threads: int) -> Callable[[], float]:
    from ttsrt_rt.bench.ops import OpBench

    kind, rows = case["kind"], case["count"]
    is_plain = kind in ("float32", "bfloat16")
    bench = OpBench(
        "linear",
        rows=rows,
        outputs=_SHAPE[0],
        inputs=_SHAPE[1],
        resident=rows >= _MANY_ROWS,
        dtype=kind if is_plain else "bfloat16",
        quantization="none" if is_plain else kind,
        num_threads=threads,
    )
    first = bench.run(1)
    often = max(1, round(_SECONDS / max(first, 1e-6)))
    return lambda: 1e3 * bench.seconds_per_op(often)


def _engine(case: dict[str, Any], folder: Path, slots: int) -> Path:
    from ttsrt_rt.bench.step_turns import Case, engine_of, make_checkpoint

    checkpoint = make_checkpoint(case["size"], folder)
    kind = case["kind"]
    is_plain = kind in ("float32", "bfloat16")
    chosen: Any = Case(kind) if is_plain else Case("bfloat16", kind)
    return engine_of(checkpoint, case["size"], chosen, folder, slots)


def _requests(
    case: dict[str, Any], folder: Path, threads: int, stack: ExitStack
) -> Callable[[], float]:
    """Milliseconds per frame of a crowd, of a step of one, or until first frames."""
    from ttsrt_rt.bench.crowd import Crowd, run_crowd
    from ttsrt_rt.bench.facts import EngineFacts
    from ttsrt_rt.bench.requests import RequestShape
    from ttsrt_rt.executor import Executor

    part, count = case["part"], case["count"]
    engine = _engine(case, folder, 32 if part in ("crowds", "first") else 1)
    executor = stack.enter_context(Executor(engine, device="cpu", num_threads=threads))
    facts = EngineFacts.of(executor.engine)
    text, context, frames = _TEXT, _CONTEXT, _FRAMES
    if part == "phase":
        text, context, frames = _LONG_TEXT, _LONG_CONTEXT, facts.frame_stacking
    shape = RequestShape(
        text_len=min(text, facts.max_text_len),
        context_len=min(context, facts.max_input_len),
        frames=frames,
        cfg_scale=2.5,
    )

    def run() -> float:
        crowd = Crowd(count)
        crowd.add(*run_crowd(executor, count, facts, shape))
        if part == "crowds":
            return 1e3 / crowd.frames_per_second[0]
        return crowd.step_ms[0] if part == "steps" else crowd.first_frame_ms[0]

    run()  # to warm up
    return run


def _open(
    case: dict[str, Any], folder: Path, threads: int, stack: ExitStack
) -> Callable[[], float]:
    if case["part"] == "products":
        return _product(case, threads)
    return _requests(case, folder, threads, stack)


def main(core: str, folder: Path, threads: int) -> int:
    """Answers until the input ends."""
    if core:
        use_core(core)
    with ExitStack() as stack:
        run: Callable[[], float] | None = None
        for line in sys.stdin:
            question = json.loads(line)
            answer: dict[str, Any] = {}
            try:
                if "open" in question:
                    run = _open(question["open"], folder, threads, stack)
                elif "close" in question:
                    run = None
                    stack.close()
                elif run is not None:
                    answer["ms"] = run()
            except Exception as error:  # the other process tells it
                answer["error"] = f"{type(error).__name__}: {error}"
            print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
