"""Checkpoints whose configuration forces the id that ends speech, against NeMo 3.0.0.

The original's `clear_forbidden_logits` counts special ids from the codec's K codes: it forbids K+1
before the minimum number of frames and the other special ids always, whichever id ends speech. So a
forced end may come before the minimum, or never. `strict_end=True` goes by the forced id instead.
"""

from __future__ import annotations

import io
import json
import logging
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ttsrt_rt as rt
from tests.conftest import source_of
from tests.devices import DEVICES
from ttsrt_rt.golden import Golden

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
RUNS = json.loads((DATA / "forced_end.json").read_text())


def with_config(source: Path, target: Path, changes: dict[str, Any]) -> Path:
    """Copies a .nemo with some fields of its configuration changed."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name.endswith("model_config.yaml"):
                content = yaml.safe_dump({**yaml.safe_load(content), **changes}).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


def convert_run(run: dict[str, Any], folder: Path, *, is_given: bool = True) -> Path:
    source = with_config(source_of("tinyeos"), folder / "forced.nemo", run["forced"])
    size = run["codebook_size"] if is_given else None
    return rt.convert(source, folder / "checkpoint", codebook_size=size, progress=False)


def requests_of(run: dict[str, Any], executor: rt.Executor) -> list[rt.Request]:
    """The requests of a golden run of the same weights, with this run's options."""
    return [
        replace(
            request,
            max_frames=run["steps"] * executor.engine.info.frame_stacking,
            min_frames=run["min_frames"],
            use_local_transformer=run["local_transformer"],
            eos_method=None,
        )
        for request in Golden(DATA / "tinyeos.nolt_any.npz").requests(executor)
    ]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", list(RUNS))
def test_codes_are_the_originals(name: str, device: str, tmp_path: Path) -> None:
    run = RUNS[name]
    rt.build(convert_run(run, tmp_path), tmp_path / "engine", dtype="float32")
    with rt.Executor(tmp_path / "engine", device=device) as executor:
        requests = requests_of(run, executor)
        results = executor.generate(requests)
        for result, expected in zip(results, run["codes"], strict=True):
            np.testing.assert_array_equal(result.codes, expected, name)
        end = run["forced"]["forced_audio_eos_id"]
        strict = executor.generate([replace(each, strict_end=True) for each in requests])
        for result in strict:
            assert len(result.codes) >= run["min_frames"] // 2 * 2
            assert end not in result.codes
        if name == "outside_min7":  # the quirk, and ours
            assert [len(result.codes) for result in results] == [1, 1]
            assert min(len(result.codes) for result in strict) >= 6


def test_a_guess_is_said_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from ttsrt_rt.cli import main

    run = RUNS["inside_min0"]
    with caplog.at_level(logging.WARNING):
        checkpoint = convert_run(run, tmp_path, is_given=False)
    told = caplog.text
    assert "codebook_size: " in told and "guessed 24, so that ids 24 to 31 are special" in told
    assert "forces 27 as the end of speech" in told and "strict_end=True" in told
    source = json.loads((checkpoint / "config.json").read_text())["source"]
    assert source["codebook_size_guess"] == 24 and source["forced_audio_eos"] == 27
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        rt.build(checkpoint, tmp_path / "engine", dtype="float32")
    assert "codebook_size was guessed as 24" in caplog.text
    for folder in (checkpoint, tmp_path / "engine"):
        assert main(["inspect", str(folder)]) == 0
        assert "source.codebook_size_guess: 24" in capsys.readouterr().out


def test_a_given_codebook_size_is_no_guess(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        checkpoint = convert_run(RUNS["outside_min0"], tmp_path)
    assert "guessed" not in caplog.text
    config = json.loads((checkpoint / "config.json").read_text())
    assert "codebook_size_guess" not in config["source"]
    assert config["model"]["tokens"]["minimum_forbids"] == 17
    assert config["model"]["tokens"]["forbidden"] == [16, 18, 19, 20, 21, 22, 23]
