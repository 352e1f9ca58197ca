"""The commands that export, and the validation of what they wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.python.export.damage import put, with_tensor
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.cli import main


def test_export_and_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(write_t3(tmp_path / "checkpoint", "turbo"))
    voices = [
        str(write_voice(tmp_path / f"{name}.safetensors", "turbo")) for name in ("anna", "ben")
    ]
    export = str(tmp_path / "export")
    command = ["export-trtllm", checkpoint, export, "--voice", *voices, "--dtype", "bfloat16"]
    assert main(command) == 0
    assert f"ttsrt validate --trtllm {export}" in capsys.readouterr().out
    assert main(command) == 2
    assert "pass --overwrite to replace it" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    capsys.readouterr()

    check = ["validate", "--trtllm", export, "--checkpoint_dir", checkpoint]
    assert main(check) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "all checks passed"
    assert [line.split()[1] for line in lines[2:-1]] == ["ok"] * 7

    name = "transformer.layers.0.attention.dense.weight"
    with_tensor("rank0.safetensors", name, put((0, 0), 5))(Path(export))
    assert main(check) == 1
    told = capsys.readouterr().out
    assert "weights                 FAIL  rank0.safetensors: " in told
    assert "of 7 checks failed" in told
    assert main([*check, "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert next(each["check"] for each in reports if not each["is_ok"]) == "weights"
    assert main([*check, "--prompt_table", voices[0]]) == 1
    assert "prompt_table            FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: engine, --golden"),
        (["engine"], "required: --golden"),
        (["--trtllm", "x"], "required with --trtllm: --checkpoint_dir"),
        (["engine", "--trtllm", "x", "--checkpoint_dir", "y"], "engine: expected none beside"),
        (["--trtllm", "x", "--checkpoint_dir", "y", "--max_steps", "1"], "--max_steps: expected"),
        (["--trtllm", "x", "--checkpoint_dir", "y", "--teacher_forced"], "--teacher_forced: expec"),
        (["engine", "--golden", "x", "--prompt_table", "y"], "--prompt_table: expected only with"),
    ],
)
def test_mistakes_in_flags(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["validate", *arguments])
    assert message in capsys.readouterr().err


def test_export_triton(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export-triton", str(engine), str(tmp_path / "repository")]
    assert main(command) == 0
    assert f"tritonserver --model-repository {tmp_path / 'repository'}" in capsys.readouterr().out
    assert (tmp_path / "repository" / "ttsrt" / "config.pbtxt").is_file()
    assert main(command) == 2
    assert "pass --overwrite to replace it" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert main([*command, "--overwrite", "--codec", "opus"]) == 2
    assert "--codec: expected one of none, native, chatterbox" in capsys.readouterr().err
