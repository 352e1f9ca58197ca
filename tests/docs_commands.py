"""The shell commands of README and docs, and what is changed of them before a test runs them.

A command runs in a folder that holds the files it names, of tiny models. A rule changes a command
that would take minutes, or leaves it out, and says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .house import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command of a page: a line with its continuations, or a loop.

    Attributes:
        page: "docs/convert.md".
        text: As the page has it.
    """

    page: str
    text: str


@dataclass(frozen=True)
class Left:
    """Commands that are not run here.

    Attributes:
        pattern: Found in their text.
        why: What runs them instead, or what they need.
    """

    pattern: str
    why: str


@dataclass(frozen=True)
class Changed:
    """A part of commands that is replaced.

    Attributes:
        pattern: Of the part, a regular expression.
        text: What stands there instead.
        why: The reason.
    """

    pattern: str
    text: str
    why: str


INSTALLED = ".ci/run installs in a clean environment"

LEFT = [
    Left(r"^python3 -m venv \.venv && \.venv/bin/pip install", INSTALLED),
    Left(r"^\.venv/bin/pip install", INSTALLED),
    Left(r"^pip install \. -C", "needs nvcc; .ci/run cuda compiles these kernels"),
    Left(r"^\.ci/run", "it runs this test"),
    Left(r"^scripts/slow_checks", "it takes an hour"),
    Left(r"^scripts/fuzz", ".ci/run fuzz runs it"),
    Left(r"pytest tests/stress", "the suite runs it with smaller numbers"),
    Left(r"pytest tests/bench --benchmark-only", "the suite runs it with tiny shapes"),
    Left(r"magpie-tts\.cpp|peer-env|peer_gguf", "needs a build of magpie-tts.cpp"),
    Left(r"cmake --preset aarch64|qemu-aarch64", "scripts/slow_checks runs it"),
    Left(r"tinyllama-awq|awq-ckpt", "needs tokenizers; tests/python/llm/test_awq.py runs them"),
    Left(r"triton-env|\$site/", "needs a server; test_triton_server.py starts one"),
    Left(
        r"bench\.(?:t3|llm)_peers|llama_cpp_python|--build llama",
        "needs a build of llama.cpp; tests/bench runs tiny models",
    ),
    Left(r"bench\.llm_switches", "a model of full size; tests/bench runs a tiny one"),
    Left(r"uvicorn .*f5_server", "needs the extra serve; test_f5_server talks to the server"),
    Left(
        r"bench\.f5_peers",
        "needs the package f5-tts or a GPU; tests/bench runs it with tiny models",
    ),
    Left(r"bench\.step_time", "needs PyTorch; tests/bench runs it with tiny models"),
    Left(r"^scripts/gpu", "needs a GPU"),
    Left(
        r"run --engine_dir llm-engine|bench llm|ttsrt quality",
        "needs tokenizers; tests/python/llm has the same commands",
    ),
    Left(r"--device cuda", "needs a GPU; tests/python has the same on the CPU"),
    Left(
        r"--backend tensorrt|--device tensorrt",
        "needs a GPU and TensorRT; tests/parity/test_tensorrt.py builds and runs plans",
    ),
    Left(r"bench\.gpu_steps", "needs a GPU; tests/bench runs it with tiny models on the CPU"),
    Left(
        r"bench\.tensorrt",
        "needs a GPU and TensorRT; tests/bench runs it with tiny models on the CPU",
    ),
]

CHANGED = [
    Changed(r"^scripts/walls .*", "scripts/walls --help", "full-size models; tests/bench has tiny"),
    Changed(
        r"^python -m bench\.cpu_levels .*",
        "python -m bench.cpu_levels --help",
        "full-size models; tests/bench has tiny",
    ),
    Changed(
        r"^python -m bench\.builds .*",
        "python -m bench.builds --help",
        "two builds; tests/bench compares one with itself",
    ),
    Changed(
        r"cmake --preset dev && .*",
        "cmake --preset dev -B build-dev",
        ".ci/run asan builds and runs the tests of this configuration",
    ),
    Changed(r"--seconds 60", "--seconds 1 --capacity_seconds 0.5", "a minute"),
    Changed(r"--turns \d+", "--turns 1", "minutes"),
    Changed(
        r"(bench\.speculation \w+) --size true --tokens \d+",
        r"\1 --size tiny --tokens 48",
        "a model of full size",
    ),
    Changed(r"(bench\.say_latency .*)", r"\1 --most 100", "no time is asserted"),
    Changed(r"bench\.codec", "bench.codec --size tiny --frames 8", "a model of full size"),
    Changed(r"--repeats \d+", "--repeats 1", "minutes"),
    Changed(r"--frames 32 --text_len 32", "--frames 8 --text_len 32", "seconds"),
    Changed(r"--frames 128 --concurrency 1 4 8", "--frames 8 --concurrency 1 2", "seconds"),
    Changed(
        r"engine-w8a16 --golden CASE\.RUN", "golden.w8a16 --golden case.lt_cfg_noprior_kv", "names"
    ),
    Changed(r"(--output listeners\.json)$", r"\1 --text_vocab_size 40", "a model of few ids"),
    Changed(r"(bench crowd --size .*\d)$", r"\1 --folder engines", "a model of full size"),
]


def commands() -> list[Command]:
    """Every shell command of every page, in order."""
    found = []
    for page in PAGES:
        for language, block in FENCE.findall((ROOT / page).read_text("utf-8")):
            if language == "sh":
                found += [Command(page, text) for text in _split(block)]
    return found


def _split(block: str) -> list[str]:
    """Lines without comments; a loop, a here document and continued lines stay together."""
    parts: list[str] = []
    is_open = False
    for line in block.splitlines():
        line = re.sub(r"\s+#.*$|^#.*$", "", line)
        if not line.strip():
            continue
        if is_open:
            parts[-1] += "\n" + line
        else:
            parts.append(line)
        whole = parts[-1]
        depth = len(re.findall(r"^(?:for|if) ", whole, re.M)) - len(
            re.findall(r"^(?:done|fi)\b", whole, re.M)
        )
        is_open = line.endswith("\\") or depth > 0 or _in_document(whole)
    return parts


def _in_document(text: str) -> bool:
    """Whether a here document has begun and not ended."""
    begun = re.search(r"<<-?\s*'?(\w+)'?", text)
    return begun is not None and not re.search(rf"^{begun.group(1)}$", text, re.MULTILINE)


def prepared(text: str) -> str | None:
    """The command as it is run, or None if it is left out."""
    if any(re.search(rule.pattern, text) for rule in LEFT):
        return None
    for rule in CHANGED:
        text = re.sub(rule.pattern, rule.text, text, flags=re.MULTILINE)
    return text


def write_programs(folder: Path, python: str, sources: Path) -> None:
    """A `.venv/bin` with `python`, `ttsrt` and `activate` that run what is tested."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    command = "from ttsrt_rt.cli import main; raise SystemExit(main())"
    scripts = {
        "python": f'exec "{python}" "$@"',
        "python3": f'exec "{python}" "$@"',
        "ttsrt": f'exec "{python}" -c \'{command}\' "$@"',
    }
    for name, line in scripts.items():
        path = programs / name
        path.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        path.chmod(0o755)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n', "utf-8")
    for source in sources.iterdir():  # pages name files of a checkout, too
        if source.name not in {".venv", ".git", "build", "engines"}:
            (folder / source.name).symlink_to(source)
