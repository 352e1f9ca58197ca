"""Every field of a request, of a prior and of MaskGit is obeyed or refused by every model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.parity import test_llm_tiny, test_t3_tiny
from tests.parity.block_checkpoint import engines_of
from tests.parity.request_ends import differs, expect_fields_of_the_end

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
FRAMES = 12


@dataclass
class Model:
    """A kind of model: its executor, a request that it serves, and what it can't do.

    `refuses` are the fields that it refuses.
    """

    executor: rt.Executor
    base: rt.Request
    refuses: set[str] = field(default_factory=set)

    @property
    def codebooks(self) -> int:
        return self.executor.engine.info.codebooks

    @property
    def dim(self) -> int:
        return self.executor.engine.info.dim

    @property
    def local_kind(self) -> str | None:
        model = json.loads(self.executor.engine.description)["model"]
        return (model.get("local_transformer") or {}).get("kind")


def codes_of(model: Model, frames: int) -> Any:
    return np.arange(frames * model.codebooks).reshape(frames, model.codebooks) % 7


# Case: its context, and what it refuses beside what follows from its local transformer.
PRIOR = {"prior", "return_alignment"}
# Of the models here none has heads for it; test_t3_analyzer.py has one that does.
ANALYZER = {"analyze_alignment"}
MAGPIE = {
    "tiny2503": ("codes", {"context_text_ids", "voice"}),
    "tinyhf": ("voice", {"context_text_ids", "context_codes"}),
    "tinymaskgit2": ("codes", {"context_text_ids", "voice"}),
    "tinyce": ("codes", {"context_text_ids", "voice"}),
    "tinycetext": ("codes", {"voice"}),
    "tinymulti": ("codes", {"context_text_ids", "context_embeddings", "voice"}),
    "tinyold": ("codes", {"context_text_ids", "voice"}),
}
CASES = [*MAGPIE, "t3", "llm"]
SPEAKER = {"emotion", "prompt_embeddings", "unconditional_embeddings", "mask_invalid"}
ENCODER = {"text_features", "encoder_output", "context_codes", "context_text_ids"}


@pytest.fixture(scope="module", params=CASES)
def model(
    request: pytest.FixtureRequest,
    engine_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Model]:
    case = request.param
    if case == "t3":
        engine = engines_of(tmp_path_factory, test_t3_tiny.convert_case, 160)("tiny")
    elif case == "llm":
        engine = engines_of(tmp_path_factory, test_llm_tiny.convert_case, 128)("tiny_llama")
    else:
        engine = engine_of(case)
    with rt.Executor(engine, device=NATIVE) as executor:
        made = Model(executor, rt.Request(text_ids=IDS, seed=1, temperature=0.9, top_k=0))
        made.base = replace(made.base, max_frames=FRAMES)
        if case == "t3":
            rows = np.random.default_rng(2).normal(size=(6, made.dim)).astype(np.float32)
            made.base = replace(made.base, context_embeddings=rows)
            made.refuses = ENCODER | PRIOR | ANALYZER
            made.refuses |= {
                "voice",
                "use_local_transformer",
                "maskgit",
                "unconditional_embeddings",
            }
            made.refuses -= {"text_features"}
        elif case == "llm":
            made.refuses = ENCODER | PRIOR | ANALYZER | SPEAKER | {"context_embeddings"}
            made.refuses |= {"voice", "use_local_transformer", "maskgit", "cfg_scale"}
        else:
            kind, refused = MAGPIE[case]
            context = {"voice": 0} if kind == "voice" else {"context_codes": codes_of(made, 8)}
            made.base = replace(made.base, **context)
            made.refuses = refused | {"repetition_penalty"} | SPEAKER | ANALYZER
            made.refuses |= {"use_local_transformer"} if made.local_kind is None else set()
            made.refuses |= {"maskgit"} if made.local_kind != "maskgit" else set()
        made.refuses |= {"block"}
        yield made


def rows_of(model: Model) -> Any:
    return np.random.default_rng(1).normal(size=(9, model.dim)).astype(np.float32)


CONTEXTS = ("voice", "context_codes", "context_embeddings", "context_text_ids")
TEXTS = ("text_ids", "text_features", "encoder_output")
# What each field is given, and what shows that it was obeyed; those of ENDINGS have a test.
Check = Callable[[Model, rt.Result, rt.Result], bool]


def changes(_: Model, base: rt.Result, result: rt.Result) -> bool:
    return differs(base, result)


def is_told(base: rt.Result, result: rt.Result) -> bool:
    return result.alignment is not None and not differs(base, result)


def stops_at_once(model: Model, result: rt.Result) -> bool:
    stacking = model.executor.engine.info.frame_stacking
    return result.finish_reason == "stop" and len(result.codes) == stacking


WALK: dict[str, tuple[Callable[[Model], Any], Check]] = {
    "text_ids": (lambda _: [7, 7, 2, 1], changes),
    "text_features": (rows_of, changes),
    "encoder_output": (rows_of, changes),
    "voice": (lambda _: 1, changes),
    "context_codes": (lambda model: codes_of(model, 6), changes),
    "context_embeddings": (rows_of, changes),
    "context_text_ids": (lambda _: [5, 6, 7], changes),
    "emotion": (lambda _: 40.0, changes),
    "prompt_embeddings": (rows_of, changes),
    "unconditional_embeddings": (rows_of, changes),
    "cfg_scale": (lambda _: 3.5, changes),
    "temperature": (lambda _: 0.0, changes),
    "top_k": (lambda _: 1, changes),
    "top_p": (lambda _: 0.01, changes),
    "min_p": (lambda _: 1.0, changes),
    "repetition_penalty": (lambda _: 0.02, changes),
    "seed": (lambda _: 2, changes),
    "max_frames": (lambda _: 4, lambda _, __, result: len(result.codes) == 4),
    "prior": (lambda _: rt.AttentionPrior(epsilon=0.0, lookahead=1, start_step=0), changes),
    "use_local_transformer": (lambda model: model.local_kind is None, changes),
    "maskgit": (lambda _: rt.MaskGit(steps=1), changes),
    "block": (lambda _: rt.BlockDiffusion(steps=1), changes),  # tests/parity/test_t3_flash.py
    "forced_codes": (
        lambda model: codes_of(model, 6),
        lambda model, _, result: (result.codes == codes_of(model, 6)).all(),
    ),
    "return_alignment": (lambda _: True, lambda _, base, result: is_told(base, result)),
    "analyze_alignment": (lambda _: True, changes),
    "mask_invalid": (lambda _: True, changes),
    "stop_after_equal": (lambda _: 1, lambda model, _, result: stops_at_once(model, result)),
    "chunk_frames": (lambda _: 5, lambda _, base, result: not differs(base, result)),
    "initial_chunk_frames": (lambda _: 3, lambda _, base, result: not differs(base, result)),
    "codes_only": (lambda _: True, lambda _, base, result: not differs(base, result)),
    "priority": (lambda _: 3, lambda _, base, result: not differs(base, result)),
    "deadline": (lambda _: 1e-9, lambda _, __, result: result.finish_reason == "deadline"),
}
ENDINGS = {"min_frames", "strict_end", "eos_method"}
# test_front_end.py, test_marked_up.py, test_magpie_chunks.py, test_text_history.py and
# f5/test_long_text.py have those.
TEXT = {"text", "language", "text_options", "text_chunks", "text_silences", "text_voices"}
TEXT |= {"context_text", "return_positions", "text_history", "flow_text"}
# tests/python/llm has those.
LANGUAGE: dict[str, Any] = {"speculation": {"mode": "ngram"}, "score": True}
LANGUAGE |= {"tokens": rt.TokenOptions(ignore_eos=True), "shared_prefix": 1}

# Of models of whole utterances, and of codecs: test_f5_requests.py, test_nanocodec_golden.py.
ROWS = np.zeros((9, 100), np.float32)
WHOLE: dict[str, Any] = {"flow": rt.Flow(duration=9), "noise": ROWS, "mel": ROWS, "audio_start": 1}
WHOLE |= {"edit_mask": [True], "return_audio": True, "return_spectrogram": True}
WHOLE |= {"codes": [[1, 2]], "samples": np.zeros(64, np.float32)}


def test_the_walk_has_every_field() -> None:
    names = {each.name for each in dataclasses.fields(rt.Request)}
    assert set(WALK) | ENDINGS | set(WHOLE) | TEXT | set(LANGUAGE) == names


@pytest.mark.parametrize("name", [*WHOLE, *LANGUAGE])
def test_fields_of_other_models_are_refused(model: Model, name: str) -> None:
    if name in LANGUAGE and model.executor.engine.info.family == "llm":
        return
    with pytest.raises(rt.ConfigError, match=f"{name}: expected none" if name in WHOLE else name):
        model.executor.generate(replace(model.base, **{name: (WHOLE | LANGUAGE)[name]}))


@pytest.mark.parametrize("name", list(WALK))
def test_a_field_is_obeyed_or_refused(model: Model, name: str) -> None:
    value, is_obeyed = WALK[name]
    request = model.base
    if name in ("forced_codes", "stop_after_equal"):
        fields = {"max_frames": None} if name == "forced_codes" else {"min_frames": 0}
        request = replace(request, **fields)
    if name in CONTEXTS or name == "prompt_embeddings":
        request = replace(request, **dict.fromkeys(CONTEXTS))
    if name in TEXTS or name == "prompt_embeddings":
        request = replace(request, **dict.fromkeys(TEXTS))
    request = replace(request, **{name: value(model)})
    if name in model.refuses:
        with pytest.raises(rt.ConfigError, match=name):
            model.executor.generate(request)
        return
    [result] = model.executor.generate([request])
    assert result.error is None
    assert is_obeyed(model, model.executor.generate(model.base), result)


def test_events_have_the_frames_asked_for(model: Model) -> None:
    events = list(model.executor.stream(replace(model.base, chunk_frames=5)))
    assert all(len(event.codes) >= 5 for event in events[:-1]) and len(events) <= 3


def test_fields_of_the_end_are_obeyed(model: Model) -> None:
    """At a high temperature every code is as likely, so speech ends somewhere by itself."""
    if model.executor.engine.info.codebook_vocab > 1000:
        return  # draws from so many codes that the end never comes; the next test has it
    hot = replace(model.base, temperature=100.0, max_frames=None, prior=None, min_frames=0)
    hot = replace(hot, eos_method="multinomial_any", forced_codes=None)
    limit = model.executor.engine.info.max_seq_len - 40
    seeds = [replace(hot, seed=seed, max_frames=min(limit, 60) // 2 * 2) for seed in range(24)]
    ended = [
        (request, result)
        for request, result in zip(seeds, model.executor.generate(seeds), strict=True)
        if result.finish_reason == "stop" and len(result.codes) < 40
    ]
    assert ended, "no request ended by itself"
    expect_fields_of_the_end(model.executor, *ended[0])


# Options of the prior: what else is set, a value, and another that must show a difference.
TEXT_END = {"track_finish": True, "force_after": 1}
PRIOR_WALK: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "mode": ({"epsilon": 0.1, "lookahead": 2}, "nemo", "window"),
    "epsilon": ({}, 0.1, 0.9),
    "lookahead": ({"right": 2}, 1, 6),
    "left": ({"lookahead": 2}, 0, 5),
    "right": ({"lookahead": 2}, 0, 6),
    "estimate_layers": ({}, None, None),  # of the model
    "apply_layers": ({}, None, None),
    "start_step": ({}, 0, 5),
    "skip_after": ({"lookahead": 1}, 0, 1),
    "suppress_after": ({"lookahead": 1, "skip_after": 0}, 0, 2),
    "suppress": (
        {"lookahead": 6, "left": 5, "skip_after": 1, "suppress_after": 1},
        "upto",
        "single",
    ),
    "short_text": ({}, 0, 100),
    "end_margin": ({"lookahead": 6, "skip_after": 1}, 0, 10),
    "count_end": ({"end_margin": 12, "suppress_after": 2}, True, False),
    "track_finish": ({"end_margin": 12}, False, True),
    "force_after": ({"track_finish": True, "end_margin": 12}, 3, 8),
    "end_after": ({"mode": "window", "right": 11}, 0, 4),
    "recompute": ({"lookahead": 2}, False, True),
}
# In the rule of the original, the marks of `unfinished_grace` never differ from those without it:
# near the end of the text speech is not unfinished. tests/cpp/rules has its rule.
PRIOR_IDLE = {"unfinished_grace"}


def test_the_walk_has_every_option_of_a_prior() -> None:
    assert set(PRIOR_WALK) | PRIOR_IDLE == {
        each.name for each in dataclasses.fields(rt.AttentionPrior)
    }


@pytest.mark.parametrize("name", list(PRIOR_WALK))
def test_an_option_of_the_prior_is_obeyed_or_refused(model: Model, name: str) -> None:
    others, *values = PRIOR_WALK[name]
    if values[0] is None:
        config = json.loads(model.executor.engine.description)["model"]["decoder"]
        layers = config.get("text_layers") or [0, 1]
        values = [layers[:1], layers[-1:]]
    mode = None if name == "mode" else others.get("mode", "nemo")
    requests = []
    for value in values:
        options = {"start_step": 0, "suppress_after": 0, **others, "mode": mode, name: value}
        if options["mode"] == "window":
            options = {
                k: v for k, v in options.items() if k not in ("start_step", "suppress_after")
            }
        requests.append(
            replace(
                model.base,
                prior=rt.AttentionPrior(**options),
                return_alignment=True,
                max_frames=26 * model.executor.engine.info.frame_stacking,
            )
        )
    if "prior" in model.refuses:
        with pytest.raises(rt.ConfigError, match="prior"):
            model.executor.generate(replace(requests[1], return_alignment=False))
        return
    first, second = model.executor.generate(requests)
    assert first.error is None and second.error is None
    assert first.alignment is not None and second.alignment is not None
    same = first.alignment.shape == second.alignment.shape and (
        (first.alignment == second.alignment).all()
    )
    assert not same or differs(first, second) or first.focus.tolist() != second.focus.tolist()


def test_what_a_mode_lacks_is_refused(model: Model) -> None:
    if "prior" in model.refuses:
        return  # test_a_field_is_obeyed_or_refused has it
    for options, name in (
        ({"mode": "window", "start_step": 3}, "prior.start_step"),
        ({"mode": "window", "track_finish": True}, "prior.track_finish"),
        ({"mode": "window", "suppress": "upto"}, "prior.suppress"),
        ({"mode": "nemo", "end_after": 3}, "prior.end_after"),
        ({"mode": "nemo", "force_after": 3}, "prior.force_after"),
        ({"mode": "nemo_2503", "suppress": "upto", "suppress_after": 0}, "prior.suppress"),
    ):
        with pytest.raises(rt.ConfigError, match=name):
            model.executor.generate(replace(model.base, prior=rt.AttentionPrior(**options)))


MASKGIT_WALK: dict[str, Any] = {
    "steps": 1,
    "noise_scale": 4.0,
    "schedule": [0, 1, 2, 3, 4, 5],
    "dynamic_cfg_scale": True,
    "sampling": "purity_causal",
    "confidence_temperature": 50.0,
}


def test_the_walk_has_every_option_of_maskgit() -> None:
    assert set(MASKGIT_WALK) == {each.name for each in dataclasses.fields(rt.MaskGit)}


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("name", list(MASKGIT_WALK))
def test_an_option_of_maskgit_is_obeyed_or_refused(
    model: Model, name: str, temperature: float
) -> None:
    request = replace(model.base, temperature=temperature, max_frames=24)
    asked = replace(request, maskgit=rt.MaskGit(**{name: MASKGIT_WALK[name]}))
    if "maskgit" in model.refuses:
        with pytest.raises(rt.ConfigError, match="maskgit"):
            model.executor.generate(asked)
        return
    assert differs(model.executor.generate(request), model.executor.generate(asked))
    with pytest.raises(rt.ConfigError, match="maskgit: expected use_local_transformer"):
        model.executor.generate(replace(asked, use_local_transformer=False))
    wrong = rt.MaskGit(steps=-5, sampling="bogus")
    with pytest.raises(rt.ConfigError, match="maskgit"):
        model.executor.generate(replace(asked, maskgit=wrong))
