"""T3 against `chatterbox-tts`: voice prefixes, logits and greedy tokens, alone and in a crowd.

`tiny` is the Llama kind: guidance, a second BOS row, learned positions that restart beside a rope,
a perceiver. `tiny_turbo` is the GPT-2 kind. Our cfg_scale is 1 + the original's cfg_weight. In the
packed weights, rows of tables that no case reads are zeros.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
from tests.parity.block_checkpoint import defaults_of, engines_of, read_tensors

DATA = Path(__file__).resolve().parents[1] / "data" / "chatterbox"
CASES = ["tiny", "tiny_turbo"]
STEPS = 30
TOLERANCE = 1e-4  # of the largest magnitude

EngineOf = Callable[[str], Path]


def convert_case(case: str, folder: Path) -> Path:
    """Converts the original's file; requests are then greedy unless they say something else."""
    packed = DATA / case / "model.safetensors.xz"
    if not packed.is_file():
        pytest.skip(f"needs {packed}, from a checkout")
    source = folder.parent / f"{case}.safetensors"
    folder.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(lzma.decompress(packed.read_bytes()))
    rt.convert(source, folder, progress=False)
    config = json.loads((folder / "config.json").read_text())
    config["defaults"] |= defaults_of(1.0) | {"top_p": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> EngineOf:
    return engines_of(tmp_path_factory, convert_case, max_seq_len=160)


class Golden:
    """One case's inputs and the original's greedy runs."""

    def __init__(self, case: str) -> None:
        self.case = json.loads((DATA / case / "case.json").read_text())
        self.conditioning = np.load(DATA / case / "cond.npz")
        self.prefill = np.load(DATA / case / "prefill.npz")
        self.text_ids = self.prefill["text_tokens"][0].tolist()
        self.prefix = self.conditioning["prefix"][0]

    def speaker(self) -> dict[str, Any]:
        """The arguments of `add_voice`, as the original stores them."""
        names = ("speaker_emb", "cond_prompt_speech_tokens")
        speaker: dict[str, Any] = {name: self.conditioning[name] for name in names}
        if self.case["hp"]["emotion_adv"]:
            speaker["emotion"] = float(self.conditioning["emotion_adv"].ravel()[0])
        return speaker

    def request(self, run: str, steps: int = STEPS) -> rt.Request:
        options = self.case["runs"][run]["options"]
        return rt.Request(
            text_ids=self.text_ids,
            context_embeddings=self.prefix,
            cfg_scale=1.0 + options.get("cfg_weight", 0.0),
            repetition_penalty=options["repetition_penalty"],
            max_frames=steps,
            prior=None,
        )

    def tokens(self, run: str) -> list[int]:
        return list(self.case["runs"][run]["tokens"])


# Runs whose largest score temperature and filters leave the largest: the originals' draws were
# replaced by an argmax. The default run also has a repetition penalty.
GREEDY_RUNS = {
    "tiny": [
        "cfg0.5_greedy",
        "cfg0.0_greedy",
        "cfg1.0_greedy",
        "cfg0.5_default",
        "cfg0.0_default",
        "cfg0.5_rep1.5_nofilter",
        "cfg0.5_top_p0.8_rep2",
    ],
    "tiny_turbo": ["greedy", "rep1.5_nofilter"],
}
RAW_RUN = {"tiny": "cfg0.5_greedy", "tiny_turbo": "greedy"}


def distance(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("case", CASES)
def test_a_voice_is_the_originals_prefix(case: str, engine_of: EngineOf) -> None:
    golden = Golden(case)
    with rt.Executor(engine_of(case), device=NATIVE) as executor:
        executor.add_voice("golden", **golden.speaker())
        assert distance(executor.voice_embeddings("golden"), golden.prefix) < TOLERANCE
        if case == "tiny":
            bare = golden.speaker() | {"cond_prompt_speech_tokens": None}
            executor.add_voice("bare", **bare)
            wanted = golden.conditioning["prefix_no_prompt"][0]
            assert distance(executor.voice_embeddings("bare"), wanted) < TOLERANCE
            executor.add_voice("eager", **golden.speaker() | {"emotion": 0.8})
            wanted = golden.conditioning["prefix_emotion_0p8"][0]
            assert distance(executor.voice_embeddings("eager"), wanted) < TOLERANCE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_raw_logits(case: str, device: str, engine_of: EngineOf) -> None:
    """Of both branches, from the first step on, behind a voice that was made here."""
    golden = Golden(case)
    run = RAW_RUN[case]
    wanted = np.load(DATA / case / f"run_{run}.npz")["raw_logits"]
    with rt.Executor(engine_of(case), device=device, trace=True) as executor:
        executor.add_voice("golden", **golden.speaker())
        request = golden.request(run, len(wanted))
        result = executor.generate(request, context_embeddings=None, voice="golden")
    logits = [entry.values for entry in result.trace if entry.name == "logits"]
    assert distance(np.stack(logits), wanted) < TOLERANCE
    assert distance(logits[0], golden.prefill["logits_last"]) < TOLERANCE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(case: str, device: str, engine_of: EngineOf) -> None:
    golden = Golden(case)
    with rt.Executor(engine_of(case), device=device) as executor:
        for run in GREEDY_RUNS[case]:
            result = executor.generate(golden.request(run))
            assert result.codes[:, 0].tolist() == golden.tokens(run), run


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_in_a_crowd(case: str, device: str, engine_of: EngineOf) -> None:
    """Guided and plain requests of several lengths share the prefix while others come and go."""
    golden = Golden(case)
    wanted = [(run, STEPS - 6 * i) for i in range(4) for run in GREEDY_RUNS[case]]
    requests = [golden.request(run, steps) for run, steps in wanted]
    with rt.Executor(engine_of(case), device=device, max_batch_size=3) as executor:
        for (run, steps), result in zip(wanted, executor.generate(requests), strict=True):
            assert result.codes[:, 0].tolist() == golden.tokens(run)[:steps], (run, steps)


def expected_draw(logits: NDArray[np.float32], options: dict[str, Any]) -> NDArray[np.float64]:
    """Probabilities of Turbo's first draw: its filters see the scores before the penalty, which
    then applies to BOS alone.
    """
    scores = logits.astype(np.float64) / options["temperature"]
    if options["top_k"] > 0:
        scores[scores < np.sort(scores)[-options["top_k"]]] = -np.inf
    order = np.argsort(scores)
    weights = np.exp(scores - scores.max())
    below = np.cumsum(weights[order]) / weights.sum() <= 1.0 - options["top_p"]
    if options["top_p"] < 1.0:
        below[-1] = False
        scores[order[below]] = -np.inf
    penalty = options["repetition_penalty"]
    bos = scores[6561]
    scores[6561] = bos * penalty if bos < 0 else bos / penalty
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


@pytest.mark.parametrize("run", ["default", "topk50_topp0.9_rep1.5"])
def test_turbo_draws_as_its_processors_say(run: str, engine_of: EngineOf) -> None:
    """Drawn ids are among those that the filters keep, as often as their probabilities say."""
    golden = Golden("tiny_turbo")
    options = golden.case["runs"][run]["options"]
    expected = expected_draw(golden.prefill["logits_last"][0], options)
    count = 700
    with rt.Executor(engine_of("tiny_turbo"), device=NATIVE, max_queue_size=count) as executor:
        executor.add_voice("golden", **golden.speaker())
        base = rt.Request(
            text_ids=golden.text_ids, voice="golden", max_frames=1, prior=None, **options
        )
        results = executor.generate([replace(base, seed=seed) for seed in range(count)])
    drawn = np.array([result.codes[0, 0] for result in results])
    assert (expected[drawn] > 0.0).all()
    half = np.argsort(-expected)[: int((np.sort(expected)[::-1].cumsum() < 0.5).sum()) + 1]
    share = float(np.isin(drawn, half).mean())
    assert abs(share - float(expected[half].sum())) < 0.08  # over four standard deviations


def test_a_request_changes_the_emotion(engine_of: EngineOf) -> None:
    golden = Golden("tiny")
    request = golden.request("cfg0.5_greedy")
    with rt.Executor(engine_of("tiny"), device=NATIVE) as executor:
        executor.add_voice("calm", **golden.speaker())
        executor.add_voice("eager", **golden.speaker() | {"emotion": 0.8})
        eager = executor.generate(request, context_embeddings=None, voice="eager")
        changed = executor.generate(request, context_embeddings=None, voice="calm", emotion=0.8)
        calm = executor.generate(request, context_embeddings=None, voice="calm")
    assert changed.codes.tolist() == eager.codes.tolist() != calm.codes.tolist()


@pytest.mark.parametrize("case", CASES)
def test_a_prompt_of_embeddings_gives_the_same_tokens(case: str, engine_of: EngineOf) -> None:
    """The original's inputs_embeds, of both branches where there are two."""
    golden = Golden(case)
    run = RAW_RUN[case]
    embeddings = golden.prefill["inputs_embeds"]
    request = golden.request(run)
    with rt.Executor(engine_of(case), device=NATIVE) as executor:
        result = executor.generate(
            request,
            text_ids=None,
            context_embeddings=None,
            prompt_embeddings=embeddings[0],
            unconditional_embeddings=embeddings[1] if len(embeddings) > 1 else None,
        )
    assert result.codes[:, 0].tolist() == golden.tokens(run)


def test_ids_and_rows_mixed_in_a_text(engine_of: EngineOf) -> None:
    golden = Golden("tiny")
    request = golden.request("cfg0.5_greedy")
    table = read_tensors(DATA / "tiny")["text_emb.weight"]
    given = [2, 3, 7, len(golden.text_ids) - 1]
    ids = [-1 if i in given else token for i, token in enumerate(golden.text_ids)]
    rows = table[[golden.text_ids[i] for i in given]]
    with rt.Executor(engine_of("tiny"), device=NATIVE) as executor:
        mixed = executor.generate(request, text_ids=ids, text_features=rows)
        whole = executor.generate(request, text_ids=None, text_features=table[golden.text_ids])
    assert mixed.codes[:, 0].tolist() == golden.tokens("cfg0.5_greedy")
    assert whole.codes[:, 0].tolist() == golden.tokens("cfg0.5_greedy")


def test_bad_requests_are_refused(engine_of: EngineOf) -> None:
    golden = Golden("tiny")
    context = {"context_embeddings": golden.prefix, "prior": None}
    with rt.Executor(engine_of("tiny"), device=NATIVE) as executor:
        with pytest.raises(rt.ConfigError, match="context"):
            executor.generate(text_ids=golden.text_ids, prior=None)
        with pytest.raises(rt.ConfigError, match="text_ids"):
            executor.generate(text_ids=[704], **context)
        with pytest.raises(rt.ConfigError, match="return_alignment"):
            executor.generate(text_ids=golden.text_ids, return_alignment=True, **context)
        with pytest.raises(rt.ConfigError, match="prompt_embeddings"):
            executor.generate(text_ids=golden.text_ids, prompt_embeddings=golden.prefix, **context)
        with pytest.raises(rt.ConfigError, match="at most 150 speech tokens"):
            executor.add_voice(
                "long", **golden.speaker() | {"cond_prompt_speech_tokens": [1] * 151}
            )
        with pytest.raises(rt.ConfigError, match=r"expected \[256\], got \[255\]"):
            executor.add_voice("thin", speaker_emb=np.zeros(255, np.float32))
        with pytest.raises(rt.ConfigError, match="exactly one"):
            executor.add_voice("both", golden.prefix, speaker_emb=np.zeros(256, np.float32))
    with (
        rt.Executor(engine_of("tiny_turbo"), device=NATIVE) as executor,
        pytest.raises(rt.ConfigError, match="emotion"),
    ):
        executor.add_voice("felt", speaker_emb=np.zeros(256, np.float32), emotion=0.5)
