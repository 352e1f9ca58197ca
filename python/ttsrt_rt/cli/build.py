"""`ttsrt build --checkpoint_dir DIR --output_dir DIR`: packs a checkpoint into an engine."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]

_LIMITS = {
    "max_batch_size": "requests in flight",
    "max_seq_len": "decoder positions, context included",
    "max_input_len": "context rows",
    "max_encoder_input_len": "text tokens",
    "max_num_tokens": "rows of one launch and class",
}


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser("build", help="pack a checkpoint into an engine")
    parser.add_argument("--checkpoint_dir", required=True, help="what convert wrote")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    parser.add_argument("--dtype", help="weights and cache: float32, bfloat16, float16")
    parser.add_argument("--overwrite", action="store_true", help="replace an engine that is there")
    for name, text in _LIMITS.items():
        parser.add_argument(
            f"--{name}", type=int, help=f"largest number of {text}; 0: the checkpoint's"
        )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.build import build

    with tqdm(desc="build", unit="tensor") as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.update(done - bar.n)

        build(
            args.checkpoint_dir,
            args.output_dir,
            dtype=args.dtype,
            overwrite=args.overwrite,
            progress=show,
            **{name: getattr(args, name) for name in _LIMITS},
        )
    print(f"engine: {args.output_dir}")
    return 0
