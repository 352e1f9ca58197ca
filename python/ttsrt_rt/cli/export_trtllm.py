"""`ttsrt export-trtllm CHECKPOINT OUTPUT_DIR`: writes a checkpoint for TensorRT-LLM."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "export-trtllm",
        help="write a checkpoint of T3, with its voices, or of Magpie as a TensorRT-LLM checkpoint",
    )
    parser.add_argument("checkpoint", help="what convert wrote, of the family t3 or magpie")
    parser.add_argument("output_dir", help="folder to write")
    parser.add_argument(
        "--voice",
        nargs="+",
        default=[],
        metavar="FILE",
        help="voice files of T3; each is a task of the prompt table, named like its file; default: "
        "the voice that the checkpoint brings",
    )
    parser.add_argument(
        "--dtype",
        default="float16",
        help="of weights and voices: float16, bfloat16, float32; default: float16",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing export")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.export.trtllm import export_trtllm

    folder = export_trtllm(
        args.checkpoint,
        args.output_dir,
        voices=args.voice,
        dtype=args.dtype,
        overwrite=args.overwrite,
        progress=True,
    )
    print(f"TensorRT-LLM checkpoint: {folder}")
    print(f"check it:     ttsrt validate --trtllm {folder} --checkpoint_dir {args.checkpoint}")
    print(f"build it:     {folder / 'build_engine.sh'} ENGINE_DIR")
    return 0
