"""How much of the text before a later chunk reads again: `text_history`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.magpie_json import read_defaults, read_model

CHUNKS = [6, 5, 4]


def spoken(engine: Path, **fields: Any) -> rt.Result:
    with rt.Executor(engine, device=NATIVE) as executor:
        return executor.generate(
            text_ids=list(range(sum(CHUNKS))),
            text_chunks=CHUNKS,
            voice=0,
            seed=3,
            max_frames=60,
            **fields,
        )


def offsets(result: rt.Result) -> list[int]:
    """Where the windows of the first two chunks begin."""
    assert result.chunk_offsets is not None
    found: list[int] = result.chunk_offsets.tolist()
    return found[:2]


def test_a_request_says_how_much(engine: Path) -> None:
    assert offsets(spoken(engine)) == [0, 1]
    assert offsets(spoken(engine, text_history=20)) == [0, 1]
    assert offsets(spoken(engine, text_history=2)) == [0, 4]


def test_a_checkpoint_says_how_much(
    checkpoint_of: Callable[[str], Path], engine: Path, tmp_path: Path
) -> None:
    with pytest.raises(rt.ConfigError, match="checkpoint has no history_len_heuristic"):
        spoken(engine, text_history="checkpoint")
    folder = shutil.copytree(checkpoint_of("tinyhf"), tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["defaults"]["text_history"] = 1
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    block = Block(config, "", rt.FormatError)
    model = read_model(block.block("model"))
    assert read_defaults(block.block("defaults"), model).text_history == 1
    rt.build(folder, tmp_path / "engine", progress=False)
    assert offsets(spoken(tmp_path / "engine", text_history="checkpoint")) == [0, 5]
    made, plain = (spoken(tmp_path / "engine", text_history=each) for each in (1, None))
    assert offsets(made) == [0, 5] != offsets(plain)


@pytest.mark.parametrize("wrong", [0, -1, 4097, "all", 1.5])
def test_wrong_numbers_are_refused(engine: Path, wrong: Any) -> None:
    with pytest.raises(rt.ConfigError, match="text_history"):
        spoken(engine, text_history=wrong)
