"""Measures our side of a case, and keeps the lines of all cases."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.gpu_steps.card import Card, measure_card
from bench.gpu_steps.cases import SCALES, Case, Scale
from bench.gpu_steps.models import engine_path
from bench.gpu_steps.ours import (
    Maker,
    first_frames,
    frame_rates,
    gpu_rates,
    open_executor,
    prefill_times,
    step_times,
)
from bench.gpu_steps.results import Line
from bench.gpu_steps.shapes import (
    Floor,
    StackShape,
    cache_bytes,
    floor_ms,
    shape_of,
    weight_bytes,
)
from ttsrt_rt.inspection import inspect_folder

__all__ = ["Measured", "measure_ours", "step_floor_ms"]

_HEAVIEST = 8  # stages that a note names


@dataclass
class Measured:
    """Everything that was measured in a run.

    Attributes:
        folder: Has the engines.
        size: "true" or "tiny".
        device: Of all cases but those of two GPUs.
        devices: Of those.
        is_profiled: Whether the stages of steps are recorded, in an executor of their own.
        card: Its rates, where PyTorch sees a GPU.
        lines: In the order of the cases.
    """

    folder: Path
    size: str
    device: str
    devices: str
    is_profiled: bool = False
    card: Card | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def scale(self) -> Scale:
        """Lengths of requests."""
        return SCALES[self.size]

    def line(self, case: Case) -> Line:
        """The line of a case."""
        for known in self.lines:
            if known.case.key == case.key:
                return known
        self.lines.append(Line(case))
        return self.lines[-1]

    def engine(self, case: Case) -> Path:
        """The engine of a case."""
        return engine_path(self.folder, self.size, case)

    def model(self, case: Case) -> dict[str, Any]:
        """The field "model" of its engine."""
        found: dict[str, Any] = inspect_folder(self.engine(case)).description["model"]
        return found

    def measure_card(self) -> str:
        """Measures the card's rates where PyTorch sees it; what to say of it."""
        if find_spec("torch") is None:
            return "PyTorch is not installed: there are neither floors nor peers"
        import torch

        if not torch.cuda.is_available():
            return "PyTorch sees no GPU: there are neither floors nor peers"
        self.card = measure_card(self.device.split(",")[0])
        return str(self.card)

    def can_run(self, case: Case) -> bool:
        """Whether this machine has what the case needs."""
        if case.kind != "gpus":
            return True
        from ttsrt_rt import _core

        there: set[str] = {found.name for found in _core.list_devices() if found.available}
        return set(self.devices.split(",")) <= there

    def notes(self) -> list[str]:
        """The heaviest stages of each step."""
        found = []
        for line in self.lines:
            heaviest = sorted(line.stages, key=lambda name: -line.stages[name])[:_HEAVIEST]
            told = ", ".join(f"{name} {1e3 * line.stages[name]:.0f}" for name in heaviest)
            if told:
                found.append(f"{line.case.title}, us of a step without a graph: {told}.")
        return found


def measure_ours(measured: Measured, case: Case) -> str:
    """Measures one case; what to say of it."""
    makers = {
        "steps": _steps,
        "prefill": _prefill,
        "first_frame": _first_frame,
        "real_time": _real_time,
        "gpus": _gpus,
        "generate": _nothing,
    }
    return makers[case.kind](measured, case, measured.line(case))


def _nothing(measured: Measured, case: Case, line: Line) -> str:
    return "compared with unguided steps"


def _steps(measured: Measured, case: Case, line: Line) -> str:
    scale, engine = measured.scale, measured.engine(case)
    count = scale.requests_of(case)
    with open_executor(engine, measured.device, count) as executor:
        times = step_times(executor, Maker(case.model, measured.size, executor), case, scale)
    line.samples = {"step_ms": times.step_ms, "device_ms": times.device_ms}
    if times.client_ms:
        line.samples["client_ms"] = times.client_ms
    line.floor_ms = _floor_ms(measured, case)
    if measured.is_profiled:
        with open_executor(engine, measured.device, count, is_profiled=True) as executor:
            maker = Maker(case.model, measured.size, executor)
            line.stages = step_times(executor, maker, case, scale).stages
    return f"{statistics.median(times.step_ms):.3f} ms, {len(times.step_ms)} steps"


def _floor_ms(measured: Measured, case: Case) -> float | None:
    if measured.card is None:
        return None
    return step_floor_ms(measured.card, measured.engine(case), case, measured.scale)


def step_floor_ms(card: Card, engine: Path, case: Case, scale: Scale) -> float:
    """Milliseconds that a card needs at least for a step, or for the rows of a prompt."""
    contents = inspect_folder(engine)
    shape = shape_of(contents.description["model"])
    weights = weight_bytes(contents.tensors)
    floor = Floor(weights + _cache(shape, case, scale))
    if case.kind == "prefill":
        floor = Floor(weights, scale.prompt * shape.row_operations)
    return floor_ms(floor, card.read_gb_per_s, card.tflop_per_s)


def _cache(shape: StackShape, case: Case, scale: Scale) -> int:
    return cache_bytes(
        shape,
        requests=scale.requests_of(case),
        is_guided=case.is_guided,
        position=scale.position,
        context=scale.context_of(case),
        text_len=scale.text_len,
    )


def _prefill(measured: Measured, case: Case, line: Line) -> str:
    with open_executor(measured.engine(case), measured.device, 1) as executor:
        maker = Maker(case.model, measured.size, executor)
        loop, device = prefill_times(executor, maker, case, measured.scale)
    line.samples = {"step_ms": loop, "device_ms": device}
    line.floor_ms = _floor_ms(measured, case)
    return f"{statistics.median(loop):.3f} ms, {measured.scale.prompt} rows"


def _first_frame(measured: Measured, case: Case, line: Line) -> str:
    with open_executor(measured.engine(case), measured.device, 1) as executor:
        maker = Maker(case.model, measured.size, executor)
        line.samples = {"first_ms": first_frames(executor, maker, measured.scale)}
    return f"{statistics.median(line.samples['first_ms']):.2f} ms"


def _real_time(measured: Measured, case: Case, line: Line) -> str:
    count = measured.scale.requests_of(case)
    with open_executor(measured.engine(case), measured.device, count) as executor:
        maker = Maker(case.model, measured.size, executor)
        decoding, all_in = frame_rates(executor, maker, case, measured.scale)
        rate = executor.engine.info.frame_rate
    line.samples = {"x_real_time": [decoding / rate], "x_real_time_all": [all_in / rate]}
    return f"{decoding / rate:.0f}x real time"


def _gpus(measured: Measured, case: Case, line: Line) -> str:
    count = measured.scale.requests_of(case)
    for name, device in (("one_gpu", measured.device), ("two_gpus", measured.devices)):
        with open_executor(measured.engine(case), device, count) as executor:
            maker = Maker(case.model, measured.size, executor)
            line.samples[name] = gpu_rates(executor, maker, case, measured.scale)
    return " and ".join(f"{statistics.median(found):.0f}" for found in line.samples.values())
