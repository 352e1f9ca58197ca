"""Traces of an executor's clients as data: JSON lines, written by a seed, read back exactly.

The first line is the header: the model, the device, the executor's options. Every other line is an
event of one client. Clients are threads; each runs its events in order, beside the others. Any
subset of the events is a valid trace, because events of requests that were never submitted do
nothing: this is what makes shrinking simple.
"""

from __future__ import annotations

import dataclasses
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ttsrt_rt as rt
from tests.stress.mixing import (
    DTYPES,
    GUEST,
    KINDS,
    LIMITS,
    MAX_BATCH_SIZE,
    MAX_FRAMES,
    MAX_ROWS,
    NAMED,
    RECORDING,
    SLOT_TOKENS,
    Kind,
    Spec,
)
from tests.stress.strategies import EOS_METHODS, MASKGITS, PRIORS

Event = dict[str, Any]
DEVICES = ("cpu", "cpu", "cpu", "reference", "reference:2")
KIND_OF = {kind.name: kind for kind in KINDS}
NUM_NAMED = 3  # voices that a trace adds and removes


@dataclass(frozen=True)
class Trace:
    """What clients do with one executor.

    Attributes:
        kind: The model, a name of `tests.stress.mixing.KINDS`.
        dtype: Index into `DTYPES`.
        device: Of the executor, and of the requests alone.
        options: Of the executor.
        end: How the executor is closed when all clients are done: "wait" for all requests first,
            "drain" or "cut".
        events: In the order in which each client runs its own; `client` says whose an event is.
    """

    kind: str
    dtype: int
    device: str
    options: dict[str, Any]
    end: str
    events: list[Event] = field(default_factory=list)

    def write(self) -> str:
        header = {of.name: getattr(self, of.name) for of in dataclasses.fields(self)}
        del header["events"]
        return "".join(json.dumps(line) + "\n" for line in (header, *self.events))

    @classmethod
    def read(cls, text: str) -> Trace:
        header, *events = (json.loads(line) for line in text.splitlines())
        return cls(**header, events=events)

    @classmethod
    def load(cls, path: Path) -> Trace:
        return cls.read(path.read_text("utf-8"))


_TYPES = {"AttentionPrior": rt.AttentionPrior, "MaskGit": rt.MaskGit}


def spec_data(spec: Spec) -> dict[str, Any]:
    """Returns a request as JSON values; of options with fields, only those that differ."""

    def value_data(value: Any) -> Any:
        for name, kind in _TYPES.items():
            if isinstance(value, kind):
                default = kind()
                fields = {of.name: getattr(value, of.name) for of in dataclasses.fields(value)}
                differ = {key: of for key, of in fields.items() if of != getattr(default, key)}
                return {name: differ}
        return value

    return {
        "text": list(spec.text),
        "context": list(spec.context),
        "content": spec.content,
        "options": {name: value_data(value) for name, value in spec.options},
    }


