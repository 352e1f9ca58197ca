"""Results as files: .npy, .npz, .json, .csv by the ending of the name, or `-` for standard output.

A file appears when it is complete; a link stays and its target is written.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.result import Result

__all__ = [
    "check_array_output",
    "check_result_output",
    "result_fields",
    "summary",
    "write_array",
    "write_result",
]

_ENDINGS = (".npy", ".npz", ".json", ".csv")


def check_result_output(flag: str, name: str) -> None:
    """Checks, before a long run, that there is a format for this name.

    Raises:
        ConfigError: The ending is none of those known.
    """
    if name != "-":
        check_array_output(flag, name, more=", or - for standard output")


def check_array_output(flag: str, name: str, more: str = "") -> None:
    """As `check_result_output`, without standard output."""
    if Path(name).suffix.lower() not in _ENDINGS:
        raise ConfigError(
            f"{flag}: expected a name that ends in {', '.join(_ENDINGS)}{more}; got {name}"
        )


def result_fields(result: Result) -> dict[str, Any]:
    """A result as JSON has it."""
    fields: dict[str, Any] = {"finish_reason": result.finish_reason}
    if result.error is not None:
        return {**fields, "error": result.error}
    fields["frames"] = len(result.codes)
    fields["codes"] = result.codes.tolist()
    if result.alignment is not None:
        fields["alignment"] = result.alignment.tolist()
    return {**fields, "metrics": dataclasses.asdict(result.metrics)}


def write_result(name: str, result: Result) -> None:
    """Writes the codes; .npz and .json also have the alignment if the request asked for it."""
    if name == "-":
        print(json.dumps(result_fields(result)))
        return
    arrays: dict[str, NDArray[Any]] = {"codes": result.codes}
    if result.alignment is not None:
        arrays["alignment"] = result.alignment
    _write(Path(name), result.codes, arrays, result_fields(result))


def write_array(name: str, key: str, array: NDArray[Any]) -> None:
    """Writes one array, which is `key` in files that have keys."""
    _write(Path(name), array, {key: array}, {key: array.tolist()})


def _write(
    path: Path, array: NDArray[Any], arrays: dict[str, NDArray[Any]], fields: dict[str, Any]
) -> None:
    import numpy as np

    kind = path.suffix.lower()
    with replacing(path) as file:
        if kind == ".npy":
            np.save(file, array)
        elif kind == ".npz":
            np.savez(file, **arrays)  # type: ignore[arg-type]
        elif kind == ".json":
            file.write(f"{json.dumps(fields)}\n".encode())
        else:
            form = "%d" if array.dtype.kind == "i" else "%.9g"
            np.savetxt(file, array, fmt=form, delimiter=",")


def summary(result: Result) -> str:
    """One line for people."""
    metrics = result.metrics
    return (
        f"{len(result.codes)} frames, {result.finish_reason}; "
        f"first after {metrics.first_frame_seconds:.3f} s, "
        f"{metrics.frames_per_second:.1f} frames/s, {metrics.x_real_time:.2f} x real time "
        f"(RTF {metrics.rtf:.3f})"
    )
