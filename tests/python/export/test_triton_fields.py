"""The text of `config.pbtxt`, and the fields that are inputs."""

from __future__ import annotations

from ttsrt_rt.export.triton_fields import INPUTS, Tensor, config
from ttsrt_rt.request import RequestFields


def test_the_text() -> None:
    inputs = (Tensor("ids", "INT32", (-1,)), Tensor("voice", "STRING", is_optional=True))
    outputs = (Tensor("codes", "INT32", (-1, -1)),)
    told = config("m", inputs, outputs, {"engine": 'a "b" \\ ü'}, is_decoupled=True)
    assert told.splitlines() == [
        'name: "m"',
        'backend: "python"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        'input { name: "ids", data_type: TYPE_INT32, dims: [ -1 ] }',
        'input { name: "voice", data_type: TYPE_STRING, dims: [ 1 ], optional: true }',
        'output { name: "codes", data_type: TYPE_INT32, dims: [ -1, -1 ] }',
        "instance_group [ { count: 1, kind: KIND_CPU } ]",
        'parameters { key: "engine" value { string_value: "a \\"b\\" \\\\ ü" } }',
    ]
    assert "decoupled" not in config("m", inputs, outputs, {}, is_decoupled=False)


def test_inputs_are_fields_of_a_request() -> None:
    known = {*RequestFields.__annotations__, "emotion"}
    assert {tensor.name for tensor in INPUTS} <= known
    assert all(tensor.is_optional for tensor in INPUTS)
