"""Tells an S3Gen from the names and shapes of its original tensors, which bring no configuration.

What no shape tells is stated here, as the original code states it: the rates and dilations of the
vocoder, the dilations of the speaker encoder, the sample rate, heads of 64 in the tokenizer. The
estimator's heads have 64 dimensions, too, and 16 in miniature models of 64 columns or less; another
number is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.convert.nanocodec_tensors import DIRECTION
from ttsrt_rt.convert.s3gen_model import (
    Estimator,
    S3Gen,
    SpeakerEncoder,
    SpeechTokenizer,
    TokenFlow,
    Vocoder,
    VoiceEncoder,
    read_s3gen_json,
)
from ttsrt_rt.convert.tensor_shapes import TensorShapes, axes_of, num_layers
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import show

__all__ = ["MIXER", "PARTS", "VOICE_ENCODER", "parts_of", "read_s3gen_model"]

# The first parts of original names; those of the voice encoder's own file get its name.
VOICE_ENCODER = "voice_encoder"
PARTS = ("flow", "mel2wav", "tokenizer", "speaker_encoder", VOICE_ENCODER)
ESTIMATOR = "flow.decoder.estimator"
MIXER = f"{ESTIMATOR}.time_embed_mixer.weight"

SAMPLE_RATE = 24000
RATES = (8, 5, 3)
DILATIONS = (1, 3, 5)
BLOCK_DILATIONS = (1, 2, 2)
DIGIT_LEVELS = 3
USUAL_HEAD_DIM, SMALL_HEAD_DIM = 64, 16


def parts_of(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the parts that tensors of these names belong to, in the order of `PARTS`."""
    found = {name.split(".", 1)[0] for name in names}
    return tuple(part for part in PARTS if part in found)


def read_s3gen_model(shapes: TensorShapes, heads: int | None = None) -> S3Gen:
    """Returns the model that tensors of these names and shapes are.

    Args:
        shapes: by original names without wrappers; weight norm has its names of today.
        heads: heads of the estimator; None: heads of 64, or of 16 in miniature models.

    Raises:
        ConfigError: the heads contradict the tensors.
        FormatError: a tensor is missing, has an impossible shape, or makes a size beyond its limit;
            or the parts contradict each other.
    """
    parts = parts_of(shapes)
    if heads is not None and "flow" not in parts:
        raise ConfigError(f"heads: expected none without a flow, got {show(heads)}")
    model = S3Gen(
        sample_rate=SAMPLE_RATE,
        flow=_flow(shapes, heads) if "flow" in parts else None,
        vocoder=_vocoder(shapes) if "mel2wav" in parts else None,
        speech_tokenizer=_tokenizer(shapes) if "tokenizer" in parts else None,
        speaker_encoder=_speaker(shapes) if "speaker_encoder" in parts else None,
        voice_encoder=_voice(shapes) if VOICE_ENCODER in parts else None,
    )
    return read_s3gen_json(Block(to_json(model), "model"))


def _flow(shapes: TensorShapes, heads: int | None) -> TokenFlow:
    encoder = "flow.encoder"
    vocab, dim = axes_of(shapes, "flow.input_embedding.weight", 2)
    mel_bins, speaker_dim = axes_of(shapes, "flow.spk_embed_affine_layer.weight", 2)
    block = f"{encoder}.encoders.0"
    ahead = axes_of(shapes, f"{encoder}.pre_lookahead_layer.conv1.weight", 3)[2]
    behind = axes_of(shapes, f"{encoder}.up_layer.conv.weight", 3)[2]
    return TokenFlow(
        kind="meanflow" if MIXER in shapes else "cfm",
        vocab=vocab,
        dim=dim,
        heads=axes_of(shapes, f"{block}.self_attn.pos_bias_u", 2)[0],
        ffn_dim=axes_of(shapes, f"{block}.feed_forward.w_1.weight", 2)[0],
        layers=num_layers(shapes, f"{encoder}.encoders."),
        up_layers=num_layers(shapes, f"{encoder}.up_encoders."),
        lookahead=ahead - 1,
        upsampling=(behind - 1) // 2,
        mel_bins=mel_bins,
        speaker_dim=speaker_dim,
        estimator=_estimator(shapes, heads),
    )


def _estimator(shapes: TensorShapes, heads: int | None) -> Estimator:
    first = f"{ESTIMATOR}.down_blocks.0"
    name = f"{first}.1.0.attn1.to_q.weight"
    width = axes_of(shapes, name, 2)[0]
    if heads is None:
        head_dim = USUAL_HEAD_DIM if width > USUAL_HEAD_DIM else SMALL_HEAD_DIM
        if width % head_dim:
            raise ConfigError(
                f"{name}: expected rows that are a multiple of {head_dim}, got {width}; pass "
                "heads= with the number of attention heads"
            )
        heads = width // head_dim
    if type(heads) is not int or heads < 1 or width % heads:
        raise ConfigError(f"heads: expected a divisor of the width {width}, got {show(heads)}")
    return Estimator(
        dim=axes_of(shapes, f"{first}.0.block1.block.0.weight", 3)[0],
        heads=heads,
        head_dim=width // heads,
        ffn_dim=axes_of(shapes, f"{first}.1.0.ff.net.0.proj.weight", 2)[0],
        time_dim=axes_of(shapes, f"{ESTIMATOR}.time_mlp.linear_1.weight", 2)[0],
        layers=num_layers(shapes, f"{first}.1."),
        mid_stages=num_layers(shapes, f"{ESTIMATOR}.mid_blocks."),
    )


