"""Plays a request while it is made; needs `pip install sounddevice`, and PortAudio.

python examples/play_stream.py ENGINE IDS.json [VOICE]

ENGINE is one with a codec (`ttsrt build --codec_dir`), IDS.json a list of text ids. Playback begins
with the first sound and goes on in real time.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import ttsrt_rt as rt


def player() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:  # OSError: without PortAudio
        raise SystemExit(
            f"play_stream: expected sounddevice to play with, got: {error}\n"
            "pip install sounddevice; or ttsrt run ENGINE ... --output - | aplay"
        ) from error


def main(engine: str, ids: str, voice: str = "0") -> None:
    sounddevice = player()
    with rt.Executor(engine) as executor:
        info = executor.engine.info
        if not info.has_vocoder:
            raise SystemExit(f"play_stream: expected an engine with a codec, got {engine}")
        request = rt.Request(
            text_ids=json.loads(Path(ids).read_text("utf-8")),
            voice=int(voice) if voice.isdigit() else voice,
            initial_chunk_frames=2,
            chunk_frames=8,
        )
        begin = time.perf_counter()
        with sounddevice.OutputStream(
            samplerate=info.sample_rate, channels=1, dtype="float32"
        ) as output:
            for event in executor.stream(request):
                if event.audio is None:
                    continue
                if begin:
                    print(f"first sound after {time.perf_counter() - begin:.3f} s")
                    begin = 0.0
                if output.write(event.audio[:, None]):  # waits until the device has taken it
                    print("underrun: sound came too late")
        print(f"ended by {event.finish_reason}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit("usage: python examples/play_stream.py ENGINE IDS.json [VOICE]")
    main(*sys.argv[1:])
