"""What a NanoCodec is: the sizes and choices of its model_config.yaml, with everything that this
program doesn't compute refused by name.

NeMo has many audio codecs under one model class; what a codec computes is said by the classes of
its parts. Where the encoder is of another kind than the one known here, the codec still makes
sound: it is then converted without an encoder, and the reason is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, quote

__all__ = ["CodecCoder", "CodecEncoder", "CodecModel", "find_codec_block", "read_codec_model"]

# As the reader of engines has them (cpp/src/model/nanocodec/config.cpp).
MAX_STAGES = 8
MAX_CHANNELS = 1 << 14
MAX_FRAME = 8192  # samples
MAX_KERNEL = 63
MAX_DILATION = 64
MAX_CHAINS = 8
MAX_GROUPS = 64
MAX_LEVELS = 64
MAX_DIMENSIONS = 8
MAX_CODES = 1 << 16

DECODER, ENCODER, QUANTIZER = "audio_decoder", "audio_encoder", "vector_quantizer"
OTHER_DECODERS = {
    "HiFiGANDecoder": "a decoder that looks to both sides",
    "ResNetDecoder": "a decoder of spectral codecs",
    "SEANetDecoder": "the decoder of EnCodec",
}
OTHER_QUANTIZERS = {
    "ResidualVectorQuantizer": "residual vector quantization with learned codebooks",
    "GroupResidualVectorQuantizer": "residual vector quantization with learned codebooks",
    "FiniteScalarQuantizer": "one quantizer without groups",
}
CODER_FIELDS = {
    *("_target_", "base_channels", "in_kernel_size", "out_kernel_size", "pad_mode"),
    *("resblock_kernel_sizes", "resblock_dilation_sizes", "activation"),
}
DECODER_FIELDS = {
    *CODER_FIELDS,
    *("input_dim", "up_sample_rates", "output_activation", "n_groups_equal_to_out_channels"),
}
ENCODER_FIELDS = {*CODER_FIELDS, "encoded_dim", "down_sample_rates"}
QUANTIZER_FIELDS = {"_target_", "num_groups", "num_levels_per_group", "eps"}


@dataclass(frozen=True)
class CodecCoder:
    """The convolutions of a decoder, in the order in which they run.

    Attributes:
        base_channels: columns behind the first convolution; each stage halves them.
        rates: by how much each stage multiplies the number of rows.
        kernels: taps of the residual chains of a stage, whose mean it is.
        dilations: of the blocks of a chain.
        pre_kernel, post_kernel: taps of the first and of the last convolution.
    """

    base_channels: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    dilations: tuple[int, ...]
    pre_kernel: int
    post_kernel: int


@dataclass(frozen=True)
class CodecEncoder(CodecCoder):
    """An encoder, whose stages double the columns and divide the number of rows.

    Attributes:
        pad: what its convolutions read beyond the ends.
    """

    pad: str = "replicate"


@dataclass(frozen=True)
class CodecModel:
    """The object "model" of config.json of the family "nanocodec"; docs/format.md has its fields.

    Attributes:
        encoder: None where the source has none that is known here.
    """

    sample_rate: int
    samples_per_frame: int
    groups: int
    levels: tuple[int, ...]
    decoder: CodecCoder
    encoder: CodecEncoder | None

    @property
    def latent(self) -> int:
        """Returns the columns between encoder and decoder."""
        return self.groups * len(self.levels)


def find_codec_block(config: Config) -> Config:
    """Finds the codec in a YAML file: at the top, or under `cfg`, `cfg.value` or `model`.

    Raises:
        ConfigError: none of these is a codec.
    """
    for place in ("", "cfg", "cfg.value", "model"):
        try:
            found = config if not place else config.section(place)
        except ConfigError:
            continue
        if found.has(DECODER):
            return found
    raise ConfigError(
        f"{config.where}: expected an audio codec ({DECODER}, {QUANTIZER}, ...) at the top, under "
        "cfg, cfg.value or model, got none"
    )


def read_codec_model(config: Config, notices: list[str], *, has_encoder: bool) -> CodecModel:
    """Reads the configuration of a codec.

    Args:
        config: its model_config.yaml, or the section of another file that is a codec.
        notices: gets what the caller should tell people.
        has_encoder: whether the source has tensors of an encoder.

    Raises:
        ConfigError: a field is missing or out of its limits, or the codec is of another kind.
    """
    for name in ("semantic_codec", "semantic_codec_path"):
        if config.has(name):
            raise _other(config, name, "none", "a codec inside the codec is not supported")
    sample_rate = config.get_int("sample_rate", minimum=1000, maximum=768_000)
    output_rate = config.get_int("output_sample_rate", default=sample_rate)
    if output_rate != sample_rate:
        raise _other(
            config, "output_sample_rate", f"{sample_rate} like sample_rate", f"got {output_rate}"
        )
    samples = config.get_int("samples_per_frame", minimum=1, maximum=MAX_FRAME)
    groups, levels = _read_quantizer(config)
    latent = groups * len(levels)
    decoder = _read_decoder(config, samples, latent)
    encoder = None
    if has_encoder or config.has(ENCODER):
        reason = _refused_encoder(config, has_encoder)
        if reason is None:
            encoder = _read_encoder(config, samples, latent)
        else:
            notices.append(f"converted without its encoder, which turns sound into codes: {reason}")
    return CodecModel(sample_rate, samples, groups, levels, decoder, encoder)


def _place(config: Config, name: str) -> str:
    return f"{config.where}: {config.path}.{name}" if config.path else f"{config.where}: {name}"


def _other(config: Config, name: str, expected: str, why: str) -> ConfigError:
    return ConfigError(f"{_place(config, name)}: expected {expected}: {why}")


def _class_of(config: Config, part: str) -> str:
    """Returns the name of a part's class without its module."""
    return config.get_str(f"{part}._target_", max_length=200).rsplit(".", 1)[-1]


