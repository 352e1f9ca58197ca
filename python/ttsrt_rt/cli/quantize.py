"""`ttsrt quantize MODEL OUTPUT_DIR`: makes weights of 4 bits of a language model, by AWQ."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "quantize", help="make 4-bit weights of a language model (AWQ), for ttsrt convert"
    )
    parser.add_argument("source", help="folder of a Llama or a Phi with float weights")
    parser.add_argument("output_dir", help="folder to write, as AutoAWQ's gemm layout")
    parser.add_argument(
        "--calibration_file",
        required=True,
        help='a text, JSON lines with "text", or the word builtin for a short text of ours',
    )
    parser.add_argument(
        "--group_size", type=int, default=128, metavar="N", help="32, 64 or 128; default: 128"
    )
    parser.add_argument(
        "--calibration_samples",
        type=int,
        default=128,
        metavar="N",
        help="blocks of the calibration; default: 128",
    )
    parser.add_argument(
        "--calibration_length", type=int, default=512, metavar="N", help="ids of each; default: 512"
    )
    parser.add_argument(
        "--loss_samples",
        type=int,
        default=8,
        metavar="N",
        help="blocks that losses are measured on; default: 8",
    )
    parser.add_argument(
        "--no_clip", action="store_true", help="do not clip weights where that helps"
    )
    parser.add_argument(
        "--num_threads", type=int, default=0, metavar="N", help="default: all cores; equal results"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ttsrt_rt.llm.awq import AwqOptions, quantize_awq

    options = AwqOptions(
        group_size=args.group_size,
        samples=args.calibration_samples,
        length=args.calibration_length,
        loss_samples=args.loss_samples,
        apply_clip=not args.no_clip,
    )
    losses = quantize_awq(
        args.source,
        args.output_dir,
        args.calibration_file,
        options=options,
        num_threads=args.num_threads,
        overwrite=args.overwrite,
    )
    better = sum(each.plain_loss / max(each.loss, 1e-30) for each in losses) / len(losses)
    print(f"quantized: {args.output_dir}")
    print(f"{len(losses)} sites; rounding alone has {better:.2f} times the error, on average")
    return 0
