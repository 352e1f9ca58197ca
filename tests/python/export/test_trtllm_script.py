"""The script that builds the engine, run with a stand-in for trtllm-build."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.python.export.t3_random import write_t3
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_script import build_script


@pytest.mark.parametrize(
    ("arguments", "engine", "rest"),
    [
        ([], None, []),
        (["my engine"], "my engine", []),
        (["--max_batch_size", "8"], None, ["--max_batch_size", "8"]),
        (["e", "--log_level", "info now"], "e", ["--log_level", "info now"]),
    ],
)
def test_the_command(
    arguments: list[str], engine: str | None, rest: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "a folder; with $signs"
    folder.mkdir()
    fields = open_t3(write_t3(tmp_path / "checkpoint", "english")).fields
    script = folder / "build_engine.sh"
    script.write_text(build_script(fields, "bfloat16", 21), "utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "trtllm-build").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', "utf-8")
    (tools / "trtllm-build").chmod(0o755)
    told = subprocess.run(
        ["bash", str(script), *arguments],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert told[:4] == [
        "--checkpoint_dir",
        str(folder),
        "--output_dir",
        engine or f"{folder}/engine",
    ]
    options = dict(zip(told[4:18:2], told[5:18:2], strict=True))
    assert options == {
        "--gemm_plugin": "bfloat16",
        "--gpt_attention_plugin": "bfloat16",
        "--max_batch_size": "2",
        "--max_input_len": "512",  # no more than the model's positions
        "--max_seq_len": "512",
        "--max_prompt_embedding_table_size": "21",
        "--use_paged_context_fmha": "enable",
    }
    assert told[18:] == rest
