"""Parts of the step benchmark on tiny checkpoints of both layouts. No time is asserted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import step_turns
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo


@pytest.fixture(scope="module", params=["nemo", "ckpt"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("step_turns")
    write: Callable[..., Path] = {"nemo": write_random_nemo, "ckpt": write_random_ckpt}[
        request.param
    ]
    source = write(folder / f"tiny.{request.param}", "tiny")
    return rt.convert(source, folder / "checkpoint", progress=False)


@pytest.fixture
def fields(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The benchmark's request, cut to a model whose texts and contexts are short."""
    monkeypatch.setattr(step_turns, "_FRAMES", 8)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_turns, "_CONTEXT_COLUMNS", 6)
    return step_turns.request_fields(checkpoint)


def test_weights_of_a_step(checkpoint: Path) -> None:
    opened = open_checkpoint(checkpoint)
    model = opened.model
    decoder, inner = model.decoder, model.decoder.cross_heads * model.decoder.cross_head_dim
    layer = 4 * model.dim**2 + 2 * model.dim * decoder.ffn_dim * decoder.kernel + 2 * model.dim
    cross = 2 * inner * model.dim + model.dim  # keys and values were made before
    final = model.tables * model.codebook_vocab * (model.dim + 1)
    norm = model.dim if decoder.norm_out else 0
    local = sum(
        int(np.prod(tensor.shape))
        for name, tensor in opened.weights.items()
        if name.startswith("local_transformer.") and not name.endswith("positions")
    )
    expected = decoder.layers * (layer + cross) + final + local
    assert expected <= step_turns.step_weights(checkpoint) <= expected + norm


def test_the_request_fits_its_model(checkpoint: Path, fields: dict[str, object]) -> None:
    model = open_checkpoint(checkpoint).model
    assert ("voice" in fields) == (model.context == "voices")
    assert ("context_codes" in fields) == (model.context != "voices")
    assert rt.Request(**fields).max_frames == 8


def test_one_turn(checkpoint: Path, fields: dict[str, object], tmp_path: Path) -> None:
    rt.build(checkpoint, tmp_path / "engine", max_batch_size=1)
    step_ms = step_turns.native_turn(tmp_path / "engine", fields)()
    assert math.isfinite(step_ms) and step_ms > 0


def test_cases_are_dtypes_then_quantizations() -> None:
    cases = step_turns.cases_of(["float32", "bfloat16"], ["none", "w8a16", "w4a8"])
    assert [case.name for case in cases] == ["float32", "bfloat16", "w8a16", "w4a8"]
    assert [case.dtype for case in cases] == ["float32", "bfloat16", "bfloat16", "bfloat16"]
    assert [case.item_bytes for case in cases] == [4, 2, 1, 0.5 + 2 / 64]
    assert [case.name for case in step_turns.cases_of(["bfloat16"], ["w8a8"])] == ["w8a8"]


def test_figures_of_the_table() -> None:
    turns = step_turns.Turns("ours", 3_000_000, step_ms=[2.0, 1.0, 3.0], bandwidth=[3.0, 3.0])
    assert turns.row() == ["ours", "2.0", "1.0", "3.0", "1.5", "50 %"]


def test_a_random_checkpoint_touches_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source that it is made from is written beside it for a moment."""
    (tmp_path / "2503.ckpt").write_text("mine")

    def write_small(path: Path, size: str, seed: int) -> Path:
        assert size == "true"
        return write_random_ckpt(path, "tiny", seed)

    monkeypatch.setattr("ttsrt_rt.synth.write_random_ckpt", write_small)
    assert step_turns.make_checkpoint("2503", tmp_path) == tmp_path / "2503.checkpoint"
    assert (tmp_path / "2503.ckpt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2503.checkpoint", "2503.ckpt"]
