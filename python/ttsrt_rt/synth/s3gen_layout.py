"""Computes names and shapes of S3Gens and voice encoders in the original layout, at any size.

The full sizes are those of the published models: "cfm" (English, multilingual) and "meanflow"
(Turbo, Nano, Flash).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ttsrt_rt.errors import ConfigError

__all__ = ["S3GEN_SIZES", "SynthS3Gen", "s3gen_layout", "s3gen_size", "voice_encoder_layout"]

MEL, SPEAKER, FBANK, LOG_MEL, VOICE_MEL, VOICE_EMBEDDING = 80, 192, 80, 128, 40, 256
CHAIN_KERNELS, SOURCE_KERNELS, DILATIONS = (3, 7, 11), (7, 7, 11), (1, 3, 5)
STRIDES, UP_KERNELS = (15, 3, 1), (16, 11, 7)
BINS, HARMONICS, DIGITS, MEMORY, BLOCK_KERNEL = 18, 9, 8, 31, 3
NORMS = ("weight", "bias", "running_mean", "running_var")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SynthS3Gen:
    """The sizes of a synthetic S3Gen.

    Attributes:
        dim, heads, ffn, layers, up_layers: of the token encoder.
        inner, inner_width, inner_layers, mid: of the estimator: columns, those of all heads,
            blocks of a stage, stages in the middle.
        vocoder, f0: columns behind the vocoder's first convolution, and of the pitch's.
        tokenizer, tokenizer_layers: of the speech tokenizer.
        channels, speaker, growth, speaker_inner, dense: of the speaker encoder.
        voice: columns of the voice encoder.
    """

    has_mean_flow: bool
    vocab: int = 6561
    dim: int = 512
    heads: int = 8
    ffn: int = 2048
    layers: int = 6
    up_layers: int = 4
    inner: int = 256
    inner_width: int = 512
    inner_layers: int = 4
    mid: int = 12
    vocoder: int = 512
    f0: int = 512
    tokenizer: int = 1280
    tokenizer_layers: int = 6
    channels: int = 32
    speaker: int = 128
    growth: int = 32
    speaker_inner: int = 128
    dense: tuple[int, ...] = (12, 24, 16)
    voice: int = 256


_TINY = SynthS3Gen(
    has_mean_flow=False,
    dim=16,
    heads=2,
    ffn=32,
    layers=2,
    up_layers=1,
    inner=16,
    inner_width=32,
    inner_layers=1,
    mid=2,
    vocoder=16,
    f0=16,
    tokenizer=64,
    tokenizer_layers=1,
    channels=4,
    speaker=16,
    growth=4,
    speaker_inner=8,
    dense=(4, 2, 2),
    voice=16,
)

S3GEN_SIZES = {
    "tiny": _TINY,
    "tiny_meanflow": replace(_TINY, has_mean_flow=True),
    "cfm": SynthS3Gen(has_mean_flow=False),
    "meanflow": SynthS3Gen(has_mean_flow=True),
}


def s3gen_size(size: str | SynthS3Gen) -> SynthS3Gen:
    """Returns the size of this name; a `SynthS3Gen` is returned unchanged.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(size, SynthS3Gen):
        return size
    if size not in S3GEN_SIZES:
        raise ConfigError(f"size: expected one of {', '.join(S3GEN_SIZES)}, got {size!r}")
    return S3GEN_SIZES[size]


def _biased(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (shape[0],)}


def _batch_norm(name: str, dim: int, *, affine: bool = True) -> Shapes:
    made: Shapes = {f"{name}.{each}": (dim,) for each in NORMS[0 if affine else 2 :]}
    return {**made, f"{name}.num_batches_tracked": ()}


def _normed(name: str, shape: tuple[int, ...], outputs: int | None = None) -> Shapes:
    """A convolution with weight norm."""
    gains = (shape[0], *[1] * (len(shape) - 1))
    at = f"{name}.parametrizations.weight"
    outputs = shape[0] if outputs is None else outputs
    return {f"{name}.bias": (outputs,), f"{at}.original0": gains, f"{at}.original1": shape}


def s3gen_layout(model: SynthS3Gen) -> Shapes:
    """Returns name and shape of every tensor that the original code stores for inference, but the
    features of the tokenizer, which may be missing.
    """
    return {
        **_tokenizer(model),
        **_speaker(model),
        **_encoder(model),
        **_estimator(model),
        **_vocoder(model),
    }


