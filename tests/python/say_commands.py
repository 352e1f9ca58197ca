"""Command lines of `ttsrt say` for tiny models, and what they should make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ttsrt_rt as rt
from tests.devices import NATIVE

TEXT = "Hello world. Good morning"
SECONDS = 0.0175  # 24.1 frames of the tiny codec


def command_of(engine: Path) -> list[str]:
    return [
        "say",
        "--engine",
        str(engine),
        "--device",
        NATIVE,
        "--max_seconds",
        str(SECONDS),
        "--seed",
        "5",
    ]


def generated(engine: Path, text: str = TEXT, **fields: Any) -> rt.Result:
    with rt.Executor(engine, device=NATIVE) as executor:
        frames = int(SECONDS * executor.engine.info.frame_rate)
        voice = executor.voices()[0]
        values: dict[str, Any] = {"voice": voice, "seed": 5, "max_frames": frames, **fields}
        return executor.generate(text=text, **values)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    whole = [sys.executable, "-m", "ttsrt_rt", *command]
    return subprocess.run(whole, capture_output=True, timeout=120, check=False, **options)
