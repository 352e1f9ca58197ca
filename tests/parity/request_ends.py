"""What the fields about the end of speech do to a request that ends by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ttsrt_rt as rt


def differs(base: rt.Result, other: rt.Result) -> bool:
    return base.codes.shape != other.codes.shape or bool((base.codes != other.codes).any())


def expect_fields_of_the_end(executor: rt.Executor, request: rt.Request, result: rt.Result) -> None:
    """Asserts that the fields which move an end move this one."""
    later = executor.generate(replace(request, min_frames=len(result.codes) + 6))
    assert len(later.codes) >= len(result.codes) + 6 or later.finish_reason == "length"
    assert len(later.codes) > len(result.codes)
    other = executor.generate(replace(request, eos_method="argmax_all"))
    assert len(other.codes) > len(result.codes)
    if executor.engine.info.family != "magpie":
        with pytest.raises(rt.ConfigError, match="strict_end: expected false"):
            executor.generate(replace(request, strict_end=True))
        return
    # No id is forced here, so that the end is the model's own either way.
    strict = executor.generate(replace(request, strict_end=True))
    assert not differs(result, strict)
