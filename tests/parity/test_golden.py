"""The golden cases, stage by stage and whole, through the public face, on every backend.

Differences from the originals, none of which these cases can show: a random number comes from a generator of the request's
own, and a request's rows never meet another's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ttsrt_rt.validate import validate

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
RUNS = sorted(DATA.glob("*.npz"))


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("golden", RUNS, ids=lambda path: path.stem)
def test_golden(golden: Path, device: str, engine_of: Callable[[str], Path]) -> None:
    engine = engine_of(golden.stem.split(".")[0])
    reports = validate(engine, golden, device=device)
    wrong = [f"{r.stage}: {r.max_difference:.3g}: {r.worst}" for r in reports if not r.is_ok]
    assert not wrong, wrong
    stages = {report.stage for report in reports}
    assert {"encoder_out", "dec_hidden", "logits", "focus", "prior", "codes"} <= stages
