"""`ttsrt run --requests`: lines of JSON in, lines of JSON out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli import main
from ttsrt_rt.cli.run_many import run_lines

IDS = list(range(3, 20))


def line(**fields: Any) -> str:
    return json.dumps({"text_ids": IDS, "voice": 0, "max_frames": 4, **fields}) + "\n"


def run(executor: rt.Executor, text: str, **defaults: Any) -> list[dict[str, Any]]:
    output = io.BytesIO()
    counts = run_lines(executor, io.BytesIO(text.encode()), output, defaults)
    made = [json.loads(each) for each in output.getvalue().splitlines()]
    assert counts.requests == len(made)
    assert counts.failed == sum(each["finish_reason"] == "error" for each in made)
    return made


def test_results_are_those_of_single_requests(executor: rt.Executor) -> None:
    text = "".join(line(seed=seed, id=f"r{seed}") for seed in range(40))
    made = run(executor, text)
    assert [each["id"] for each in made] == [f"r{seed}" for seed in range(40)]
    assert [each["line"] for each in made] == list(range(1, 41))
    for seed in (0, 17, 39):
        alone = executor.generate(text_ids=IDS, voice=0, max_frames=4, seed=seed)
        assert made[seed]["codes"] == alone.codes.tolist()
        assert made[seed]["finish_reason"] == alone.finish_reason


BAD = {
    "{": "expected a JSON object",
    "[1]": "expected a JSON object",
    "\udcff\ufffd".encode("utf-8", "replace").decode(): "expected a JSON object",
    '{"text_ids": [1], "voice": 0, "seed": "x"}': "seed",
    '{"text_ids": [1.5], "voice": 0}': "text_ids: expected integers",
    '{"text_ids": [3], "voice": true}': "voice: expected",
    '{"text_ids": [3], "voice": "nobody"}': "nobody",
    '{"text_ids": "absent.json", "voice": 0}': "absent.json: no such file",
    '{"text": "hello", "voice": 0}': "text: this engine carries no front end",
    '{"text_ids": [3], "voice": 0, "prior": {"left": "x"}}': "prior.left",
    '{"text_ids": [3], "voice": 0, "max_frames": 1000000}': "max_frames",
    "[" * 100000: "expected a JSON object",
}


def test_a_bad_line_ends_alone(executor: rt.Executor) -> None:
    text = "".join(line(id=1) + bad + "\n\n" for bad in BAD) + line(id=2)
    made = run(executor, text)
    assert len(made) == 2 * len(BAD) + 1
    for index, expected in enumerate(BAD.values()):
        assert made[2 * index]["finish_reason"] == "length"
        assert made[2 * index + 1]["finish_reason"] == "error"
        assert expected in made[2 * index + 1]["error"]
    assert made[-1]["id"] == 2 and made[-1]["line"] == 3 * len(BAD) + 1


def test_flags_are_defaults(executor: rt.Executor) -> None:
    made = run(executor, line() + line(max_frames=2) + "{}\n", voice=0, text_ids=IDS, max_frames=6)
    assert [each["frames"] for each in made] == [4, 2, 6]


def test_a_small_queue_is_waited_for(engine: Path) -> None:
    with rt.Executor(engine, device="cpu", max_queue_size=1, max_batch_size=1) as executor:
        assert all(each["frames"] == 4 for each in run(executor, line() * 12))


def test_a_reader_that_leaves_ends_it(executor: rt.Executor) -> None:
    class Closed(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_lines(executor, io.BytesIO((line() * 100).encode()), Closed(), {})


def test_files(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text(line(id="a") + "{\n" + line())
    command = ["run", str(engine), "--requests", str(tmp_path / "in.jsonl"), "--seed", "3"]
    output = tmp_path / "out.jsonl"
    assert main([*command, "--output", str(output)]) == 1
    made = [json.loads(each) for each in output.read_text().splitlines()]
    assert [each.get("id") for each in made] == ["a", None, None]
    assert [each["finish_reason"] for each in made] == ["length", "error", "length"]
    assert "3 requests, 1 failed; 8 frames" in capsys.readouterr().err
    for flags, message in (
        (["--output", "a.json"], "ends in .jsonl, or -"),
        (["--output", str(output), "--streaming"], "--streaming: expected without"),
        (["--output", str(tmp_path / "absent" / "a.jsonl")], "expected a folder that exists"),
        (["--output", str(tmp_path / "in.jsonl")], "expected another file than --requests"),
    ):
        assert main([*command, *flags]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "in.jsonl").stat().st_size > 0
    assert main([*command[:3], str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err


def test_a_client_may_wait_for_each_answer(engine: Path) -> None:
    command = [sys.executable, "-m", "ttsrt_rt", "run", str(engine)]
    with subprocess.Popen(
        [*command, "--requests", "-", "--output", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(line(id="\u30dc\u30a4\u30b9", seed=number))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == "\u30dc\u30a4\u30b9"
        process.stdin.close()
        assert process.wait() == 0


def test_the_old_output_stays_until_there_is_a_new_one(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text(line() * 3)
    (tmp_path / "binary.jsonl").write_bytes(b"PK\x03\x04\0\0\n\0\n" * 9)
    (tmp_path / "page.jsonl").write_text("<!DOCTYPE html>\n<html>\n<body>\n")
    output = tmp_path / "out.jsonl"
    output.write_text("kept")
    command = ["run", str(engine), "--output", str(output), "--requests"]
    for flags, told in (
        (["in.jsonl", "--cfg_scale", "nan"], "--cfg_scale: expected"),
        (["in.jsonl", "--top_k", "-3"], "--top_k: expected"),
        (["in.jsonl", "--prior_lookahead", "-1"], "--prior_lookahead: expected"),
        (["in.jsonl", "--context_codes", "absent.npy"], "absent.npy: no such file"),
        (["binary.jsonl"], "binary.jsonl: expected a JSON object on each line, got"),
        (["page.jsonl"], "expected a JSON object on each line, got an HTML page"),
    ):
        assert main([*command, str(tmp_path / flags[0]), *flags[1:]]) == 2
        errors = capsys.readouterr().err.splitlines()
        assert told in errors[-1] and errors[-1].startswith("ttsrt: error: ")
        assert output.read_text() == "kept"
    assert main([*command, str(tmp_path / "in.jsonl")]) == 0
    assert len(output.read_text().splitlines()) == 3
    (tmp_path / "in.jsonl").write_text("")
    assert main([*command, str(tmp_path / "in.jsonl")]) == 0
    assert output.read_text() == ""


def test_a_common_field_that_a_line_replaces_is_no_error(executor: rt.Executor) -> None:
    made = run(executor, line(top_k=2) + line(), top_k=-3)
    assert [each["finish_reason"] for each in made] == ["length", "error"]


def test_an_interrupt_tells_what_was_written(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    output = tmp_path / "out.jsonl"

    class Interrupted(io.BytesIO):
        def readline(self, _: Any = -1, /) -> bytes:
            if not output.exists():
                return line().encode()
            raise KeyboardInterrupt

    monkeypatch.setattr("ttsrt_rt.cli.run._open_lines", lambda *_: Interrupted())
    monkeypatch.setattr("ttsrt_rt.cli.run.tell", told.append)
    command = ["run", str(engine), "--requests", "x.jsonl", "--output", str(output)]
    assert main(command) == 130
    written = len(output.read_text().splitlines())
    assert written > 0 and f"{written} requests were done and written to {output}" in told[-1]
