"""`Request` and its options, frozen and keyword-only.

Defaults of options are not repeated here: they come from the library's own structs
(`ttsrt/options.h`). An option of a request that is None takes the checkpoint's default. Arrays may
be anything that numpy can read: arrays, lists, the buffer protocol, DLPack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ttsrt_rt import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ArrayInput", "AttentionPrior", "MaskGit", "Request"]

ArrayInput: TypeAlias = "ArrayLike | Any"

_PRIOR = _core.AttentionPrior()
_MASKGIT = _core.MaskGit()


@dataclass(frozen=True, kw_only=True)
class AttentionPrior:
    """The attention prior, which keeps cross-attention moving along the text.

    Positions are text positions, layers are decoder layers, counts are decoder steps. The defaults
    are NeMo 3's; a checkpoint brings its own, which `Request(prior="default")` takes.

    Attributes:
        mode: "nemo", the rule of NVIDIA NeMo's MagpieTTS, or "window", the rule of the TensorRT-LLM
            fork.
        epsilon: Weight outside the favoured positions, 0 to 1.
        lookahead: Positions searched for the next focus, from the current one on.
        left: Favoured positions before the focus.
        right: Favoured positions after the focus.
        estimate_layers: Layers whose attention finds the focus; empty for all text layers.
        apply_layers: Layers the prior acts in; empty for all text layers.
        start_step: First decoder step after which the focus moves.
        skip_after: After so many steps on one position the focus moves past it.
        suppress_after: After so many steps a position's weight falls to epsilon; 0 for never.
        suppress: Which positions then fall: "upto" that one and all before it, "single" only it.
        short_text: Texts up to this length get weight 1 everywhere.
        end_margin: Tokens at the end of the text where the focus is not searched.
        count_end: Whether the end reached by an empty search is counted.
        track_finish: Whether progress through the text forbids and forces end of speech.
        unfinished_grace: Steps near the end during which end of speech stays forbidden.
        force_after: Steps near the end after which end of speech is forced.
        end_after: "window": the request ends after so many steps at the end; 0 for never.
        recompute: Whether each step recomputes all positions under the newest prior, as the
            original does without its cache: slow.
    """

    mode: str = _PRIOR.mode
    epsilon: float = _PRIOR.epsilon
    lookahead: int = _PRIOR.lookahead
    left: int = _PRIOR.left
    right: int = _PRIOR.right
    estimate_layers: Sequence[int] = tuple(_PRIOR.estimate_layers)
    apply_layers: Sequence[int] = tuple(_PRIOR.apply_layers)
    start_step: int = _PRIOR.start_step
    skip_after: int = _PRIOR.skip_after
    suppress_after: int = _PRIOR.suppress_after
    suppress: str = _PRIOR.suppress
    short_text: int = _PRIOR.short_text
    end_margin: int = _PRIOR.end_margin
    count_end: bool = _PRIOR.count_end
    track_finish: bool = _PRIOR.track_finish
    unfinished_grace: int = _PRIOR.unfinished_grace
    force_after: int = _PRIOR.force_after
    end_after: int = _PRIOR.end_after
    recompute: bool = _PRIOR.recompute


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
    """

    steps: int = _MASKGIT.steps
    noise_scale: float = _MASKGIT.noise_scale
    schedule: Sequence[int] = tuple(_MASKGIT.schedule)
    dynamic_cfg_scale: bool = _MASKGIT.dynamic_cfg_scale
    sampling: str = _MASKGIT.sampling


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One utterance to speak.

    The text is exactly one of `text_ids`, `text_features` and `encoder_output`; the context exactly
    one of `voice`, `context_codes`, `context_embeddings` and `context_text_ids`.

    Attributes:
        text_ids: Ids as given, nothing is appended: integers [text_len].
        text_features: Rows before the encoder: floats [text_len, dim].
        encoder_output: Rows after the encoder: floats [text_len, dim].
        voice: A stored voice, by index or by name.
        context_codes: Codec codes, special columns included: integers [frames, codebooks].
        context_embeddings: Rows as the decoder takes them: floats [rows, dim].
        context_text_ids: Ids of a text that describes the voice: integers [context_text_len].
        cfg_scale: Guidance, `uncond + cfg_scale * (cond - uncond)` on logits; 1 for none.
        temperature: Divides logits before a draw; 0 takes the largest.
        top_k: Draws among the k likeliest; 0 for all.
        top_p: Draws among the likeliest whose probabilities sum to this.
        min_p: Draws among those at least this likely, relative to the likeliest.
        repetition_penalty: Not supported by Magpie, which accepts only 1.
        seed: Of this request's own random numbers, 0 to 2**64 - 1. The same seed gives the same
            result.
        max_frames: Codec frames after which the request ends with "length".
        min_frames: Codec frames before which end of speech is impossible.
        prior: "default" for the checkpoint's, None for off, or these options.
        eos_method: How end of speech is detected, e.g. "argmax_or_multinomial_any".
        use_local_transformer: False draws from the independent heads.
        maskgit: For checkpoints with a MaskGit local transformer.
        return_alignment: Whether the result has `alignment`.
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
    cfg_scale: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int = 0
    max_frames: int | None = None
    min_frames: int | None = None
    prior: AttentionPrior | Literal["default"] | None = "default"
    eos_method: str | None = None
    use_local_transformer: bool | None = None
    maskgit: MaskGit = MaskGit()
    return_alignment: bool = False
    chunk_frames: int = 1
    priority: int = 0
    deadline: float | None = None
