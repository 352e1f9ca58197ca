"""Plans how our tensors of what makes voices of recordings are made of the original ones: the
tokenizer of speech, the speaker encoder and the voice encoder.

Batch norm is folded, in float64: into the matrix or the convolution in front of it, or, where there
is none, into a scale and a shift. The two biases of an LSTM's layer are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.s3gen_model import S3Gen, SpeakerEncoder, SpeechTokenizer, VoiceEncoder
from ttsrt_rt.convert.tensor_plan import Shape, TensorPlan, same, stacked
from ttsrt_rt.errors import FormatError

__all__ = ["plan_voice"]

NORM_EPSILON = 1e-5
HEAD_LAYERS, HEAD_BLOCKS = 2, 2

Plans = Iterator[tuple[str, TensorPlan]]


def plan_voice(model: S3Gen) -> dict[str, TensorPlan]:
    """Returns how each of our tensors is made, by its name (docs/format.md)."""
    plans: dict[str, TensorPlan] = {}
    if model.speech_tokenizer is not None:
        plans |= dict(_tokenizer(model.speech_tokenizer))
    if model.speaker_encoder is not None:
        plans |= dict(_speaker(model.speaker_encoder))
    if model.voice_encoder is not None:
        plans |= dict(_voice(model.voice_encoder))
    return plans


def _biased(ours: str, source: str, shape: Shape) -> Plans:
    yield ours, same(f"{source}.weight", shape)
    yield f"{ours}_bias", same(f"{source}.bias", (shape[0],))


def _tokenizer(model: SpeechTokenizer) -> Plans:
    dim, ffn, at, ours = model.dim, model.ffn_dim, "tokenizer.encoder", "speech_tokenizer"
    for index, inputs in enumerate((model.mel_bins, dim)):
        yield from _biased(f"{ours}.convs.{index}", f"{at}.conv{index + 1}", (dim, inputs, 3))
    for layer in range(model.layers):
        new, old = f"{ours}.layers.{layer}", f"{at}.blocks.{layer}"
        yield from _biased(f"{new}.self_norm", f"{old}.attn_ln", (dim,))
        names = [f"{old}.attn.{name}" for name in ("query", "key", "value")]
        yield f"{new}.self_qkv", stacked([(f"{name}.weight", (dim, dim)) for name in names])
        biases = ((f"{names[0]}.bias", (dim,)), (f"{names[2]}.bias", (dim,)))
        yield f"{new}.self_qkv_bias", TensorPlan((3 * dim,), biases, _without_keys)
        yield from _biased(f"{new}.self_out", f"{old}.attn.out", (dim, dim))
        memory = ((f"{old}.attn.fsmn_block.weight", (dim, 1, model.memory_taps)),)
        yield (
            f"{new}.memory",
            TensorPlan((model.memory_taps, dim), memory, lambda values: values[0][:, 0, :].T),
        )
        yield from _biased(f"{new}.ffn_norm", f"{old}.mlp_ln", (dim,))
        yield from _biased(f"{new}.ffn_in", f"{old}.mlp.0", (ffn, dim))
        yield from _biased(f"{new}.ffn_out", f"{old}.mlp.2", (dim, ffn))
    source = "tokenizer.quantizer._codebook.project_down"
    yield from _biased(f"{ours}.output", source, (model.digits, dim))


def _without_keys(values: Sequence[Array]) -> Array:
    """Biases of queries and values, with zeros for the keys, which have none."""
    queries, others = values
    made: Array = np.concatenate([queries, np.zeros_like(queries), others])
    return made


def _norms(source: str, dim: int, *, affine: bool = True) -> tuple[tuple[str, Shape], ...]:
    """The original tensors of a batch norm."""
    names = ("running_mean", "running_var", *(("weight", "bias") if affine else ()))
    return tuple((f"{source}.{name}", (dim,)) for name in names)


def _scale_and_shift(values: Sequence[Array], source: str) -> tuple[Array, Array]:
    """Batch norm as a product and a sum, in float64."""
    mean, variance, *affine = (each.astype(np.float64) for each in values)
    if float(variance.min()) < 0:
        raise FormatError(
            f"{source}.running_var: expected variances, got {float(variance.min())!r}"
        )
    scale = 1 / np.sqrt(variance + NORM_EPSILON)
    if not affine:
        return scale, -mean * scale
    scale = affine[0] * scale
    return scale, affine[1] - mean * scale


def _normed(
    ours: str,
    weight: str,
    shape: Shape,
    norm: str,
    *,
    ours_shape: Shape | None = None,
    affine: bool = True,
) -> Plans:
    """Yields the plans of a matrix or a convolution without bias, with the batch norm behind it."""
    norms = _norms(norm, shape[0], affine=affine)

    def scaled(values: Sequence[Array]) -> Array:
        scale, _ = _scale_and_shift(values[1:], norm)
        made: Array = values[0] * scale.reshape(-1, *[1] * (len(shape) - 1))
        return made.astype(np.float32)

    def shifted(values: Sequence[Array]) -> Array:
        made: Array = _scale_and_shift(values, norm)[1].astype(np.float32)
        return made

    yield ours, TensorPlan(ours_shape or shape, ((weight, shape), *norms), scaled, computes=True)
    yield f"{ours}_bias", TensorPlan((shape[0],), norms, shifted, computes=True)


def _norm_alone(ours: str, source: str, dim: int) -> Plans:
    """Yields the plans of a batch norm that nothing precedes."""
    norms = _norms(source, dim)
    for name, part in (("scale", 0), ("shift", 1)):

        def made(values: Sequence[Array], part: int = part) -> Array:
            one: Array = _scale_and_shift(values, source)[part].astype(np.float32)
            return one

        yield f"{ours}{name}", TensorPlan((dim,), norms, made, computes=True)


def _speaker(model: SpeakerEncoder) -> Plans:
    new, at = "speaker_encoder", "speaker_encoder.xvector"
    yield from _head(model.channels)
    taps = (model.dim, model.channels * model.mel_bins // 8, 5)
    yield from _normed(
        f"{new}.input", f"{at}.tdnn.linear.weight", taps, f"{at}.tdnn.nonlinear.batchnorm"
    )
    for block, layers in enumerate(model.layers):
        columns = model.widths()[block]
        for layer in range(layers):
            source = f"{at}.block{block + 1}.tdnnd{layer + 1}"
            yield from _dense(f"{new}.blocks.{block}.layers.{layer}", source, columns, model)
            columns += model.growth
        out, source = f"{new}.blocks.{block}", f"{at}.transit{block + 1}"
        yield from _norm_alone(f"{out}.", f"{source}.nonlinear.batchnorm", columns)
        matrix = (columns // 2, columns)
        yield f"{out}.out", same(f"{source}.linear.weight", (*matrix, 1), matrix)
    width = model.widths()[-1]
    yield from _norm_alone(f"{new}.", f"{at}.out_nonlinear.batchnorm", width)
    matrix = (model.embedding, 2 * width)
    source = f"{at}.dense"
    yield from _normed(
        f"{new}.output",
        f"{source}.linear.weight",
        (*matrix, 1),
        f"{source}.nonlinear.batchnorm",
        ours_shape=matrix,
        affine=False,
    )


def _head(channels: int) -> Plans:
    """Yields the plans of the convolutions over bands and time."""
    new, at = "speaker_encoder.head", "speaker_encoder.head"
    square = (channels, channels, 3, 3)
    yield from _normed(f"{new}.input", f"{at}.conv1.weight", (channels, 1, 3, 3), f"{at}.bn1")
    for layer in range(HEAD_LAYERS):
        for block in range(HEAD_BLOCKS):
            ours, old = f"{new}.layers.{layer}.{block}", f"{at}.layer{layer + 1}.{block}"
            yield from _normed(f"{ours}.in", f"{old}.conv1.weight", square, f"{old}.bn1")
            yield from _normed(f"{ours}.out", f"{old}.conv2.weight", square, f"{old}.bn2")
            if block:
                continue
            matrix, skip = (channels, channels), f"{old}.shortcut"
            yield from _normed(
                f"{ours}.skip",
                f"{skip}.0.weight",
                (*matrix, 1, 1),
                f"{skip}.1",
                ours_shape=matrix,
            )
    yield from _normed(f"{new}.output", f"{at}.conv2.weight", square, f"{at}.bn2")


def _dense(new: str, old: str, columns: int, model: SpeakerEncoder) -> Plans:
    """Yields the plans of a layer that appends columns."""
    inner, gate, growth, cam = model.inner, model.gate, model.growth, f"{old}.cam_layer"
    yield from _norm_alone(f"{new}.", f"{old}.nonlinear1.batchnorm", columns)
    yield from _normed(
        f"{new}.in",
        f"{old}.linear1.weight",
        (inner, columns, 1),
        f"{old}.nonlinear2.batchnorm",
        ours_shape=(inner, columns),
    )
    yield f"{new}.local", same(f"{cam}.linear_local.weight", (growth, inner, 3))
    for ours, name, matrix in (
        ("gate_in", "linear1", (gate, inner)),
        ("gate_out", "linear2", (growth, gate)),
    ):
        yield f"{new}.{ours}", same(f"{cam}.{name}.weight", (*matrix, 1), matrix)
        yield f"{new}.{ours}_bias", same(f"{cam}.{name}.bias", (matrix[0],))


def _sum(values: Sequence[Array]) -> Array:
    made: Array = values[0] + values[1]
    return made


def _voice(model: VoiceEncoder) -> Plans:
    at = "voice_encoder"
    for layer in range(model.layers):
        rows, inputs = 4 * model.dim, model.dim if layer else model.mel_bins
        new = f"{at}.layers.{layer}"
        yield f"{new}.in", same(f"{at}.lstm.weight_ih_l{layer}", (rows, inputs))
        yield f"{new}.again", same(f"{at}.lstm.weight_hh_l{layer}", (rows, model.dim))
        biases = [(f"{at}.lstm.bias_{name}_l{layer}", (rows,)) for name in ("ih", "hh")]
        yield f"{new}.bias", TensorPlan((rows,), tuple(biases), _sum, computes=True)
    yield from _biased(f"{at}.output", f"{at}.proj", (model.embedding, model.dim))
