"""Plans how our tensors of an S3Gen's flow and vocoder are made of the original ones.

Weight norm is folded, in float64. Queries, keys and values of a block are one matrix. Convolutions
of one tap are matrices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ttsrt_rt.convert.nanocodec_tensors import DIRECTION, GAIN, fold_weight_norm
from ttsrt_rt.convert.s3gen_model import Estimator, S3Gen, TokenFlow, Vocoder
from ttsrt_rt.convert.s3gen_source import ESTIMATOR, MIXER
from ttsrt_rt.convert.s3gen_voice_tensors import plan_voice
from ttsrt_rt.convert.tensor_plan import Shape, TensorPlan, same, stacked

__all__ = ["is_unused", "plan_s3gen"]

# Counters of batch norm, features that are computed here, and what only training uses.
UNUSED = re.compile(
    r".+\.num_batches_tracked|tokenizer\.(?:_mel_filters|window)"
    r"|voice_encoder\.similarity_(?:weight|bias)"
)

Plans = Iterator[tuple[str, TensorPlan]]


def is_unused(name: str) -> bool:
    """Whether an original tensor has no use here."""
    return UNUSED.fullmatch(name) is not None


def plan_s3gen(model: S3Gen) -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name (docs/format.md)."""
    plans: dict[str, TensorPlan] = {}
    if model.flow is not None:
        plans |= dict(_encoder(model.flow))
        plans |= dict(_estimator(model.flow.estimator, model.flow))
    if model.vocoder is not None:
        plans |= dict(_vocoder(model.vocoder))
    return plans | plan_voice(model)


def _biased(ours: str, source: str, shape: Shape, ours_shape: Shape | None = None) -> Plans:
    """Yields the plans of a matrix or a convolution with its bias, one for each output."""
    yield ours, same(f"{source}.weight", shape, ours_shape)
    yield f"{ours}_bias", same(f"{source}.bias", (shape[0],))


def _norm(ours: str, source: str, dim: int) -> Plans:
    yield ours, same(f"{source}.weight", (dim,))
    yield f"{ours}_bias", same(f"{source}.bias", (dim,))


def _encoder(flow: TokenFlow) -> Plans:
    dim, encoder = flow.dim, "flow.encoder"
    yield "token_embedding", same("flow.input_embedding.weight", (flow.vocab, dim))
    shape: Shape = (flow.mel_bins, flow.speaker_dim)
    yield from _biased("speaker", "flow.spk_embed_affine_layer", shape)
    square = (dim, dim)
    for ours, source in (("input", "embed"), ("up_input", "up_embed")):
        yield from _biased(f"encoder.{ours}", f"{encoder}.{source}.out.0", square)
        yield from _norm(f"encoder.{ours}_norm", f"{encoder}.{source}.out.1", dim)
    ahead = f"{encoder}.pre_lookahead_layer"
    shape = (dim, dim, flow.lookahead + 1)
    yield from _biased("encoder.lookahead.0", f"{ahead}.conv1", shape)
    yield from _biased("encoder.lookahead.1", f"{ahead}.conv2", (dim, dim, 3))
    shape = (dim, dim, 2 * flow.upsampling + 1)
    yield from _biased("encoder.upsampling", f"{encoder}.up_layer.conv", shape)
    for ours, source, layers in (
        ("layers", "encoders", flow.layers),
        ("up_layers", "up_encoders", flow.up_layers),
    ):
        for layer in range(layers):
            yield from _relative(f"encoder.{ours}.{layer}", f"{encoder}.{source}.{layer}", flow)
    yield from _norm("encoder.norm_out", f"{encoder}.after_norm", dim)
    yield from _biased("encoder.output", "flow.encoder_proj", (flow.mel_bins, dim))