def voice_encoder_layout(model: SynthS3Gen) -> Shapes:
    """Returns name and shape of every tensor of `ve.safetensors`."""
    made: Shapes = {"similarity_weight": (1,), "similarity_bias": (1,)}
    rows = 4 * model.voice
    for layer in range(3):
        inputs = model.voice if layer else VOICE_MEL
        made[f"lstm.weight_ih_l{layer}"] = (rows, inputs)
        made[f"lstm.weight_hh_l{layer}"] = (rows, model.voice)
        made |= {f"lstm.bias_{name}_l{layer}": (rows,) for name in ("ih", "hh")}
    return made | _biased("proj", VOICE_EMBEDDING, model.voice)


def _tokenizer(model: SynthS3Gen) -> Shapes:
    dim, at = model.tokenizer, "tokenizer.encoder"
    made = _biased(f"{at}.conv1", dim, LOG_MEL, 3) | _biased(f"{at}.conv2", dim, dim, 3)
    for layer in range(model.tokenizer_layers):
        block = f"{at}.blocks.{layer}"
        for name in ("query", "value", "out"):
            made |= _biased(f"{block}.attn.{name}", dim, dim)
        made[f"{block}.attn.key.weight"] = (dim, dim)
        made[f"{block}.attn.fsmn_block.weight"] = (dim, 1, MEMORY)
        made |= _biased(f"{block}.attn_ln", dim) | _biased(f"{block}.mlp_ln", dim)
        made |= _biased(f"{block}.mlp.0", 4 * dim, dim) | _biased(f"{block}.mlp.2", dim, 4 * dim)
    return made | _biased("tokenizer.quantizer._codebook.project_down", DIGITS, dim)


def _speaker(model: SynthS3Gen) -> Shapes:
    at, channels = "speaker_encoder.head", model.channels
    square = (channels, channels, 3, 3)
    made: Shapes = {f"{at}.conv1.weight": (channels, 1, 3, 3), f"{at}.conv2.weight": square}
    made |= _batch_norm(f"{at}.bn1", channels) | _batch_norm(f"{at}.bn2", channels)
    for layer in (1, 2):
        for block in (0, 1):
            for part in (1, 2):
                made[f"{at}.layer{layer}.{block}.conv{part}.weight"] = square
                made |= _batch_norm(f"{at}.layer{layer}.{block}.bn{part}", channels)
        made[f"{at}.layer{layer}.0.shortcut.0.weight"] = (channels, channels, 1, 1)
        made |= _batch_norm(f"{at}.layer{layer}.0.shortcut.1", channels)
    return made | _xvector(model)


