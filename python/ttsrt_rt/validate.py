"""`validate`: compares an engine with golden arrays, stage by stage, in the order of computation.

Look at the first stage that differs: the later ones are computed from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.golden import Golden
from ttsrt_rt.result import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.options import Device
    from ttsrt_rt.request import Request

__all__ = ["StageReport", "validate"]

# Largest absolute difference from the original's float32 on a CPU.
TOLERANCES = {"align_scores": 1e-5, "prior": 0.0, "focus": 0.0, "codes": 0.0}
HIDDEN_TOLERANCE = 2e-4
# Stages that depend on picked codes: reported but not judged for an engine of reduced precision.
PICKS = ("prior", "focus", "codes", "lt_logits")


@dataclass(frozen=True)
class StageReport:
    """How far one stage is from the original, over all requests and steps.

    Attributes:
        stage: Its name.
        count: Arrays compared.
        max_difference: Largest absolute difference; infinite if an array is missing or has another
            shape.
        mean_difference: Mean absolute difference.
        worst: Where the difference is largest, what was expected there and what was found.
        tolerance: What is allowed; 0 for exact.
        magnitude: Largest absolute value expected.
        by_step: Largest absolute difference of each decoder step, 0 where it has no values;
            encoders count as step 0.
    """

    stage: str
    count: int
    max_difference: float
    mean_difference: float
    worst: str
    tolerance: float
    magnitude: float = 0.0
    by_step: tuple[float, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether the stage is within its tolerance."""
        return self.count > 0 and self.max_difference <= self.tolerance


def validate(
    engine: str | os.PathLike[str],
    golden: str | os.PathLike[str],
    *,
    case: str | os.PathLike[str] | None = None,
    run_name: str | None = None,
    tolerance: float | None = None,
    max_steps: int | None = None,
    teacher_forced: bool = False,
    device: Device | None = None,
    num_threads: int | None = None,
    kv_cache_dtype: str | None = None,
) -> list[StageReport]:
    """Repeats a golden run, all its requests together, and compares every recorded stage.

    Args:
        engine: An engine folder.
        golden: `CASE.RUN.npz`.
        case: `CASE.json` with the runs' options; None looks beside `golden`.
        run_name: Which run; None takes it from the name of `golden`.
        tolerance: For an engine of reduced precision: of hidden states, logits and alignment. The
            codes are then reported but not judged. None is float32's: 2e-4, for alignment 1e-5, and
            exact codes.
        max_steps: Compares only so many decoder steps, because a reduced precision soon picks
            another code, after which the utterances differ. None for all.
        teacher_forced: Whether every step goes on from the codes of the original instead of those
            that it drew, so that whole utterances of a reduced precision can be compared. The
            codes are then not a stage.
        device: As of `Executor`.
        num_threads: As of `Executor`.
        kv_cache_dtype: As of `Executor`.

    Returns:
        A report for every stage, in the order of computation.

    Raises:
        ConfigError, FormatError: A file is missing or damaged, or the engine can't serve the run.
        InternalError: A request failed.
    """
    from ttsrt_rt.executor import Executor

    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"tolerance: expected 0 or more, got {tolerance}")
    if max_steps is not None and max_steps < 1:
        raise ConfigError(f"max_steps: expected 1 or more, got {max_steps}")
    run = Golden(golden, case=case, run_name=run_name)
    options: dict[str, Any] = {"device": device, "num_threads": num_threads}
    options["kv_cache_dtype"] = kv_cache_dtype
    with Executor(engine, trace=True, **options) as executor:
        most = None
        stacking = executor.engine.info.frame_stacking
        if max_steps is not None:
            most = max_steps * stacking
        requests = [_shortened(request, most) for request in run.requests(executor)]
        if teacher_forced:
            requests = [
                replace(
                    request,
                    max_frames=None,
                    forced_codes=run.forced_codes(index, stacking)[:most],
                )
                for index, request in enumerate(requests)
            ]
        handles = [executor.submit(request) for request in requests]
        results = [handle.result() for handle in handles]
    tallies: dict[str, _Tally] = {}
    for index, result in enumerate(results):
        _compare_request(tallies, run, index, result)
        if not teacher_forced:
            codes = run.codes(index)[:most]
            tallies.setdefault("codes", _Tally()).add(f"request {index}", codes, result.codes)
    return [tally.report(stage, _allowed(stage, tolerance)) for stage, tally in tallies.items()]


def _shortened(request: Request, most: int | None) -> Request:
    """The same request for at most so many frames."""
    if most is None or (request.max_frames is not None and request.max_frames <= most):
        return request
    return replace(request, max_frames=most)


def _allowed(stage: str, tolerance: float | None) -> float:
    if tolerance is None:
        return TOLERANCES.get(stage, HIDDEN_TOLERANCE)
    return float("inf") if stage in PICKS else tolerance


def _compare_request(tallies: dict[str, _Tally], run: Golden, index: int, result: Result) -> None:
    traced = {(entry.name, entry.step): entry.values for entry in result.trace}
    for stage in run.stages(index, result.metrics.steps):
        got = traced.get((stage.name, stage.step))
        if got is not None and stage.is_first_branch:
            got = got[:1]
        where = f"request {index}, step {stage.step}"
        tallies.setdefault(stage.name, _Tally()).add(where, stage.values, got, stage.step)
    expected = run.focus(index)
    if expected is not None:
        first, positions = expected
        positions = positions[: max(result.metrics.steps - first, 0)]
        focus = None if result.focus is None else result.focus[first:]
        tallies.setdefault("focus", _Tally()).add(f"request {index}", positions, focus)


@dataclass
class _Tally:
    """Sums up the differences of one stage."""

    count: int = 0
    total: float = 0.0
    elements: int = 0
    largest: float = 0.0
    magnitude: float = 0.0
    worst: str = ""
    missing: list[str] = field(default_factory=list)
    by_step: dict[int, float] = field(default_factory=dict)

    def add(
        self, where: str, expected: NDArray[Any] | None, got: NDArray[Any] | None, step: int = 0
    ) -> None:
        if expected is None and got is None:
            self.count += 1
            return
        if expected is None or got is None or got.shape != expected.shape:
            want, have = (None if of is None else list(of.shape) for of in (expected, got))
            self.missing.append(f"{where}: expected {want or 'nothing'}, got {have or 'nothing'}")
            return
        difference = np.abs(expected.astype(np.float64) - got)
        difference[np.isnan(difference)] = np.inf
        self.count += 1
        here = float(difference.max(initial=0.0))
        self.by_step[step] = max(self.by_step.get(step, 0.0), here)
        self.total += float(difference.sum())
        self.elements += difference.size
        self.magnitude = max(self.magnitude, float(np.abs(expected).max(initial=0.0)))
        if difference.size and (not self.worst or difference.max() > self.largest):
            at = np.unravel_index(int(difference.argmax()), difference.shape)
            self.largest = float(difference[at])
            place = ", ".join(str(int(axis)) for axis in at)
            self.worst = f"{where} [{place}]: expected {expected[at]:.6g}, got {got[at]:.6g}"

    def report(self, stage: str, tolerance: float) -> StageReport:
        largest = np.inf if self.missing else self.largest
        mean = self.total / self.elements if self.elements else 0.0
        worst = self.missing[0] if self.missing else self.worst
        steps = tuple(self.by_step.get(s, 0.0) for s in range(max(self.by_step, default=-1) + 1))
        return StageReport(
            stage, self.count, float(largest), mean, worst, tolerance, self.magnitude, steps
        )
