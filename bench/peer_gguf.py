"""Writes a MagpieTTS checkpoint as a GGUF file that magpie-tts.cpp (github.com/mudler) can load.

    python bench/peer_gguf.py engines/v2607.checkpoint engines/v2607.f16.gguf --type f16

Both programs then use the same weights. The script needs the packages numpy and gguf in a separate
virtual environment; it imports nothing of ttsrt_rt. Names, shapes and types are those that the
peer's docs/tensors-magpie.txt, docs/quantization.md and loader require. The parts that ttsrt_rt
does not have are invented: a tokenizer of plain bytes, and the smallest possible codec with random
weights, because codecs are not compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}
STACKS = {"text_encoder": "encoder", "decoder": "decoder", "local_transformer": "local_transformer"}
LAYER_NAMES = {
    "self_norm": "norm_self",
    "self_qkv": "self_attention.qkv_net",
    "self_out": "self_attention.o_net",
    "cross_query_norm": "norm_xattn_query",
    "cross_memory_norm": "norm_xattn_memory",
    "cross_q": "cross_attention.q_net",
    "cross_kv": "cross_attention.kv_net",
    "cross_out": "cross_attention.o_net",
    "ffn_norm": "norm_pos_ff",
    "ffn_in": "pos_ff.proj.conv",
    "ffn_out": "pos_ff.o_net.conv",
}
CODEC_CHANNELS = 64
CODEC_RATES = (8, 8, 4, 2, 2)
CODEC_LEVELS = (8, 7, 6, 6)


def read_weights(path: Path) -> dict[str, Array]:
    """Returns the tensors of a safetensors file, mapped into memory."""
    kinds = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", 8 + length)
    weights = {}
    for name, told in header.items():
        if name == "__metadata__":
            continue
        begin, end = told["data_offsets"]
        raw = data[begin:end]
        if told["dtype"] == "BF16":
            values: Array = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = raw.view(kinds[told["dtype"]])
        weights[name] = values.reshape(told["shape"])
    return weights


def named(weights: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yields every tensor under the peer's name, in the original's shape."""
    for name, values in weights.items():
        stack, _, rest = name.partition(".")
        if name in ("voices", "voice_lengths"):
            continue
        if rest.startswith("layers."):
            _, layer, part = rest.split(".")
            yield f"{STACKS[stack]}.layers.{layer}.{LAYER_NAMES[part]}.weight", values
        elif rest == "positions":
            yield f"{STACKS[stack]}.position_embeddings.weight", values
        elif rest == "norm_out":
            yield f"{STACKS[stack]}.norm_out.weight", values
        elif name == "audio_embeddings":
            for i, table in enumerate(values):
                yield f"audio_embeddings.{i}.weight", table
        elif name in ("local_transformer.heads", "local_transformer.heads_bias"):
            part = "bias" if name.endswith("bias") else "weight"
            for i, head in enumerate(values):
                yield f"local_transformer_out_projections.{i}.{part}", head
        elif name == "final_proj_bias":
            yield "final_proj.bias", values
        else:
            yield f"{name}.weight", values
    yield "baked_context_embedding.weight", weights["voices"]


def stored_type(name: str, shape: tuple[int, ...], kind: str) -> gguf.GGMLQuantizationType:
    """Returns the type in which the peer's quantizer stores a tensor: only matrices of products and
    the text table have the requested type; convolutions over time have at least float16."""
    is_matrix = ".layers." in name and "norm" not in name
    heads = name.startswith("local_transformer_out_projections.") and name.endswith(".weight")
    if not (is_matrix or heads or name in ("final_proj.weight", "text_embedding.weight")):
        return TYPES["f32"]
    if len(shape) == 3 and shape[2] > 1 and kind != "f32":
        return TYPES["f16"]
    return TYPES[kind]


def add_model(writer: gguf.GGUFWriter, weights: dict[str, Array], kind: str) -> None:
    """Adds all weights of the transformers."""
    for name, values in named(weights):
        values = np.ascontiguousarray(values, np.float32)
        target = stored_type(name, values.shape, kind)
        if values.ndim == 3 and values.shape[2] == 1 and kind != "f32":
            values = values[:, :, 0]  # as in the peer's quantizer
        packed = gguf.quants.quantize(values, target)
        writer.add_tensor(name, packed, raw_dtype=target)


