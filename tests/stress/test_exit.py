"""A process that exits while daemon threads wait for requests ends with its own exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NUM_RUNS = 5  # each run exits at another moment of the waits

COMMON = """
import asyncio, sys, threading
import ttsrt_rt as rt

executor = rt.Executor(sys.argv[1], device="cpu", num_threads=1)
started = threading.Event()
request = rt.Request(text_ids=[1, 2, 3], voice=0, max_frames=4000, min_frames=4000)
"""

WAYS = {
    "results": """
def follow():
    while True:
        handle = executor.submit(request)
        started.set()
        handle.wait()
""",
    "events": """
def follow():
    while True:
        for event in executor.stream(request):
            started.set()
""",
    "asyncio": """
async def stream():
    while True:
        async for event in executor.astream(request):
            started.set()

async def streams():
    await asyncio.gather(*(stream() for _ in range(4)))

def follow():
    asyncio.run(streams())
""",
}

END = """
for _ in range(4):
    threading.Thread(target=follow, daemon=True).start()
started.wait()
sys.exit(7)
"""


@pytest.mark.parametrize("way", WAYS)
def test_daemon_threads_let_the_process_end(endless: Path, way: str) -> None:
    code = COMMON + WAYS[way] + END
    for _ in range(NUM_RUNS):
        ended = subprocess.run(
            [sys.executable, "-c", code, str(endless)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 7, ended.stderr
