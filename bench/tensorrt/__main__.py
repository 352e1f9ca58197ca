"""Decoder steps of TensorRT, of the CUDA backend and of PyTorch, in one run on one card.

    python -m bench.tensorrt --folder engines --json tensorrt.json
    python -m bench.tensorrt --folder engines --models 2503 --dtypes float32 --peers --profile

All weights are random; engines and plans that FOLDER lacks are built first. Of each engine:
seconds to build its plans, their size, seconds to start an executor, a step of 1 and of many guided
requests on both devices, the share of the card's limit that each step reaches (if PyTorch is there
to measure the card), and the layers where TensorRT spends its time. Figures are printed as they
come, and once more for each engine. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.command import check_json, open_folder
from bench.gpu_steps.card import Card
from bench.gpu_steps.cases import CASES, SCALES, Case
from bench.gpu_steps.measure import Measured, step_floor_ms
from bench.gpu_steps.models import make_engine
from bench.gpu_steps.ours import Maker, step_times
from bench.gpu_steps.peers import measure_peer, peer_jobs
from ttsrt_rt.errors import Error
from ttsrt_rt.options import DType

__all__ = ["main"]

# A model's cases of one request and of many.
MODELS = {"2503": ("2503-1", "2503-64"), "v2607": ("v2607-1", "v2607-64"), "t3": ("t3-1", "t3-32")}
_HEAVIEST = 12  # layers that are told
_BOUNDS = {1: 2.5, 64: 1.5, 32: 1.5}  # to reach: TensorRT over the CUDA backend


@dataclass
class Line:
    """What was measured of one engine.

    Attributes:
        model: "2503", "v2607" or "t3".
        dtype: Of the engine.
        build_s: Seconds to build the plans; 0: they were there.
        plan_mb: Their size.
        start_s: Seconds to open an executor, by device.
        step_ms: Medians, by device and requests: {"tensorrt:0": {"1": 0.9}}.
        device_ms: Of these, on the device.
        floor_ms: What the card needs at least to read all that a step needs, by requests.
        plans_s: Seconds to build each plan.
        layers: Microseconds of a step of one request in each layer of TensorRT.
        peers: Milliseconds of PyTorch's steps by requests, bfloat16.
        error: Why something is missing.
    """

    model: str
    dtype: DType
    build_s: float = 0.0
    plan_mb: float = 0.0
    start_s: dict[str, float] = field(default_factory=dict)
    step_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    device_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    floor_ms: dict[str, float] = field(default_factory=dict)
    plans_s: dict[str, float] = field(default_factory=dict)
    layers: dict[str, float] = field(default_factory=dict)
    peers: dict[str, dict[str, float]] = field(default_factory=dict)
    error: str = ""

    def ratios(self) -> list[str]:
        """TensorRT's steps over those of the CUDA backend, beside what is to be reached."""
        told: list[str] = []
        if len(self.step_ms) < 2:
            return told
        native, ours = list(self.step_ms.values())[:2]
        for count, step in ours.items():
            if count in native:
                bound = _BOUNDS.get(int(count))
                aim = "" if bound is None else f" (aim {bound})"
                told.append(f"{count}: {step / native[count]:.2f}x{aim}")
        return told


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench.tensorrt", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--models", nargs="*", choices=list(MODELS), default=list(MODELS), help="default: all")
    add("--dtypes", nargs="*", choices=("float32", "float16"), default=["float32", "float16"])
    add("--folder", type=Path, help="keeps engines and plans")
    add("--size", choices=list(SCALES), default="true", help="default: %(default)s")
    add("--devices", nargs=2, default=["cuda:0", "tensorrt:0"], help="default: %(default)s")
    add("--timings", type=Path, help="keeps the times of TensorRT's kernels for later builds")
    add("--products", choices=("matrix", "convolution"), default="matrix")
    add("--builder_opt", type=int, default=3, help="default: %(default)s")
    add("--peers", action="store_true", help="also PyTorch, compiled")
    add("--profile", action="store_true", help="also the layers of TensorRT")
    add("--limit_s", type=float, default=0.0, help="start nothing after so many seconds; 0: none")
    add("--json", type=Path, help="all figures, complete after each engine")
    return parser.parse_args(arguments)


def cases_of(line: Line) -> list[Case]:
    """Steps of one request and of many."""
    return [CASES[key] for key in MODELS[line.model]]


def say(line: Line, text: str) -> None:
    """Tells a figure as it comes."""
    print(f"- {line.model} {line.dtype}: {text}", flush=True)


def plan(engine: Path, options: argparse.Namespace, line: Line) -> None:
    """Builds the plans that an engine lacks."""
    from ttsrt_rt import tensorrt

    if not (engine / "tensorrt").exists():
        begin = last = time.perf_counter()

        def told(done: int, of: int, name: str) -> None:
            nonlocal last
            now = time.perf_counter()
            line.plans_s[name], last = now - last, now
            say(line, f"plan {done} of {of}, {name}: {line.plans_s[name]:.1f} s")

        timings = options.timings
        tensorrt.build_plans(
            engine,
            progress=told,
            products=options.products,
            builder_opt=options.builder_opt,
            input_timing_cache=timings if timings is not None and timings.exists() else None,
            output_timing_cache=timings,
        )
        line.build_s = time.perf_counter() - begin
    plans = (engine / "tensorrt").rglob("*.plan")
    line.plan_mb = sum(path.stat().st_size for path in plans) / 1e6


