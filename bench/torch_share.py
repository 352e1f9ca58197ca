"""Throughput of an executor beside threads of PyTorch in the same process.

    python -m bench.torch_share engine --busy 0 1 2

It is `ttsrt bench share` with PyTorch's matrix products as the work beside the executor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ttsrt_rt.bench.company import Company, repeated
from ttsrt_rt.cli.bench_share import add_share_flags, run_share
from ttsrt_rt.cli.outputs import check_outputs
from ttsrt_rt.cli.parser import Parser, parse
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["main", "torch_threads"]


def torch_threads() -> Company:
    """Threads of this process that multiply matrices with PyTorch, which has its own thread pool.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "torch_share: expected PyTorch, which is not installed: pip install '.[torch]'"
        ) from error
    matrix = torch.ones(384, 384)

    @contextmanager
    def at_work(count: int) -> Iterator[None]:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(repeated(lambda: torch.mm(matrix, matrix)))
            yield

    return Company("PyTorch threads", torch.get_num_threads(), at_work)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    parser = Parser(
        prog="torch_share", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_share_flags(parser)
    args = parse(parser, sys.argv[1:] if arguments is None else arguments)
    try:
        check_outputs(args)
        company = torch_threads()
        return run_share(args, lambda executor: company)
    except Error as error:
        print(f"torch_share: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
