"""How far `convert` and `build` are: a bar on a terminal, or calls of a function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from ttsrt_rt.errors import ConfigError

__all__ = ["Progress", "ProgressCallback", "reporting", "share_of"]

ProgressCallback: TypeAlias = Callable[[int, int, str], None]
"""Called with (tensors done, of all, name of the one just done)."""

Progress: TypeAlias = bool | ProgressCallback | None
"""True: a bar if standard error is a terminal; False or None: nothing; or a function."""


def share_of(report: ProgressCallback, before: int, count: int) -> ProgressCallback:
    """Returns the function to call for tensors that are `count` with others, of which `before` come
    first.
    """
    return lambda done, _of, name: report(before + done, count, name)


@contextmanager
def reporting(progress: Progress, what: str) -> Iterator[ProgressCallback]:
    """Yields the function to call after each tensor.

    Args:
        progress: What the caller asked for.
        what: The word beside the bar.

    Raises:
        ConfigError: `progress` is none of these.
    """
    if callable(progress):
        yield progress
        return
    if progress is not None and not isinstance(progress, bool):
        raise ConfigError(
            "progress: expected True, False, None or a function of (done, of, name), got "
            f"{type(progress).__name__}"
        )
    if not progress or sys.stderr is None:
        yield lambda done, of, name: None
        return
    from tqdm import tqdm

    # None: no bar if standard error is not a terminal.
    with tqdm(desc=what, unit="tensor", disable=None) as bar:

        def show(done: int, of: int, name: str) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield show
