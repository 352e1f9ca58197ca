"""The PyTorch stack of the GPU benchmark, on the CPU: what a step computes, not how fast."""

from __future__ import annotations

import pytest

from bench.gpu_steps.shapes import LocalShape, StackShape

pytestmark = pytest.mark.torch

LLAMA = StackShape(2, 32, 48, 4, 2, 8, 1, 50, True)
MAGPIE = StackShape(2, 32, 64, 4, 4, 8, 4, 30, False, 1, 16, LocalShape(2, 16, 32, 2))


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
@pytest.mark.parametrize("shape", [LLAMA, StackShape(2, 32, 64, 4, 4, 8, 1, 50, False)])
def test_a_step_is_the_last_row_of_a_prompt(shape: StackShape, attention: str) -> None:
    from ..needs_torch import torch

    torch.manual_seed(0)
    from bench.gpu_steps.torch_stack import Decoder, Rows

    rows = Rows(1, False, 10, 0)
    decoder = Decoder(shape, rows, "cpu", attention=attention, dtype=torch.float32)  # type: ignore[arg-type]
    prompt = torch.randn(1, 10, shape.dim)
    expected = decoder.prompt(prompt)
    kept = [layer.keys[:, :, 9].clone() for layer in decoder.layers]
    decoder.table[0] = prompt[0, 9]
    decoder.step()
    assert decoder.ids.tolist() == [expected.tolist()]
    for layer, keys in zip(decoder.layers, kept, strict=True):
        torch.testing.assert_close(layer.keys[:, :, 9], keys)


def test_the_text_moves_the_conditional_rows_alone() -> None:
    from ..needs_torch import torch

    torch.manual_seed(0)
    from bench.gpu_steps.torch_stack import Decoder, Rows

    decoder = Decoder(MAGPIE, Rows(3, True, 6, 5), "cpu", dtype=torch.float32)
    before = decoder.hidden()
    assert before.shape == (6, MAGPIE.dim)
    for layer in decoder.layers:
        assert layer.cross_values is not None
        layer.cross_values += 1.0
    after = decoder.hidden()
    assert (after[:3] != before[:3]).any(dim=1).all()
    torch.testing.assert_close(after[3:], before[3:], rtol=0.0, atol=0.0)
    given, free = torch.full((3, 2), 3.0), torch.ones(3, 2)
    assert (decoder.mix(torch.cat([given, free])) == 1.0 + 2.5 * 2.0).all()


def test_one_compiled_function_picks_at_all_places() -> None:
    from ..needs_torch import torch

    torch.manual_seed(0)
    from bench.gpu_steps.torch_peer import step_work
    from bench.gpu_steps.torch_stack import Decoder, LocalPicks, Rows

    assert MAGPIE.local is not None
    made = []
    for backend in (None, "eager"):
        torch.manual_seed(0)
        torch.compiler.reset()
        decoder = Decoder(MAGPIE, Rows(3, True, 6, 5), "cpu", dtype=torch.float32)
        picks = LocalPicks(decoder, MAGPIE.local, "cpu", dtype=torch.float32)

        def prepare(function, backend=backend):  # type: ignore[no-untyped-def]
            if backend is None:
                return function
            return torch.compile(function, backend=backend, fullgraph=True, dynamic=False)

        with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=True):
            work = step_work(decoder, picks, prepare)
            work()
            work()
        made.append(decoder.ids.tolist())
    assert made[0] == made[1]
    assert all(0 <= each < MAGPIE.vocab for row in made[0] for each in row)
