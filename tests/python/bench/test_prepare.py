"""The data set that `bench prepare` writes has the fork's schema, and one seed gives one file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.prepare import DatasetOptions, Lengths, make_samples, write_dataset


def test_the_forks_schema(tmp_path: Path) -> None:
    options = DatasetOptions(samples=3)
    written = json.loads(write_dataset(tmp_path / "samples.json", options).read_text())
    assert list(written) == ["metadata", "samples"]
    name = (
        "workload_type:token-norm-dist__input_mean:128__input_stdev:0__output_mean:375"
        "__output_stdev:0__num_requests:3__tokenize_vocabsize:16384__max_input_len:128"
        "__max_output_len:375"
    )
    assert written["metadata"] == {
        "workload_type": "token-norm-dist",
        "input_mean": 128,
        "input_stdev": 0,
        "output_mean": 375,
        "output_stdev": 0,
        "num_requests": 3,
        "tokenize_vocabsize": 2048 * 8,
        "max_input_len": 128,
        "max_output_len": 375,
        "workload_name": name,
    }
    assert len(written["samples"]) == 3
    for sample in written["samples"]:
        assert list(sample) == ["input_len", "output_len", "task_id", "input_ids", "context_ids"]
        assert (sample["input_len"], sample["output_len"], sample["task_id"]) == (128, 375, -1)
        assert len(sample["input_ids"]) == 128 and max(sample["input_ids"]) < 98
        columns = np.reshape(sample["context_ids"], (225, 8))
        books = np.arange(8) * 2048
        assert (columns[0] == books).all()
        assert ((columns >= books) & (columns < books + 2048)).all()


def test_features_in_place_of_ids() -> None:
    options = DatasetOptions(samples=1, text_emb_dim=6, input_len=Lengths(5, 0, 5, 5))
    sample = next(make_samples(options))
    assert "input_ids" not in sample
    assert len(sample["input_feat"]) == 30 and isinstance(sample["input_feat"][0], float)


def test_lengths_are_clipped_integer_parts() -> None:
    random = np.random.default_rng(3)
    lengths = [Lengths(20, 10, 15, 22).draw(random) for _ in range(200)]
    again = np.random.default_rng(3)
    assert lengths == [min(max(15, int(again.normal(20, 10))), 22) for _ in range(200)]
    assert min(lengths) == 15 and max(lengths) == 22


def test_one_seed_one_data_set(tmp_path: Path) -> None:
    wide = Lengths(20, 5, 1, 40)
    texts = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        options = DatasetOptions(
            samples=4, seed=seed, input_len=wide, context_len=wide, output_len=wide
        )
        texts.append(write_dataset(tmp_path / name, options).read_bytes())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 0}, "samples: expected 1 to"),
        ({"num_vocabs": 1000}, "num_vocabs: expected 1 to 256, got 1000"),
        ({"audio_vocab_size": 0}, "audio_vocab_size"),
        ({"text_emb_dim": 0}, "text_emb_dim"),
        ({"seed": -1}, "seed"),
        ({"input_len": Lengths(5, 0, 9, 8)}, "input_len MIN: expected 1 to 8, got 9"),
        ({"context_len": Lengths(5, 0, 0, 8)}, "context_len MIN: expected 1 to 8, got 0"),
        ({"output_len": Lengths(5, -1, 1, 8)}, "output_len STD"),
        ({"output_len": Lengths(5, 0, 1, 1 << 30)}, "output_len MAX"),
    ],
)
def test_senseless_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        DatasetOptions(**values)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match="expected a folder that exists"):
        write_dataset(tmp_path / "none" / "samples.json", DatasetOptions(samples=1))
