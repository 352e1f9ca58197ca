"""`ttsrt run` with language models: a prompt, many of them, or a conversation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import options_over
from ttsrt_rt.cli.files import told_of
from ttsrt_rt.cli.profile import RunProfile
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.tables import format_memory
from ttsrt_rt.cli.text_flags import given_options
from ttsrt_rt.errors import ConfigError, Error, NotFoundError
from ttsrt_rt.quoting import show
from ttsrt_rt.writing import LateFile

if TYPE_CHECKING:
    from ttsrt_rt.llm.config import LlmConfigFile
    from ttsrt_rt.llm.generator import Generator
    from ttsrt_rt.llm.hf_model import HfGenerator
    from ttsrt_rt.llm.prompts import PromptLine
    from ttsrt_rt.llm.results import Generation

__all__ = ["run_text"]

_MOST_RESULTS = 1024
_WHOLE_PROMPT = (1 << 31) - 1
_JSON = (".json", ".jsonl")
_OUTPUTS = {"prompt": (".txt", *_JSON), "prompts": (".jsonl",)}


def run_text(args: argparse.Namespace) -> int:
    """Runs what `text_flags.is_of_text` told to be a request to a language model.

    Raises:
        ConfigError: the flags contradict each other, or can't be served.
    """
    _check_flags(args)
    config = _config(args)
    options = {**({} if config is None else config.generation.fields()), **given_options(args)}
    lines = _several(_lines(args), args.n, options)  # before a model is opened
    with ExitStack() as stack:
        output = None
        if args.output not in (None, "-"):
            output = stack.enter_context(LateFile(args.output))
        generator: Generator | HfGenerator = stack.enter_context(_opened(args, config))  # type: ignore[assignment]
        profile = RunProfile() if args.profile else None
        if args.chat:
            code = _chat(args, generator, options)
        elif args.prompt is not None and args.n == 1:
            code = _one(args, generator, lines[0], options, output)
        else:
            code = _many(args, generator, lines, options, output)
        if profile is not None:
            tell(profile.text(generator.executor))  # type: ignore[union-attr]
        return code


def _check_flags(args: argparse.Namespace) -> None:
    for name in ("text", "text_ids", "requests", "alignment_output", "width", "streaming"):
        if getattr(args, name) not in (None, False):
            raise ConfigError(f"--{name}: expected none beside --prompt, --prompts and --chat")
    if args.system is not None and not args.chat:
        raise ConfigError("--system: expected --chat with it")
    if args.chat and args.output is not None:
        raise ConfigError("--output: expected none beside --chat, which answers as it goes")
    if args.prompts is not None and args.stream:
        raise ConfigError("--stream: expected --prompt or --chat with it, got --prompts")
    if args.stream and args.output is not None and args.output.lower().endswith(_JSON):
        raise ConfigError(
            f"--output: expected a .txt file or - beside --stream, which writes a text as it "
            f"grows; got {args.output}"
        )
    if not 1 <= args.n <= _MOST_RESULTS:
        raise ConfigError(f"--n: expected 1 to {_MOST_RESULTS}, got {args.n}")
    if args.n > 1 and (args.chat or args.stream):
        raise ConfigError(
            "--n: expected 1 beside --chat and --stream, which show a text as it grows"
        )
    kind = "prompt" if args.prompt is not None and args.n == 1 else "prompts"
    if args.output not in (None, "-") and not args.output.lower().endswith(_OUTPUTS[kind]):
        endings = ", ".join(_OUTPUTS[kind])
        raise ConfigError(
            f"--output: expected a name that ends in {endings}, or - for standard output; got "
            f"{args.output}"
        )


def _config(args: argparse.Namespace) -> LlmConfigFile | None:
    if args.config is None:
        return None
    from ttsrt_rt.llm.config import read_config

    with told_of("--config"):
        return read_config(args.config)


def _opened(args: argparse.Namespace, config: LlmConfigFile | None) -> Generator | HfGenerator:
    if args.backend == "hf":
        from ttsrt_rt.llm.hf_model import HfGenerator

        if args.model_dir is None:
            raise ConfigError("--model_dir: expected the folder of a model with --backend hf")
        if args.engine is not None:
            raise ConfigError("engine: expected none with --backend hf, which runs --model_dir")
        if args.profile:
            raise ConfigError("--profile: expected --backend native with it, got hf")
        return HfGenerator(args.model_dir, num_threads=args.num_threads or 0)
    from ttsrt_rt.llm.generator import Generator

    if args.model_dir is not None:
        raise ConfigError("--model_dir: expected --backend hf with it")
    folder = args.engine
    told: dict[str, Any] = {}
    if config is not None:
        from ttsrt_rt.llm.pipeline import executor_options_of

        folder = config.folder("engine_dir") if folder is None else folder
        told = executor_options_of(config, folder, args.device)
    if folder is None:
        raise ConfigError("run: expected an engine, --engine_dir or --config; got none")
    told = options_over(told, args)
    if args.profile:
        told["profile"] = True
    if args.batch_size is not None:
        if args.max_batch_size not in (None, args.batch_size):
            raise ConfigError("--batch_size: expected it or --max_batch_size, got both")
        told["max_batch_size"] = args.batch_size
    generator = Generator(folder, **told)
    tell(format_memory(generator.executor.info))
    return generator


def _lines(args: argparse.Namespace) -> list[PromptLine]:
    """The prompts of the command line or of the file that it names."""
    from ttsrt_rt.llm.prompts import PromptLine, read_prompts

    if args.prompts is None:
        return [PromptLine(text=args.prompt)]
    if args.prompts == "-":
        return read_prompts(sys.stdin.buffer, "standard input", is_json=False)
    try:
        with open(args.prompts, "rb") as file:
            is_json = args.prompts.lower().endswith((".jsonl", ".json"))
            return read_prompts(file, args.prompts, is_json=is_json)
    except FileNotFoundError as error:
        raise NotFoundError(f"--prompts: {args.prompts}: no such file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"--prompts: {args.prompts}: expected a file, got a folder") from error


def _several(lines: list[PromptLine], count: int, options: Mapping[str, Any]) -> list[PromptLine]:
    """Each line so many times, with the seed and those that follow it."""
    if count == 1:
        return lines
    found = []
    for line in lines:
        first = line.fields.get("seed", options.get("seed", 0))
        if type(first) is not int:
            raise ConfigError(f"seed: expected an integer, got {show(first)}")
        seeds = range(first, first + count)
        found += [replace(line, fields={**line.fields, "seed": seed}) for seed in seeds]
    return found


def _prompt(args: argparse.Namespace, generator: Any, line: PromptLine) -> Any:
    """What `generate` takes, no longer than --max_input_len."""
    from ttsrt_rt.llm.prompts import prompt_of

    prompt = prompt_of(line, generator, args.add_bos, safe=args.safe)
    most = args.max_input_len
    if most is None:
        return prompt
    if most < 1:
        raise ConfigError(f"--max_input_len: expected 1 or more, got {most}")
    special = args.special or "template"
    ids = generator.tokenizer.encode(prompt, special=special) if isinstance(prompt, str) else prompt
    if len(ids) > most and (args.truncate or "error") == "error":
        raise ConfigError(f"prompt: expected at most --max_input_len {most} ids, got {len(ids)}")
    return ids[-most:] if args.truncate == "left" else ids[:most]


def _one(
    args: argparse.Namespace,
    generator: Generator | HfGenerator,
    line: PromptLine,
    options: dict[str, Any],
    output: LateFile | None,
) -> int:
    prompt = _prompt(args, generator, line)
    if args.stream:
        made = _streamed(generator.stream(prompt, **options), output)
        tell(f"{made[0]} tokens, {made[1]}")
        return 0
    result = generator.generate(prompt, **options)
    is_json = output is not None and args.output.lower().endswith(_JSON)
    text = json.dumps(_fields(result)) if is_json else result.text
    _write(f"{text}\n", output)
    tell(_summary(result))
    return 0


def _streamed(pieces: Iterator[Any], output: LateFile | None) -> tuple[int, str]:
    """Writes the pieces of a text, and returns the number of tokens and why it ended."""
    tokens, reason = 0, "length"
    for piece in pieces:
        tokens += len(piece.ids)
        reason = piece.finish_reason or reason
        _write(piece.text, output)
    _write("\n", output)
    return tokens, reason


def _write(text: str, output: LateFile | None) -> None:
    if output is not None:
        output.write(text.encode("utf-8", "replace"))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def _many(
    args: argparse.Namespace,
    generator: Generator | HfGenerator,
    lines: list[PromptLine],
    options: dict[str, Any],
    output: LateFile | None,
) -> int:
    from tqdm import tqdm

    if args.n > 1 and hasattr(generator, "executor"):  # the prompt is computed once
        options = {"shared_prefix": _WHOLE_PROMPT, **options}
    failed = tokens = 0
    with ThreadPoolExecutor(_places(generator)) as pool, tqdm(unit="prompt", disable=None) as bar:
        try:
            waiting = [
                (line, pool.submit(_result, args, generator, line, options)) for line in lines
            ]
            for number, (line, made) in enumerate(waiting, 1):
                fields = _line(number, line, made, args.n)
                failed += fields["finish_reason"] == "error"
                tokens += len(fields.get("ids", ()))
                _write(f"{json.dumps(fields)}\n", output)
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            generator.close()  # ends what runs
            raise
    what = "prompts" if args.n == 1 else "results"
    tell(f"{len(lines)} {what}, {failed} failed; {tokens} tokens")
    return 1 if failed else 0


def _places(generator: Generator | HfGenerator) -> int:
    """Requests that run at once."""
    executor = getattr(generator, "executor", None)
    return 1 if executor is None else executor.info.max_batch_size


def _result(
    args: argparse.Namespace,
    generator: Generator | HfGenerator,
    line: PromptLine,
    options: Mapping[str, Any],
) -> Generation:
    return generator.generate(_prompt(args, generator, line), **{**options, **line.options()})


def _line(number: int, line: PromptLine, made: Future[Generation], count: int) -> dict[str, Any]:
    """The line of JSON of one of `count` results; its own mistakes stay its own."""
    head: dict[str, Any] = {"line": 1 + (number - 1) // count}
    if line.name is not None:
        head["id"] = line.name
    if count > 1:
        head["seed"] = line.fields["seed"]
    try:
        return {**head, **_fields(made.result())}
    except (Error, ValueError) as error:
        return {**head, "finish_reason": "error", "error": str(error)}


def _fields(made: Generation) -> dict[str, Any]:
    """A generation as JSON has it."""
    fields: dict[str, Any] = {
        "text": made.text,
        "finish_reason": made.finish_reason,
        "stop_reason": made.stop_reason,
        "ids": list(made.ids),
        "prompt_ids": list(made.prompt_ids),
        "seconds": made.metrics.total_seconds,
        "first_token_seconds": made.metrics.first_frame_seconds,
    }
    if made.logprobs is not None:
        fields["logprobs"] = [
            {"id": each.id, "logprob": each.logprob, "top": [list(pair) for pair in each.top]}
            for each in made.logprobs
        ]
    if made.metrics.speculation.rounds:
        fields["speculation"] = asdict(made.metrics.speculation)
    if made.warnings:
        fields["warnings"] = list(made.warnings)
    if made.error is not None:
        fields["error"] = made.error
    return fields


def _summary(made: Generation) -> str:
    seconds = made.metrics.total_seconds
    rate = f", {len(made.ids) / seconds:.1f} tokens/s" if seconds else ""
    reason = "" if made.stop_reason is None else f" ({made.stop_reason!r})"
    return (
        f"{len(made.prompt_ids)} ids of prompt, {len(made.ids)} generated in "
        f"{seconds:.2f} s{rate}; {made.finish_reason}{reason}"
    )


def _chat(
    args: argparse.Namespace, generator: Generator | HfGenerator, options: dict[str, Any]
) -> int:
    """Answers lines of standard input until it ends; an empty line begins anew."""
    begin: list[dict[str, str]] = []
    if args.system is not None:
        begin.append({"role": "system", "content": args.system})
    messages = list(begin)
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        tell("an empty line begins a new conversation; ctrl-d ends")
    while True:
        if is_terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return 0
        if not line.strip():
            messages = list(begin)
            continue
        messages.append({"role": "user", "content": line.rstrip("\r\n")})
        parts: list[str] = []
        try:
            for piece in generator.chat_stream(
                messages, add_bos=args.add_bos, safe=args.safe, **options
            ):
                parts.append(piece.text)
                _write(piece.text, None)
        except ConfigError as error:
            if len(messages) == len(begin) + 1:
                raise  # no line can be answered
            tell(f"{error}; the line was left out, and an empty line begins a new conversation")
            messages.pop()
            continue
        _write("\n", None)
        messages.append({"role": "assistant", "content": "".join(parts)})
