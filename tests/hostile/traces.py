"""Fuzzes the executor with traces of concurrent clients.

    python -m tests.hostile.traces --seconds 600

A trace that fails is shrunk and written to `tests/hostile/traces/`, where CI replays it for ever;
while one runs, it is kept in the folder of `--work`, so that a crash of the process leaves it
behind. The seed of the first trace is printed; `--seed` starts there again.
"""

from __future__ import annotations

import argparse
import faulthandler
import tempfile
import time
from pathlib import Path

import ttsrt_rt as rt
from tests.hostile.trace_data import Trace, make_trace
from tests.hostile.trace_run import failure_of, shrink
from tests.stress.mixing import Bench

CORPUS = Path(__file__).parent / "traces"
GOLDEN = Path(__file__).resolve().parents[1] / "data" / "magpie"


def bench_in(folder: Path) -> Bench:
    """Returns a bench that converts the golden checkpoints into this folder when it needs them."""

    def checkpoint_of(case: str) -> Path:
        checkpoint = folder / f"{case}-checkpoint"
        if not checkpoint.exists():
            names = (GOLDEN / f"{case}{end}" for end in (".nemo", ".ckpt"))
            source = next(path for path in names if path.is_file())
            rt.convert(source, checkpoint, progress=False)
        return checkpoint

    return Bench(folder, checkpoint_of)


def fuzz(
    bench: Bench,
    *,
    seed: int,
    seconds: float,
    work: Path,
    corpus: Path = CORPUS,
    most: int = 10,
) -> int:
    """Runs traces of growing seeds for so long, or until so many failed; returns how many did."""
    end = time.monotonic() + seconds
    count, failures = 0, 0
    while time.monotonic() < end and failures < most:
        trace = make_trace(seed + count)
        count += 1
        running = work / "running.jsonl"
        running.write_text(trace.write(), "utf-8")
        problem = failure_of(bench, trace)
        if problem is None:
            continue
        failures += 1
        print(f"seed {seed + count - 1}: {problem}", flush=True)
        smallest = shrink(trace, lambda candidate: failure_of(bench, candidate) is not None)
        corpus.mkdir(exist_ok=True)
        kept = corpus / f"found-{seed + count - 1}.jsonl"
        kept.write_text(smallest.write(), "utf-8")
        print(f"{kept}: {len(smallest.events)} events", flush=True)
    (work / "running.jsonl").unlink(missing_ok=True)
    print(f"{count} traces from seed {seed}, {failures} failed")
    return failures


def replay(bench: Bench, paths: list[Path]) -> int:
    """Runs kept traces; returns how many failed."""
    failures = 0
    for path in paths:
        problem = failure_of(bench, Trace.load(path))
        failures += problem is not None
        print(f"{path.name}: {problem or 'ok'}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9, help="of the first")
    parser.add_argument("--work", type=Path, help="folder of engines; default: a temporary one")
    parser.add_argument("--replay", type=Path, nargs="+", help="run these traces instead")
    args = parser.parse_args()
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = bench_in(work)
        if args.replay:
            return min(replay(bench, args.replay), 1)
        return min(fuzz(bench, seed=args.seed, seconds=args.seconds, work=work), 1)


if __name__ == "__main__":
    raise SystemExit(main())
