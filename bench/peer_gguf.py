"""Writes a MagpieTTS checkpoint as a GGUF file that magpie-tts.cpp (github.com/mudler) can load.

    python bench/peer_gguf.py engines/v2607.checkpoint engines/v2607.f16.gguf --type f16

Both programs then use the same weights. The script needs the packages numpy and gguf in a separate
virtual environment; it imports nothing of ttsrt_rt. Names, shapes and types are those that the
peer's docs/tensors-magpie.txt, docs/quantization.md and loader require. The tokenizer is invented:
it has plain bytes. So is the codec, as small as possible and with random weights, unless `--codec`
names the checkpoint of a NanoCodec, which is written whole then.
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
WEIGHTS = "model.safetensors"
# As "model" of a codec's config.json (docs/format.md).
RANDOM_CODEC: dict[str, Any] = {
    "sample_rate": 22050,
    "samples_per_frame": 1024,
    "groups": 8,
    "levels": [8, 7, 6, 6],
    "decoder": {
        "base_channels": 64,
        "rates": [8, 8, 4, 2, 2],
        "kernels": [3],
        "dilations": [1],
        "pre_kernel": 7,
        "post_kernel": 3,
    },
}


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


def random_codec() -> dict[str, Array]:
    """Returns the weights of `RANDOM_CODEC`, under the names of a checkpoint."""
    decoder = RANDOM_CODEC["decoder"]
    channels = decoder["base_channels"]
    latents = RANDOM_CODEC["groups"] * len(RANDOM_CODEC["levels"])
    shapes: dict[str, tuple[int, ...]] = {"decoder.pre": (channels, latents, 7)}
    for i, rate in enumerate(decoder["rates"]):
        stage = f"decoder.stages.{i}."
        shapes |= {f"{stage}alpha": (channels // 2,), f"{stage}up": (channels, 2 * rate)}
        channels //= 2
        block = f"{stage}chains.0.blocks.0."
        for op in ("in", "out"):
            shapes[f"{block}{op}"] = (channels, channels, 3)
            shapes[f"{block}{op}_alpha"] = (max(channels // 2, 1),)
    shapes |= {"decoder.alpha": (max(channels // 2, 1),), "decoder.post": (1, channels, 3)}
    random = np.random.default_rng(0)
    weights: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name.endswith("alpha"):
            weights[name] = np.ones(shape, np.float32)
            continue
        weights[name] = random.standard_normal(shape, np.float32) * np.float32(0.02)
        outputs = shape[0] // 2 if name.endswith(".up") else shape[0]
        weights[f"{name}_bias"] = np.zeros(outputs, np.float32)
    return weights


def named_codec(weights: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yields the tensors of a codec's decoder under the peer's names, in the original's shapes."""
    for name, values in weights.items():
        part = name.removeprefix("decoder.")
        if part == name:
            continue  # of the encoder
        if part == "alpha":
            yield "post_activation.activation.snake_act.alpha", values.reshape(1, -1, 1)
            continue
        ending = "bias" if part.endswith("_bias") else "weight"
        fields = part.removesuffix("_bias").split(".")
        match fields:
            case ["pre" | "post" as end]:
                yield f"{end}_conv.conv.{ending}", values
            case ["stages", i, "alpha"]:
                yield f"activations.{i}.activation.snake_act.alpha", values.reshape(1, -1, 1)
            case ["stages", i, "up"]:
                shaped = values if ending == "bias" else values[:, None, :]
                yield f"up_sample_conv_layers.{i}.conv.{ending}", shaped
            case ["stages", i, "chains", j, "blocks", m, op]:
                block = f"res_layers.{i}.res_blocks.{j}.res_blocks.{m}."
                side = "input" if op.startswith("in") else "skip"
                if op.endswith("_alpha"):
                    alpha = f"{side}_activation.activation.snake_act.alpha"
                    yield block + alpha, values.reshape(1, -1, 1)
                else:
                    yield f"{block}{side}_conv.conv.{ending}", values
            case _:
                raise ValueError(f"{name}: expected a tensor of a codec's decoder")


def add_codec(writer: gguf.GGUFWriter, weights: dict[str, Array]) -> None:
    """Adds the decoder of a codec, in float32 as the peer has it in all of its files."""
    for name, values in named_codec(weights):
        values = np.ascontiguousarray(values, np.float32)
        writer.add_tensor(f"codec.audio_decoder.{name}", values)


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


def codec_fields(codec: dict[str, Any]) -> dict[str, Any]:
    """Returns the shape of a codec's decoder."""
    decoder, levels = codec["decoder"], codec["levels"]
    return {
        "codec.name": "random",
        "codec.sample_rate": codec["sample_rate"],
        "codec.samples_per_frame": codec["samples_per_frame"],
        "codec.fsq.num_groups": codec["groups"],
        "codec.fsq.num_levels": list(levels),
        "codec.fsq.dim_base_index": [int(np.prod(levels[:i], dtype=int)) for i in range(4)],
        "codec.fsq.eps": 1e-3,
        "codec.latent_dim": codec["groups"] * len(levels),
        "codec.dec.up_sample_rates": list(decoder["rates"]),
        "codec.dec.up_kernel_sizes": [2 * rate for rate in decoder["rates"]],
        "codec.dec.base_channels": decoder["base_channels"],
        "codec.dec.in_kernel_size": decoder["pre_kernel"],
        "codec.dec.out_kernel_size": decoder["post_kernel"],
        "codec.dec.resblock_kernel_sizes": list(decoder["kernels"]),
        "codec.dec.resblock_dilation_sizes": list(decoder["dilations"]),
        "codec.dec.activation": "half_snake",
        "codec.dec.snake_eps": 1e-9,
        "codec.dec.lrelu_slope": 0.01,
        "codec.dec.output_activation": "clamp",
        "codec.dec.pad_mode": "zeros",
        "codec.dec.causal": True,
        "codec.dec.grouped_upsample": True,
    }


def tokenizer_fields(model: dict[str, Any]) -> dict[str, Any]:
    """Returns an invented tokenizer that maps a text of n bytes to n + 2 ids."""
    words = model["text_vocab"] - 2
    name = "french_chartokenizer"
    return {
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


def write(
    checkpoint: Path, output: Path, kind: str, frames: int, codec: Path | None = None
) -> None:
    """Reads converted checkpoints and writes the file for the peer."""
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    model, defaults = config["model"], config["defaults"]
    weights = read_weights(checkpoint / WEIGHTS)
    codec_model = RANDOM_CODEC
    if codec is not None:
        codec_model = json.loads((codec / "config.json").read_text("utf-8"))["model"]
    writer = gguf.GGUFWriter(output, "magpie-tts")
    writer.add_string("general.name", checkpoint.name)
    add_fields(
        writer,
        {"model_type": "decoder_ce", "norm_eps": 1e-5, "activation": "gelu_tanh"}
        | stack_fields(model)
        | audio_fields(model)
        | request_fields(defaults, weights["voices"], frames)
        | codec_fields(codec_model)
        | tokenizer_fields(model),
    )
    add_model(writer, weights, kind)
    add_codec(writer, random_codec() if codec is None else read_weights(codec / WEIGHTS))
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
    parser.add_argument("--codec", type=Path, help="folder of a converted NanoCodec")
    options = parser.parse_args()
    write(options.checkpoint, options.output, options.type, options.frames, options.codec)


if __name__ == "__main__":
    main()
