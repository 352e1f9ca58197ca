"""An HTTP server of F5-TTS or IndicF5, with the OpenAI speech route; needs the extra `serve`.

    TTS_ENGINE=f5-engine TTS_REF_AUDIO=voice.wav TTS_REF_TEXT="What is said." \
        uvicorn --app-dir examples f5_server:app

POST /v1/audio/speech takes {"text": ...} or OpenAI's {"input": ..., "speed": ...}, and gives a WAV
or the `response_format`. Requests run together; TTS_BACKEND and TTS_NFE_STEPS are heeded.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from ttsrt_rt import CapacityError, ConfigError, Error
from ttsrt_rt.audio import MEDIA_TYPES, audio_bytes, check_format, read_audio
from ttsrt_rt.f5 import F5Model

SETTINGS = ("TTS_ENGINE", "TTS_REF_AUDIO", "TTS_REF_TEXT")
OPENED: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Reads the voice and opens the engine once, and closes it at the end."""
    engine, voice, said = (os.environ.get(name) for name in SETTINGS)
    if engine and voice and said:
        OPENED.update(voice=(read_audio(voice), said), model=F5Model(engine))
    yield
    if OPENED:
        OPENED["model"].close()
        OPENED.clear()


app = FastAPI(lifespan=lifespan)


@app.get("/v1/health")
async def health() -> dict[str, Any]:
    """Whether the model is loaded."""
    return {"loaded": "model" in OPENED}


@app.post("/v1/audio/speech")
def speech(body: dict[str, Any]) -> Response:
    """Speaks a text."""
    if "model" not in OPENED:
        raise CapacityError(f"server: expected {', '.join(SETTINGS)} to be set")
    given = {name: value for name, value in body.items() if value is not None}
    if given.get("stream_format", "audio") != "audio":
        raise ConfigError("stream_format: expected audio")
    kind = check_format(given.get("response_format", "wav"), "response_format")
    options = {name: given[name] for name in ("seed", "speed") if name in given}
    text = given.get("text", given.get("input", ""))
    samples, rate = OPENED["model"].synthesize(text, *OPENED["voice"], **options)
    return Response(audio_bytes(samples, rate, kind), media_type=MEDIA_TYPES[kind])


@app.exception_handler(Error)
async def refuse(_request: Request, error: Exception) -> Response:
    """400 where the body is wrong, 503 without a model or without room for more."""
    status = 400 if isinstance(error, ConfigError) else 503
    return JSONResponse({"error": {"message": str(error), "type": type(error).__name__}}, status)