def _xvector(model: SynthS3Gen) -> Shapes:
    at, columns = "speaker_encoder.xvector", model.speaker
    made: Shapes = {f"{at}.tdnn.linear.weight": (columns, model.channels * FBANK // 8, 5)}
    made |= _batch_norm(f"{at}.tdnn.nonlinear.batchnorm", columns)
    inner, gate, growth = model.speaker_inner, model.speaker_inner // 2, model.growth
    for block, layers in enumerate(model.dense, 1):
        for layer in range(1, layers + 1):
            name = f"{at}.block{block}.tdnnd{layer}"
            made |= _batch_norm(f"{name}.nonlinear1.batchnorm", columns)
            made[f"{name}.linear1.weight"] = (inner, columns, 1)
            made |= _batch_norm(f"{name}.nonlinear2.batchnorm", inner)
            made[f"{name}.cam_layer.linear_local.weight"] = (growth, inner, BLOCK_KERNEL)
            made |= _biased(f"{name}.cam_layer.linear1", gate, inner, 1)
            made |= _biased(f"{name}.cam_layer.linear2", growth, gate, 1)
            columns += growth
        made |= _batch_norm(f"{at}.transit{block}.nonlinear.batchnorm", columns)
        made[f"{at}.transit{block}.linear.weight"] = (columns // 2, columns, 1)
        columns //= 2
    made |= _batch_norm(f"{at}.out_nonlinear.batchnorm", columns)
    made[f"{at}.dense.linear.weight"] = (SPEAKER, 2 * columns, 1)
    return made | _batch_norm(f"{at}.dense.nonlinear.batchnorm", SPEAKER, affine=False)


def _encoder(model: SynthS3Gen) -> Shapes:
    dim, at = model.dim, "flow.encoder"
    made: Shapes = {"flow.input_embedding.weight": (model.vocab, dim)}
    made |= _biased("flow.spk_embed_affine_layer", MEL, SPEAKER)
    for name in ("embed", "up_embed"):
        made |= _biased(f"{at}.{name}.out.0", dim, dim) | _biased(f"{at}.{name}.out.1", dim)
    made |= _biased(f"{at}.after_norm", dim)
    made |= _biased(f"{at}.pre_lookahead_layer.conv1", dim, dim, 4)
    made |= _biased(f"{at}.pre_lookahead_layer.conv2", dim, dim, 3)
    made |= _biased(f"{at}.up_layer.conv", dim, dim, 5)
    for part, layers in (("encoders", model.layers), ("up_encoders", model.up_layers)):
        for layer in range(layers):
            block = f"{at}.{part}.{layer}"
            for letter in "uv":
                shape = (model.heads, dim // model.heads)
                made[f"{block}.self_attn.pos_bias_{letter}"] = shape
            for name in ("q", "k", "v", "out"):
                made |= _biased(f"{block}.self_attn.linear_{name}", dim, dim)
            made[f"{block}.self_attn.linear_pos.weight"] = (dim, dim)
            made |= _biased(f"{block}.feed_forward.w_1", model.ffn, dim)
            made |= _biased(f"{block}.feed_forward.w_2", dim, model.ffn)
            made |= _biased(f"{block}.norm_ff", dim) | _biased(f"{block}.norm_mha", dim)
    return made | _biased("flow.encoder_proj", MEL, dim)


def _estimator(model: SynthS3Gen) -> Shapes:
    dim, at = model.inner, "flow.decoder.estimator"
    time, inputs = 4 * dim, 4 * MEL
    made = _biased(f"{at}.time_mlp.linear_1", time, inputs)
    made |= _biased(f"{at}.time_mlp.linear_2", time, time)
    if model.has_mean_flow:
        made[f"{at}.time_embed_mixer.weight"] = (time, 2 * time)
    stages = [
        ("down_blocks.0", inputs),
        *((f"mid_blocks.{each}", dim) for each in range(model.mid)),
    ]
    for name, columns in (*stages, ("up_blocks.0", 2 * dim)):
        block = f"{at}.{name}"
        made |= _biased(f"{block}.0.mlp.1", dim, time)
        for part, each in (("block1", columns), ("block2", dim)):
            made |= _biased(f"{block}.0.{part}.block.0", dim, each, 3)
            made |= _biased(f"{block}.0.{part}.block.2", dim)
        made |= _biased(f"{block}.0.res_conv", dim, columns, 1)
        for layer in range(model.inner_layers):
            made |= _attending(f"{block}.1.{layer}", model)
        if name[0] in "du":
            made |= _biased(f"{block}.2", dim, dim, 3)
    made |= _biased(f"{at}.final_block.block.0", dim, dim, 3)
    made |= _biased(f"{at}.final_block.block.2", dim)
    return made | _biased(f"{at}.final_proj", MEL, dim, 1)


def _attending(name: str, model: SynthS3Gen) -> Shapes:
    dim, width = model.inner, model.inner_width
    made: Shapes = {f"{name}.attn1.to_{part}.weight": (width, dim) for part in "qkv"}
    made |= _biased(f"{name}.norm1", dim) | _biased(f"{name}.norm3", dim)
    made |= _biased(f"{name}.attn1.to_out.0", dim, width)
    return {
        **made,
        **_biased(f"{name}.ff.net.0.proj", 4 * dim, dim),
        **_biased(f"{name}.ff.net.2", dim, 4 * dim),
    }


def _vocoder(model: SynthS3Gen) -> Shapes:
    at, dim = "mel2wav", model.vocoder
    made = _biased(f"{at}.m_source.l_linear", 1, HARMONICS)
    made |= _normed(f"{at}.conv_pre", (dim, MEL, 7))
    for stage, (stride, kernel) in enumerate(zip(STRIDES, UP_KERNELS, strict=True)):
        made |= _normed(f"{at}.ups.{stage}", (dim, dim // 2, kernel), dim // 2)
        dim //= 2
        taps = 2 * stride if stride > 1 else 1
        made |= _biased(f"{at}.source_downs.{stage}", dim, BINS, taps)
        made |= _chain(f"{at}.source_resblocks.{stage}", dim, SOURCE_KERNELS[stage])
        for chain, kernel in enumerate(CHAIN_KERNELS):
            made |= _chain(f"{at}.resblocks.{3 * stage + chain}", dim, kernel)
    made |= _normed(f"{at}.conv_post", (BINS, dim, 7))
    for layer in range(5):
        inputs = model.f0 if layer else MEL
        made |= _normed(f"{at}.f0_predictor.condnet.{2 * layer}", (model.f0, inputs, 3))
    return made | _biased(f"{at}.f0_predictor.classifier", 1, model.f0)


def _chain(name: str, dim: int, kernel: int) -> Shapes:
    made: Shapes = {}
    for block in range(len(DILATIONS)):
        for part in (1, 2):
            made |= _normed(f"{name}.convs{part}.{block}", (dim, dim, kernel))
            made[f"{name}.activations{part}.{block}.alpha"] = (dim,)
    return made
