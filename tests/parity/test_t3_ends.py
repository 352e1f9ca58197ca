"""Fields about the end of speech, of T3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.parity import test_t3_tiny
from tests.parity.request_ends import expect_fields_of_the_end


def test_fields_of_the_end_are_obeyed_by_t3(tmp_path: Path) -> None:
    """The checkpoint's end is made a code that a request draws, though not as the likeliest."""
    golden = test_t3_tiny.Golden("tiny")
    base = replace(golden.request("cfg0.5_greedy"), temperature=100.0, top_k=3, seed=5)
    base = replace(base, eos_method="multinomial_any")
    checkpoint = test_t3_tiny.convert_case("tiny", tmp_path / "checkpoint")

    def run(request: rt.Request, folder: Path) -> rt.Result:
        rt.build(checkpoint, folder, dtype="float32", max_seq_len=160)
        with rt.Executor(folder, device=NATIVE, trace=True) as executor:
            return executor.generate(request)

    free = run(base, tmp_path / "free")
    likeliest = [entry.values.argmax() for entry in free.trace if entry.name == "logits_guided"]
    drawn = free.codes[:, 0].tolist()
    end = next(code for step, code in enumerate(drawn) if step > 3 and code != likeliest[step])
    config = json.loads((checkpoint / "config.json").read_text())
    config["model"]["eos"] = end
    (checkpoint / "config.json").write_text(json.dumps(config))
    result = run(base, tmp_path / "engine")
    assert result.finish_reason == "stop" and len(result.codes) == drawn.index(end)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        expect_fields_of_the_end(executor, base, result)
