"""Reading data sets: a message names the file, the sample, what was expected and what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench import dataset as dataset_module
from ttsrt_rt.bench.dataset import DatasetShape, read_dataset
from ttsrt_rt.bench.prepare import DatasetOptions, Lengths, write_dataset

SHAPE = DatasetShape(num_vocabs=2, audio_vocab_size=10, dim=3)


def write(path: Path, contents: Any) -> Path:
    path.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    return path


def sample(**changes: Any) -> dict[str, Any]:
    """A valid sample with changes; a value of None removes the key."""
    good = {"input_len": 2, "output_len": 4, "task_id": -1, "input_ids": [1, 2]}
    good |= {"context_ids": [0, 10, 9, 19]} | changes
    return {key: value for key, value in good.items() if value is not None}


def file_of(tmp_path: Path, **changes: Any) -> Path:
    contents = {"metadata": {"tokenize_vocabsize": 20}, "samples": [sample(), sample(**changes)]}
    return write(tmp_path / "set.json", contents)


def test_what_prepare_writes_is_read(tmp_path: Path) -> None:
    options = DatasetOptions(
        samples=5, num_vocabs=4, audio_vocab_size=96, context_len=Lengths(7, 2, 3, 9)
    )
    path = write_dataset(tmp_path / "samples.json", options)
    read = read_dataset(path, DatasetShape(4, 1, 3))  # the metadata says 96
    raw = json.loads(path.read_text())["samples"]
    assert len(read.samples) == 5
    for got, expected in zip(read.samples, raw, strict=True):
        assert got.output_len == 375 and got.text_features is None
        assert got.text_ids is not None and got.text_ids.tolist() == expected["input_ids"]
        assert got.context_codes is not None and got.context_codes.dtype == np.int32
        offsets = np.arange(4) * 96
        assert (got.context_codes + offsets).ravel().tolist() == expected["context_ids"]
        assert not got.context_codes[0].any()
    assert len(read_dataset(path, DatasetShape(4, 1, 3), max_samples=2).samples) == 2


def test_features_are_rows(tmp_path: Path) -> None:
    changes = {"input_ids": None, "input_feat": [1, 2.5, 3, 4, 5, 6], "context_ids": None}
    path = file_of(tmp_path, **changes, context_feat=[0.5, 1, 2], id="real")
    got = read_dataset(path, SHAPE).samples[1]
    assert got.text_ids is None and got.context_codes is None
    assert got.text_features is not None and got.text_features.tolist() == [[1, 2.5, 3], [4, 5, 6]]
    assert got.context_features is not None and got.context_features.tolist() == [[0.5, 1, 2]]


def test_without_metadata_the_engine_says_how_large_tables_are(tmp_path: Path) -> None:
    path = write(tmp_path / "set.json", {"samples": [sample()]})
    codes = read_dataset(path, SHAPE).samples[0].context_codes
    assert codes is not None and codes.tolist() == [[0, 0], [9, 9]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_len": 0}, r"samples\[1\]\.output_len: expected an integer in 1\.\.65536, got 0"),
        ({"output_len": True}, r"samples\[1\]\.output_len: .* got True"),
        ({"output_len": None}, r"output_len: .* got nothing"),
        ({"input_len": 3}, r"samples\[1\]\.input_len: expected the 2 of its text, got 3"),
        ({"input_ids": None}, r"expected either input_ids or input_feat, got none"),
        ({"input_feat": [1, 2, 3]}, r"expected either input_ids or input_feat, got both"),
        ({"input_ids": []}, r"input_ids: expected a list of 1 to"),
        ({"input_ids": [1, 2.0]}, r"input_ids\[1\]: expected an integer"),
        ({"input_ids": [1, False]}, r"input_ids\[1\]: expected an integer .* got False"),
        ({"input_ids": [1, -1]}, r"input_ids\[1\]: expected an integer .* got -1"),
        ({"input_ids": [1, 2**40]}, r"input_ids\[1\]: expected an integer"),
        ({"input_ids": [[1], [2]]}, r"input_ids\[0\]: .* got list of 1"),
        ({"input_ids": "12"}, r"input_ids: expected a list .* got str of 2"),
        ({"context_ids": [0, 10, 9]}, r"context_ids: expected columns of 2 codes .*, got 3"),
        ({"context_ids": [0, 9]}, r"context_ids\[1\]: expected 10 to 19 in codebook 1, got 9"),
        ({"context_ids": [0, 10, 10, 11]}, r"context_ids\[2\]: expected 0 to 9 .* got 10"),
        ({"context_feat": [1.0, 2.0]}, r"context_feat: expected rows of 3 numbers, got 2"),
        ({"context_feat": [1.0, 2.0, float("nan")]}, r"context_feat\[2\]: .* finite .* got nan"),
        ({"context_feat": [1.0, 2.0, float("inf")]}, r"context_feat\[2\]: .* finite"),
        ({"context_feat": [1.0, 2.0, "3"]}, r"context_feat\[2\]: .* got str of 1"),
    ],
)
def test_bad_samples(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.FormatError, match=r"set\.json.*" + message):
        read_dataset(file_of(tmp_path, **changes), SHAPE)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"samples": [' + "9" * 5000 + "]}", "expected JSON"),
        (b"\xff\xfe\x00{", "expected JSON"),
        ([], "expected metadata and a list of samples, got list of 0"),
        ({"samples": {}}, "expected metadata and a list of samples"),
        ({"samples": []}, "samples: expected 1 to 131072, got 0"),
        ({"samples": [7]}, r"samples\[0\]: expected a mapping, got 7"),
        ({"samples": [sample()], "metadata": 3}, "metadata: expected a mapping, got 3"),
        (
            {"samples": [sample()], "metadata": {"tokenize_vocabsize": 21}},
            "tokenize_vocabsize: expected a multiple of the 2 codebooks",
        ),
        (
            {"samples": [sample()], "metadata": {"tokenize_vocabsize": "20"}},
            "tokenize_vocabsize: expected an integer",
        ),
    ],
)
def test_bad_files(tmp_path: Path, contents: Any, message: str) -> None:
    path = tmp_path / "set.json"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    else:
        write(path, contents)
    with pytest.raises(rt.FormatError, match=message):
        read_dataset(path, SHAPE)


def test_no_file_and_arguments_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match="no such file"):
        read_dataset(tmp_path / "none.json", SHAPE)
    with pytest.raises(rt.ConfigError, match="max_num_samples: expected 1 to"):
        read_dataset(file_of(tmp_path), SHAPE, max_samples=0)
    with pytest.raises(rt.ConfigError, match="num_vocabs"):
        read_dataset(file_of(tmp_path), DatasetShape(0, 10, 3))


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "MAX_FILE_BYTES", 100)
    with pytest.raises(rt.FormatError, match="expected at most 100 bytes, got"):
        read_dataset(file_of(tmp_path), SHAPE)
