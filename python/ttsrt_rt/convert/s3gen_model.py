"""What an S3Gen is: the object "model" of config.json of the family "s3gen", with limits.

An S3Gen makes sound of the speech tokens of Chatterbox, and the rest of a voice of a recording. It
has up to five parts, each of which a source may lack: the flow with its token encoder, the vocoder
(HiFT), the tokenizer of speech, the speaker encoder (CAMPPlus), and the voice encoder of T3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ttsrt_rt.convert.fields import Block

__all__ = [
    "Estimator",
    "S3Gen",
    "SpeakerEncoder",
    "SpeechTokenizer",
    "TokenFlow",
    "Vocoder",
    "VoiceEncoder",
    "read_s3gen_json",
]

KINDS = ("cfm", "meanflow")
MAX_DIM = 1 << 13
MAX_LAYERS = 64
MAX_TAPS = 63
MAX_RATE = 64
MAX_CHAINS = 8
MAX_VOCAB = 1 << 20


@dataclass(frozen=True)
class Estimator:
    """The network that the flow integrates: one stage down, `mid_stages`, one up, each with a
    residual block and `layers` blocks of attention.
    """

    dim: int
    heads: int
    head_dim: int
    ffn_dim: int
    time_dim: int
    layers: int
    mid_stages: int


@dataclass(frozen=True)
class TokenFlow:
    """The flow: its token encoder, and its estimator.

    Attributes:
        kind: "cfm", which is guided, or "meanflow", whose estimator is told where a step ends.
        lookahead: tokens behind its own that a row of the first convolution reads.
        upsampling: frames of one token.
        layers, up_layers: blocks in front of the upsampling and behind it.
    """

    kind: str
    vocab: int
    dim: int
    heads: int
    ffn_dim: int
    layers: int
    up_layers: int
    lookahead: int
    upsampling: int
    mel_bins: int
    speaker_dim: int
    estimator: Estimator


@dataclass(frozen=True)
class Vocoder:
    """HiFT: sound of a spectrogram, by a harmonic source, convolutions and an inverse STFT.

    Attributes:
        dim: columns behind the first convolution; each stage halves them.
        rates, kernels: of the transposed convolutions, a stage each.
        chain_kernels: of the residual chains of a stage, whose mean it is.
        source_kernels: of the chain through which the source comes, a stage each.
        dilations: of the blocks of every chain.
        n_fft, hop: of the STFT of the source and of the inverse one.
        harmonics: of the source, the fundamental included.
        f0_dim, f0_layers: of the convolutions that predict the pitch.
    """

    mel_bins: int
    dim: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    chain_kernels: tuple[int, ...]
    source_kernels: tuple[int, ...]
    dilations: tuple[int, ...]
    n_fft: int
    hop: int
    harmonics: int
    f0_dim: int
    f0_layers: int

    @property
    def samples_per_frame(self) -> int:
        """Returns the product of all rates."""
        return math.prod(self.rates) * self.hop

    def strides(self) -> tuple[int, ...]:
        """Returns, for each stage, how many rows of the source's STFT one of its rows covers."""
        return tuple(math.prod(self.rates[stage + 1 :]) for stage in range(len(self.rates)))


@dataclass(frozen=True)
class SpeechTokenizer:
    """The S3 tokenizer v2: speech tokens of a log-mel spectrogram, digits of `levels` values."""

    mel_bins: int
    dim: int
    heads: int
    ffn_dim: int
    layers: int
    memory_taps: int
    digits: int
    levels: int