def spec_from(data: dict[str, Any]) -> Spec:
    """Returns the request that `spec_data` described."""

    def value_from(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((name, fields),) = value.items()
        return _TYPES[name](
            **{key: tuple(of) if isinstance(of, list) else of for key, of in fields.items()}
        )

    return Spec(
        (data["text"][0], data["text"][1]),
        (data["context"][0], data["context"][1]),
        data["content"],
        tuple((name, value_from(value)) for name, value in data["options"].items()),
    )


def _spec(draw: random.Random, kind: Kind) -> Spec:
    options: dict[str, Any] = {}
    choices: dict[str, tuple[Any, ...]] = {
        "cfg_scale": (1.0, 1.0, 1.5, 2.5),
        "temperature": (0.0, 0.0, 0.6, 1.2),
        "top_k": (0, 1, 5, 80),
        "top_p": (0.5, 0.95),
        "min_p": (0.05, 0.3),
        "seed": (0, 1, 2, 3),
        "min_frames": (0, 3, 12, MAX_FRAMES),
        "prior": PRIORS,
        "eos_method": EOS_METHODS,
        "return_alignment": (True,),
    }
    if kind.local:
        choices["use_local_transformer"] = (True, False)
    if kind.local == "maskgit":
        choices["maskgit"] = MASKGITS
    for name, values in choices.items():
        if draw.random() < 0.4:
            options[name] = draw.choice(values)
    if not options.get("use_local_transformer", True):
        options.pop("maskgit", None)  # independent heads refuse it
    options["max_frames"] = draw.randint(2, MAX_FRAMES)
    contexts = [*kind.contexts]
    if GUEST in contexts or RECORDING in contexts:
        contexts += [NAMED, NAMED]
    context = draw.choice(contexts)
    counts = {"voice": 3, GUEST: 1, RECORDING: 1, NAMED: NUM_NAMED}
    rows = draw.randrange(counts[context]) if context in counts else draw.randint(1, MAX_ROWS)
    text = draw.choice(("ids", "ids", "features", "output"))
    spec = Spec(
        (text, draw.randint(1, MAX_ROWS)),
        (context, rows),
        draw.randrange(3),
        tuple(options.items()),
    )
    return spec_from(spec_data(spec))


def _options(draw: random.Random) -> dict[str, Any]:
    least = max(LIMITS["max_input_len"], LIMITS["max_encoder_input_len"])
    choices: dict[str, Any] = {
        "num_threads": draw.randint(1, 2),
        "max_batch_size": draw.randint(1, MAX_BATCH_SIZE),
        "max_num_tokens": draw.randint(least, 3 * least),
        "max_tokens_in_paged_kv_cache": draw.randint(SLOT_TOKENS, 3 * SLOT_TOKENS),
        "prefill_slice_seconds": draw.choice((0.0, 1e-9, 1e-4, 1.0)),
        "max_queue_size": draw.choice((1, 3, 64)),
        "preempt": "priority",
    }
    chosen = {name: value for name, value in choices.items() if draw.random() < 0.5}
    if "preempt" in chosen:
        chosen["max_paused_requests"] = draw.randint(0, 4)
        chosen["max_batch_size"] = draw.choice((1, 1, 2, 2, 3))  # so that requests do pause
    return chosen


def make_trace(seed: int) -> Trace:
    """Returns the trace of a seed: few distinct requests, so that they share prefixes."""
    draw = random.Random(seed)
    kind, options = draw.choice(KINDS), _options(draw)
    known = [_spec(draw, kind) for _ in range(draw.randint(1, 5))]
    num_clients, num_requests = draw.randint(1, 4), draw.randint(2, 12)
    events: list[Event] = []
    for number in range(num_requests):
        client = draw.randrange(num_clients)
        fields: dict[str, Any] = {}
        if draw.random() < (0.9 if "preempt" in options else 0.5):
            fields["priority"] = draw.randint(-2, 2)
        if draw.random() < 0.5:
            fields["chunk_frames"] = draw.randint(1, 7)
        if draw.random() < 0.2:
            fields["deadline"] = draw.choice((1e-9, 0.002, 0.01, 1000.0))
        events.append(
            {
                "do": "submit",
                "client": client,
                "id": number,
                "spec": spec_data(draw.choice(known)),
                "fields": fields,
            }
        )
        for _ in range(draw.randint(0, 3)):
            events.append(_event(draw, num_clients, number, kind))
    return Trace(
        kind=kind.name,
        dtype=draw.randrange(len(DTYPES)),
        device=draw.choice(DEVICES),
        options=options,
        end=draw.choice(("wait", "wait", "drain", "cut")),
        events=events,
    )


def _event(draw: random.Random, num_clients: int, newest: int, kind: Kind) -> Event:
    what = draw.choices(
        ("take", "cancel", "drop", "add_voice", "remove_voice", "stats", "sleep", "close"),
        (8, 3, 1, 3, 2, 1, 2, 0.3),
    )[0]
    event: Event = {"do": what, "client": draw.randrange(num_clients)}
    if what in ("take", "cancel", "drop"):
        event["id"] = draw.randint(0, newest)
    if what == "take":
        event["frames"] = draw.randint(1, MAX_FRAMES)
    if what in ("add_voice", "remove_voice"):
        event["voice"] = draw.randrange(NUM_NAMED)
    if what == "sleep":
        event["ms"] = draw.choice((0.1, 1, 5))
    if what == "close":
        event["drain"] = draw.random() < 0.5
    return event
