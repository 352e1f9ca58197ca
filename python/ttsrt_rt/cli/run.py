"""`ttsrt run ENGINE`: runs one request, or one of each line of a file; writes what it makes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.parser import OutputKind
from ttsrt_rt.cli.request_flags import add_request_flags, given_fields, make_request
from ttsrt_rt.cli.results import (
    check_array_output,
    check_result_output,
    summary,
    write_array,
    write_result,
)
from ttsrt_rt.cli.signals import Terminated
from ttsrt_rt.cli.sound import (
    SoundStream,
    check_sound,
    is_sound_file,
    load_samples,
    makes_sound,
    write_sound,
)
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.tables import format_memory
from ttsrt_rt.cli.text_flags import add_text_flags, is_of_text
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.quoting import list_names, show
from ttsrt_rt.writing import LateFile

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.spoken import SpokenText

__all__ = ["add_parser"]

_CONTEXTS = ("voice", "context_codes", "context_embeddings", "prompt_embeddings")
_TEXTS = ("text", "text_ids", "text_features", "encoder_output")
_PROMPT = "prompt_embeddings"  # the context and the text in one
_OF_CODECS = ("mel", "codes", "samples")  # instead of a text
_ONE_ARRAY = (".npy", ".csv")
_WHOLE_CHUNK = 32  # frames that a codec turns into sound together where nobody listens meanwhile


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "run",
        help="generate the codes, the sound or the text of one request, or of many",
        description="Runs the request that flags describe, or with --requests one for each line.",
    )
    parser.add_argument("engine", nargs="?", help="what build wrote")
    parser.add_argument("--engine_dir", dest="engine_flag", metavar="DIR", help="the same")
    parser.add_argument(
        "--requests",
        metavar="FILE.jsonl",
        help="many requests, a JSON object a line with fields of a request (id comes back); - for "
        "standard input; flags are the defaults of all lines",
    )
    parser.add_argument(
        "--output",
        help="sound as .wav, .pcm, or by soundfile .flac, .mp3, .opus; codes, int32 [frames, "
        "codebooks], as .npy, .npz, .json or .csv; - for a WAV on standard output while made, "
        "or for JSON without sound; with --requests .jsonl or -; a file is replaced; default: "
        "codes.npy or codes.jsonl, which must not exist",
    )
    parser.add_argument(
        "--width", type=int, choices=[16, 32], help="bits per sample of a WAV; default: 16"
    )
    parser.add_argument(
        "--alignment_output", help="float32 [steps, text_len] as .npy, .npz, .json or .csv"
    )
    parser.add_argument(
        "--voice_file",
        action="append",
        default=[],
        metavar="FILE.safetensors",
        help="a voice of T3, or of a recording, by the name of the file for --voice; where it is "
        "the only one, it speaks; may be given several times",
    )
    parser.add_argument(
        "--streaming", action="store_true", help="show the number of frames while they are made"
    )
    add_executor_flags(parser.add_argument_group("the executor"))
    add_request_flags(parser)
    add_text_flags(parser)
    parser.reads("engine", "engine_flag", "requests", "voice_file", "draft_engine")
    parser.writes("output", kind=OutputKind(_default_output, takes_stdout=True))
    parser.writes("alignment_output")
    parser.set_defaults(run=_run)


def _default_output(args: argparse.Namespace) -> str | None:
    if is_of_text(args):
        return None  # to standard output
    return "codes.npy" if args.requests is None else "codes.jsonl"


def _run(args: argparse.Namespace) -> int:
    if args.engine is not None and args.engine_flag is not None:
        raise ConfigError("--engine_dir: expected it or the engine's name alone, got both")
    if args.engine is None:
        args.engine = args.engine_flag
    if is_of_text(args):
        from ttsrt_rt.cli.run_text import run_text

        return run_text(args)
    _check_speech(args)
    return _run_one(args) if args.requests is None else _run_many(args)


def _check_speech(args: argparse.Namespace) -> None:
    """Refuses what only requests of text take."""
    names = ("stream", "system", "max_tokens", "model_dir", "config", "batch_size", "profile")
    given = [name for name in names if getattr(args, name)]
    if args.backend == "hf" or given:
        flag = given[0] if given else "backend"
        raise ConfigError(f"--{flag}: expected --prompt, --prompts or --chat with it, got none")
    if args.engine is None:
        args.parser.error("the following arguments are required: engine")


def _run_one(args: argparse.Namespace) -> int:
    from ttsrt_rt import _core
    from ttsrt_rt.executor import Executor

    output = args.output
    if not is_sound_file(output):
        check_result_output("--output", output)
    fields = given_fields(args)
    _check_input(fields)
    if args.alignment_output is not None:
        check_array_output("--alignment_output", args.alignment_output)
        fields["return_alignment"] = True
    engine = _core.Engine.open(os.fsencode(args.engine))
    check_sound(output, engine, fields, width=args.width)
    _check_alignment(args, engine, fields)
    fields |= _only_voice(args, fields)
    if args.voice_file and not fields.keys() & set(_CONTEXTS):
        names = ", ".join(Path(path).stem for path in args.voice_file)
        raise ConfigError(
            f"--voice_file: expected --voice NAME with several of them ({names}), got no --voice"
        )
    if "samples" in fields:
        fields["samples"] = load_samples(fields["samples"], engine)
    stream = _stream(args, engine, fields)
    request = make_request(_for_output(args, engine, fields))
    with Executor(engine, **executor_options(args)) as executor:
        _add_voices(args, executor)
        handle = executor.submit(request)
        tell(format_memory(executor.info))
        if handle.spoken is not None:
            tell(_described(handle.spoken))
        if args.streaming or stream is not None:
            _follow(handle, stream, engine.info.samples_per_frame, shows=args.streaming)
        result = handle.result()
    if stream is not None:
        stream.finish()
    elif is_sound_file(output):
        write_sound(output, result, width=args.width or 16)
    else:
        write_result(output, result)
    if args.alignment_output is not None and result.alignment is not None:
        write_array(args.alignment_output, "alignment", result.alignment)
    if output == "-":
        tell(summary(result))
    else:
        print(f"{output}: {summary(result)}")
    return 0


def _described(spoken: SpokenText) -> str:
    """What became of a text, in a line."""
    language = f" in the language {spoken.language}" if spoken.language else ""
    line = f"text: {len(spoken.ids)} ids{language}"
    if len(spoken.chunks) > 1:
        line += f", {len(spoken.chunks)} chunks"
    if spoken.dropped:
        line += f"; left out, as the vocabulary lacks them: {list_names(map(repr, spoken.dropped))}"
    return line


def _check_input(fields: dict[str, Any]) -> None:
    if not fields.keys() & {*_TEXTS, _PROMPT, *_OF_CODECS}:
        raise ConfigError(
            "run: expected a text, --text or --text_ids FILE for one, or --requests FILE.jsonl for "
            "many requests; got none (a text is one of "
            f"{', '.join(f'--{name}' for name in _TEXTS)}, or part of --{_PROMPT}; vocoders "
            "take --mel, codecs --codes or --samples, language models --prompt)"
        )


def _check_alignment(
    args: argparse.Namespace, engine: _core.Engine, fields: dict[str, Any]
) -> None:
    """Checks that the alignment and the positions have a place to go to."""
    output = args.output
    is_sound = is_sound_file(output) or (output == "-" and makes_sound(engine.info, fields))
    has_room = not is_sound and not output.lower().endswith(_ONE_ARRAY)
    if args.return_alignment and not has_room and args.alignment_output is None:
        raise ConfigError(
            f"--return_alignment: expected --alignment_output with it, or an --output that has "
            f"room for the alignment (.npz, .json{'' if is_sound else ', -'}); got --output "
            f"{output}"
        )
    if args.return_positions and not has_room:
        raise ConfigError(
            f"--return_positions: expected an --output that has room for them (.npz, "
            f".json{'' if is_sound else ', -'}; or ttsrt say --timestamps); got --output {output}"
        )


def _stream(
    args: argparse.Namespace, engine: _core.Engine, fields: dict[str, Any]
) -> SoundStream | None:
    """Where sound goes while it is made."""
    rate = engine.info.sample_rate
    if args.output != "-" or rate is None or not makes_sound(engine.info, fields):
        return None
    return SoundStream(rate, width=args.width or 16)


def _for_output(
    args: argparse.Namespace, engine: _core.Engine, fields: dict[str, Any]
) -> dict[str, Any]:
    """The fields, with what follows from the output for a model whose codes a codec turns into
    sound: none is made where only codes are kept, and in large chunks where nobody listens.
    """
    if engine.info.samples_per_frame == 0 or "samples" in fields:
        return fields
    if args.output.lower().endswith(_ONE_ARRAY) and "codes" not in fields:
        return {"codes_only": True, **fields}
    if args.output != "-" and not args.streaming:
        return {"chunk_frames": _WHOLE_CHUNK, **fields}
    return fields


def _only_voice(args: argparse.Namespace, fields: dict[str, Any]) -> dict[str, Any]:
    """The voice of the only voice file, where the flags give no other context."""
    is_chosen = len(args.voice_file) == 1 and not fields.keys() & set(_CONTEXTS)
    return {"voice": Path(args.voice_file[0]).stem} if is_chosen else {}


def _add_voices(args: argparse.Namespace, executor: Executor) -> None:
    for path in args.voice_file:
        name = Path(path).stem
        if name in executor.voices():
            raise ConfigError(
                f"--voice_file: {path}: expected a file of another name, as there is a voice "
                f"{show(name)} already"
            )
        executor.add_voice(name, file=path)


def _run_many(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.cli.run_many import Counts, run_lines
    from ttsrt_rt.executor import Executor

    for name in ("alignment_output", "streaming", "width"):
        if getattr(args, name):
            raise ConfigError(f"--{name}: expected without --requests; lines have fields for it")
    output = args.output
    if output != "-" and Path(output).suffix.lower() != ".jsonl":
        raise ConfigError(
            f"--output: expected a name that ends in .jsonl, or - for standard output; got {output}"
        )
    defaults = given_fields(args)
    defaults |= _only_voice(args, defaults)
    begin = time.perf_counter()
    counts = Counts()
    try:
        with ExitStack() as files:
            lines = sys.stdin.buffer if args.requests == "-" else _open_lines(args.requests, files)
            executor = files.enter_context(Executor(args.engine, **executor_options(args)))
            _add_voices(args, executor)
            tell(format_memory(executor.info))
            file = sys.stdout.buffer if output == "-" else files.enter_context(LateFile(output))
            bar = files.enter_context(tqdm(unit="request", disable=None))
            run_lines(executor, lines, file, defaults, counts=counts, progress=bar.update)
    except (KeyboardInterrupt, Terminated):
        tell(f"{counts.requests} requests were done and written to {output} before the interrupt")
        raise
    tell(
        f"{counts.requests} requests, {counts.failed} failed; {counts.frames} frames in "
        f"{time.perf_counter() - begin:.1f} s"
    )
    return 1 if counts.failed else 0


def _open_lines(name: str, files: ExitStack) -> Any:
    try:
        return files.enter_context(open(name, "rb"))
    except FileNotFoundError as error:
        raise NotFoundError(f"--requests: {name}: no such file") from error
    except OSError as error:
        got = "a folder" if isinstance(error, IsADirectoryError) else error.strerror
        raise ConfigError(
            f"--requests: {name}: expected a file with a JSON object on each line, got: {got}"
        ) from error


def _follow(
    handle: Handle, stream: SoundStream | None, samples_per_frame: int, *, shows: bool
) -> None:
    """Takes the events of a request: sound goes on, and the number of frames is shown."""
    is_terminal = sys.stderr.isatty()
    codes = samples = 0
    for event in handle:
        if stream is not None and event.audio is not None:
            stream.write(event.audio)
        codes += len(event.codes)
        samples += 0 if event.audio is None else len(event.audio)
        frames = max(codes, samples // samples_per_frame if samples_per_frame else 0)
        if shows and is_terminal:
            print(f"\r{frames} frames", end="", file=sys.stderr, flush=True)
        elif shows:
            tell(f"{frames} frames")
    if shows and is_terminal:
        print(file=sys.stderr)