@dataclass(frozen=True)
class SpeakerEncoder:
    """CAMPPlus: a speaker's embedding of a filterbank.

    Attributes:
        channels: of the convolutions over time and bands in front.
        dim: columns behind the first convolution over time.
        inner: columns inside a layer.
        gate: columns inside the gate of a layer.
        growth: columns that a layer appends.
        layers, dilations: of the dense blocks, of which each halves its columns at its end.
    """

    mel_bins: int
    channels: int
    dim: int
    inner: int
    gate: int
    growth: int
    layers: tuple[int, ...]
    dilations: tuple[int, ...]
    embedding: int

    def widths(self) -> tuple[int, ...]:
        """Returns the columns in front of each dense block, and those behind the last one."""
        widths = [self.dim]
        for layers in self.layers:
            widths.append((widths[-1] + layers * self.growth) // 2)
        return tuple(widths)


@dataclass(frozen=True)
class VoiceEncoder:
    """The speaker's embedding of T3: layers of LSTM over a spectrogram."""

    mel_bins: int
    dim: int
    layers: int
    embedding: int


@dataclass(frozen=True)
class S3Gen:
    """The object "model" of config.json; docs/format.md has its fields. A part is None where the
    source has none.
    """

    sample_rate: int
    flow: TokenFlow | None
    vocoder: Vocoder | None
    speech_tokenizer: SpeechTokenizer | None
    speaker_encoder: SpeakerEncoder | None
    voice_encoder: VoiceEncoder | None


def read_s3gen_json(block: Block) -> S3Gen:
    """Reads the object "model" of config.json and checks every number.

    Raises:
        FormatError: a field is missing or out of its limits, or fields contradict each other; or
            the error of the block's kind.
    """
    flow, vocoder = block.optional("flow"), block.optional("vocoder")
    tokenizer = block.optional("speech_tokenizer")
    speaker, voice = block.optional("speaker_encoder"), block.optional("voice_encoder")
    made = S3Gen(
        sample_rate=block.integer("sample_rate", 1000, 768_000),
        flow=None if flow is None else _flow(flow),
        vocoder=None if vocoder is None else _vocoder(vocoder),
        speech_tokenizer=None if tokenizer is None else _tokenizer(tokenizer),
        speaker_encoder=None if speaker is None else _speaker(speaker),
        voice_encoder=None if voice is None else _voice(voice),
    )
    if made.flow and made.vocoder and made.flow.mel_bins != made.vocoder.mel_bins:
        raise block.error(
            f"{block.place('vocoder')}.mel_bins: expected {made.flow.mel_bins} like the flow's, "
            f"got {made.vocoder.mel_bins}"
        )
    if made.flow and made.speaker_encoder:
        wanted, got = made.flow.speaker_dim, made.speaker_encoder.embedding
        if wanted != got:
            raise block.error(
                f"{block.place('speaker_encoder')}.embedding: expected {wanted} like the flow's "
                f"speaker_dim, got {got}"
            )
    if made.flow and made.speech_tokenizer:
        codes = made.speech_tokenizer.levels**made.speech_tokenizer.digits
        if made.flow.vocab < codes:
            raise block.error(
                f"{block.place('flow')}.vocab: expected at least the {codes} tokens of the speech "
                f"tokenizer, got {made.flow.vocab}"
            )
    return made


def _divisible(block: Block, name: str, value: int, by: int, what: str) -> None:
    if value % by:
        raise block.error(f"{block.place(name)}: expected a multiple of {by} {what}, got {value}")


def _odd(block: Block, name: str, values: tuple[int, ...], count: int | None = None) -> None:
    wanted = "odd numbers" if count is None else f"{count} odd numbers"
    if not values or any(not each % 2 for each in values) or len(values) != (count or len(values)):
        raise block.fail(name, wanted)


def _dims(block: Block, *names: str) -> list[int]:
    return [block.integer(name, 1, MAX_DIM) for name in names]


def _flow(block: Block) -> TokenFlow:
    dim, heads, ffn_dim = _dims(block, "dim", "heads", "ffn_dim")
    _divisible(block, "dim", dim, 2 * heads, "for pairs of columns of every head")
    inner = block.block("estimator")
    mel_bins, speaker_dim = _dims(block, "mel_bins", "speaker_dim")
    _divisible(block, "mel_bins", mel_bins, 2, "bands")
    estimator = Estimator(
        *_dims(inner, "dim", "heads", "head_dim", "ffn_dim", "time_dim"),
        *(inner.integer(name, 1, MAX_LAYERS) for name in ("layers", "mid_stages")),
    )
    if estimator.heads * estimator.head_dim > MAX_DIM:
        raise inner.fail("heads", f"at most {MAX_DIM} columns for all heads")
    return TokenFlow(
        kind=block.word("kind", KINDS),
        vocab=block.integer("vocab", 1, MAX_VOCAB),
        dim=dim,
        heads=heads,
        ffn_dim=ffn_dim,
        layers=block.integer("layers", 1, MAX_LAYERS),
        up_layers=block.integer("up_layers", 1, MAX_LAYERS),
        lookahead=block.integer("lookahead", 1, MAX_TAPS - 1),
        upsampling=block.integer("upsampling", 1, MAX_TAPS // 2),
        mel_bins=mel_bins,
        speaker_dim=speaker_dim,
        estimator=estimator,
    )


def _taps(block: Block, name: str, most: int = MAX_TAPS) -> tuple[int, ...]:
    values = block.integers_with_repeats(name, 1, most)
    if not 1 <= len(values) <= MAX_CHAINS:
        raise block.fail(name, f"1 to {MAX_CHAINS} numbers")
    return values


def _vocoder(block: Block) -> Vocoder:
    mel_bins, dim, f0_dim = _dims(block, "mel_bins", "dim", "f0_dim")
    made = Vocoder(
        mel_bins=mel_bins,
        dim=dim,
        rates=_taps(block, "rates", MAX_RATE),
        kernels=_taps(block, "kernels"),
        chain_kernels=_taps(block, "chain_kernels"),
        source_kernels=_taps(block, "source_kernels"),
        dilations=_taps(block, "dilations"),
        n_fft=block.integer("n_fft", 4, 256),
        hop=block.integer("hop", 1, 64),
        harmonics=block.integer("harmonics", 1, 64),
        f0_dim=f0_dim,
        f0_layers=block.integer("f0_layers", 1, MAX_LAYERS),
    )
    stages = len(made.rates)
    _divisible(block, "dim", dim, 1 << stages, f"for {stages} stages, of which each halves it")
    _odd(block, "chain_kernels", made.chain_kernels)
    _odd(block, "source_kernels", made.source_kernels, stages)
    for rate, kernel in zip(made.rates, made.kernels, strict=False):
        if kernel < rate or (kernel - rate) % 2:
            raise block.fail("kernels", f"each larger than its rate {rate} by an even number")
    if len(made.kernels) != stages:
        raise block.fail("kernels", f"{stages} numbers as rates has")
    if made.n_fft != 4 * made.hop:
        raise block.fail("n_fft", f"four times the hop {made.hop}")
    return made


def _tokenizer(block: Block) -> SpeechTokenizer:
    mel_bins, dim, heads, ffn_dim = _dims(block, "mel_bins", "dim", "heads", "ffn_dim")
    _divisible(block, "dim", dim, 2 * heads, "for pairs of columns of every head")
    taps = block.integer("memory_taps", 1, MAX_TAPS)
    _odd(block, "memory_taps", (taps,))
    made = SpeechTokenizer(
        mel_bins=mel_bins,
        dim=dim,
        heads=heads,
        ffn_dim=ffn_dim,
        layers=block.integer("layers", 1, MAX_LAYERS),
        memory_taps=taps,
        digits=block.integer("digits", 1, 16),
        levels=block.integer("levels", 3, 3),
    )
    if made.levels**made.digits > MAX_VOCAB:
        raise block.fail("digits", f"digits for at most {MAX_VOCAB} tokens")
    return made


def _speaker(block: Block) -> SpeakerEncoder:
    mel_bins, channels, dim, inner, gate, growth, embedding = _dims(
        block, "mel_bins", "channels", "dim", "inner", "gate", "growth", "embedding"
    )
    _divisible(block, "mel_bins", mel_bins, 8, "bands, which are halved three times")
    layers = block.integers_with_repeats("layers", 1, MAX_LAYERS)
    if not 1 <= len(layers) <= MAX_CHAINS:
        raise block.fail("layers", f"1 to {MAX_CHAINS} numbers")
    dilations = block.integers_with_repeats("dilations", 1, MAX_TAPS)
    if len(dilations) != len(layers):
        raise block.fail("dilations", f"{len(layers)} numbers as layers has")
    width = dim
    for count in layers:
        width += count * growth
        _divisible(block, "layers", width, 2, "columns behind every block")
        width //= 2
        if width > MAX_DIM:
            raise block.fail("layers", f"at most {MAX_DIM} columns behind a block")
    return SpeakerEncoder(
        mel_bins, channels, dim, inner, gate, growth, layers, dilations, embedding
    )


def _voice(block: Block) -> VoiceEncoder:
    mel_bins, dim, embedding = _dims(block, "mel_bins", "dim", "embedding")
    return VoiceEncoder(mel_bins, dim, block.integer("layers", 1, 16), embedding)
