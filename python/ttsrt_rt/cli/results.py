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
    """A result as JSON has it: codes, sound, spectrogram, as far as the model makes them."""
    fields: dict[str, Any] = {"finish_reason": result.finish_reason}
    if result.error is not None:
        return {**fields, "error": result.error}
    if result.codes.size or (result.audio is None and result.spectrogram is None):
        fields["frames"] = len(result.codes)
        fields["codes"] = result.codes.tolist()
    for name, array in _others(result).items():
        fields[name] = array.tolist()
    if result.sample_rate is not None:
        fields["sample_rate"] = result.sample_rate
    if result.words is not None:
        fields["text"] = result.text
        fields["words"] = [dataclasses.asdict(word) for word in result.words]
    return {**fields, "metrics": dataclasses.asdict(result.metrics)}


def write_result(name: str, result: Result) -> None:
    """Writes the codes, or the sound or the spectrogram of a model without codes; .npz and .json
    have all that there is, and the alignment and the positions if the request asked for them;
    .json also has the words.
    """
    if name == "-":
        print(json.dumps(result_fields(result)))
        return
    main: NDArray[Any] = result.codes
    if not main.size:
        main = next((each for each in (result.audio, result.spectrogram) if each is not None), main)
    _write(Path(name), main, {"codes": result.codes, **_others(result)}, result_fields(result))


def _others(result: Result) -> dict[str, NDArray[Any]]:
    """The arrays of a result beside its codes."""
    names = ("alignment", "text_positions", "audio", "spectrogram")
    arrays = {name: getattr(result, name) for name in names}
    return {name: array for name, array in arrays.items() if array is not None}


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
    made = f"{len(result.codes)} frames"
    if result.audio is not None and result.sample_rate is not None:
        made = f"{len(result.audio)} samples, {len(result.audio) / result.sample_rate:.2f} s"
        if len(result.codes):
            made = f"{len(result.codes)} frames, {made}"
    elif result.spectrogram is not None:
        made = f"{len(result.spectrogram)} frames"
    first = f"first after {metrics.first_frame_seconds:.3f} s"
    if metrics.first_audio_seconds > 0:
        first += f", sound after {metrics.first_audio_seconds:.3f} s"
    return (
        f"{made}, {result.finish_reason}; {first}, "
        f"{metrics.frames_per_second:.1f} frames/s, {metrics.x_real_time:.2f} x real time "
        f"(RTF {metrics.rtf:.3f})"
    )