def measure(engine: Path, device: str, size: str, line: Line, *, is_profiled: bool) -> None:
    """Measures the steps of an engine on one device."""
    from ttsrt_rt.executor import Executor

    begin = time.perf_counter()
    with Executor(
        engine,
        device=device,
        prefill_slice_seconds=0.0,
        iter_stats_max_iterations=1 << 14,
        profile=is_profiled,
    ) as executor:
        if not is_profiled:
            line.start_s[device] = time.perf_counter() - begin
            say(line, f"{device}: {line.start_s[device]:.1f} s to start")
        maker = Maker(line.model, size, executor)
        for case in cases_of(line)[:1] if is_profiled else cases_of(line):
            times = step_times(executor, maker, case, SCALES[size])
            if is_profiled:
                line.layers = {name: 1e3 * each for name, each in times.stages.items()}
                return
            count = str(SCALES[size].requests_of(case))
            line.step_ms.setdefault(device, {})[count] = statistics.median(times.step_ms)
            line.device_ms.setdefault(device, {})[count] = statistics.median(times.device_ms)
            say(line, f"{device}: a step of {count}: {line.step_ms[device][count]:.3f} ms")


def measure_floors(card: Card, engine: Path, size: str, line: Line) -> None:
    """What the card needs at least for the steps."""
    for case in cases_of(line):
        count = str(SCALES[size].requests_of(case))
        line.floor_ms[count] = step_floor_ms(card, engine, case, SCALES[size])


def measure_peers(folder: Path, size: str, line: Line) -> None:
    """PyTorch's compiled steps of the same stack, in bfloat16, as bench.gpu_steps measures them."""
    from bench.gpu_steps.models import make_engines

    measured = Measured(folder=folder, size=size, device="cuda:0", devices="")
    measured.measure_card()
    make_engines(folder, size, cases_of(line), print)
    for job in peer_jobs(cases_of(line), ["compile"], ["sdpa"]):
        measure_peer(measured, job)
        found = measured.line(job.case).peers[job.name]
        count = str(SCALES[size].requests_of(job.case))
        line.peers.setdefault(job.name, {})[count] = statistics.median(found)


def tell(line: Line) -> None:
    """Prints what was measured of one engine."""
    print(f"\n{line.model} {line.dtype}")
    print(f"  plans: {line.build_s:.1f} s to build, {line.plan_mb:.0f} MB")
    for device, seconds in line.start_s.items():
        steps = ", ".join(
            f"{count}: {step:.3f} ms ({line.device_ms[device][count]:.3f} on the device)"
            for count, step in line.step_ms.get(device, {}).items()
        )
        print(f"  {device}: {seconds:.1f} s to start; steps of {steps}")
        for count, floor in line.floor_ms.items():
            if step := line.step_ms.get(device, {}).get(count):
                print(f"    {count}: {floor / step:.0%} of what the card could do")
    if line.ratios():
        print(f"  TensorRT over CUDA: {', '.join(line.ratios())}")
    for name, peers in line.peers.items():
        print(f"  PyTorch, {name}: " + ", ".join(f"{n}: {ms:.3f} ms" for n, ms in peers.items()))
    heaviest = sorted(line.layers, key=lambda name: -line.layers[name])[:_HEAVIEST]
    for name in heaviest:
        print(f"  {line.layers[name]:8.1f} us  {name[:160]}")
    if line.error:
        print(f"  {line.error}")
    sys.stdout.flush()


def measure_engine(
    options: argparse.Namespace, folder: Path, card: Card | None, line: Line
) -> None:
    """Makes what is missing of an engine, and measures it; the baseline comes first."""
    native, ours = options.devices
    begin = time.perf_counter()
    engine = make_engine(folder, options.size, line.model, line.dtype)
    say(line, f"the engine: {time.perf_counter() - begin:.1f} s to make or to find")
    if card is not None:
        measure_floors(card, engine, options.size, line)
    if ours.startswith("tensorrt"):
        plan(engine, options, line)
    for device in (native, ours):
        measure(engine, device, options.size, line, is_profiled=False)
    if options.profile:
        measure(engine, ours, options.size, line, is_profiled=True)
    if options.peers and line.dtype == options.dtypes[0]:
        measure_peers(folder, options.size, line)


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Measures all engines; whether nothing failed."""
    begin = time.monotonic()
    lines: list[Line] = []
    rates = Measured(folder=folder, size=options.size, device=options.devices[0], devices="")
    print(rates.measure_card(), flush=True)
    for model in options.models:
        for dtype in options.dtypes:
            if 0.0 < options.limit_s < time.monotonic() - begin:
                continue
            line = Line(model, dtype)
            lines.append(line)
            try:
                measure_engine(options, folder, rates.card, line)
            except (Error, RuntimeError, ImportError) as error:
                said = str(error) or type(error).__name__
                line.error = f"failed: {said.splitlines()[0]}"
            finally:  # what was measured is told, whatever ends the rest
                tell(line)
                if options.json is not None:
                    values = [asdict(each) for each in lines]
                    options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return not any(line.error for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if something could not be measured, 2 if the command is wrong."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "tensorrt-") as folder:
            return 0 if run(options, folder) else 1
    except Error as error:
        print(f"bench.tensorrt: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
