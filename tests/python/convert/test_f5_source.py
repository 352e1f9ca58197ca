"""Which tensors of a file are the network and which the vocoder; entries of `.pt` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert.f5_source import F5Source, looks_like_f5, split_names
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.errors import ClosedError, ConfigError, FormatError
from ttsrt_rt.synth import write_random_f5, write_random_nemo, write_random_t3, write_random_vocos
from ttsrt_rt.synth.torch_writer import SynthTensor, write_torch_tree


def named(*names: str) -> dict[str, LazyTensor]:
    made = np.zeros(1, np.float32)
    return {name: LazyTensor(name, "float32", (1,), 4, lambda: made) for name in names}


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "ema_model.",
        "ema_model._orig_mod.",
        "model.",
        "ema_model.model.",
        "module.",
        "_orig_mod.",
    ],
)
def test_wrappers_are_removed(prefix: str) -> None:
    names = split_names(named(f"{prefix}transformer.proj_out.bias"))
    assert list(names.network) == ["proj_out.bias"]
    assert names.is_averaged == prefix.startswith("ema_model.")


def test_vocoders_and_counters_are_sorted_out() -> None:
    names = split_names(
        named(
            *("initted", "step", "ema_model.mel_spec.mel_stft.spectrogram.window"),
            *("ema_model._orig_mod.transformer.a", "vocoder._orig_mod.head.out.weight"),
        )
    )
    assert list(names.network) == ["a"]
    assert list(names.vocoder) == ["head.out.weight"]


def test_names_that_clash_or_belong_nowhere_are_refused() -> None:
    with pytest.raises(FormatError, match="'a' twice without wrappers"):
        split_names(named("transformer.a", "ema_model.transformer.a"))
    with pytest.raises(FormatError, match=r"unexpected tensors: other.a"):
        split_names(named("transformer.a", "other.a"))
    with pytest.raises(FormatError, match="expected tensors of F5-TTS"):
        split_names(named("step"))


def test_a_closed_file_is_not_read(tmp_path: Path) -> None:
    path = write_random_f5(tmp_path / "model_1.pt")
    with F5Source(path, root=None, use_ema=None) as source:
        tensor = next(iter(source.tensors.values()))
        assert source.entry == "ema_model_state_dict"
    with pytest.raises(ClosedError):
        tensor.read()


def test_entries_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = write_random_f5(tmp_path / "model_1.pt", layout="trainer")
    with pytest.raises(ConfigError, match="expected weights at other, got the entries"):
        F5Source(path, root="other", use_ema=None)


def test_only_files_of_f5_are_told(tmp_path: Path) -> None:
    assert looks_like_f5(write_random_f5(tmp_path / "model_1.pt"))
    assert looks_like_f5(write_random_f5(tmp_path / "a.safetensors", layout="indicf5"))
    assert not looks_like_f5(write_random_t3(tmp_path / "t3_cfg.safetensors"))
    assert not looks_like_f5(write_random_nemo(tmp_path / "m.nemo", "tiny"))
    assert not looks_like_f5(write_random_vocos(tmp_path / "vocos"))
    assert not looks_like_f5(tmp_path / "vocos" / "pytorch_model.bin")
    (tmp_path / "text").write_text("no model", "utf-8")
    assert not looks_like_f5(tmp_path / "text")


def test_values_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model_1.pt"
    tensor = SynthTensor("float32", (1,), lambda: np.zeros(1, np.float32))
    with path.open("wb") as file:
        write_torch_tree(
            file, {"ema_model_state_dict": {"transformer.a": tensor, "transformer.b": "text"}}
        )
    with pytest.raises(FormatError, match="expected a tensor"):
        F5Source(path, root=None, use_ema=None)