def _vocoder(shapes: TensorShapes) -> Vocoder:
    at, stages = "mel2wav", len(RATES)

    def taps(name: str) -> int:
        return axes_of(shapes, f"{at}.{name}.{DIRECTION}", 3)[2]

    for name, each in (("ups", stages), ("source_resblocks", stages)):
        if (got := num_layers(shapes, f"{at}.{name}.")) != each:
            raise FormatError(f"{at}.{name}: expected {each} stages, got {got}")
    chains, rest = divmod(num_layers(shapes, f"{at}.resblocks."), stages)
    if rest or not chains:
        raise FormatError(f"{at}.resblocks: expected a multiple of {stages} chains, got another")
    dim, mel_bins, _ = axes_of(shapes, f"{at}.conv_pre.{DIRECTION}", 3)
    bins = axes_of(shapes, f"{at}.conv_post.{DIRECTION}", 3)[0]
    return Vocoder(
        mel_bins=mel_bins,
        dim=dim,
        rates=RATES,
        kernels=tuple(taps(f"ups.{stage}") for stage in range(stages)),
        chain_kernels=tuple(taps(f"resblocks.{chain}.convs1.0") for chain in range(chains)),
        source_kernels=tuple(taps(f"source_resblocks.{each}.convs1.0") for each in range(stages)),
        dilations=DILATIONS,
        n_fft=bins - 2,
        hop=(bins - 2) // 4,
        harmonics=axes_of(shapes, f"{at}.m_source.l_linear.weight", 2)[1],
        f0_dim=axes_of(shapes, f"{at}.f0_predictor.classifier.weight", 2)[1],
        f0_layers=(num_layers(shapes, f"{at}.f0_predictor.condnet.") + 1) // 2,
    )


def _tokenizer(shapes: TensorShapes) -> SpeechTokenizer:
    at = "tokenizer.encoder"
    dim, mel_bins, _ = axes_of(shapes, f"{at}.conv1.weight", 3)
    if dim % USUAL_HEAD_DIM:
        raise FormatError(
            f"{at}.conv1.weight: expected a multiple of {USUAL_HEAD_DIM} rows, got {dim}"
        )
    return SpeechTokenizer(
        mel_bins=mel_bins,
        dim=dim,
        heads=dim // USUAL_HEAD_DIM,
        ffn_dim=axes_of(shapes, f"{at}.blocks.0.mlp.0.weight", 2)[0],
        layers=num_layers(shapes, f"{at}.blocks."),
        memory_taps=axes_of(shapes, f"{at}.blocks.0.attn.fsmn_block.weight", 3)[2],
        digits=axes_of(shapes, "tokenizer.quantizer._codebook.project_down.weight", 2)[0],
        levels=DIGIT_LEVELS,
    )


def _speaker(shapes: TensorShapes) -> SpeakerEncoder:
    at = "speaker_encoder"
    channels = axes_of(shapes, f"{at}.head.conv1.weight", 4)[0]
    name = f"{at}.xvector.tdnn.linear.weight"
    dim, inputs, _ = axes_of(shapes, name, 3)
    if inputs % channels:
        raise FormatError(f"{name}: expected a multiple of {channels} inputs, got {inputs}")
    first = f"{at}.xvector.block1.tdnnd1"
    layers = tuple(
        num_layers(shapes, f"{at}.xvector.block{block}.tdnnd") - 1
        for block in range(1, 1 + len(BLOCK_DILATIONS))
    )
    return SpeakerEncoder(
        mel_bins=inputs // channels * 8,
        channels=channels,
        dim=dim,
        inner=axes_of(shapes, f"{first}.linear1.weight", 3)[0],
        gate=axes_of(shapes, f"{first}.cam_layer.linear1.weight", 3)[0],
        growth=axes_of(shapes, f"{first}.cam_layer.linear_local.weight", 3)[0],
        layers=layers,
        dilations=BLOCK_DILATIONS,
        embedding=axes_of(shapes, f"{at}.xvector.dense.linear.weight", 3)[0],
    )


def _voice(shapes: TensorShapes) -> VoiceEncoder:
    layers = 0
    while f"{VOICE_ENCODER}.lstm.weight_ih_l{layers}" in shapes:
        layers += 1
    return VoiceEncoder(
        mel_bins=axes_of(shapes, f"{VOICE_ENCODER}.lstm.weight_ih_l0", 2)[1],
        dim=axes_of(shapes, f"{VOICE_ENCODER}.lstm.weight_hh_l0", 2)[1],
        layers=layers,
        embedding=axes_of(shapes, f"{VOICE_ENCODER}.proj.weight", 2)[0],
    )
