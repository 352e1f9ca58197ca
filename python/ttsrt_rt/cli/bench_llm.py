"""`ttsrt bench llm`: engines of language models side by side, as tables, files and pictures."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import add_executor_flags, options_over
from ttsrt_rt.cli.outputs import make_folder
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import write_text

if TYPE_CHECKING:
    from ttsrt_rt.bench.llm import LlmBench, LlmBenchOptions
    from ttsrt_rt.bench.llm_contestants import Contestant
    from ttsrt_rt.llm.config import LlmConfigFile

__all__ = ["add_llm"]

_NAME = "benchmark"
_FOLDER = "results"


def add_llm(commands: Subparsers) -> None:
    """Adds `bench llm`."""
    parser = commands.add_parser(
        "llm",
        help="run language models side by side: rates, latencies, memory, BLEU",
        description="Every request makes exactly --output_len tokens. Without --concurrency and "
        "--request_rate, the requests of each of --batch_sizes are submitted at once.",
    )
    parser.add_argument("--engine_dirs", nargs="+", default=[], metavar="DIR", help="engines")
    parser.add_argument("--config", metavar="FILE.yaml", help="its engine, cache and benchmark")
    parser.add_argument(
        "--baseline",
        metavar="hf:DIR",
        help="what the others are compared with: hf:DIR runs the model's own folder by "
        "transformers (extra hf), engine:DIR an engine, without speculation; default: the first "
        "engine",
    )
    parser.add_argument(
        "--prompts",
        metavar="WHAT",
        help='"builtin" (24 prompts, the default), random:IN:OUT for ids, or a file as of run',
    )
    parser.add_argument("--batch_sizes", type=int, nargs="+", metavar="N", help="default: 1")
    load = parser.add_mutually_exclusive_group()
    load.add_argument("--concurrency", type=int, metavar="N", help="requests at a time")
    load.add_argument("--request_rate", type=float, metavar="X", help="requests a second, random")
    parser.add_argument(
        "--requests", type=int, default=24, help="of an iteration with one of these; default: 24"
    )
    parser.add_argument("--output_len", type=int, metavar="N", help="tokens; default: 128")
    parser.add_argument("--iterations", type=int, metavar="N", help="default: 10")
    parser.add_argument("--warmup", type=int, metavar="N", help="iterations before; default: 2")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and random prompts")
    add_executor_flags(parser)
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="gets benchmark.json, .csv, .md, .png; those that are there are replaced; default: "
        "results, which must have none",
    )
    parser.add_argument("--no_plots", action="store_true", help="no pictures")
    parser.reads("engine_dirs", "draft_engine", "config")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.bench.llm import run_llm_bench
    from ttsrt_rt.bench.llm_prompts import prompts_of

    config = _config(args)
    folder = _folder(args)
    with ExitStack() as stack:
        contestants = _contestants(args, config, stack)
        told = args.prompts or (config.benchmark.prompts if config else "builtin")
        if told == "random" and config is not None:
            told = f"random:{config.benchmark.input_len}:{config.benchmark.output_len}"
        vocab = min(each.vocab for each in contestants)
        lines, stated = prompts_of(told, vocab, args.seed)
        options = _options(args, config, stated)
        groups = (options.iterations + options.warmup) * len(options.sizes) * len(contestants)
        bar = stack.enter_context(tqdm(total=groups, unit="group", disable=None))

        def show(name: str) -> None:
            bar.set_description(name)
            bar.update()

        bench = run_llm_bench(contestants, lines, options, show)
    _write(folder, bench, with_plots=not args.no_plots)
    return 1 if any(each.error for each in bench.requests) else 0


def _folder(args: argparse.Namespace) -> Path:
    """The folder of the report; results that no flag names are not replaced."""
    if args.output_dir is None and (Path(_FOLDER) / f"{_NAME}.json").exists():
        raise ConfigError(
            f"--output_dir: {_FOLDER} has a report already, and only one that the flag names is "
            f"replaced; pass --output_dir {_FOLDER} to replace it, or another name"
        )
    return make_folder("--output_dir", _FOLDER if args.output_dir is None else args.output_dir)


def _config(args: argparse.Namespace) -> LlmConfigFile | None:
    if args.config is None:
        return None
    from ttsrt_rt.llm.config import read_config

    return read_config(args.config)


def _contestants(
    args: argparse.Namespace, config: LlmConfigFile | None, stack: ExitStack
) -> list[Contestant]:
    """Opens the baseline and the engines."""
    from ttsrt_rt.bench.llm_contestants import OurContestant, open_baseline

    told: dict[str, Any] = {}
    folders = list(args.engine_dirs)
    if config is not None:
        from ttsrt_rt.llm.pipeline import executor_options_of

        folders = folders or [config.folder("engine_dir")]
        told = executor_options_of(config, folders[0], args.device)
    told = options_over(told, args)
    if not folders:
        raise ConfigError("bench: expected engines, --engine_dirs or --config; got none")
    made: list[Contestant] = []
    if args.baseline is not None:
        ours = ("num_threads", "speculation", "draft_engine")
        others = {name: value for name, value in told.items() if name not in ours}
        made.append(open_baseline(args.baseline, num_threads=args.num_threads or 0, **others))
        stack.callback(made[-1].close)
    have_names = len({Path(folder).name for folder in folders}) == len(folders)
    for folder in folders:
        made.append(OurContestant(folder, **told))
        stack.callback(made[-1].close)
        if not have_names:
            made[-1].name = str(folder)
    return made


def _options(
    args: argparse.Namespace, config: LlmConfigFile | None, stated: int | None
) -> LlmBenchOptions:
    """What flags say, else the prompts, else the file, else the usual."""
    from ttsrt_rt.bench.llm import LlmBenchOptions

    of_file = config.benchmark if config is not None else None
    made: dict[str, Any] = {}
    for name in ("batch_sizes", "iterations", "warmup", "output_len"):
        value = getattr(args, name)
        if value is None and name == "output_len":
            value = stated
        if value is None and of_file is not None:
            value = getattr(of_file, name)
        if value is not None:
            made[name] = tuple(value) if name == "batch_sizes" else value
    return LlmBenchOptions(
        **made,
        concurrency=args.concurrency,
        request_rate=args.request_rate,
        requests=args.requests,
        seed=args.seed,
    )


def _write(folder: Path, bench: LlmBench, *, with_plots: bool) -> None:
    """Writes the report and shows its tables."""
    from ttsrt_rt.bench import llm_report

    quality, notes = _quality(bench)
    failed = sorted({each.error for each in bench.requests if each.error})
    notes += [f"A request failed: {error}" for error in failed[:5]]
    write_text(folder / f"{_NAME}.json", llm_report.json_text(bench, quality, notes))
    write_text(folder / f"{_NAME}.csv", llm_report.csv_text(bench))
    write_text(folder / f"{_NAME}.md", llm_report.markdown(bench, quality, notes) + "\n")
    for table in (llm_report.main_table(bench, quality), llm_report.more_table(bench)):
        print(format_table(table[0], table[1:]), end="\n\n")
    for note in notes:
        print(note)
    written = ["json", "csv", "md"]
    if with_plots:
        written += _plots(folder, bench, quality)
    print(f"{folder / _NAME}: {', '.join(written)}")


def _quality(bench: LlmBench) -> tuple[dict[str, float], list[str]]:
    """BLEU of the texts of the smallest groups against those of the first line, and notes."""
    from ttsrt_rt.quality.bleu import corpus_bleu, has_bleu

    batch = min(bench.options.sizes)
    texts: dict[str, list[str]] = {
        engine["name"]: [each.text for each in bench.of(engine["name"], batch)]
        for engine in bench.engines
    }
    first = texts[bench.engines[0]["name"]]
    if not any(first):
        return {}, ["No BLEU: the first line has no tokenizer, and so no texts."]
    if not has_bleu():
        return {}, ["No BLEU: the package sacrebleu isn't installed (pip install sacrebleu)."]
    found = {
        name: corpus_bleu(of, first) for name, of in texts.items() if len(of) == len(first) and of
    }
    return found, ["BLEU is of greedy texts against those of the first line."]


def _plots(folder: Path, bench: LlmBench, quality: dict[str, float]) -> list[str]:
    from ttsrt_rt.bench.llm_plot import write_llm_plot
    from ttsrt_rt.bench.plot import check_plot

    path = folder / f"{_NAME}.png"
    try:
        check_plot(path)
    except ConfigError as error:
        tell(f"no pictures: {error}")
        return []
    write_llm_plot(path, bench, quality)
    return ["png"]
