"""`ttsrt export-triton ENGINE REPO_DIR`: writes a model repository for Triton."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.executor_flags import DEVICE_HELP
from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "export-triton", help="write a model repository that serves an engine with Triton"
    )
    parser.add_argument("engine", help="what build wrote, of any family")
    parser.add_argument("output_dir", metavar="REPO_DIR", help="folder to write")
    parser.add_argument(
        "--codec",
        default="none",
        help="none; native: sound by our own engines; or chatterbox: the original vocoder, where "
        "its package is installed",
    )
    parser.add_argument(
        "--codec_dir",
        metavar="DIR",
        help="native: an engine of S3Gen, if ENGINE makes no sound; chatterbox: its original files",
    )
    parser.add_argument(
        "--voice",
        nargs="+",
        default=[],
        metavar="FILE",
        help="voice files, or .safetensors of one array of rows or codes; named like their files",
    )
    parser.add_argument("--device", help=DEVICE_HELP)
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing repository")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.export.triton import export_triton

    folder = export_triton(
        args.engine,
        args.output_dir,
        codec=args.codec,
        codec_dir=args.codec_dir,
        voices=args.voice,
        device=args.device,
        num_threads=args.num_threads,
        overwrite=args.overwrite,
    )
    print(f"model repository: {folder}")
    print(f"serve it:         tritonserver --model-repository {folder}")
    return 0
