"""`build`: packs a checkpoint into an engine."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.options import BuildOptions, DType, check_names, dtype_name, path_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ttsrt_rt.progress import Progress

_LOG = logging.getLogger(__name__)

__all__ = ["build"]


def build(
    checkpoint_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = True,
    **options: Unpack[BuildOptions],
) -> None:
    """Packs a checkpoint into an engine folder, written atomically.

    A limit that is None or 0 takes what stands beside it, or the most that the checkpoint's
    position tables hold where that is less. An executor may lower `max_batch_size` and
    `max_num_tokens`. If none of `dtype`, `quantization`, `group_size`, `zero_points` and
    `wide_heads` is given, those that the checkpoint was converted for are taken, where it was
    converted for some.

    Args:
        checkpoint_dir: A folder that `convert` wrote.
        output_dir: The engine's folder.
        overwrite: Whether an engine that is there is replaced.
        progress: True shows a bar if standard error is a terminal; a function is called with
            (tensors done, of all, name of the one just done); False or None is silent.
        **options: The following.
        dtype: Of weights and cache: "float32", "bfloat16" or "float16", or such a type of NumPy or
            PyTorch.
        quantization: Of matrices: "none", or weights of 8 or 4 bits times activations of 16 or 8:
            "w8a16", "w4a16", "w8a8", "w4a8". Tables, norms and biases are then still `dtype`'s.
        group_size: Of w4: inputs that share a scale, 32, 64 or 128; 64.
        zero_points: Of w4: whether each scale has a zero point, so that the range of a group need
            not be symmetric about 0; no.
        wide_heads: Whether matrices that give logits stay `dtype`'s; yes for Chatterbox T3, no for
            the others.
        head_quantization: Of matrices that give logits, instead of what `quantization` and
            `wide_heads` say: "none", "w8a16" or "w8a8".
        exclude_modules: With a quantization: names of matrices that stay `dtype`'s, as `inspect`
            prints them for the checkpoint; `*` stands for any characters; none.
        max_batch_size: Requests in flight; 8.
        max_seq_len: Decoder positions, context included; `max_input_len` and the checkpoint's
            default `max_frames`.
        max_input_len: Context rows; 256, or the longest stored voice if that is longer.
        max_encoder_input_len: Text tokens; 512.
        max_num_tokens: Rows of one Program in one launch; 512, or what the longest text, the
            longest context or two rows per request need if that is more.
        codec_dir: A checkpoint of the codec whose codes the model draws, also written by `convert`.
            Its decoder becomes part of the engine, whose results and events then have audio.

    Raises:
        ConfigError: A limit that the model cannot meet or that a stored voice exceeds, an unknown
            dtype or quantization, a codec of other codes than the model's, or an output folder that
            exists, is in use or cannot be written.
        FormatError: The checkpoint is not one, or a voice in it is damaged.
        CapacityError: The disk is full.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.native_request import set_options
    from ttsrt_rt.progress import reporting
    from ttsrt_rt.stored_voices import limits_for_voices

    check_names("build", options, BuildOptions.__annotations__)
    values: dict[str, object] = {**options}
    if options.get("codec_dir") is not None:
        values["codec_dir"] = path_of(options["codec_dir"], "codec_dir")
    if options.get("dtype") is not None:
        values["dtype"] = dtype_name(options["dtype"], "dtype", get_args(DType))
    set_options(_core.BuildOptions(), **values)  # checks types before any file
    folder = path_of(output_dir, "output_dir")
    checkpoint = path_of(checkpoint_dir, "checkpoint_dir")
    values |= _stored(checkpoint, values)
    values |= limits_for_voices(
        checkpoint,
        max_input_len=options.get("max_input_len"),
        max_seq_len=options.get("max_seq_len"),
    )
    native = set_options(_core.BuildOptions(), **values, overwrite=overwrite)
    with reporting(progress, "build") as report:
        _core.build(checkpoint, folder, native, report)
    _log(folder)


def _stored(checkpoint: Path, given: Mapping[str, object]) -> dict[str, object]:
    """The options of weights that the checkpoint carries, if none of them is given."""
    from ttsrt_rt.convert.checkpoint import CONFIG_NAME, read_config
    from ttsrt_rt.convert.stored_options import BUILD_KINDS, stored_build_options

    if any(given.get(name) not in (None, False) for name in BUILD_KINDS):
        return {}
    try:
        config = read_config(checkpoint)
    except (ConfigError, FormatError):  # the library says what is wrong with the folder
        return {}
    stored = stored_build_options(config, str(checkpoint / CONFIG_NAME))
    if stored:
        _LOG.info("%s was converted for %s", checkpoint, json.dumps(stored))
    return stored


def _log(folder: Path) -> None:
    """Tells what was chosen where the caller left it open, and warns of what was guessed."""
    description = json.loads((folder / "engine.json").read_bytes())
    source = description.get("source")
    guess = source.get("codebook_size_guess") if isinstance(source, dict) else None
    if guess is not None:
        _LOG.warning(
            "codebook_size was guessed as %s when this checkpoint was converted; convert it again "
            "with codebook_size if the codec has another number of codes",
            str(guess)[:20],
        )
    _LOG.info("wrote %s", folder.resolve())
    components = description.pop("components")
    for name, value in description.items():
        _LOG.info("%s: %s", name, json.dumps(value)[:500])
    for name, component in components.items():
        _LOG.info("%s: %d tensors", name, len(component["tensors"]))
