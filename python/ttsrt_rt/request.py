"""`Request` and its options, frozen and keyword-only.

Defaults of options are not repeated here: they come from the library's own structs
(`ttsrt/options.h`). An option of a request that is None takes the checkpoint's default. Arrays may
be anything that numpy can read: arrays, lists, the buffer protocol, DLPack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import named_fields
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    from array import array

    from typing_extensions import Unpack

    from ttsrt_rt.options import EosMethod, MaskGitSampling, PriorMode, Suppress

__all__ = [
    "ArrayInput",
    "AttentionPrior",
    "BlockDiffusion",
    "MaskGit",
    "PriorFields",
    "Request",
    "RequestFields",
]


class _HasArray(Protocol):
    def __array__(self, *args: Any, **options: Any) -> Any: ...


class _HasDLPack(Protocol):
    def __dlpack__(self, *args: Any, **options: Any) -> Any: ...


class _HasCudaArray(Protocol):
    @property
    def __cuda_array_interface__(self) -> Any: ...


Row: TypeAlias = "Sequence[int] | Sequence[float] | _HasArray | _HasDLPack | _HasCudaArray"

ArrayInput: TypeAlias = "Row | Sequence[Row] | bytearray | memoryview | array[Any]"
"""What numpy can read as an array of numbers; not a text, although numpy reads that, too. Rows of
floats may be in the memory of the GPU that the executor runs on (docs/gpu.md)."""

_MASKGIT = _core.MaskGit()


class HasEngine(Protocol):
    """What runs an engine: an `Executor`."""

    @property
    def engine(self) -> _core.Engine:
        """The engine that it runs."""


class PriorFields(TypedDict, total=False):
    """The fields of `AttentionPrior`, as keyword arguments of `AttentionPrior.of`."""

    mode: PriorMode | None
    epsilon: float | None
    lookahead: int | None
    left: int | None
    right: int | None
    estimate_layers: Sequence[int] | None
    apply_layers: Sequence[int] | None
    start_step: int | None
    skip_after: int | None
    suppress_after: int | None
    suppress: Suppress | None
    short_text: int | None
    end_margin: int | None
    count_end: bool | None
    track_finish: bool | None
    unfinished_grace: int | None
    force_after: int | None
    end_after: int | None
    recompute: bool | None


@named_fields
@dataclass(frozen=True, kw_only=True)
class AttentionPrior:
    """The attention prior, which keeps cross-attention moving along the text.

    An option that is None takes the value of the checkpoint's prior: `AttentionPrior(lookahead=8)`
    changes one thing. If the checkpoint has no prior, or `mode` is another than the checkpoint's,
    it takes the value that the mode has by itself; those given below are of "nemo". Positions are
    text positions, layers are decoder layers, counts are decoder steps.

    The modes:
        "nemo": The rule of NVIDIA NeMo 3's MagpieTTS.
        "nemo_2503": The rule of the generation before: `epsilon` 1e-5, `lookahead` 10, `right` 5,
            `start_step` 10, `suppress` "single", `count_end` False, `track_finish` True,
            `unfinished_grace` 10.
        "window": The rule of the TensorRT-LLM fork, with `right` 5 and `end_after` 20. It has no
            `start_step`, `suppress_after`, `suppress`, `short_text`, `end_margin`, `count_end`,
            `track_finish`, `unfinished_grace` and `force_after`.

    Attributes:
        mode: "nemo", "nemo_2503" or "window".
        epsilon: Weight outside the favoured positions, 0 to 1; 0.1.
        lookahead: Positions searched for the next focus, from the current one on; 5.
        left: Favoured positions before the focus; 1.
        right: Favoured positions after the focus; in mode "nemo", as many as `lookahead`.
        estimate_layers: Layers whose attention finds the focus; empty for all text layers.
        apply_layers: Layers the prior acts in; empty for all text layers.
        start_step: First decoder step after which the focus moves; 0.
        skip_after: After so many steps on one position the focus moves past it; 8.
        suppress_after: After so many steps a position's weight falls to epsilon; 0 for never; 10.
        suppress: Which positions then fall: "upto" that one and all before it, "single" only it.
        short_text: Texts up to this length get weight 1 everywhere; 5.
        end_margin: Tokens at the end of the text where the focus is not searched; 3.
        count_end: Whether the end reached by an empty search is counted; True.
        track_finish: Whether progress through the text forbids and forces end of speech; False.
        unfinished_grace: Steps near the end during which end of speech stays forbidden; 5.
        force_after: Steps near the end after which end of speech is forced; 20.
        end_after: "window": the request ends after so many steps at the end; 0 for never.
        recompute: Whether each step recomputes all positions under the newest prior, as the
            original does without its cache: slow. False.
    """

    mode: PriorMode | None = None
    epsilon: float | None = None
    lookahead: int | None = None
    left: int | None = None
    right: int | None = None
    estimate_layers: Sequence[int] | None = None
    apply_layers: Sequence[int] | None = None
    start_step: int | None = None
    skip_after: int | None = None
    suppress_after: int | None = None
    suppress: Suppress | None = None
    short_text: int | None = None
    end_margin: int | None = None
    count_end: bool | None = None
    track_finish: bool | None = None
    unfinished_grace: int | None = None
    force_after: int | None = None
    end_after: int | None = None
    recompute: bool | None = None

    @classmethod
    def of(cls, engine: HasEngine | _core.Engine, **options: Unpack[PriorFields]) -> AttentionPrior:
        """Returns the prior of an engine's checkpoint, with some options changed.

        `Request(prior=AttentionPrior.of(engine))` gives what `Request(prior="default")` gives.

        Args:
            engine: An executor, or an engine.
            options: The options to change.

        Raises:
            ConfigError: The checkpoint has no prior, or an option is unknown.
        """
        opened = engine if isinstance(engine, _core.Engine) else getattr(engine, "engine", None)
        if not isinstance(opened, _core.Engine):
            raise ConfigError(f"engine: expected an Executor or an Engine, got {engine!r}")
        native = opened.info.default_prior
        if native is None:
            raise ConfigError(f"{opened.path}: this checkpoint has no attention prior")
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(options) - set(names))
        if unknown:
            raise ConfigError(
                f"prior.{unknown[0]}: no such option; expected some of {', '.join(names)}"
            )
        return cls(**{**{name: getattr(native, name) for name in names}, **options})


@named_fields
@dataclass(frozen=True, kw_only=True)
class MaskGit:
    """How a MaskGit local transformer unmasks a stack of codes.

    Attributes:
        steps: Passes.
        noise_scale: Scale of the noise on confidences.
        schedule: Codes that are unmasked at the start of each pass; its length is the number of
            passes. Empty for the cosine schedule.
        dynamic_cfg_scale: Whether guidance rises linearly from 1 to `cfg_scale` over the passes.
        sampling: "default", "causal", "purity_default" or "purity_causal".
        confidence_temperature: Temperature of the probabilities by which codes are ranked, above 0;
            None for the request's temperature, or the checkpoint's where the request's is 0.
    """

    steps: int = _MASKGIT.steps
    noise_scale: float = _MASKGIT.noise_scale
    schedule: Sequence[int] = tuple(_MASKGIT.schedule)
    dynamic_cfg_scale: bool = _MASKGIT.dynamic_cfg_scale
    sampling: MaskGitSampling = _MASKGIT.sampling
    confidence_temperature: float | None = None


@named_fields
@dataclass(frozen=True, kw_only=True)
class BlockDiffusion:
    """How a model decides the codes of a block together (block diffusion: Chatterbox-Flash).

    What is None is as the checkpoint says.

    Attributes:
        steps: Steps that decide a block, at most; the original's `num_steps`.
        early: How early a step decides codes beyond its schedule: those whose score is among the
            best `early * step / steps` of the undecided; 0 for never. The original's
            `time_shift_tau`.
        shift: Of the schedule: 1 decides evenly, less decides more codes late. The original's
            `omnivoice_schedule_t_shift`.
        noise: Factor of the noise in the scores by which codes are decided; 0 for none. The
            original's is 1 whatever its `position_temperature` above 0.
    """

    steps: int | None = None
    early: float | None = None
    shift: float | None = None
    noise: float | None = None


@named_fields
@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One utterance to speak.

    The text is exactly one of `text_ids`, `text_features` and `encoder_output`; the context exactly
    one of `voice`, `context_codes`, `context_embeddings` and `context_text_ids`.

    Attributes:
        text_ids: Ids as given, nothing is appended: integers [text_len]. Chatterbox T3: an id -1
            stands for the next row of `text_features`, so that ids and rows may be mixed.
        text_features: Rows before the encoder: floats [text_len, dim]. Chatterbox T3: rows in place
            of token embeddings; the text's learned positions are added.
        encoder_output: Rows after the encoder: floats [text_len, dim].
        voice: A stored voice, by index or by name.
        context_codes: Codec codes, special columns included: integers [frames, codebooks].
        context_embeddings: Rows as the decoder takes them: floats [rows, dim].
        context_text_ids: Ids of a text that describes the voice: integers [context_text_len].
        emotion: Chatterbox T3: how strong the emotion is, instead of the voice's; the original's
            `exaggeration`. Its row takes the place of the last row of the voice, also of
            `context_embeddings`, whose last row is that of the emotion.
        prompt_embeddings: Models whose prompt is rows in front of what they generate (Chatterbox
            T3): the whole prompt as the decoder takes it, the row behind which the first token is
            drawn included, instead of a text and a context: floats [rows, dim]. Nothing is added to
            these rows but the positions of a decoder that has learned ones of its own (GPT-2).
        unconditional_embeddings: With `prompt_embeddings` and guidance, the prompt of the
            unconditional branch: floats, as many rows. It and the other rows of floats may be
            float32 arrays on the GPU that the executor runs on, which must not change until the
            request has ended (docs/gpu.md).
        cfg_scale: Guidance, `uncond + cfg_scale * (cond - uncond)` on logits; 1 for none. It is 1 +
            `cfg_weight` of Chatterbox.
        temperature: Divides logits before a draw; 0 takes the largest.
        top_k: Draws among the k likeliest; 0 for all.
        top_p: Draws among the likeliest whose probabilities sum to this.
        min_p: Draws among those at least this likely, relative to the likeliest.
        repetition_penalty: Not supported by Magpie, which accepts only 1.
        seed: Of this request's own random numbers, 0 to 2**64 - 1. The same seed gives the same
            result.
        max_frames: Codec frames after which the request ends with "length".
        min_frames: Codec frames before which end of speech is impossible; see `strict_end`.
        strict_end: Only for checkpoints whose configuration forces the id that ends speech. The
            original forbids special ids by their place after the codec's K codes: K+1 before
            `min_frames`, the others always, whichever id ends speech. False does as the original;
            with True the id that ends speech is impossible before `min_frames`, and possible from
            then on. Chatterbox T3 and language models accept only False.
        prior: "default" for the checkpoint's, None for off, or these options.
        eos_method: How end of speech is detected, e.g. "argmax_or_multinomial_any". Models that
            decide codes in blocks accept only None.
        use_local_transformer: False draws from the independent heads.
        maskgit: Options of a MaskGit local transformer, for checkpoints that have one.
        block: Options of block diffusion, for models that decide codes in blocks.
        forced_codes: Codes of the whole result, in whole decoder steps: integers [frames,
            codebooks]. Each step draws as usual and then goes on from these codes instead, and
            nothing ends it early. For comparing the stages of a given utterance.
        return_alignment: Whether the result has `alignment`.
        analyze_alignment: Chatterbox T3 with alignment heads: True lets the alignment forbid an end
            of speech before the end of the text, and force one that is overdue (`chatterbox-tts`
            0.1.3 to 0.1.7, AlignmentStreamAnalyzer); None for the checkpoint's default.
        mask_invalid: Chatterbox T3: True lets only speech tokens and the end of speech be drawn.
        stop_after_equal: So many equal steps in a row end speech, not before `min_frames`; None for
            any number.
        chunk_frames: Streaming: the smallest number of frames in one event, except the last.
        priority: Of the requests that wait, those with a larger priority start first; they may
            pause those with a smaller one, see `preempt` of `Executor`.
        deadline: Seconds from submit after which the request ends with "deadline".
    """

    text_ids: ArrayInput | None = None
    text_features: ArrayInput | None = None
    encoder_output: ArrayInput | None = None
    voice: int | str | None = None
    context_codes: ArrayInput | None = None
    context_embeddings: ArrayInput | None = None
    context_text_ids: ArrayInput | None = None
    emotion: float | None = None
    prompt_embeddings: ArrayInput | None = None
    unconditional_embeddings: ArrayInput | None = None
    cfg_scale: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int = 0
    max_frames: int | None = None
    min_frames: int | None = None
    strict_end: bool = False
    prior: AttentionPrior | Literal["default"] | None = "default"
    eos_method: EosMethod | None = None
    use_local_transformer: bool | None = None
    maskgit: MaskGit | None = None
    block: BlockDiffusion | None = None
    forced_codes: ArrayInput | None = None
    return_alignment: bool = False
    analyze_alignment: bool | None = None
    mask_invalid: bool = False
    stop_after_equal: int | None = None
    chunk_frames: int = 1
    priority: int = 0
    deadline: float | None = None

    def __repr__(self) -> str:
        given = (
            f"{field.name}={_shown(value)}"
            for field in dataclasses.fields(self)
            if _is_given(value := getattr(self, field.name), field.default)
        )
        return f"Request({', '.join(given)})"