def _relative(new: str, old: str, flow: TokenFlow) -> Plans:
    """Yields the plans of a block whose attention knows distances."""
    dim, ffn = flow.dim, flow.ffn_dim
    attention, feed = f"{old}.self_attn", f"{old}.feed_forward"
    yield from _norm(f"{new}.self_norm", f"{old}.norm_mha", dim)
    parts = [f"{attention}.linear_{name}" for name in "qkv"]
    yield f"{new}.self_qkv", stacked([(f"{part}.weight", (dim, dim)) for part in parts])
    yield f"{new}.self_qkv_bias", stacked([(f"{part}.bias", (dim,)) for part in parts])
    yield from _biased(f"{new}.self_out", f"{attention}.linear_out", (dim, dim))
    yield f"{new}.distance", same(f"{attention}.linear_pos.weight", (dim, dim))
    for ours, letter in (("content_offset", "u"), ("distance_offset", "v")):
        shape = (flow.heads, dim // flow.heads)
        yield f"{new}.{ours}", same(f"{attention}.pos_bias_{letter}", shape, (dim,))
    yield from _norm(f"{new}.ffn_norm", f"{old}.norm_ff", dim)
    yield from _biased(f"{new}.ffn_in", f"{feed}.w_1", (ffn, dim))
    yield from _biased(f"{new}.ffn_out", f"{feed}.w_2", (dim, ffn))


def _estimator(inner: Estimator, flow: TokenFlow) -> Plans:
    dim, time = inner.dim, inner.time_dim
    inputs = 4 * flow.mel_bins
    yield from _biased("flow.time.in", f"{ESTIMATOR}.time_mlp.linear_1", (time, inputs))
    yield from _biased("flow.time.out", f"{ESTIMATOR}.time_mlp.linear_2", (time, time))
    if flow.kind == "meanflow":
        yield "flow.time.mixer", same(MIXER, (time, 2 * time))
    names = ["down_blocks.0", *(f"mid_blocks.{each}" for each in range(inner.mid_stages))]
    names.append("up_blocks.0")
    for stage, name in enumerate(names):
        columns = {0: inputs, len(names) - 1: 2 * dim}.get(stage, dim)
        new, old = f"flow.stages.{stage}", f"{ESTIMATOR}.{name}"
        yield from _residual(new, f"{old}.0", columns, inner)
        for layer in range(inner.layers):
            yield from _attending(f"{new}.layers.{layer}", f"{old}.1.{layer}", inner)
    square = (dim, dim, 3)
    yield from _biased("flow.down", f"{ESTIMATOR}.down_blocks.0.2", square)
    yield from _biased("flow.up", f"{ESTIMATOR}.up_blocks.0.2", square)
    yield from _biased("flow.final", f"{ESTIMATOR}.final_block.block.0", square)
    yield from _norm("flow.final_norm", f"{ESTIMATOR}.final_block.block.2", dim)
    matrix = (flow.mel_bins, dim)
    yield from _biased("flow.output", f"{ESTIMATOR}.final_proj", (*matrix, 1), matrix)


def _residual(new: str, old: str, columns: int, inner: Estimator) -> Plans:
    dim = inner.dim
    for ours, block, inputs in (("in", "block1", columns), ("out", "block2", dim)):
        yield from _biased(f"{new}.{ours}", f"{old}.{block}.block.0", (dim, inputs, 3))
        yield from _norm(f"{new}.{ours}_norm", f"{old}.{block}.block.2", dim)
    yield from _biased(f"{new}.time", f"{old}.mlp.1", (dim, inner.time_dim))
    matrix = (dim, columns)
    yield from _biased(f"{new}.skip", f"{old}.res_conv", (*matrix, 1), matrix)


def _attending(new: str, old: str, inner: Estimator) -> Plans:
    dim, ffn, width = inner.dim, inner.ffn_dim, inner.heads * inner.head_dim
    yield from _norm(f"{new}.self_norm", f"{old}.norm1", dim)
    parts = [(f"{old}.attn1.to_{name}.weight", (width, dim)) for name in "qkv"]
    yield f"{new}.self_qkv", stacked(parts)
    yield from _biased(f"{new}.self_out", f"{old}.attn1.to_out.0", (dim, width))
    yield from _norm(f"{new}.ffn_norm", f"{old}.norm3", dim)
    yield from _biased(f"{new}.ffn_in", f"{old}.ff.net.0.proj", (ffn, dim))
    yield from _biased(f"{new}.ffn_out", f"{old}.ff.net.2", (dim, ffn))


def _folded(ours: str, source: str, shape: Shape, outputs: int | None = None) -> Plans:
    """Yields the plans of a convolution with weight norm; of a transposed one, whose first axis has
    the inputs, with the number of its outputs.
    """
    direction = f"{source}.{DIRECTION}"
    gains = (shape[0], *[1] * (len(shape) - 1))
    yield (
        ours,
        TensorPlan(
            shape,
            ((f"{source}.{GAIN}", gains), (direction, shape)),
            lambda values: fold_weight_norm(values[0], values[1], direction),
            computes=True,
        ),
    )
    count = shape[0] if outputs is None else outputs
    yield f"{ours}_bias", same(f"{source}.bias", (count,))


def _vocoder(model: Vocoder) -> Plans:
    dim, at = model.dim, "mel2wav"
    columns = model.mel_bins
    for layer in range(model.f0_layers):
        source = f"{at}.f0_predictor.condnet.{2 * layer}"
        yield from _folded(f"vocoder.f0.layers.{layer}", source, (model.f0_dim, columns, 3))
        columns = model.f0_dim
    yield from _biased("vocoder.f0.output", f"{at}.f0_predictor.classifier", (1, model.f0_dim))
    yield from _biased("vocoder.source", f"{at}.m_source.l_linear", (1, model.harmonics))
    yield from _folded("vocoder.pre", f"{at}.conv_pre", (dim, model.mel_bins, 7))
    for stage, kernel in enumerate(model.kernels):
        new, halved = f"vocoder.stages.{stage}", dim // 2
        yield from _folded(f"{new}.up", f"{at}.ups.{stage}", (dim, halved, kernel), halved)
        dim = halved
        stride = model.strides()[stage]
        shape = (dim, model.n_fft + 2, 2 * stride if stride > 1 else 1)
        yield from _biased(f"{new}.source", f"{at}.source_downs.{stage}", shape)
        source = f"{at}.source_resblocks.{stage}"
        yield from _chain(f"{new}.source_chain", source, dim, model.source_kernels[stage], model)
        chains = len(model.chain_kernels)
        for chain, taps in enumerate(model.chain_kernels):
            source = f"{at}.resblocks.{chains * stage + chain}"
            yield from _chain(f"{new}.chains.{chain}", source, dim, taps, model)
    yield from _folded("vocoder.post", f"{at}.conv_post", (model.n_fft + 2, dim, 7))


def _chain(new: str, old: str, dim: int, taps: int, model: Vocoder) -> Plans:
    for block in range(len(model.dilations)):
        for ours, number in (("in", 1), ("out", 2)):
            name = f"{new}.blocks.{block}.{ours}"
            yield f"{name}_alpha", same(f"{old}.activations{number}.{block}.alpha", (dim,))
            yield from _folded(name, f"{old}.convs{number}.{block}", (dim, dim, taps))
