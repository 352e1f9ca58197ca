"""Time of one decoder step beside a plain cached PyTorch implementation.

    python -m bench.step_time --size 2503 v2607 --dtype float32 bfloat16
    python -m bench.step_time checkpoint --dtype bfloat16 --quantization none w8a16 --no_torch

It is `ttsrt bench compare` with PyTorch taking turns; --size makes random checkpoints of true size.
If float32 is measured, 16 greedy frames of both are compared first. Quantized engines have no peer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ttsrt_rt.bench.step_turns import Peer
from ttsrt_rt.cli.bench_speed import add_compare_flags, run_compare
from ttsrt_rt.cli.outputs import check_outputs
from ttsrt_rt.cli.parser import Parser, parse
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["main", "torch_peer"]


def torch_peer() -> Peer:
    """PyTorch as the other implementation, with threads that sleep while they wait.

    OpenMP's threads otherwise spin between PyTorch's operations, also during the turns of others.
    A value of OMP_WAIT_POLICY in the environment is kept. The variable has an effect until PyTorch
    is imported.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from bench.torch_reference import TorchReference
    except ImportError as error:
        raise ConfigError(
            "step_time: expected PyTorch, which is not installed: pip install '.[torch]', or "
            "measure without it: --no_torch"
        ) from error

    def turn(checkpoint: Path, dtype: str, fields: dict[str, Any]) -> Callable[[], float]:
        reference = TorchReference(checkpoint, dtype=dtype)

        def run() -> float:
            reference.generate(**fields)
            return 1e3 * statistics.fmean(reference.last_timings.steps)

        return run

    def greedy_codes(checkpoint: Path, fields: dict[str, Any]) -> NDArray[Any]:
        codes: NDArray[Any] = TorchReference(checkpoint, dtype="float32").generate(
            **fields, greedy=True
        )
        return codes

    return Peer("PyTorch", turn, greedy_codes)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    parser = Parser(
        prog="step_time", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_compare_flags(parser)
    parser.add_argument("--no_torch", action="store_true", help="measure without PyTorch")
    args = parse(parser, sys.argv[1:] if arguments is None else arguments)
    try:
        check_outputs(args)
        return run_compare(args, None if args.no_torch else torch_peer())
    except Error as error:
        print(f"step_time: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