class RequestFields(TypedDict, total=False):
    """The fields of `Request`, as keyword arguments of `generate`, `stream`, `submit` and so on."""

    text_ids: ArrayInput | None
    text_features: ArrayInput | None
    encoder_output: ArrayInput | None
    voice: int | str | None
    context_codes: ArrayInput | None
    context_embeddings: ArrayInput | None
    context_text_ids: ArrayInput | None
    emotion: float | None
    prompt_embeddings: ArrayInput | None
    unconditional_embeddings: ArrayInput | None
    cfg_scale: float | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    seed: int
    max_frames: int | None
    min_frames: int | None
    strict_end: bool
    prior: AttentionPrior | Literal["default"] | None
    eos_method: EosMethod | None
    use_local_transformer: bool | None
    maskgit: MaskGit | None
    block: BlockDiffusion | None
    forced_codes: ArrayInput | None
    return_alignment: bool
    analyze_alignment: bool | None
    mask_invalid: bool
    stop_after_equal: int | None
    chunk_frames: int
    priority: int
    deadline: float | None


def _is_given(value: object, default: object) -> bool:
    # An array is not compared with a default, which would be done element by element.
    return value is not default and not (type(value) is type(default) and value == default)


def _shown(value: object) -> str:
    """A value of a field: an array as its type and shape."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return show(value) if shape is None else f"{dtype}{list(shape)}"
