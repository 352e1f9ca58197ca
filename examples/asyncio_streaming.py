"""Streams several requests from one asyncio program; leaving one stream early frees its slot.

python examples/asyncio_streaming.py ENGINE
"""

from __future__ import annotations

import asyncio
import sys

import ttsrt_rt as rt


async def follow(
    executor: rt.Executor, name: str, request: rt.Request, stop_after: int | None
) -> None:
    frames = 0
    async for event in executor.astream(request):
        frames += len(event.codes)
        print(f"{name}: {frames} frames")
        if stop_after is not None and frames >= stop_after:
            print(f"{name}: heard enough")
            return
    print(f"{name}: ended by {event.finish_reason}")


async def main(engine: str) -> None:
    with rt.Executor(engine) as executor:
        requests = [
            rt.Request(text_ids=[5, 6, 7, 8, 9 + i], voice=0, seed=i, max_frames=12, chunk_frames=4)
            for i in range(3)
        ]
        await asyncio.gather(
            *(
                follow(executor, f"request {i}", request, stop_after=4 if i == 0 else None)
                for i, request in enumerate(requests)
            )
        )
        result = await executor.agenerate(requests[1], chunk_frames=1)  # the whole at once
        print(f"request 1, whole: {len(result.codes)} frames")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/asyncio_streaming.py ENGINE")
    asyncio.run(main(sys.argv[1]))
