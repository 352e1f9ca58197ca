"""What each switch of a language model costs: bits of layers and head, the cache's, speculation.

    python -m bench.llm_switches --folder engines --size tinyllama --json switches.json

All engines have the same random weights and take turns. Files that FOLDER lacks are written first.
Prompts and tokens are random, so that lookup has nothing to guess: its line is what it costs where
it gains nothing. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.command import check_json, open_folder
from bench.llm_peers.models import MOST_ROWS, engine_of, make_engines
from bench.llm_peers.ours import OurTimes
from bench.llm_peers.shape import SIZES
from bench.peers.contest import CROWD
from bench.walls.tables import Case, Table
from bench.walls.turns import Contestant, memory_note, take_turns
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.errors import Error
from ttsrt_rt.memory import plan_memory
from ttsrt_rt.options import CacheDType

__all__ = ["SWITCHES", "Switch", "main"]

_GB = 1e9
_MEASURES = {
    "one": "one request, tokens/s",
    "long": f"behind {MOST_ROWS} ids, tokens/s",
    "eight": f"{CROWD} requests, tokens/s",
    "prompt": f"prompt of {MOST_ROWS}, ids/s",
}


@dataclass(frozen=True)
class Switch:
    """A line of the table.

    Attributes:
        name: In words.
        kind: Of `bench.llm_peers.models.KINDS`.
        cache: Type of keys and values; None for the engine's.
        speculates: Whether ids are guessed.
    """

    name: str
    kind: str
    cache: CacheDType | None = None
    speculates: bool = False


SWITCHES = (
    Switch("16 bits (bfloat16)", "bfloat16"),
    Switch("int8", "w8a16-wide"),
    Switch("int8, head int8", "w8a16"),
    Switch("int8 with int8 activations, head int8", "w8a8"),
    Switch("int4", "w4a16-wide"),
    Switch("int4, head int8", "w4a16-head8"),
    Switch("16 bits, int8 cache", "bfloat16", "int8"),
    Switch("int4, head int8, int8 cache", "w4a16-head8", "int8"),
    Switch("16 bits, speculation with nothing to guess", "bfloat16", speculates=True),
)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = _parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "llm-switches-") as folder:
            _run(options, folder)
    except Error as error:
        print(f"llm_switches: {error}")
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="llm_switches", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keeps the models here")
    parser.add_argument("--size", choices=list(SIZES), default="tinyllama")
    parser.add_argument("--threads", type=int, default=0, help="default: one per usable core")
    parser.add_argument("--turns", type=int, default=3, help="samples of each; default: 3")
    parser.add_argument(
        "--minutes", type=float, default=12.0, help="begins no turn that would end later"
    )
    parser.add_argument("--steps", type=int, default=32, help="tokens; default: %(default)s")
    parser.add_argument("--json", type=Path, help="all samples")
    options = parser.parse_args(arguments)
    bounds = {"turns": (1, 1000), "minutes": (0, 1 << 16), "steps": (4, 448), "threads": (0, 1024)}
    for name, (low, high) in bounds.items():
        value = getattr(options, name)
        if not low <= value <= high:
            parser.error(f"--{name}: expected {low} to {high}, got {value}")
    return options


@dataclass(frozen=True)
class _Line:
    """A switch with what it takes and its samples, by the keys of `_MEASURES`."""

    switch: Switch
    weight_bytes: int
    token_bytes: float
    samples: dict[str, Contestant]


def _run(options: argparse.Namespace, folder: Path) -> None:
    from tqdm import tqdm

    shape = SIZES[options.size]
    kinds = dict.fromkeys(switch.kind for switch in SWITCHES)
    with tqdm(unit="file", desc="models", disable=None) as bar:
        progress = partial(_told, bar)
        make_engines(shape, folder, options.size, kinds, progress, keeps_original=False)
    with ExitStack() as stack:
        lines = [_open(switch, options, folder, stack) for switch in SWITCHES]
        everyone = [each for line in lines for each in line.samples.values()]
        total = (options.turns + 1) * len(everyone)
        with tqdm(total=total, unit="sample", disable=None) as bar:
            seconds = 60 * options.minutes
            turns = take_turns(everyone, options.turns, partial(_told, bar), seconds)
    table = _table(lines, options.size, turns)
    note = memory_note(everyone)
    print(table.markdown(), end=f"\n\n{note}\n", flush=True)
    if options.json is not None:
        values = {"size": options.size, "turns": turns, **table.json(), "notes": [note]}
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _told(bar: Any, name: str) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update()


def _open(switch: Switch, options: argparse.Namespace, folder: Path, stack: ExitStack) -> _Line:
    engine = engine_of(folder, options.size, switch.kind)
    times = OurTimes(
        engine,
        SIZES[options.size],
        threads=options.threads or usable_cores(),
        prompt=64,
        steps=options.steps,
        kv_cache_dtype=switch.cache,
        speculation={"mode": "ngram"} if switch.speculates else None,
    )
    stack.callback(times.close)
    measures: dict[str, Callable[[], float]] = {
        "one": times.step_ms,
        "long": partial(times.step_ms, MOST_ROWS),
        "eight": partial(times.crowd_ms, CROWD),
        "prompt": partial(times.prompt_ms, MOST_ROWS),
    }
    samples = {
        key: Contestant(f"{switch.name}, {key}", measure, warms_up=key in ("one", "eight"))
        for key, measure in measures.items()
    }
    kinds = [] if switch.cache is None else [switch.cache]
    (plan,) = plan_memory(engine, batch_sizes=[1], kv_cache_dtypes=kinds, device="cpu")
    return _Line(switch, plan.weights, plan.kv_cache / plan.cache_tokens, samples)


def _table(lines: list[_Line], size: str, turns: int) -> Table:
    """Medians, and the median of the ratios to the first line in the same turn."""
    rows_of = {"one": 1, "long": 1, "eight": CROWD, "prompt": MOST_ROWS}
    base = lines[0].samples
    cases = []
    for line in lines:
        cells = [f"{line.weight_bytes / _GB:.2f}", f"{line.token_bytes:,.0f}"]
        figures: dict[str, Any] = {
            "weight_bytes": line.weight_bytes,
            "cache_bytes_of_a_token": line.token_bytes,
        }
        for key, contestant in line.samples.items():
            pairs = zip(contestant.samples, base[key].samples, strict=True)
            ratios = [first / own for own, first in pairs]
            figures[key] = {"ms": contestant.samples, "times": ratios}
            rate = 1e3 * rows_of[key] / contestant.median
            cells.append(f"{rate:.{0 if rate >= 100 else 1}f} ({statistics.median(ratios):.2f}x)")
        cases.append(Case(line.switch.name, tuple(cells), figures))
    columns = ("", "weights, GB", "cache, bytes a token", *_MEASURES.values())
    title = f"{size}, random weights; medians of {turns} turns, times the first line"
    return Table("switches", title, columns, cases)


if __name__ == "__main__":
    raise SystemExit(main())
