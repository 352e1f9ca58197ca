"""An HTTP server of F5-TTS or IndicF5, with the OpenAI speech route; needs the extra `serve`.

    TTS_ENGINE=f5-engine TTS_REF_AUDIO=voice.wav TTS_REF_TEXT="What is said." \
        uvicorn --app-dir examples f5_server:app

POST /v1/audio/speech takes {"text": ...} or OpenAI's {"input": ..., "voice": ...} and gives a WAV.
Requests run together on one engine; TTS_BACKEND and TTS_NFE_STEPS choose device and steps.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool

from ttsrt_rt import CapacityError, ConfigError
from ttsrt_rt.audio import wav_bytes
from ttsrt_rt.f5 import F5Model

MODEL: dict[str, F5Model] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Opens the engine once, and closes it at the end."""
    if engine := os.environ.get("TTS_ENGINE"):
        MODEL["f5"] = await run_in_threadpool(F5Model, engine)
    yield
    if MODEL:
        MODEL.pop("f5").close()


app = FastAPI(lifespan=lifespan)


@app.get("/v1/health")
async def health() -> dict[str, Any]:
    """Whether the model is loaded, and on which device."""
    return {"loaded": bool(MODEL), "device": MODEL["f5"].executor.info.device if MODEL else None}


@app.post("/v1/audio/speech")
async def speech(body: dict[str, Any]) -> Response:
    """Speaks a text: 400 without one, 503 without a model."""
    if not isinstance(text := body.get("text", body.get("input")), str) or not text.strip():
        raise HTTPException(400, "text: expected text, got none")
    if body.get("response_format") not in (None, "wav"):
        raise HTTPException(400, "response_format: expected wav")
    voice = os.environ.get("TTS_REF_AUDIO", ""), os.environ.get("TTS_REF_TEXT", "")
    if "f5" not in MODEL or not all(voice):
        raise HTTPException(503, "expected TTS_ENGINE, TTS_REF_AUDIO and TTS_REF_TEXT to be set")
    try:
        made = await run_in_threadpool(MODEL["f5"].synthesize, text, *voice, seed=body.get("seed"))
    except (CapacityError, ConfigError) as error:
        raise HTTPException(503 if isinstance(error, CapacityError) else 400, str(error)) from error
    return Response(wav_bytes(made.samples, made.sample_rate), media_type="audio/wav")
