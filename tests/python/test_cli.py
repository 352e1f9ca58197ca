"""The command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli import main

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    path = tmp_path / "ids.json"
    path.write_text(json.dumps(list(range(3, 20))))
    return path


def test_convert_build_and_run(
    tmp_path: Path, ids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, engine, codes = tmp_path / "ckpt", tmp_path / "engine", tmp_path / "codes.npy"
    assert main(["convert", str(DATA / "tinyhf.nemo"), str(checkpoint)]) == 0
    build = ["build", "--checkpoint_dir", str(checkpoint), "--output_dir", str(engine)]
    assert main([*build, "--dtype", "bfloat16", "--max-batch-size=2"]) == 0
    run = ["run", str(engine), "--text_ids", str(ids), "--voice", "0", "--cfg-scale", "2.5"]
    assert main([*run, "--seed", "7", "--max_frames", "10", "--output", str(codes)]) == 0
    assert "frames" in capsys.readouterr().out
    written = np.load(codes)
    assert written.dtype == np.int32 and 0 < len(written) <= 10
    streamed = tmp_path / "streamed.npy"
    assert (
        main([*run, "--seed", "7", "--max_frames", "10", "--streaming", "--output", str(streamed)])
        == 0
    )
    assert np.load(streamed).tolist() == written.tolist()
    with rt.Executor(engine) as executor:
        assert executor.engine.info.max_batch_size == 2
        assert executor.engine.info.dtype == "bfloat16"


def test_run_takes_stored_intermediates(engine: Path, tmp_path: Path) -> None:
    golden = f"{DATA / 'tinyhf.lt_cfg_prior_kv.npz'}:encoder_out"
    rows = np.load(DATA / "tinyhf.lt_cfg_prior_kv.npz")
    np.savez(
        tmp_path / "rows.npz",
        text=rows["encoder_out"][1, :41],
        context=rows["context_embedding"][1],
    )
    output = tmp_path / "codes.npy"
    command = [
        "run",
        str(engine),
        "--encoder_output",
        f"{tmp_path / 'rows.npz'}:text",
        "--prior",
        "off",
    ]
    command += ["--context_embeddings", f"{tmp_path / 'rows.npz'}:context", "--max_frames", "6"]
    assert (
        main([*command, "--output", str(output), "--alignment_output", str(tmp_path / "a.npy")])
        == 0
    )
    assert np.load(tmp_path / "a.npy").shape[1] == 41
    assert main(["run", str(engine), "--encoder_output", golden]) == 2  # three axes


def test_build_quantized(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tmp_path / "engine"
    build = ["build", "--checkpoint_dir", str(checkpoint_of("tinyhf")), "--output_dir", str(engine)]
    assert main([*build, "--quantization", "w4a8", "--group-size", "32"]) == 0
    assert main(["inspect", str(engine), "--verify"]) == 0
    printed = capsys.readouterr().out
    assert 'quantization: "w4a8"' in printed and "group_size: 32" in printed
    assert "panel16_w4a8" in printed and "final_proj.scales" in printed
    with rt.Executor(engine, device="cpu") as executor:
        info = executor.engine.info
        assert (info.quantization, info.group_size, info.dtype) == ("w4a8", 32, "float32")
        asked = rt.Request(text_ids=np.arange(3, 30, dtype=np.int32), voice=0, max_frames=4)
        assert executor.generate(asked).codes.shape[1] == info.codebooks
    zeros = ["--quantization", "w4a16", "--zero_points", "--wide_heads"]
    assert main([*build, "--overwrite", *zeros]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "engine")]) == 0
    printed = capsys.readouterr().out
    assert "zero_points: true" in printed and "wide_heads: true" in printed
    assert "self_qkv.zeros" in printed and "final_proj.zeros" not in printed
    assert main([*build, "--overwrite", "--quantization", "w8a8", "--group_size", "32"]) == 2
    assert "group_size: expected 0" in capsys.readouterr().err
    assert main([*build, "--overwrite", "--quantization", "int8"]) == 2
    assert "none, w8a16, w4a16, w8a8, w4a8" in capsys.readouterr().err


def test_run_prints_its_memory(
    engine: Path, ids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(engine), "--text_ids", str(ids), "--voice", "0", "--max_frames", "4"]
    assert main([*command, "--output", str(tmp_path / "codes.npy")]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("memory: weights ") and captured.err.count("\n") == 1
    assert "weights" not in captured.out


def asked_by(engine: Path, ids: Path, tmp_path: Path, *flags: str) -> rt.Request:
    """The request that `ttsrt run` submits for these flags."""
    asked: list[rt.Request] = []
    submit = rt.Executor.submit

    def keep(self: rt.Executor, request: rt.Request) -> rt.Handle:
        asked.append(request)
        return submit(self, request)

    limit = () if "--forced_codes" in flags else ("--max_frames", "4")
    command = ["run", str(engine), "--text_ids", str(ids), *limit, *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rt.Executor, "submit", keep)
        assert main([*command, "--output", str(tmp_path / "codes.npy")]) == 0
    return asked[0]


def test_run_passes_every_option(
    engine: Path, engine_of: Callable[[str], Path], ids: Path, tmp_path: Path
) -> None:
    flags = ["--voice", "0", "--use_local_transformer", "false", "--chunk_frames", "3"]
    asked = asked_by(engine, ids, tmp_path, *flags, "--kv_cache_dtype", "bfloat16", "--streaming")
    assert asked.use_local_transformer is False and asked.chunk_frames == 3
    assert asked.strict_end is False
    np.save(tmp_path / "forced.npy", np.ones((4, 4), np.int32))
    forced = ["--strict_end", "--forced_codes", str(tmp_path / "forced.npy")]
    asked = asked_by(engine, ids, tmp_path, "--voice", "0", *forced)
    assert asked.strict_end is True and np.shape(asked.forced_codes) == (4, 4)
    asked = asked_by(engine, ids, tmp_path, "--voice", "0")
    assert asked.use_local_transformer is None and asked.prior == "default"
    np.save(tmp_path / "context.npy", np.ones((6, 4), np.int32))
    flags = ["--context_codes", str(tmp_path / "context.npy"), "--maskgit", '{"steps": 2}']
    asked = asked_by(engine_of("tinymaskgit1"), ids, tmp_path, *flags)
    assert asked.maskgit == rt.MaskGit(steps=2)


def test_options_override_the_checkpoints_prior(
    engine_of: Callable[[str], Path], ids: Path, tmp_path: Path
) -> None:
    engine = engine_of("tiny2503")
    np.save(tmp_path / "context.npy", np.ones((6, 4), np.int32))
    context = ["--context_codes", str(tmp_path / "context.npy")]
    for knobs, expected in (
        ("{}", rt.AttentionPrior()),
        ('{"lookahead": 8}', rt.AttentionPrior(lookahead=8)),
        ('{"mode": "nemo_2503", "left": 2}', rt.AttentionPrior(mode="nemo_2503", left=2)),
        ('{"mode": "window"}', rt.AttentionPrior(mode="window")),
    ):
        assert asked_by(engine, ids, tmp_path, *context, "--prior", knobs).prior == expected
    assert asked_by(engine, ids, tmp_path, *context, "--prior", "off").prior is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text_ids", "none.json"], "no such file"),
        (["--text_ids", "{ids}", "--voice", "nobody"], "nobody"),
        (["--text_ids", "{ids}", "--prior", "strong"], "--prior"),
        (["--text_ids", "{ids}", "--prior", '{"look": 3}'], "--prior"),
        (["--text_ids", "{ids}", "--prior", "[1]"], "--prior"),
        (
            ["--text_ids", "{ids}", "--voice", "0", "--prior", '{"left": "x"}'],
            "--prior: left:",
        ),
        (["--text_ids", "{ids}", "--maskgit", '{"look": 3}'], "--maskgit"),
        (["--text_ids", "{ids}", "--kv_cache_dtype", "int3"], "int3"),
        (["--text_ids", "{ids}", "--device", "tpu"], "tpu"),
        ([], "text"),
    ],
)
def test_a_mistake_gives_one_line(
    engine: Path,
    ids: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    filled = [argument.replace("{ids}", str(ids)) for argument in arguments]
    assert main(["run", str(engine), *filled, "--output", str(tmp_path / "codes.npy")]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("ttsrt: error: ") and message in errors and errors.count("\n") == 1


def test_unknown_flags_end_with_usage(engine: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["run", str(engine), "--text-idz", "x"])
    assert end.value.code == 2


def test_inspect(
    engine_of: Callable[[str], Path],
    checkpoint_of: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder in (engine_of("tiny2503"), checkpoint_of("tiny2503")):
        assert main(["inspect", str(folder)]) == 0
        text = capsys.readouterr().out
        assert "final_proj" in text and "model.codebooks: 4" in text
        assert main(["inspect", str(folder), "--json"]) == 0
        contents = json.loads(capsys.readouterr().out)
        assert contents["description"]["model"]["codebooks"] == 4
        assert contents["kind"] in ("engine", "checkpoint")


@pytest.mark.parametrize(
    ("level", "quantization", "by"),
    [
        ("generic", "none", "bfloat16 by multiply and add of widened pairs"),
        ("generic", "w8a8", "w8a8 by multiply and add of 16 bits"),
    ],
)
def test_inspect_describes_products(
    level: str,
    quantization: str,
    by: str,
    checkpoint_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTSRT_CPU_ISA", level)
    rt.build(
        checkpoint_of("tiny2503"),
        tmp_path / "engine",
        dtype="bfloat16",
        quantization=quantization,
    )
    assert main(["inspect", str(tmp_path / "engine")]) == 0
    expected = f"{level}: {by}, in tiles of up to 2 rows by 16 outputs"
    assert f"products on this machine: {expected}" in capsys.readouterr().out


def test_inspect_verifies(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(engine), "--verify"]) == 0
    assert "verified" in capsys.readouterr().out
    damaged = tmp_path / "engine"
    shutil.copytree(engine, damaged)
    weights = next(damaged.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(data)
    assert main(["inspect", str(damaged)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(damaged), "--verify"]) == 2
    assert "error" in capsys.readouterr().err


def test_inspect_of_an_unknown_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert "engine.json or config.json" in capsys.readouterr().err


def test_validate_names_what_is_wrong(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = str(DATA / "tinyhf.lt_cfg_prior_kv.npz")
    shutil.copy(golden, tmp_path / "x.npz")
    shutil.copy(golden, tmp_path / "x.y.npz")
    (tmp_path / "ids.json").write_text("[3, 4]")
    (tmp_path / "x.nemo").write_bytes(b"x" * 600)
    for flags, told in (
        (["--golden", f"{tmp_path}/x.npz"], "expected a name CASE.RUN.npz, beside CASE.json"),
        (["--golden", f"{tmp_path}/x.y.npz"], "expected the options of the runs, got no file"),
        (["--golden", f"{tmp_path}/x.nemo"], "expected an .npz archive of arrays, got a text"),
        (
            ["--golden", f"{tmp_path}/none.npz"],
            "expected golden arrays, CASE.RUN.npz",
        ),
        (
            ["--golden", golden, "--case", f"{tmp_path}/ids.json"],
            "expected the JSON of a golden case",
        ),
        (["--golden", golden, "--run_name", "x"], "--run_name: expected one of "),
        (["--golden", golden, "--tolerance", "-1"], "--tolerance: expected 0 or more, got -1"),
        (["--golden", golden, "--tolerance", "nan"], "--tolerance: expected 0 or more, got nan"),
    ):
        assert main(["validate", str(engine), *flags]) == 2
        errors = capsys.readouterr().err
        assert told in errors and (str(tmp_path) in errors or told.startswith("--"))


def test_validate(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = str(DATA / "tinyhf.lt_cfg_prior_kv.npz")
    assert main(["validate", str(engine), "--golden", golden]) == 0
    text = capsys.readouterr().out
    assert "encoder_out" in text and "lt_logits" in text and "FAIL" not in text
    assert main(["validate", str(engine), "--golden", golden, "--tolerance", "1e-12"]) == 1
    assert "FAIL" in capsys.readouterr().out
    assert main(["validate", str(engine), "--golden", golden, "--run_name", "other"]) == 2


@pytest.mark.parametrize("step", ["convert", "build", "generate_together"])
def test_a_demo_that_ends_early_leaves_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"ttsrt_rt.demo.{step}", interrupt)
    command = ["demo", "--size", "tiny", "--output_dir", str(tmp_path / "a" / "b")]
    assert main(command) == 130
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "other").touch()
    assert main(command) == 130
    assert [each.name for each in (tmp_path / "a" / "b").iterdir()] == ["other"]


def test_demo_refuses_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, told in (
        (["--size", "large"], "--size: expected one of tiny, mid, v2607, 2503, got 'large'"),
        (["--dtype", "fp16"], "--dtype: expected "),
        (["--num_requests", "0"], "--num_requests: expected 1 to"),
        (["--max_frames", "-1"], "--max_frames: expected 1 to"),
    ):
        assert main(["demo", "--output_dir", str(tmp_path / "demo"), *flags]) == 2
        assert told in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
    assert main(["demo", "--overwrite"]) == 2
    assert "--overwrite: expected --output_dir" in capsys.readouterr().err


def test_demo_of_a_model_without_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttsrt_rt.demo._CKPT_SIZES", {"2503": "tiny"})
    command = ["demo", "--size", "2503", "--max_frames", "8", "--num_requests", "2"]
    assert main([*command, "--output_dir", str(tmp_path / "demo")]) == 0
    assert (tmp_path / "demo" / "demo.ckpt").is_file()


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--size", "tiny", "--max_frames", "16", "--num_requests", "3"]
    assert main([*command, "--output_dir", str(tmp_path / "demo")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ttsrt_rt.demo.write_random_nemo", None)  # refused before it is called
        assert main([*command, "--output_dir", str(tmp_path / "demo")]) == 2
    captured = capsys.readouterr()
    assert f"{tmp_path / 'demo' / 'demo.nemo'} exists already; pass --overwrite" in captured.err
    text = captured.out
    assert "memory: weights " in text
    for heading in ("frames", "first frame", "frames/s", "x real time", "RTF", "ended by"):
        assert heading in text
    assert (tmp_path / "demo" / "engine" / "engine.json").is_file()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and rt.__version__ in capsys.readouterr().out