def _check_class(config: Config, part: str, wanted: str, others: dict[str, str]) -> None:
    name = _class_of(config, part)
    if name != wanted:
        told = f"got {quote(name)}"
        if name in others:
            told += f", {others[name]}, which is not supported"
        raise ConfigError(f"{_place(config, part)}._target_: expected {wanted}, {told}")


def _check_fields(config: Config, part: str, known: set[str]) -> None:
    """Refuses fields whose effect on the result is not known here."""
    unknown = sorted(name for name in config.section(part) if name not in known)
    if unknown:
        raise ConfigError(f"{_place(config, part)}: unknown fields {list_names(unknown)}")


def _check_word(config: Config, name: str, wanted: str, default: str) -> None:
    got = config.get_str(name, max_length=100, default=default)
    if got.lower() != wanted:
        raise _other(config, name, wanted, f"a codec with {quote(got)} is not supported")


def _read_quantizer(config: Config) -> tuple[int, tuple[int, ...]]:
    if not config.has(QUANTIZER):
        raise ConfigError(f"{_place(config, QUANTIZER)}: expected GroupFiniteScalarQuantizer")
    _check_class(config, QUANTIZER, "GroupFiniteScalarQuantizer", OTHER_QUANTIZERS)
    _check_fields(config, QUANTIZER, QUANTIZER_FIELDS)
    groups = config.get_int(f"{QUANTIZER}.num_groups", minimum=1, maximum=MAX_GROUPS)
    name = f"{QUANTIZER}.num_levels_per_group"
    levels = config.get_ints(name, minimum=2, maximum=MAX_LEVELS, max_length=MAX_DIMENSIONS)
    if not levels or math.prod(levels) > MAX_CODES:
        raise _other(config, name, f"levels for at most {MAX_CODES} codes", f"got {levels}")
    if config.get_float(f"{QUANTIZER}.eps", default=1e-3) != 1e-3:
        raise _other(config, f"{QUANTIZER}.eps", "0.001", "another margin is not supported")
    return groups, tuple(levels)


def _read_coder(
    config: Config, part: str, rates: str, base_channels: int, post_kernel: int
) -> CodecCoder:
    """Reads what decoders and encoders have in common, with the defaults of their classes."""
    coder = CodecCoder(
        base_channels=config.get_int(
            f"{part}.base_channels", minimum=1, maximum=MAX_CHANNELS, default=base_channels
        ),
        rates=_numbers(config, f"{part}.{rates}", MAX_FRAME, MAX_STAGES, ()),
        kernels=_numbers(
            config, f"{part}.resblock_kernel_sizes", MAX_KERNEL, MAX_CHAINS, (3, 7, 11)
        ),
        dilations=_numbers(
            config, f"{part}.resblock_dilation_sizes", MAX_DILATION, MAX_CHAINS, (1, 3, 5)
        ),
        pre_kernel=_kernel(config, f"{part}.in_kernel_size", 7),
        post_kernel=_kernel(config, f"{part}.out_kernel_size", post_kernel),
    )
    for name, kernels in (
        ("resblock_kernel_sizes", coder.kernels),
        ("in_kernel_size", (coder.pre_kernel,)),
        ("out_kernel_size", (coder.post_kernel,)),
    ):
        if any(kernel % 2 == 0 for kernel in kernels):
            raise _other(config, f"{part}.{name}", "odd kernels", f"got {kernels}")
    return coder