def add_codec(writer: gguf.GGUFWriter) -> None:
    """Adds a codec that runs and returns meaningless audio."""
    random = np.random.default_rng(0)
    root = "codec.audio_decoder."

    def add(name: str, *shape: int) -> None:
        values = random.standard_normal(shape, np.float32) * np.float32(0.02)
        writer.add_tensor(root + name, values)

    def add_alpha(name: str, channels: int) -> None:
        alpha = np.ones((1, max(channels // 2, 1), 1), np.float32)
        writer.add_tensor(f"{root}{name}.activation.snake_act.alpha", alpha)

    channels = CODEC_CHANNELS
    add("pre_conv.conv.weight", channels, 8 * len(CODEC_LEVELS), 7)
    add("pre_conv.conv.bias", channels)
    for i, rate in enumerate(CODEC_RATES):
        add_alpha(f"activations.{i}", channels)
        add(f"up_sample_conv_layers.{i}.conv.weight", channels, 1, 2 * rate)
        channels //= 2
        add(f"up_sample_conv_layers.{i}.conv.bias", channels)
        block = f"res_layers.{i}.res_blocks.0.res_blocks.0."
        for part in ("input", "skip"):
            add_alpha(f"{block}{part}_activation", channels)
            add(f"{block}{part}_conv.conv.weight", channels, channels, 3)
            add(f"{block}{part}_conv.conv.bias", channels)
    add_alpha("post_activation", channels)
    add("post_conv.conv.weight", 1, channels, 3)
    add("post_conv.conv.bias", 1)


def stack_fields(model: dict[str, Any]) -> dict[str, Any]:
    """Returns the shapes of the three stacks."""
    fields: dict[str, Any] = {}
    for ours, theirs in STACKS.items():
        stack = model[ours]
        fields |= {
            f"{theirs}.n_layers": stack["layers"],
            f"{theirs}.n_heads": stack["heads"],
            f"{theirs}.d_head": stack["dim"] // stack["heads"],
            f"{theirs}.d_ffn": stack["ffn_dim"],
            f"{theirs}.kernel_size": stack.get("kernel", 1),
            f"{theirs}.max_positions": stack["max_positions"],
            f"{theirs}.apply_norm_out": stack.get("norm_out", False),
        }
        if theirs != "local_transformer":
            fields |= {f"{theirs}.is_causal": stack["causal"], f"{theirs}.learnable_pos_emb": True}
    decoder = model["decoder"]
    return fields | {
        "decoder.xattn.n_heads": decoder["cross_heads"],
        "decoder.xattn.d_head": decoder["cross_head_dim"],
        "decoder.xattn.d_memory": model["text_encoder"]["dim"],
        "decoder.xattn.apply_norm_to_cond": decoder["memory_norm"],
    }


def audio_fields(model: dict[str, Any]) -> dict[str, Any]:
    """Returns codebooks and special ids."""
    tokens = model["tokens"]
    tables = model["codebooks"] * model["frame_stacking"]
    return {
        "d_model": model["dim"],
        "text.vocab_size": model["text_vocab"],
        "text.bos_id": tokens["text_bos"],
        "text.eos_id": tokens["text_eos"],
        "audio.num_codebooks": model["codebooks"],
        "audio.codebook_size": tokens["audio_bos"],
        "audio.tokens_per_codebook": model["codebook_vocab"],
        "audio.bos_id": tokens["audio_bos"],
        "audio.eos_id": tokens["audio_eos"],
        "audio.context_bos_id": tokens["context_bos"],
        "audio.context_eos_id": tokens["context_eos"],
        "audio.mask_token_id": tokens["mask"],
        "audio.frame_stacking_factor": model["frame_stacking"],
        "audio.num_embedding_tables": tables,
        "audio.final_proj_dim": tables * model["codebook_vocab"],
    }


def request_fields(defaults: dict[str, Any], voices: Array, frames: int) -> dict[str, Any]:
    """Returns voices and sampling. A request produces exactly `frames` frames, because the end of
    speech is forbidden before."""
    prior = defaults["prior"]
    count, rows, dim = voices.shape
    return {
        "decoder.context_size": rows,
        "speaker.count": count,
        "speaker.names": [f"voice{i}" for i in range(count)],
        "speaker.indices": list(range(count)),
        "baked_context.t": rows,
        "baked_context.d": dim,
        "baked_context.lengths": [rows] * count,
        "sampling.temperature": float(defaults["temperature"]),
        "sampling.topk": defaults["top_k"],
        "sampling.cfg_scale": float(defaults["cfg_scale"]),
        "sampling.argmax_temperature": 0.01,
        "sampling.max_decoder_steps": frames,
        "sampling.min_generated_frames": 1 << 20,
        "sampling.eos_detection_method": defaults["eos_method"],
        "sampling.ignore_finished_sentence_tracking": True,
        "prior.apply": True,
        "prior.epsilon": float(prior["epsilon"]),
        "prior.lookahead_window": prior["lookahead"],
        "prior.apply_to_layers": prior["apply_layers"],
        "prior.estimate_from_layers": prior["estimate_layers"],
        "prior.start_after_n_audio_steps": prior["start_step"],
        "prior.sink_skip_threshold": prior["skip_after"],
        "prior.sink_penalty_threshold": prior["suppress_after"],
    }


def made_up_fields(model: dict[str, Any]) -> dict[str, Any]:
    """Returns an invented codec, and a tokenizer that maps a text of n bytes to n + 2 ids."""
    words = model["text_vocab"] - 2
    name = "french_chartokenizer"
    return {
        "codec.name": "random",
        "codec.sample_rate": 22050,
        "codec.samples_per_frame": 1024,
        "codec.fsq.num_groups": 8,
        "codec.fsq.num_levels": list(CODEC_LEVELS),
        "codec.fsq.dim_base_index": [int(np.prod(CODEC_LEVELS[:i], dtype=int)) for i in range(4)],
        "codec.fsq.eps": 1e-3,
        "codec.latent_dim": 8 * len(CODEC_LEVELS),
        "codec.dec.up_sample_rates": list(CODEC_RATES),
        "codec.dec.up_kernel_sizes": [2 * rate for rate in CODEC_RATES],
        "codec.dec.base_channels": CODEC_CHANNELS,
        "codec.dec.in_kernel_size": 7,
        "codec.dec.out_kernel_size": 3,
        "codec.dec.resblock_kernel_sizes": [3],
        "codec.dec.resblock_dilation_sizes": [1],
        "codec.dec.activation": "half_snake",
        "codec.dec.snake_eps": 1e-9,
        "codec.dec.lrelu_slope": 0.01,
        "codec.dec.output_activation": "clamp",
        "codec.dec.pad_mode": "zeros",
        "codec.dec.causal": True,
        "codec.dec.grouped_upsample": True,
        "tokenizer.vocab_size": words,
        "tokenizer.bos_id": model["tokens"]["text_bos"],
        "tokenizer.eos_id": model["tokens"]["text_eos"],
        "tokenizer.tokens": [f"token{i}" for i in range(words)],
        "tokenizer.names": [name],
        "tokenizer.offsets": [0],
        "tokenizer.sizes": [384],
        "tokenizer.pad_ids": [0],
        "tokenizer.language_map.keys": ["fr"],
        "tokenizer.language_map.values": [name],
        f"tokenizer.{name}.class": "ByT5Tokenizer",
        # The writer cannot infer the type of an empty list, so these unused lists have an entry.
        "tokenizer.g2p.names": ["unused"],
        "tokenizer.g2p.heteronym_names": ["unused"],
    }


def add_fields(writer: gguf.GGUFWriter, fields: dict[str, Any]) -> None:
    """Adds keys with the types that the peer's reader requires."""
    for key, value in fields.items():
        name = f"magpie.{key}"
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, value)


def write(checkpoint: Path, output: Path, kind: str, frames: int) -> None:
    """Reads a converted checkpoint and writes the file for the peer."""
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    model, defaults = config["model"], config["defaults"]
    weights = read_weights(checkpoint / "model.safetensors")
    writer = gguf.GGUFWriter(output, "magpie-tts")
    writer.add_string("general.name", checkpoint.name)
    add_fields(
        writer,
        {"model_type": "decoder_ce", "norm_eps": 1e-5, "activation": "gelu_tanh"}
        | stack_fields(model)
        | audio_fields(model)
        | request_fields(defaults, weights["voices"], frames)
        | made_up_fields(model),
    )
    add_model(writer, weights, kind)
    add_codec(writer)
    for part, text in {"dict": b"a\ta\n", "heteronyms": b"a\n"}.items():
        writer.add_tensor(f"g2p.unused.{part}", np.frombuffer(text, np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="folder of a converted checkpoint of the second generation, with voices",
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--type", choices=list(TYPES), default="f16")
    parser.add_argument("--frames", type=int, default=128, help="frames that a request produces")
    options = parser.parse_args()
    write(options.checkpoint, options.output, options.type, options.frames)


if __name__ == "__main__":
    main()
