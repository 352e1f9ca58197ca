"""`ttsrt run ENGINE`: runs one request and writes its codes to a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ttsrt_rt.cli.files import check_output, load_array
from ttsrt_rt.cli.tables import format_memory
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.request import AttentionPrior, Request

__all__ = ["add_parser"]

Knobs = TypeVar("Knobs")

_ARRAYS = {
    "text_ids": "ids of the text, nothing is appended: [text_len]",
    "text_features": "rows before the encoder: [text_len, dim]",
    "encoder_output": "rows after the encoder: [text_len, dim]",
    "context_codes": "codec codes, special columns included: [frames, codebooks]",
    "context_embeddings": "rows as the decoder takes them: [rows, dim]",
    "context_text_ids": "ids of a text that describes the voice",
}
_NUMBERS: dict[str, tuple[type, str]] = {
    "cfg_scale": (float, "guidance; 1: none"),
    "temperature": (float, "0: pick the most likely code"),
    "top_k": (int, "draw among the k most likely codes; 0: all"),
    "top_p": (float, "draw among the most likely codes whose probabilities sum to this"),
    "min_p": (float, "draw among codes at least this likely, relative to the most likely"),
    "max_frames": (int, "codec frames after which the request ends"),
    "min_frames": (int, "codec frames before which the request cannot end"),
    "deadline": (float, "seconds after which the request ends"),
}


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "run",
        help="generate the codes of one request",
        description="Arrays are FILE or FILE:KEY, of .npy, .npz, .safetensors or .json.",
    )
    parser.add_argument("engine", help="what build wrote")
    for name, text in _ARRAYS.items():
        parser.add_argument(f"--{name}", metavar="FILE[:KEY]", help=text)
    parser.add_argument("--voice", help="a stored voice, by index or by name")
    for name, (kind, text) in _NUMBERS.items():
        parser.add_argument(f"--{name}", type=kind, help=f"{text}; default: the checkpoint's")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same result")
    _add_options(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default="codes.npy",
        help="int32 [frames, codebooks]; default: %(default)s",
    )
    parser.add_argument("--alignment_output", type=Path, help="float32 [steps, text_len]")
    parser.add_argument(
        "--streaming", action="store_true", help="show the number of frames while they are made"
    )
    parser.set_defaults(run=_run)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prior",
        default="default",
        help='"default" (the checkpoint\'s), "off", or options as JSON: {"lookahead": 8}; other '
        "options are the checkpoint's, or the library's if the mode is another",
    )
    parser.add_argument("--eos_method", help="how end of speech is detected")
    parser.add_argument(
        "--use_local_transformer",
        choices=["true", "false"],
        help="false: draw from the independent heads; default: the checkpoint's",
    )
    parser.add_argument(
        "--maskgit", help='options of a MaskGit local transformer as JSON: {"steps": 3}'
    )
    parser.add_argument(
        "--chunk_frames", type=int, default=1, help="streaming: frames of one event, at least"
    )
    parser.add_argument("--device", help='"auto", "cpu", "reference"')
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument(
        "--pin_threads", action="store_true", help="each CPU thread on its own core"
    )
    parser.add_argument(
        "--kv_cache_dtype",
        help="float32, bfloat16, float16, int8; default: as the engine computes",
    )


def _run(args: argparse.Namespace) -> int:
    import numpy as np

    from ttsrt_rt import _core
    from ttsrt_rt.executor import Executor

    for path in (args.output, args.alignment_output):
        check_output(path)
    engine = _core.Engine.open(args.engine)
    request = _request(args, engine)
    names = ("device", "num_threads", "pin_threads", "kv_cache_dtype")
    options = {name: getattr(args, name) for name in names}
    with Executor(engine, **options) as executor:
        handle = executor.submit(request)
        print(format_memory(executor.info), file=sys.stderr)
        if args.streaming:
            _show_frames(handle)
        result = handle.result()
    with open(args.output, "wb") as file:  # np.save would add an ending to the name
        np.save(file, result.codes)
    if args.alignment_output is not None and result.alignment is not None:
        with open(args.alignment_output, "wb") as file:
            np.save(file, result.alignment)
    frames, metrics = len(result.codes), result.metrics
    print(
        f"{args.output}: {frames} frames, {result.finish_reason}; "
        f"first after {metrics.first_frame_seconds:.3f} s, "
        f"{metrics.frames_per_second:.1f} frames/s, {metrics.x_real_time:.2f} x real time "
        f"(RTF {metrics.rtf:.3f})"
    )
    return 0


def _show_frames(handle: Handle) -> None:
    frames = 0
    for event in handle:
        frames += len(event.codes)
        print(f"\r{frames} frames", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _request(args: argparse.Namespace, engine: _core.Engine) -> Request:
    from ttsrt_rt.request import MaskGit, Request

    fields: dict[str, Any] = {}
    for name in _ARRAYS:
        if getattr(args, name) is not None:
            fields[name] = load_array(getattr(args, name))
    if args.voice is not None:
        fields["voice"] = int(args.voice) if args.voice.lstrip("-").isdecimal() else args.voice
    if args.use_local_transformer is not None:
        fields["use_local_transformer"] = args.use_local_transformer == "true"
    if args.maskgit is not None:
        fields["maskgit"] = _make("--maskgit", MaskGit, _read_knobs("--maskgit", args.maskgit))
    return Request(
        **fields,
        **{name: getattr(args, name) for name in _NUMBERS},
        seed=args.seed,
        prior=_prior(args.prior, engine),
        eos_method=args.eos_method,
        chunk_frames=args.chunk_frames,
        return_alignment=args.alignment_output is not None,
    )


def _prior(text: str, engine: _core.Engine) -> AttentionPrior | Any:
    """Options override the checkpoint's prior, whose other options stay."""
    from ttsrt_rt.inspection import default_prior
    from ttsrt_rt.request import AttentionPrior

    if text in ("default", "off"):
        return None if text == "off" else "default"
    knobs = _read_knobs("--prior", text)
    own = default_prior(engine) or {}
    if knobs.get("mode", own.get("mode")) != own.get("mode"):
        own = {}
    return _make("--prior", AttentionPrior, {**own, **knobs})


def _read_knobs(flag: str, text: str) -> dict[str, Any]:
    try:
        knobs = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{flag}: expected knobs as JSON, got {text!r}: {error}") from error
    if not isinstance(knobs, dict):
        raise ConfigError(f"{flag}: expected knobs as JSON, got {text!r}")
    return knobs


def _make(flag: str, kind: Callable[..., Knobs], knobs: dict[str, Any]) -> Knobs:
    try:
        return kind(**knobs)
    except TypeError as error:
        raise ConfigError(f"{flag}: {error}") from error
