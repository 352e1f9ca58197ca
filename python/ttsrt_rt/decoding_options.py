"""Groups of options of a `Request`, frozen and keyword-only.

Their defaults come from the library's own structs (`ttsrt/options.h`). An option that is None takes
the checkpoint's default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol, TypedDict

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import Speculation, named_fields

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ttsrt_rt.options import (
        FlowMethod,
        FlowMode,
        MaskGitSampling,
        PriorMode,
        RepetitionScope,
        Suppress,
    )

__all__ = [
    "AttentionPrior",
    "BlockDiffusion",
    "Flow",
    "FlowText",
    "MaskGit",
    "PriorFields",
    "Speculation",
    "TokenOptions",
]

_MASKGIT = _core.MaskGit()
_TOKENS = _core.TokenOptions()


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
class TokenOptions:
    """How language models choose among their tokens, beyond what all requests have.

    Attributes:
        stop_ids: Ids that end a text beside the model's own; with that one, at most 33.
        ignore_eos: Whether the model's own id of the end is an ordinary token.
        mask_padding_ids: Whether ids that the tokenizer does not have, at the end of the model's
            table, are never drawn.
        repetition_scope: Which ids `repetition_penalty` counts: "all" for those of the prompt and
            the drawn ones, or "generated".
        presence_penalty: Taken from the score of each id that was drawn; -100 to 100.
        frequency_penalty: The same, once for each time it was drawn.
        logit_bias: Added to the scores of ids; at most 1024.
        bad_ids: Ids that are never drawn; at most 1024.
        logprobs: So many of the likeliest ids, at most 20, are told for each step with the
            logarithms of their probabilities; 0 for the drawn one alone, None for none.
    """

    stop_ids: Sequence[int] = tuple(_TOKENS.stop_ids)
    ignore_eos: bool = _TOKENS.ignore_eos
    mask_padding_ids: bool = _TOKENS.mask_padding_ids
    repetition_scope: RepetitionScope = _TOKENS.repetition_scope
    presence_penalty: float = _TOKENS.presence_penalty
    frequency_penalty: float = _TOKENS.frequency_penalty
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    bad_ids: Sequence[int] = tuple(_TOKENS.bad_ids)
    logprobs: int | None = None


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
@dataclass(frozen=True, kw_only=True)
class Flow:
    """How a model of flow matching makes a spectrogram (F5-TTS, IndicF5).

    What is None is as the checkpoint says.

    Attributes:
        steps: Of the integration from noise to the spectrogram; the original's `nfe_step`.
        cfg_strength: Guidance, `cond + cfg_strength * (cond - uncond)` on velocities. Below 1e-5
            only the conditional branch is computed.
        sway_sampling_coef: Bends the steps towards the beginning (-1) or the end; 0 for even steps,
            the original's None.
        use_epss: Whether 5, 6, 7, 10, 12 and 16 steps are those that EPSS keeps of 32, and not even
            ones.
        method: "euler", or "midpoint" with two evaluations a step.
        duration: Frames of the whole utterance, prompt included. It has at least one frame more
            than the prompt and than the text has ids. None for as many as `noise` has rows.
        max_duration: The most frames; a text or a prompt that does not fit is refused. None for the
            engine's `max_seq_len`, and a longer duration is refused.
        lens: Frames of the prompt; None for all that are given.
        no_ref_audio: True for a prompt that is not heard: its frames take part as silence, and come
            back as zeros.
        mode: Sound of speech tokens (Chatterbox): "whole", as the original, of all tokens at once;
            or "chunks", which become sound while tokens are drawn. Their sound is not that of
            "whole" (docs/chatterbox.md#chunks). None for "whole".
        hops: With "chunks", tokens of each chunk; the last number is that of all that follow. Empty
            for 25, 50, 100.
        history: With "chunks", tokens in front of a chunk, behind the prompt, that are integrated
            with it; None for all.
    """

    steps: int | None = None
    cfg_strength: float | None = None
    sway_sampling_coef: float | None = None
    use_epss: bool | None = None
    method: FlowMethod | None = None
    duration: int | None = None
    max_duration: int | None = None
    lens: int | None = None
    no_ref_audio: bool = False
    mode: FlowMode | None = None
    hops: Sequence[int] = ()
    history: int | None = None


@named_fields
@dataclass(frozen=True, kw_only=True)
class FlowText:
    """How the `text` of a request to F5-TTS or IndicF5 is cut, and how long it lasts.

    The front end of the original puts what the prompt says in front of every chunk, makes of it how
    long a chunk lasts, and cuts texts that are too long for one pass (docs/f5.md#one-request).

    Attributes:
        ref_text: What is said in the prompt.
        ref_seconds: How long the recording of the prompt is; None for as long as its rows last. The
            rows leave out up to 11 ms of it, which may move a cut.
        speed: Of the speech.
        fix_duration: Seconds of prompt and speech together, instead of an estimate.
        cross_fade: Seconds in which the sounds of two chunks overlap; 0 for none.
        boundaries: "original" cuts where F5-TTS does; "extended" at the danda and other scripts'
            punctuation, too, and sentences that are too long between words.
        gain: What the sound of each chunk is multiplied by, where the prompt was made louder.
    """

    ref_text: str = ""
    ref_seconds: float | None = None
    speed: float = 1.0
    fix_duration: float | None = None
    cross_fade: float = 0.15
    boundaries: str = "original"
    gain: float = 1.0
