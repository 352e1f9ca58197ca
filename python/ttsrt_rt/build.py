"""`build`: packs a checkpoint into an engine."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["build"]


def build(
    checkpoint_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    max_batch_size: int | None = None,
    max_seq_len: int | None = None,
    max_input_len: int | None = None,
    max_encoder_input_len: int | None = None,
    max_num_tokens: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Packs a checkpoint into an engine folder, written atomically.

    A limit that is None takes the library's default; 0 takes the checkpoint's largest. An executor
    may lower limits.

    Args:
        checkpoint_dir: A folder that `convert` wrote.
        output_dir: The engine's folder.
        dtype: Of weights and cache: "float32", "bfloat16" or "float16".
        max_batch_size: Requests in flight.
        max_seq_len: Decoder positions, context included.
        max_input_len: Context rows.
        max_encoder_input_len: Text tokens.
        max_num_tokens: Rows of one launch and class.
        overwrite: Whether an engine that is there is replaced.
        progress: Called as tensors are packed, with (done, of, name of the one just done).

    Raises:
        ConfigError: A limit that the model cannot meet, an unknown dtype, or an output folder that
            exists.
        FormatError: The checkpoint is not one.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.lower import set_options

    options = set_options(
        _core.BuildOptions(),
        dtype=dtype,
        max_batch_size=max_batch_size,
        max_seq_len=max_seq_len,
        max_input_len=max_input_len,
        max_encoder_input_len=max_encoder_input_len,
        max_num_tokens=max_num_tokens,
        overwrite=overwrite,
    )
    _core.build(os.fspath(checkpoint_dir), os.fspath(output_dir), options, progress)
