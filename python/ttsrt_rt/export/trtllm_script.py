"""`build_engine.sh`: the command that makes TensorRT-LLM's engine of an export."""

from __future__ import annotations

import shlex

from ttsrt_rt.export.t3_checkpoint import T3Fields

__all__ = ["build_script"]

_MAX_TEXT = 2048
_MAX_SPEECH = 4096


def build_script(fields: T3Fields, dtype: str, table_rows: int) -> str:
    """Returns the text of the script.

    Args:
        fields: The model.
        dtype: Of the weights and of the plugins.
        table_rows: Rows of the prompt table, all voices together.
    """
    longest = fields.conditioning.queries or fields.conditioning.max_prompt
    max_input = longest + 2 + _MAX_TEXT + fields.start_rows
    max_seq = min(max_input + _MAX_SPEECH, int(fields.decoder["max_positions"]))
    options = [
        *("--gemm_plugin", dtype),
        *("--gpt_attention_plugin", dtype),
        *("--max_batch_size", "2"),
        *("--max_input_len", str(min(max_input, max_seq))),
        *("--max_seq_len", str(max_seq)),
        *("--max_prompt_embedding_table_size", str(table_rows)),
        *("--use_paged_context_fmha", "enable"),
    ]
    lines = " \\\n  ".join(
        shlex.join(pair) for pair in zip(options[::2], options[1::2], strict=True)
    )
    return f"""#!/usr/bin/env bash
# Builds the TensorRT-LLM engine of this folder:
#   ./build_engine.sh [ENGINE_DIR] [options of trtllm-build, which replace those below]
# A batch of 2 is one guided request. The driver's rules are in t3_metadata.json.
set -euo pipefail
here="$(cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)"
engine="$here/engine"
if [[ $# -gt 0 && "$1" != --* ]]; then
  engine="$1"
  shift
fi
exec trtllm-build --checkpoint_dir "$here" --output_dir "$engine" \\
  {lines} \\
  "$@"
"""
