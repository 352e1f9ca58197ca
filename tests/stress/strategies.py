"""Hypothesis strategies for requests and for mixes of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import ttsrt_rt as rt

from .mixing import (
    DEVICE,
    DTYPES,
    GUEST,
    KINDS,
    LIMITS,
    MAX_BATCH_SIZE,
    MAX_FRAMES,
    MAX_ROWS,
    RECORDING,
    SLOT_TOKENS,
    Kind,
    Spec,
)

EOS_METHODS = tuple(
    f"{which}_{where}"
    for which in ("argmax", "multinomial", "argmax_or_multinomial")
    for where in ("any", "all", "zero_cb")
)
PRIORS = (
    "default",
    None,
    rt.AttentionPrior(),
    rt.AttentionPrior(lookahead=3, right=3, track_finish=True, unfinished_grace=2, force_after=4),
    rt.AttentionPrior(suppress="single", skip_after=2, suppress_after=3, start_step=2),
    rt.AttentionPrior(recompute=True),
    rt.AttentionPrior(recompute=True, epsilon=0.0, short_text=0),
    rt.AttentionPrior(mode="window", left=1, right=2, end_after=3),
    rt.AttentionPrior(mode="window", left=0, right=4, recompute=True),
)
MASKGITS = (
    rt.MaskGit(),
    rt.MaskGit(steps=2, noise_scale=0.5),
    rt.MaskGit(steps=4, sampling="causal", dynamic_cfg_scale=True),
    rt.MaskGit(steps=1, sampling="purity_default"),
    rt.MaskGit(steps=3, sampling="purity_causal", noise_scale=1.0),
)


@dataclass(frozen=True)
class Entry:
    """One request of a mix.

    Attributes:
        spec: The request.
        fields: The fields that must not matter: chunk_frames, priority, deadline.
        after: It is submitted when the earlier request `after[0]` has delivered `after[1]` frames
            or ended; None submits it at the beginning.
        cancel: It is cancelled when request `cancel[0]` has delivered `cancel[1]` frames or ended;
            None never cancels it.
    """

    spec: Spec
    fields: tuple[tuple[str, Any], ...]
    after: tuple[int, int] | None
    cancel: tuple[int, int] | None


@dataclass(frozen=True)
class Mix:
    """An engine, the options of its executor, and the requests that the executor gets."""

    kind: str
    dtype: tuple[str, str, str]
    options: tuple[tuple[str, Any], ...]
    entries: tuple[Entry, ...]


def pairs(choices: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draws some of the fields, each with one of its values."""
    return st.fixed_dictionaries({}, optional=choices).map(lambda drawn: tuple(drawn.items()))


def without_idle(options: tuple[Any, ...]) -> tuple[Any, ...]:
    """Leaves out options of MaskGit where independent heads draw, which refuse them."""
    if dict(options).get("use_local_transformer", True):
        return options
    return tuple(option for option in options if option[0] != "maskgit")


def specs(kind: Kind) -> st.SearchStrategy[Spec]:
    """Draws requests that a model of this kind can serve."""
    choices: dict[str, st.SearchStrategy[Any]] = {
        "cfg_scale": st.sampled_from((1.0, 1.0, 1.5, 2.5)),
        "temperature": st.sampled_from((0.0, 0.0, 0.6, 1.2)),
        "top_k": st.sampled_from((0, 1, 5, 80)),
        "top_p": st.sampled_from((0.5, 0.95)),
        "min_p": st.sampled_from((0.05, 0.3)),
        "seed": st.integers(0, 3),
        "min_frames": st.integers(0, 12),
        "prior": st.sampled_from(PRIORS),
        "eos_method": st.sampled_from(EOS_METHODS),
        "return_alignment": st.just(True),
    }
    if kind.local:
        choices["use_local_transformer"] = st.booleans()
    if kind.local == "maskgit":
        choices["maskgit"] = st.sampled_from(MASKGITS)  # only with the local transformer, below
    rows = st.integers(1, MAX_ROWS)
    max_frames = st.tuples(st.just("max_frames"), st.integers(2, MAX_FRAMES))
    return st.builds(
        Spec,
        text=st.tuples(st.sampled_from(("ids", "ids", "features", "output")), rows),
        context=st.sampled_from(kind.contexts).flatmap(lambda name: contexts(name, rows)),
        content=st.integers(0, 2),
        options=st.tuples(pairs(choices).map(without_idle), max_frames).map(
            lambda drawn: (*drawn[0], drawn[1])
        ),
    )


def contexts(name: str, rows: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[str, int]]:
    """Draws a context of this kind: a voice by its index, any other by its length."""
    counts = {"voice": st.integers(0, 2), GUEST: st.just(0), RECORDING: st.just(0)}.get(name, rows)
    return st.tuples(st.just(name), counts)


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    """Draws a mix of few distinct requests, to share prefixes, in any order and timing."""
    kind = draw(st.sampled_from(KINDS))
    known = draw(st.lists(specs(kind), min_size=1, max_size=5))
    count = draw(st.integers(1, 8))
    frames = st.integers(0, MAX_FRAMES)
    fields = pairs(
        {
            "chunk_frames": st.integers(1, 7),
            "priority": st.integers(-2, 2),
            "deadline": st.sampled_from((1e-9, 0.002, 0.01, 1000.0)),
        }
    )
    entries = []
    for index in range(count):
        after = st.none() if index == 0 else st.tuples(st.integers(0, index - 1), frames)
        cancel = st.tuples(st.integers(0, count - 1), frames)
        entries.append(
            Entry(
                spec=draw(st.sampled_from(known)),
                fields=draw(fields),
                after=draw(st.none() | after),
                cancel=draw(st.none() | st.none() | cancel),
            )
        )
    return Mix(kind.name, draw(st.sampled_from(DTYPES)), draw(options()), tuple(entries))


def options() -> st.SearchStrategy[tuple[Any, ...]]:
    """Draws executor options, from all resources down to the least that can serve a request."""
    least = max(LIMITS["max_input_len"], LIMITS["max_encoder_input_len"])
    return pairs(
        {
            "device": st.sampled_from((DEVICE, f"{DEVICE},{DEVICE}")),
            "num_threads": st.integers(1, 2),
            "max_batch_size": st.integers(1, MAX_BATCH_SIZE),
            "max_num_tokens": st.integers(least, 3 * least),
            "max_tokens_in_paged_kv_cache": st.integers(SLOT_TOKENS, 3 * SLOT_TOKENS),
            "prefill_slice_seconds": st.sampled_from((0.0, 1e-9, 1e-4, 1.0)),
            "preempt": st.sampled_from(("none", "priority", "priority")),
        }
    )
