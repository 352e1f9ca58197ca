"""Sizes of known models, against the published ones."""

from __future__ import annotations

import json

import pytest

from ttsrt_rt.cli import main
from ttsrt_rt.llm.known_models import KNOWN_MODELS, MODES, KnownModel

PARAMETERS = {"TinyLlama-1.1B": 1_100_048_384, "Phi-2": 2_779_683_840, "Llama-2-7B": 6_738_415_616}
CACHE = {"TinyLlama-1.1B": 22_528, "Phi-2": 327_680, "Llama-2-7B": 524_288}
# GB in float32, 16 bits, int8 rows, int4 groups of 128 with zeros, the same with an int8 head.
GB = {
    "TinyLlama-1.1B": (4.40, 2.20, 1.23, 0.77, 0.70),
    "Phi-2": (11.12, 5.56, 3.05, 1.83, 1.70),
    "Llama-2-7B": (26.95, 13.48, 7.01, 3.89, 3.76),
}


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_sizes(model: KnownModel) -> None:
    assert model.parameters == PARAMETERS[model.name]
    assert model.cache_bytes == CACHE[model.name]
    found = [model.weight_bytes(mode) / 1e9 for mode in MODES]
    assert found == pytest.approx(GB[model.name], abs=0.011)


def test_the_command_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--models"]) == 0
    told = capsys.readouterr().out
    assert "1,100,048,384" in told and "13.48 GB" in told
    assert main(["inspect", "--models", "folder"]) == 2
    assert "--models: expected neither a folder" in capsys.readouterr().err


def test_the_doctor_tells_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"] >= 1 and found["free_bytes"] > 0
    assert {"cpu", "reference"} <= {each["name"] for each in found["devices"]}
    assert found["auto"] == "cpu" or found["auto"].startswith("cuda")
    assert set(found["models_that_fit"]) == set(PARAMETERS)
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert 'device "auto" is' in told and "jinja2" in told
