"""An HTTP server that sends sound while it is made; needs the extra `serve`.

    TTS_ENGINE=engine uvicorn --app-dir examples stream_server:app

POST /v1/audio/speech takes fields of `ttsrt_rt.Request` ({"text_ids": [...], "voice": 0}) and gives
a WAV in chunks, each sample once, or with "response_format": "pcm" the samples alone. All requests
run together; a client that goes away cancels its own. The engine is one with a codec (`ttsrt build
--codec_dir`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

import ttsrt_rt as rt
from ttsrt_rt.audio import MEDIA_TYPES, sample_bytes, wav_head
from ttsrt_rt.event_stream import EventStream

CHUNKS = {"initial_chunk_frames": 2, "chunk_frames": 8}
OPENED: dict[str, rt.Executor] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Opens the engine once, and closes it at the end."""
    engine = os.environ.get("TTS_ENGINE")
    if not engine:
        raise rt.ConfigError("TTS_ENGINE: expected the folder of an engine, got none")
    with rt.Executor(engine) as executor:
        if not executor.engine.info.has_vocoder:
            raise rt.ConfigError(f"TTS_ENGINE: expected an engine with a codec, got {engine}")
        OPENED["executor"] = executor
        yield
        OPENED.clear()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/audio/speech")
async def speech(body: dict[str, Any]) -> Response:
    """Speaks ids of a text."""
    executor = OPENED["executor"]
    kind = body.pop("response_format", "wav")
    if kind not in ("wav", "pcm"):
        raise rt.ConfigError(f"response_format: expected wav or pcm, got {kind!r}")
    events = executor.astream(**{**CHUNKS, **body})
    first = await anext(events)  # a request that fails at once is no answer yet
    head = wav_head(executor.engine.info.sample_rate or 0) if kind == "wav" else b""
    return StreamingResponse(sound(head, first, events), media_type=MEDIA_TYPES[kind])


async def sound(head: bytes, first: rt.Event, events: EventStream) -> AsyncIterator[bytes]:
    """The head and the samples of each event; leaving it early cancels the request."""
    try:
        yield head
        if first.audio is not None:
            yield sample_bytes(first.audio)
        async for event in events:
            if event.audio is not None:
                yield sample_bytes(event.audio)
    finally:
        await events.aclose()


@app.exception_handler(rt.Error)
async def refuse(_request: Request, error: Exception) -> Response:
    """400 where the body is wrong, 503 where there is no room for more."""
    status = 400 if isinstance(error, rt.ConfigError) else 503
    return JSONResponse({"error": {"message": str(error), "type": type(error).__name__}}, status)