def _kernel(config: Config, name: str, default: int) -> int:
    return config.get_int(name, minimum=1, maximum=MAX_KERNEL, default=default)


def _numbers(
    config: Config, name: str, maximum: int, most: int, default: Sequence[int]
) -> tuple[int, ...]:
    """Returns a list of positive numbers, which may be absent if there is a default."""
    if not default or config.has(name):
        found = config.get_ints(name, minimum=1, maximum=maximum, max_length=most)
        if not found:
            raise _other(config, name, "a list of numbers", "it is empty")
        return tuple(found)
    return tuple(default)


def _check_frame(config: Config, name: str, rates: Sequence[int], samples: int) -> None:
    if math.prod(rates) != samples:
        raise _other(
            config,
            name,
            f"rates whose product is samples_per_frame {samples}",
            f"got {math.prod(rates)}",
        )


def _read_decoder(config: Config, samples: int, latent: int) -> CodecCoder:
    _check_class(config, DECODER, "CausalHiFiGANDecoder", OTHER_DECODERS)
    _check_fields(config, DECODER, DECODER_FIELDS)
    _check_word(config, f"{DECODER}.activation", "half_snake", "lrelu")
    _check_word(config, f"{DECODER}.output_activation", "clamp", "tanh")
    _check_word(config, f"{DECODER}.pad_mode", "zeros", "zeros")
    grouped = f"{DECODER}.n_groups_equal_to_out_channels"
    if not config.get_bool(grouped, default=True):
        raise _other(config, grouped, "true", "upsamplers without groups are not supported")
    if config.get_int(f"{DECODER}.input_dim") != latent:
        raise _other(config, f"{DECODER}.input_dim", f"{latent} as the quantizer has", "it differs")
    coder = _read_coder(config, DECODER, "up_sample_rates", 512, 3)
    _check_frame(config, f"{DECODER}.up_sample_rates", coder.rates, samples)
    least = 1 << len(coder.rates)
    if coder.base_channels % least or coder.base_channels < 2 * least:
        raise _other(
            config,
            f"{DECODER}.base_channels",
            f"a multiple of {least} that is at least {2 * least}, as {len(coder.rates)} stages "
            "halve it",
            f"got {coder.base_channels}",
        )
    return coder


def _refused_encoder(config: Config, has_tensors: bool) -> str | None:
    """Returns why the encoder is not converted; None: it is."""
    return next(_reasons(config, has_tensors), None)


def _reasons(config: Config, has_tensors: bool) -> Iterator[str]:
    if not config.has(ENCODER):
        yield f"the configuration has no {ENCODER}"
    elif not has_tensors:
        yield "the source has no tensors of it"
    elif _class_of(config, ENCODER) != "HiFiGANEncoder":
        name = quote(_class_of(config, ENCODER))
        yield f"{ENCODER}._target_: expected HiFiGANEncoder, got {name}"
    else:
        for field, wanted, default in (
            ("activation", "lrelu", "lrelu"),
            ("pad_mode", "replicate", "reflect"),
        ):
            got = config.get_str(f"{ENCODER}.{field}", max_length=100, default=default)
            if got.lower() != wanted:
                yield f"{ENCODER}.{field}: expected {wanted}, got {quote(got)}"
        unknown = sorted(name for name in config.section(ENCODER) if name not in ENCODER_FIELDS)
        if unknown:
            yield f"{ENCODER}: unknown fields {list_names(unknown)}"


def _read_encoder(config: Config, samples: int, latent: int) -> CodecEncoder:
    if config.get_int(f"{ENCODER}.encoded_dim") != latent:
        raise _other(
            config, f"{ENCODER}.encoded_dim", f"{latent} as the quantizer has", "it differs"
        )
    coder = _read_coder(config, ENCODER, "down_sample_rates", 32, 7)
    _check_frame(config, f"{ENCODER}.down_sample_rates", coder.rates, samples)
    if 1 in coder.rates:
        raise _other(
            config, f"{ENCODER}.down_sample_rates", "rates of at least 2", f"got {coder.rates}"
        )
    most = MAX_CHANNELS >> len(coder.rates)
    if coder.base_channels > most:
        raise _other(
            config,
            f"{ENCODER}.base_channels",
            f"at most {most}, which {len(coder.rates)} stages double",
            f"got {coder.base_channels}",
        )
    return CodecEncoder(**vars(coder))
