"""Tables and sizes as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttsrt_rt._core import ExecutorInfo

__all__ = ["format_markdown", "format_memory", "format_size", "format_table"]


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns side by side, numbers aligned to the right, words to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    right = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        parts = (
            value.rjust(width) if is_right else value.ljust(width)
            for value, width, is_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def format_markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, the first column aligned to the left, the others to the right."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [header, marks, *rows])


def format_memory(info: ExecutorInfo) -> str:
    """The memory of an executor, in one line."""
    graphs = f", graphs {format_size(info.graph_bytes)}" if info.graph_bytes else ""
    return (
        f"memory: weights {format_size(info.weight_bytes)}, caches and slots "
        f"{format_size(info.state_bytes)}, activations {format_size(info.activation_bytes)}, "
        f"scratch {format_size(info.scratch_bytes)}{graphs}"
    )


def format_size(num_bytes: int) -> str:
    """Bytes in a readable unit: "1.5 MiB"."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
