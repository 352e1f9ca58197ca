"""`build_engine.sh` of a Magpie export: the commands that make the two engines."""

from __future__ import annotations

import shlex

from ttsrt_rt.convert.magpie_model import MagpieModel

__all__ = ["SCRIPT", "build_script"]

SCRIPT = "build_engine.sh"

_MAX_BATCH = 64
_MAX_TEXT = 512
_MAX_CONTEXT = 512


def build_script(model: MagpieModel, dtype: str) -> str:
    """Returns the text of the script.

    Args:
        model: The model.
        dtype: Of the weights and of the plugins.
    """
    text = min(_MAX_TEXT, model.text_encoder.max_positions)
    positions = model.decoder.max_positions
    common = [
        *("--moe_plugin", "disable"),
        *("--max_beam_width", "1"),
        *("--max_batch_size", str(_MAX_BATCH)),
        *("--gemm_plugin", dtype),
        *("--bert_attention_plugin", dtype),
        *("--gpt_attention_plugin", dtype),
        *("--remove_input_padding", "enable"),
        *("--paged_kv_cache", "enable"),
        *("--use_paged_context_fmha", "enable"),
    ]
    lengths = {
        "encoder": ["--max_input_len", str(text)],
        "decoder": [
            *("--max_input_len", str(min(_MAX_CONTEXT, positions))),
            *("--max_seq_len", str(positions)),
            *("--max_encoder_input_len", str(text)),
        ],
    }
    commands = "\n".join(_command(name, [*common, *of]) for name, of in lengths.items())
    return f"""#!/usr/bin/env bash
# Builds both engines of this folder with trtllm-build of the TensorRT-LLM fork for T5TTS (0.20):
#   ./build_engine.sh [ENGINE_DIR] [options of trtllm-build, which replace those below in both]
# A guided request is two of a batch. The attention prior exists in the kernel for one block alone,
# so the engines must run with multi_block_mode=false. What a driver must know is in
# magpie_metadata.json.
set -euo pipefail
here="$(cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)"
engine="$here/engine"
if [[ $# -gt 0 && "$1" != --* ]]; then
  engine="$1"
  shift
fi
{commands}"""


def _command(component: str, options: list[str]) -> str:
    pairs = zip(options[::2], options[1::2], strict=True)
    lines = " \\\n  ".join(shlex.join(pair) for pair in pairs)
    return f"""trtllm-build \\
  --checkpoint_dir "$here/{component}" --output_dir "$engine/{component}" \\
  {lines} \\
  "$@"
"""
