"""Random models of true size: a checkpoint for each, and an engine for each precision.

All are made once per folder, several at a time. Magpie's come from `ttsrt_rt.synth`, T3's from
`bench.t3_peers`; the language model has TinyLlama's sizes. Small models of the same kinds are for
tests.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu_steps.cases import Case
from bench.t3_peers.models import made_at_once, write_checkpoint
from bench.t3_peers.shape import SIZES, Words
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.options import DType

__all__ = ["BATCH", "LLM_SIZES", "draw", "engine_path", "make_engine", "make_engines", "write_llm"]

Change = Callable[[str, Words], Words]

_MAKERS = 4  # models at a time
_WRITERS = 8  # tensors at a time
_MOST_ALONE = 64  # requests of an engine that is measured with the engine's own limits
_POSITIONS = 1024
_TEXT = 512
_PREFIX = 34  # rows of T3's voices
BATCH = {"2503": 64, "v2607": 128, "t3": 32, "tinyllama": 4}

# "true": TinyLlama's sizes: 1.1e9 weights with both tables. "draft": those of llama-160m, which has
# its vocabulary.
LLM_SIZES = {
    "true": {
        "layers": 22,
        "dim": 2048,
        "ffn_dim": 5632,
        "heads": 32,
        "kv_heads": 4,
        "vocab": 32000,
    },
    "draft": {
        "layers": 12,
        "dim": 768,
        "ffn_dim": 3072,
        "heads": 12,
        "kv_heads": 12,
        "vocab": 32000,
    },
    "tiny": {"layers": 2, "dim": 64, "ffn_dim": 96, "heads": 4, "kv_heads": 2, "vocab": 320},
    "tiny_draft": {"layers": 1, "dim": 48, "ffn_dim": 64, "heads": 3, "kv_heads": 1, "vocab": 320},
}
_HEAD_DIM = {"true": 64, "draft": 64, "tiny": 16, "tiny_draft": 16}


def engine_path(folder: Path, size: str, case: Case) -> Path:
    """Where the engine of a case is kept."""
    return folder / f"{case.model}.{size}.{case.quantization}.engine"


def make_engines(
    folder: Path, size: str, cases: Iterable[Case], progress: Callable[[str], object]
) -> None:
    """Makes the checkpoints and the engines of all cases that `folder` lacks.

    Args:
        folder: Keeps them.
        size: "true" or "tiny".
        cases: What will be measured.
        progress: Told the name of each engine as it is there.
    """
    wanted: dict[str, dict[Path, Case]] = {}
    for case in cases:
        wanted.setdefault(case.model, {})[engine_path(folder, size, case)] = case
    with ThreadPoolExecutor(_MAKERS) as pool:
        checkpoints = {
            model: pool.submit(_checkpoint, folder, size, model)
            for model, engines in wanted.items()
            if not all(path.exists() for path in engines)
        }
        builds: list[tuple[Path, Future[None] | None]] = []
        for model, engines in wanted.items():
            for path, case in engines.items():
                if path.exists():
                    builds.append((path, None))
                    continue
                checkpoint = checkpoints[model].result()
                builds.append((path, pool.submit(_build, checkpoint, path, size, case)))
        for path, built in builds:
            if built is not None:
                built.result()
            progress(path.name)


def make_engine(folder: Path, size: str, model: str, dtype: DType) -> Path:
    """The engine of a model without quantization in another type, made if `folder` lacks it."""
    engine = folder / f"{model}.{size}.{dtype}.engine"
    if not engine.exists():
        case = Case(model, model, "steps", model)
        _build(_checkpoint(folder, size, model), engine, size, case, dtype, _MOST_ALONE)
    return engine


def _checkpoint(folder: Path, size: str, model: str) -> Path:
    path = folder / f"{model}.{size}.checkpoint"
    if path.exists():
        return path
    if model == "t3":
        with made_at_once(path) as made:
            write_checkpoint(SIZES[size], made)
    elif model == "tinyllama":
        with made_at_once(path) as made:
            write_llm(size, made)
    else:
        _write_magpie(path, size, model)
    return path


def _write_magpie(path: Path, size: str, model: str) -> None:
    from ttsrt_rt.convert import convert
    from ttsrt_rt.synth import write_random_ckpt, write_random_nemo

    with tempfile.TemporaryDirectory(prefix=".ttsrt-", dir=path.parent) as made:
        source = Path(made) / ("model.ckpt" if model == "2503" else "model.nemo")
        if model == "2503":
            write_random_ckpt(source, size, seed=1)
        else:
            write_random_nemo(source, "v2607" if size == "true" else size, seed=1)
        convert(source, path, progress=False)


def _build(
    checkpoint: Path,
    engine: Path,
    size: str,
    case: Case,
    dtype: DType = "bfloat16",
    batch: int = 128,
) -> None:
    from ttsrt_rt.build import build

    positions = _POSITIONS if size == "true" else 256
    limits = {"2503": (_TEXT, 256), "v2607": (_TEXT, 256), "t3": (_PREFIX, _TEXT)}
    context, text = limits.get(case.model, (_TEXT, 0))
    build(
        checkpoint,
        engine,
        progress=False,
        dtype=dtype,
        quantization=case.quantization,
        max_batch_size=min(BATCH[case.model], batch),
        max_seq_len=positions,
        max_input_len=min(context, positions // 2),
        max_encoder_input_len=text,
        max_num_tokens=_POSITIONS,
    )


def write_llm(size: str, folder: Path, change: Change = lambda name, values: values) -> None:
    """Writes the two files of a checkpoint of the family "llm" into an empty folder.

    Args:
        size: Of `LLM_SIZES`.
        folder: Takes them.
        change: Returns the values of a tensor, given its name and random ones, as the words of
            bfloat16; it may be called by several threads.
    """
    sizes, head_dim = LLM_SIZES[size], _HEAD_DIM[size]
    dim, ffn = sizes["dim"], sizes["ffn_dim"]
    inner = sizes["heads"] * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (sizes["vocab"], dim),
        "head": (sizes["vocab"], dim),
        "decoder.norm_out": (dim,),
    }
    for layer in range(sizes["layers"]):
        where = f"decoder.layers.{layer}."
        shapes[where + "self_norm"] = shapes[where + "ffn_norm"] = (dim,)
        shapes[where + "self_qkv"] = (inner + 2 * sizes["kv_heads"] * head_dim, dim)
        shapes[where + "self_out"] = (dim, inner)
        shapes[where + "ffn_in"] = (2 * ffn, dim)
        shapes[where + "ffn_out"] = (dim, ffn)
    config = {
        "format": "ttsrt.checkpoint",
        "format_version": 1,
        "family": "llm",
        "source": {},
        "model": _llm_model(sizes, head_dim),
        "defaults": {
            "cfg_scale": 1.0,
            "temperature": 0.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "max_frames": 100,
            "min_frames": 0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with ThreadPoolExecutor(_WRITERS) as pool:
        drawn = {
            name: pool.submit(lambda name, shape: change(name, draw(name, shape)), name, shape)
            for name, shape in shapes.items()
        }
        sources = {name: ("bfloat16", shape, drawn[name].result) for name, shape in shapes.items()}
        write_safetensors(folder / "model.safetensors", sources)


def _llm_model(sizes: dict[str, int], head_dim: int) -> dict[str, Any]:
    stack = {name: sizes[name] for name in ("layers", "dim", "ffn_dim", "heads", "kv_heads")}
    decoder = {
        **stack,
        "head_dim": head_dim,
        "max_positions": 2048,
        "learned_positions": False,
        "parallel": False,
        "norm": "rms",
        "norm_bias": False,
        "norm_epsilon": 1e-5,
        "attention_bias": False,
        "attention_scale": None,
        "rope": {"kind": "default", "dims": head_dim, "theta": 10000.0},
        "activation": "silu",
        "gated": True,
        "ffn_bias": False,
    }
    return {"vocab": sizes["vocab"], "eos": 2, "head_bias": False, "decoder": decoder}


def draw(name: str, shape: tuple[int, ...]) -> Words:
    """The values of a tensor as bfloat16: ones for a norm, otherwise normal with deviation 0.02."""
    if len(shape) == 1:
        return np.full(shape, 0x3F80, np.uint16)
    random = np.random.Generator(np.random.SFC64(zlib.crc32(name.encode())))
    values = random.standard_normal(shape, np.float32)
    values *= np.float32(0.02)
    return (values.view(np.uint32) >> 16).astype(np.uint16)
