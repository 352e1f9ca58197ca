"""`ttsrt run ENGINE`: one request, codes into a file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.files import load_array
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import AttentionPrior, Request
    from ttsrt_rt.result import Result

__all__ = ["add_parser"]

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
    "temperature": (float, "0: take the likeliest"),
    "top_k": (int, "draw among the k likeliest; 0: all"),
    "top_p": (float, "draw among the likeliest that sum to this"),
    "min_p": (float, "draw among those at least this likely, relative to the likeliest"),
    "repetition_penalty": (float, "divides the logits of ids drawn before"),
    "max_frames": (int, "codec frames after which the request ends"),
    "min_frames": (int, "codec frames before which it can't end"),
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
    parser.add_argument("--seed", type=int, default=0, help="one seed, one result")
    parser.add_argument(
        "--prior",
        default="default",
        help='"default", "off", or knobs as JSON: {"mode": "nemo", ...}',
    )
    parser.add_argument("--eos_method", help="how end of speech is detected")
    parser.add_argument("--device", help='"auto", "cpu", "reference"')
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument(
        "--output", default="codes.npy", help="int32 [frames, codebooks]; default: %(default)s"
    )
    parser.add_argument("--alignment_output", help="float32 [steps, text_len]")
    parser.add_argument("--streaming", action="store_true", help="show frames as they come")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import numpy as np

    from ttsrt_rt.executor import Executor

    request = _request(args)
    with Executor(args.engine, device=args.device, num_threads=args.num_threads) as executor:
        result = _streamed(executor, request) if args.streaming else executor.generate(request)
    with open(args.output, "wb") as file:  # numpy would add an ending to a bare name
        np.save(file, result.codes)
    if args.alignment_output is not None and result.alignment is not None:
        with open(args.alignment_output, "wb") as file:
            np.save(file, result.alignment)
    frames, metrics = len(result.codes), result.metrics
    print(
        f"{args.output}: {frames} frames, {result.finish_reason}; "
        f"first after {metrics.first_frame_seconds:.3f} s, "
        f"{metrics.frames_per_second:.1f} frames/s, {metrics.real_time_factor:.2f} x real time"
    )
    return 0


def _streamed(executor: Executor, request: Request) -> Result:
    handle = executor.submit(request)
    frames = 0
    for event in handle:
        frames += len(event.codes)
        print(f"\r{frames} frames", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return handle.result()


def _request(args: argparse.Namespace) -> Request:
    from ttsrt_rt.request import Request

    fields: dict[str, Any] = {}
    for name in _ARRAYS:
        if getattr(args, name) is not None:
            fields[name] = load_array(getattr(args, name))
    if args.voice is not None:
        fields["voice"] = int(args.voice) if args.voice.lstrip("-").isdigit() else args.voice
    return Request(
        **fields,
        **{name: getattr(args, name) for name in _NUMBERS},
        seed=args.seed,
        prior=_prior(args.prior),
        eos_method=args.eos_method,
        return_alignment=args.alignment_output is not None,
    )


def _prior(text: str) -> AttentionPrior | Any:
    from ttsrt_rt.request import AttentionPrior

    if text in ("default", "off"):
        return None if text == "off" else "default"
    try:
        return AttentionPrior(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f'--prior: expected "default", "off" or knobs as JSON, got {text!r}: {error}'
        ) from error
