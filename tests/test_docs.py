"""Runs every command of README and docs against tiny models, and checks links between pages.

The models have true tables of codes and positions, so the lengths and ids in the pages are valid.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import yaml

import ttsrt_rt as rt
from ttsrt_rt.audio import write_wav
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.convert.t3_voice import read_conds
from ttsrt_rt.llm import build_engine, convert_model
from ttsrt_rt.synth import (
    write_random_ckpt,
    write_random_codec,
    write_random_conds,
    write_random_f5,
    write_random_nemo,
    write_random_s3gen,
    write_random_t3,
    write_random_vocos,
    write_random_voice_encoder,
)
from ttsrt_rt.synth.front_end import front_end_of
from ttsrt_rt.synth.magpie_layout import CKPT_SIZES, NEMO_SIZES
from ttsrt_rt.synth.nanocodec_layout import SynthCodec
from ttsrt_rt.voice_file import write_voice

from . import docs_commands
from .conftest import DATA, source_of
from .docs_commands import CHANGED, LEFT, PAGES, commands, prepared, write_programs
from .house import ROOT
from .python.convert.test_magpie_fork import write_fork
from .python.export.t3_random import write_t3
from .python.export.t3_random import write_voice as write_random_voice

SIZES = {"codebooks": 8, "codebook_size": 2016, "max_positions": 1024, "max_frames": 60}
CODEC = SynthCodec(32, (8, 8, 8), 8, (8, 7, 6, 6), 4)
TEXT_LEN = 20


def write_sources(folder: Path) -> None:
    """The checkpoints that the pages convert."""
    nemo = dataclasses.replace(NEMO_SIZES["tiny"], voices=5, **SIZES)
    ckpt = dataclasses.replace(CKPT_SIZES["tiny"], text_vocab=98, **SIZES)
    write_random_nemo(folder / "magpie.nemo", nemo, seed=1)
    write_random_ckpt(folder / "t5tts.ckpt", ckpt, seed=1)
    write_random_codec(folder / "codec.nemo", CODEC, seed=1)
    write_dictionaries(folder, folder / "t5tts.hparams.yaml")
    (folder / "t5tts.hparams.yaml").rename(folder / "hparams.yaml")
    write_fork(folder / "trtllm_checkpoint")
    (folder / "TinyLlama-1.1B-Chat-v1.0").symlink_to(DATA.parent / "llm" / "tiny_llama")
    config = {
        "model_dir": "TinyLlama-1.1B-Chat-v1.0",
        "output": {"checkpoint_dir": "yaml-ckpt", "engine_dir": "yaml-engine"},
        "quantization": {"mode": "int8_weight_only"},
        "engine": {"max_input_len": 100, "max_output_len": 60},
    }
    (folder / "tinyllama_int8.yaml").write_text(yaml.safe_dump(config), "utf-8")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", seed=1)
    conds = write_random_conds(folder / "conds.pt", "tiny", seed=1)
    write_voice(folder / "me.safetensors", read_conds(conds, ["english"]))


def write_dictionaries(folder: Path, hparams: Path) -> None:
    """The dictionaries that the configuration of a `.ckpt` names by paths."""
    made = front_end_of(98)
    values = yaml.safe_load(hparams.read_text("utf-8"))
    g2p = made.tokenizers["english_phoneme"]["g2p"]
    (folder / "dictionaries").mkdir()
    for field in ("phoneme_dict", "heteronyms"):
        name = g2p[field].removeprefix("nemo:")
        plain = name.split("_", 1)[1]
        (folder / "dictionaries" / plain).write_bytes(made.files[name])
        g2p[field] = f"scripts/tts_dataset_files/{plain}"
    values["cfg"]["text_tokenizers"] = made.tokenizers
    hparams.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")


def write_f5_sources(folder: Path) -> None:
    """A release of F5-TTS, one of IndicF5, a vocoder, an S3Gen and a reference."""
    for name in ("F5TTS_v1_Base", "IndicF5"):
        (folder / name).mkdir()
    write_random_f5(folder / "F5TTS_v1_Base" / "model_1250000.safetensors", seed=1)
    write_random_f5(folder / "IndicF5" / "model.safetensors", seed=1, layout="indicf5")
    (folder / "IndicF5" / "config.json").write_text('{"model_type": "inf5"}', "utf-8")
    write_random_vocos(folder / "vocos-mel-24khz", seed=1)
    (folder / "s3gen").mkdir()
    write_random_s3gen(folder / "s3gen" / "s3gen_meanflow.safetensors", "tiny_meanflow", seed=1)
    write_random_voice_encoder(folder / "s3gen" / "ve.safetensors", "tiny_meanflow", seed=1)
    release = folder / "chatterbox"
    release.mkdir()
    write_random_t3(release / "t3_cfg.safetensors", "tiny", seed=1)
    write_random_s3gen(release / "s3gen.safetensors", "tiny", seed=1)
    write_random_voice_encoder(release / "ve.safetensors", "tiny", seed=1)
    write_random_conds(release / "conds.pt", "tiny", seed=1)
    tone = 0.3 * np.sin(np.arange(3 * 24000) / 20)
    write_wav(folder / "voice.wav", tone, 24000)


def write_arrays(folder: Path, dim: int) -> None:
    """The arrays that the pages pass to requests."""
    random = np.random.default_rng(1)
    ids = random.integers(0, 30, TEXT_LEN).astype(np.int32)
    (folder / "lines.txt").write_text("Hello world.\nGood morning.\n", "utf-8")
    (folder / "ids.json").write_text(json.dumps(ids.tolist()), "utf-8")
    np.save(folder / "ids.npy", ids)
    np.save(folder / "prompt.npy", random.integers(0, 2016, (10, 8)).astype(np.int32))
    rows = random.normal(size=(10, dim)).astype(np.float32)
    np.savez(folder / "stages.npz", encoder_out=random.normal(size=(TEXT_LEN, dim)), other=ids)
    np.save(folder / "speaker.npy", random.normal(size=256).astype(np.float32))
    np.save(folder / "prompt_tokens.npy", random.integers(0, 6561, 150))
    write_safetensors(folder / "voice.safetensors", {"rows": tensor_of_array("rows", rows)})


def write_golden_case(folder: Path) -> None:
    """A case of the original implementation, and a quantized engine of its checkpoint."""
    rt.convert(source_of("tinyhf"), folder / "golden.checkpoint", progress=False)
    rt.build(folder / "golden.checkpoint", folder / "golden.w8a16", quantization="w8a16")
    (folder / "case.json").symlink_to(DATA / "tinyhf.json")
    (folder / "case.lt_cfg_noprior_kv.npz").symlink_to(DATA / "tinyhf.lt_cfg_noprior_kv.npz")


def build_engines(folder: Path) -> None:
    """Converts and builds what commands before those of a page would have made."""
    rt.convert(folder / "magpie.nemo", folder / "made.checkpoint", progress=False)
    engines = folder / "engines"
    engines.mkdir()
    rt.convert(
        folder / "t5tts.ckpt",
        engines / "2503.checkpoint",
        config=folder / "hparams.yaml",
        progress=False,
    )
    (engines / "v2607.checkpoint").symlink_to(folder / "made.checkpoint")
    rt.build(folder / "made.checkpoint", folder / "made.voices")
    rt.build(engines / "2503.checkpoint", folder / "made.contexts")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    write_programs(folder, sys.executable, ROOT)
    write_sources(folder)
    write_f5_sources(folder)
    write_arrays(folder, NEMO_SIZES["tiny"].dim)
    build_engines(folder)
    write_golden_case(folder)
    write_t3(folder / "t3.checkpoint", "english")
    for name in ("anna", "ben"):
        write_random_voice(folder / f"{name}.safetensors", "english")
    return folder


def put_in_place(folder: Path, text: str) -> None:
    """Makes `engine` the kind of engine that a command needs, and removes what it will write."""
    engine = folder / "engine"
    if engine.is_symlink():
        engine.unlink()
    elif engine.is_dir():
        engine.rename(folder / f"built.{len(list(folder.iterdir()))}")
    if "--output_dir engine" not in text:
        takes_rows = "--context_codes" in text or "--context_embeddings" in text
        engine.symlink_to(folder / ("made.contexts" if takes_rows else "made.voices"))
    checkpoint = folder / "ckpt"
    if re.search(r"convert \S+ ckpt", text) and checkpoint.is_dir():
        checkpoint.rename(folder / f"converted.{len(list(folder.iterdir()))}")
    elif "--checkpoint_dir ckpt" in text and not checkpoint.exists():
        checkpoint.symlink_to(folder / "made.checkpoint")


def make_what_earlier_commands_make(folder: Path, text: str) -> None:
    """Builds engines and writes the data set that a command names, where they are absent."""
    for path, name, size in re.findall(r"(engines/(\w+)\.bfloat16(?:\.(\d+))?\.engine)", text):
        if not (folder / path).exists():
            checkpoint = folder / "engines" / f"{name}.checkpoint"
            rt.build(checkpoint, folder / path, dtype="bfloat16", max_batch_size=int(size or 1))
    if "--trtllm trtllm" in text and not (folder / "trtllm").exists():
        run(folder, next(each.text for each in commands() if "export-trtllm" in each.text))
    if "--dataset samples.json" in text and not (folder / "samples.json").exists():
        run(folder, next(each.text for each in commands() if "bench prepare" in each.text))


def make_codec_engines(folder: Path, text: str) -> None:
    """Makes what docs/codec.md makes, before a command that names it; what it will write goes."""
    for name in ("codec-ckpt", "speech-ckpt", "codec-engine", "speech-engine", "contexts-engine"):
        path = folder / name
        if re.search(rf"(convert \S+|--output_dir) {name}\b", text):
            if path.exists():
                path.rename(folder / f"codec.{len(list(folder.iterdir()))}")
            continue
        if name not in text or path.exists():
            continue
        codec = folder / "made.codec"
        if not codec.exists():
            rt.convert(folder / "codec.nemo", codec, progress=False)
        if name == "codec-ckpt":
            path.symlink_to(codec)
        elif name == "speech-ckpt":
            path.symlink_to(folder / "made.checkpoint")
        elif name == "codec-engine":
            rt.build(codec, path)
        else:
            of = "made.checkpoint" if name == "speech-engine" else "engines/2503.checkpoint"
            rt.build(folder / of, path, codec_dir=codec)
    if "voice me" in text and not (folder / "contexts-engine" / "voices").exists():
        run(folder, next(each.text for each in commands() if "--audio voice.wav" in each.text))
    if "--checkpoint_dir llm-ckpt" in text and not (folder / "llm-ckpt").exists():
        rt.convert(folder / "TinyLlama-1.1B-Chat-v1.0", folder / "llm-ckpt", progress=False)
    for name, command in (("s3gen-ckpt", "--checkpoint_dir"), ("s3gen-checkpoint", "voice")):
        if f"{command} {name}" in text and not (folder / name).exists():
            source = folder / "s3gen" / "s3gen_meanflow.safetensors"
            rt.convert(source, folder / name, progress=False)
    if "--codes codes.npy" in text:
        np.save(folder / "codes.npy", np.zeros((5, 8), np.int32))


def make_llm_engines(folder: Path, text: str) -> None:
    """Makes what docs/llm.md makes, before a command that names it; what it will write goes."""
    engine = folder / "llm-engine"
    if "--output_dir llm-engine" in text and engine.exists():
        engine.rename(folder / "made.llm-engine")
    elif "ttsrt memory llm-engine" in text and not engine.exists():
        rt.convert(folder / "TinyLlama-1.1B-Chat-v1.0", folder / "made.llm", progress=False)
        rt.build(folder / "made.llm", engine, max_input_len=100, max_seq_len=200)
    config = folder / "tinyllama_int8.yaml"
    if f"--config {config.name}" not in text or "ttsrt convert" in text:
        return
    values = yaml.safe_load(config.read_text("utf-8"))
    output = {name: str(folder / value) for name, value in values["output"].items()}
    values |= {"model_dir": str(folder / values["model_dir"]), "output": output}
    if not Path(output["checkpoint_dir"]).exists():
        convert_model(values, progress=False)
    if "ttsrt build" not in text and not Path(output["engine_dir"]).exists():
        build_engine(values, progress=False)


def run(folder: Path, command: str) -> None:
    programs = f"{folder}/.venv/bin:{sysconfig.get_path('scripts')}"
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path[:1], os.environ.get("PYTHONPATH")])),
        "VIRTUAL_ENV": sys.prefix,
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_pages_have_commands() -> None:
    found = commands()
    assert {"README.md", "docs/convert.md", "docs/benchmarks.md"} <= {each.page for each in found}
    assert any("\\\n" in each.text for each in found), "no continued line was joined"


@pytest.mark.parametrize("rule", [*LEFT, *CHANGED], ids=lambda rule: rule.pattern)
def test_every_rule_is_needed(rule: docs_commands.Left | docs_commands.Changed) -> None:
    assert any(re.search(rule.pattern, each.text, re.MULTILINE) for each in commands())


@pytest.mark.parametrize("text", dict.fromkeys(each.text for each in commands()))
def test_command(sandbox: Path, text: str) -> None:
    command = prepared(text)
    if command is None:
        return  # the rule says what runs it; test_every_rule_is_needed counts the rules
    put_in_place(sandbox, command)
    make_what_earlier_commands_make(sandbox, command)
    make_codec_engines(sandbox, command)
    make_llm_engines(sandbox, command)
    run(sandbox, command)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_installs_are_of_the_checkout(page: str) -> None:
    """The package is on no index, so no page installs it from one."""
    text = (ROOT / page).read_text("utf-8")
    assert re.findall(r"pip install[^\n`]*\bttsrt_rt\b[^\n`]*", text) == []
