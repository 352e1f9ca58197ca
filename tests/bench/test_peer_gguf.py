"""The output of bench/peer_gguf.py for a checkpoint, with a fake writer of the format."""

from __future__ import annotations

import enum
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert import convert
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.synth import write_random_codec

SCRIPT = Path(__file__).parents[2] / "bench" / "peer_gguf.py"


class Types(enum.Enum):
    F32 = 0
    F16 = 1
    Q8_0 = 8


class Writer:
    """Stores its arguments."""

    def __init__(self, path: Path, architecture: str) -> None:
        self.architecture = architecture
        self.fields: dict[str, Any] = {}
        self.tensors: dict[str, tuple[tuple[int, ...], Types | None]] = {}
        self.is_closed = False
        made.append(self)

    def _add(self, key: str, value: Any) -> None:
        assert key not in self.fields
        self.fields[key] = value

    add_bool = add_uint32 = add_float32 = add_string = add_array = _add

    def add_tensor(self, name: str, values: Any, raw_dtype: Types | None = None) -> None:
        assert name not in self.tensors and len(name) < 128
        self.tensors[name] = values.shape, raw_dtype

    def write_header_to_file(self) -> None: ...
    def write_kv_data_to_file(self) -> None: ...
    def write_tensors_to_file(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


made: list[Writer] = []


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made.clear()
    quants = SimpleNamespace(quantize=lambda values, kind: values)
    fake = SimpleNamespace(GGMLQuantizationType=Types, GGUFWriter=Writer, quants=quants)
    monkeypatch.setitem(sys.modules, "gguf", fake)
    return runpy.run_path(str(SCRIPT), run_name="peer_gguf")


def test_a_checkpoint(
    script: dict[str, Any], checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    checkpoint = checkpoint_of("tinyhf")
    model = open_checkpoint(checkpoint).model
    script["write"](checkpoint, tmp_path / "out.gguf", "q8_0", 12)
    (writer,) = made
    assert writer.is_closed and writer.architecture == "magpie-tts"
    tensors, fields = writer.tensors, writer.fields
    assert fields["magpie.decoder.n_layers"] == model.decoder.layers
    assert fields["magpie.sampling.max_decoder_steps"] == 12
    assert fields["magpie.sampling.min_generated_frames"] > 12  # the end of speech is never sampled
    assert len(fields["magpie.tokenizer.tokens"]) == fields["magpie.tokenizer.vocab_size"]
    dim, ffn = model.dim, model.decoder.ffn_dim
    assert tensors["decoder.layers.0.self_attention.qkv_net.weight"] == ((3 * dim, dim), Types.Q8_0)
    assert tensors["decoder.layers.0.pos_ff.proj.conv.weight"] == ((ffn, dim), Types.Q8_0)
    assert tensors["decoder.layers.0.norm_self.weight"] == ((dim,), Types.F32)
    shape, kind = tensors["encoder.layers.0.pos_ff.proj.conv.weight"]
    assert len(shape) == 3 and kind is Types.F16
    assert tensors["audio_embeddings.0.weight"] == ((model.codebook_vocab, dim), Types.F32)
    heads = [n for n in tensors if n.startswith("local_transformer_out_projections.")]
    assert len(heads) == 2 * model.tables
    assert tensors["final_proj.bias"][1] is Types.F32
    assert tensors["baked_context_embedding.weight"][0][0] == model.num_voices
    codec = [name for name in tensors if name.startswith("codec.")]
    assert codec and all(tensors[name][1] is None for name in codec)


def test_a_given_codec_is_written_whole(
    script: dict[str, Any], checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    write_random_codec(tmp_path / "codec.nemo", "tiny_magpie", seed=1)
    codec = convert(tmp_path / "codec.nemo", tmp_path / "codec", progress=False)
    script["write"](checkpoint_of("tinyhf"), tmp_path / "out.gguf", "q8_0", 12, codec)
    (writer,) = made
    weights = script["read_weights"](codec / "model.safetensors")
    decoders = {name for name in weights if name.startswith("decoder.")}
    tensors = {name: at for name, at in writer.tensors.items() if name.startswith("codec.")}
    assert len(tensors) == len(decoders)
    root = "codec.audio_decoder."
    for ours, theirs in {
        "decoder.stages.0.up": "up_sample_conv_layers.0.conv.weight",
        "decoder.stages.1.chains.1.blocks.2.out": (
            "res_layers.1.res_blocks.1.res_blocks.2.skip_conv.conv.weight"
        ),
        "decoder.post_bias": "post_conv.conv.bias",
    }.items():
        shape, kind = tensors[root + theirs]
        assert np.prod(shape) == np.prod(weights[ours].shape) and kind is None
    rates = writer.fields["magpie.codec.dec.up_sample_rates"]
    assert np.prod(rates) == writer.fields["magpie.codec.samples_per_frame"]


def test_float32_keeps_shapes(
    script: dict[str, Any], checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    script["write"](checkpoint_of("tinyhf"), tmp_path / "out.gguf", "f32", 12)
    shape, kind = made[0].tensors["decoder.layers.0.pos_ff.proj.conv.weight"]
    assert len(shape) == 3 and kind is Types.F32


def test_weights_are_read_as_they_stand(
    script: dict[str, Any], checkpoint_of: Callable[[str], Path]
) -> None:
    checkpoint = checkpoint_of("tinyhf")
    found = script["read_weights"](checkpoint / "model.safetensors")
    expected = open_checkpoint(checkpoint).weights
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].shape == tuple(tensor.shape), name
        np.testing.assert_array_equal(found[name], tensor.read(), err_msg=name)
