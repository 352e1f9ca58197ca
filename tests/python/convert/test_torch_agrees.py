"""Compares files that torch writes with `torch.load(weights_only=True)`, bit for bit."""

from __future__ import annotations

import collections
import pathlib
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.errors import FormatError

from ...needs_torch import torch

pytestmark = pytest.mark.torch


def check(path: Path, state: dict[str, Any]) -> None:
    """Compares names, shapes and bits."""
    with open_weights(path) as weights:
        assert list(weights) == list(state)
        for name, tensor in state.items():
            found = weights[name].read()
            assert weights[name].dtype == str(tensor.dtype).removeprefix("torch.")
            assert found.shape == tuple(tensor.shape) == weights[name].shape
            plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
            np.testing.assert_array_equal(found.reshape(-1).view(np.uint8), plain.numpy())


DTYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32",
    "int16", "int8",    "uint64", "uint32", "uint16", "uint8", "bool",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_dtypes_and_views(protocol: int, tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {name: torch.ones(2, 3).to(getattr(torch, name)) for name in DTYPES}
    state |= {
        "base": base,
        "transposed": base.T,
        "slice": base[1:3, 2:5],
        "steps": base[::2, ::3],
        "expanded": base[:1].expand(5, 6),
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "buffer": torch.arange(5),
        "diagonal": base.diagonal(),
    }
    path = tmp_path / "x.pt"
    torch.save(state, path, pickle_protocol=protocol)
    check(path, state)
    if protocol < 4:  # torch's own safe reader does not support more
        check(path, torch.load(path, weights_only=True))


def test_a_module_and_its_optimizer_in_a_lightning_file(tmp_path: Path) -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.randn(3, 8)).sum().backward()
    optimizer.step()
    extras = {
        "epoch": 3,
        "global_step": 2**40,
        "pytorch-lightning_version": "2.4.0",
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"base_lrs": [1e-4], "_step_count": 2}],
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_loss'}": {
                "best_model_path": pathlib.PurePosixPath("x")
            }
        },
        "hyper_parameters": {
            "any": typing.Any,
            "counts": collections.defaultdict(int, a=1),
            "scalar": np.float64(2.5),
            "array": np.arange(3),
            "dtype": torch.bfloat16,
            "device": torch.device("cpu"),
            "size": torch.Size([2, 3]),
            "bytes": b"\x00\xff",
            "set": {1, 2},
            "ordered": collections.OrderedDict(a=1),
        },
    }
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": layer.state_dict(), **extras}, path)
    check(path, layer.state_dict())
    with pytest.raises(FormatError, match="expected a tensor, got"):
        open_weights(path, root="hyper_parameters")
    torch.save(layer, path)
    with pytest.raises(FormatError, match=r"torch\.nn\.modules\.container\.Sequential"):
        open_weights(path)


def test_torch_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="bare pickle"):
        open_weights(path)
    torch.save({"w": torch.ones(2, dtype=torch.complex64)}, path)
    with pytest.raises(FormatError, match="Complex"):
        open_weights(path)
    torch.save({"w": torch.eye(2).to_sparse()}, path)
    with pytest.raises(FormatError, match="_rebuild_sparse_tensor"):
        open_weights(path)
