"""Configurations: values as OmegaConf writes them, references resolved when read, limits."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ttsrt_rt.convert import yaml_values
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.convert.yaml_values import FLOAT, INTEGER, parse_yaml
from ttsrt_rt.errors import ConfigError, FormatError

TEXT = """
model_type: decoder_ce
dim: 768
rate: 1e-5
scale: 2
flag: true
nothing: null
layers: [4, 5, '${dim}']
decoder:
  n_layers: 12
  d_model: ${dim}
  again: ${decoder.d_model}
  home: ${oc.env:HOME}
  sum: ${add:1,2}
  relative: ${.n_layers}
  inside: x_${dim}
  absent: ${decoder.nope.deeper}
  list_item: ${layers.1}
  section: ${other}
other:
  a: ${dim}
speakers:
  0: Aria
  b.c: Jason
loop_a: ${loop_b}
loop_b: ${loop_c.x}
loop_c:
  x: ${loop_a}
loop_self: ${loop_self}
loop_list: [1, '${loop_list}']
loop_section: ${loop_section.x}
"""


def config() -> Config:
    return Config.parse(TEXT, "model_config.yaml")


def test_typed_access() -> None:
    found = config()
    assert found.get_int("dim", minimum=1, maximum=768) == 768
    assert found.get_int("decoder.n_layers") == 12
    assert found.get_float("rate") == 1e-5
    assert found.get_float("scale", minimum=2) == 2.0
    assert found.get_bool("flag") is True
    assert found.get_str("model_type", choices=("decoder_ce", "x")) == "decoder_ce"
    assert found.get_list("layers") == [4, 5, 768]
    assert found.get_ints("layers", minimum=4, maximum=768, max_length=3) == [4, 5, 768]
    assert found.section("decoder").get_int("n_layers") == 12
    assert list(found.section("other")) == ["a"]
    assert found.has("decoder.n_layers")
    assert not found.has("nothing")
    assert not found.has("decoder.nope")


def test_defaults_replace_absent_and_null_values() -> None:
    found = config()
    assert found.get_int("nope", default=3) == 3
    assert found.get_int("nothing", default=None) is None
    assert found.get_float("decoder.nope", default=0.5) == 0.5
    assert found.get_bool("nope.deeper", default=False) is False
    assert found.get_str("nope", default="x") == "x"
    assert found.get_list("nope", default=()) == ()
    assert found.get_ints("nope", default=None) is None


WRONG: dict[str, tuple[Any, str]] = {
    "absent": (lambda c: c.get_int("nope"), "nope: expected an integer, got nothing"),
    "null": (lambda c: c.get_str("nothing"), "nothing: expected text"),
    "text for int": (lambda c: c.get_int("model_type"), "an integer, got 'decoder_ce'"),
    "float for int": (lambda c: c.get_int("rate"), "an integer, got 1e-05"),
    "bool for int": (lambda c: c.get_int("flag"), "an integer, got True"),
    "bool for float": (lambda c: c.get_float("flag"), "a finite number, got True"),
    "int for bool": (lambda c: c.get_bool("dim"), "true or false, got 768"),
    "too small": (lambda c: c.get_int("dim", minimum=1000), "an integer >= 1000, got 768"),
    "too large": (lambda c: c.get_int("dim", minimum=1, maximum=7), "an integer in 1..7, got 768"),
    "float too large": (lambda c: c.get_float("scale", maximum=1.5), "<= 1.5, got 2"),
    "unknown word": (lambda c: c.get_str("model_type", choices=("a", "b")), "one of 'a', 'b'"),
    "long text": (lambda c: c.get_str("model_type", max_length=3), "3 characters"),
    "int for list": (lambda c: c.get_list("dim"), "a list"),
    "long list": (lambda c: c.get_list("layers", max_length=2), "at most 2 values"),
    "list item": (lambda c: c.get_ints("layers", maximum=5), "<= 5, got 768"),
    "mapping for int": (lambda c: c.get_int("decoder"), "an integer, got a mapping"),
    "section of a number": (lambda c: c.section("dim"), "a mapping, got 768"),
    "section absent": (lambda c: c.section("nope"), "a mapping, got nothing"),
    "through a number": (lambda c: c.get_int("dim.x"), "dim: expected a mapping, got 768"),
    "in a section": (
        lambda c: c.section("decoder").get_bool("n_layers"),
        "decoder.n_layers: expected",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named(name: str) -> None:
    call, expected = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        call(config())
    assert "model_config.yaml: " in str(caught.value)
    assert expected in str(caught.value)


def test_references_are_resolved_when_read() -> None:
    found = config()
    assert found.get_int("decoder.d_model") == 768
    assert found.get_int("decoder.again") == 768
    assert found.get_int("decoder.list_item") == 5
    assert found.get_int("decoder.section.a") == 768
    assert found["decoder"]["d_model"] == 768
    assert "home" in found["decoder"]
    for path, expected in (
        ("decoder.home", "${oc.env:HOME}"),
        ("decoder.sum", "${add:1,2}"),
        ("decoder.relative", "${.n_layers}"),
        ("decoder.inside", "x_${dim}"),
        ("decoder.absent", "none at 'decoder.nope'"),
        ("loop_a", "a cycle of references"),
        ("loop_self", "a cycle of references: loop_self"),
        ("loop_list", "a cycle of references"),
        ("loop_section", "a cycle of references"),
    ):
        with pytest.raises(ConfigError) as caught:
            found.get_str(path)
        assert path in str(caught.value)
        assert expected in str(caught.value)


def test_references_from_the_top_or_from_a_section() -> None:
    found = Config.parse("cfg:\n  dim: 3\n  a: ${dim}\n  b: ${cfg.dim}\n", "hparams.yaml")
    assert found.get_int("cfg.b") == 3
    with pytest.raises(ConfigError, match="none at 'dim'"):
        found.get_int("cfg.a")
    section = found.section("cfg", is_root=True)
    assert section.get_int("a") == 3
    with pytest.raises(ConfigError, match="none at 'cfg'"):
        section.get_int("b")


def test_the_expansion_of_references_is_limited() -> None:
    lines = ["a0: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"]
    for i in range(1, 12):
        lines.append(f"a{i}: [" + ", ".join([f"'${{a{i - 1}}}'"] * 10) + "]")
    found = Config.parse("\n".join(lines), "x")
    with pytest.raises(ConfigError, match="100000 values"):
        found.get_list("a11")
    chain = ["a0: 1"] + [f"a{i}: ${{a{i - 1}}}" for i in range(1, 100)]
    with pytest.raises(ConfigError, match="a cycle"):
        Config.parse("\n".join(chain), "x").get_int("a99")


def test_sections_inside_themselves_end() -> None:
    """Each step is a plain reference, so only the number of levels shows the cycle."""
    for text in ("a:\n  x: ${a}\n", "a:\n  x: ${b}\nb:\n  x: ${a}\n"):
        found = Config.parse(text, "x.yaml")
        with pytest.raises(ConfigError, match="at most 200 levels"):
            for _ in range(300):
                found = found[next(iter(found))]


def test_references_are_resolved_in_linear_work() -> None:
    text = "".join(f"k{n}: 1\n" for n in range(3000))
    found = Config.parse(
        f"{text}all: [{','.join([chr(34) + '${k0}' + chr(34)] * 3000)}]\n", "x.yaml"
    )
    assert found.get_ints("all") == [1] * 3000
    doubling = "".join(f"a{n}: ['${{a{n - 1}}}', '${{a{n - 1}}}']\n" for n in range(1, 25))
    with pytest.raises(ConfigError, match="at most 100000 values from references"):
        Config.parse(f"a0: 1\n{doubling}", "x.yaml").get_list("a24")
    with pytest.raises(ConfigError, match="at most 64 parts, got 101"):
        Config.parse(f"a: ${{{'b.' * 100}c}}\n", "x.yaml").get_int("a")


def test_a_config_is_a_mapping() -> None:
    found = config()
    assert found["speakers"]["0"] == "Aria"
    assert dict(found["speakers"]) == {"0": "Aria", "b.c": "Jason"}
    assert len(found["other"]) == 1
    assert found.get("nope", 5) == 5
    assert "decoder" in found
    with pytest.raises(KeyError):
        found["nope"]


def test_scalars() -> None:
    text = """
[1_000, 0x1F, 0b11, 017, 0o17, -5, +5, 0, 1.5, .5, 1., 1e3, -1.5E-3, .inf, -.inf, yes, off, ~, '',
 "1", 1:30, 2020-01-01, 0o9, 08, 1e, e1, -, nan, !!str 5, !!int "7", !!float 3, 1.2.3]
"""
    found = parse_yaml(text.encode(), "x")
    inf = float("inf")
    assert found[:19] == [
        1000, 31, 3, 15, 15, -5, 5, 0, 1.5, 0.5, 1.0, 1000.0, -0.0015, inf, -inf, True, False, None,
        "",    ]  # fmt: skip
    assert found[19:] == [
        "1", "1:30", "2020-01-01", "0o9", "08", "1e", "e1", "-", "nan", "5", 7, 3.0, "1.2.3",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="finite"):
        Config.parse("a: .nan", "x").get_float("a")
    with pytest.raises(ConfigError, match="finite"):
        Config.parse("a: 1e999", "x").get_float("a")


BROKEN: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b"a: \xff", "UTF-8"),
    "not YAML": (b"a: [1", "YAML"),
    "tab": (b"a:\n\t- b", "YAML"),
    "control character": (b"a: \x01", "YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", "YAML"),
    "a list": (b"- 1", "a mapping, got a list"),
    "empty": (b"", "a mapping, got null"),
    "key twice": (b"a: 1\nb: 2\na: 3\n", "line 3: expected key 'a' once"),
    "key of a list": (b"? [1]\n: 2\n", "a plain key"),
    "merge": (b"a: &x {b: 1}\nc:\n  <<: *x\n", "<<"),
    "python object": (
        b"a: !!python/object/apply:os.system ['true']",
        "python/object/apply:os.system",
    ),
    "python name": (b"a: !!python/name:os.system ''", "python/name:os.system"),
    "python tuple": (b"a: !!python/tuple [1]", "python/tuple"),
    "own tag": (b"a: !thing {b: 1}", "!thing"),
    "binary": (b"a: !!binary aGk=", "binary"),
    "set": (b"a: !!set {b, c}", "set"),
    "int that is none": (b"a: !!int x", "a plain value"),
    "bool that is none": (b"a: !!bool 5", "a plain value"),
    "int of many digits": (b"a: " + b"9" * 5000, "a plain value"),
    "octal that is none": (b"a: !!int '0_'", "x"),
    "deep": (b"a: " + b"[" * 100 + b"]" * 100, "levels"),
    "very deep": (b"[" * 100_000, "levels"),
    "deep mappings": (b"{a: " * 3000, "levels"),
    "deep blocks": (b"".join(b" " * i + b"a:\n" for i in range(200)), "levels"),
    "unknown alias": (b"a: *x", "YAML"),
    "alias of itself": (b"a: &x [1, *x]", "an alias inside"),
    "anchors twice": (b"a: &x 1\nb: &x 2\n", "YAML"),
    "escape beyond Unicode": (b'a: "\\UFFFFFFFF"', "YAML"),
    "surrogate": (b'a: "\\ud800"', "surrogate"),
    "version of many digits": (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n", "YAML"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str) -> None:
    data, expected = BROKEN[name]
    if name == "octal that is none":
        assert Config.parse(data, "x").get_int("a") == 0
        return
    with pytest.raises(FormatError) as caught:
        Config.parse(data, "x")
    assert expected in str(caught.value)


def test_aliases_count_as_the_nodes_they_expand_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_yaml(b"a: &x [1, 2]\nb: *x\n", "x") == {"a": [1, 2], "b": [1, 2]}
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(FormatError, match="aliases"):
        parse_yaml(bomb.encode(), "x")
    monkeypatch.setattr(yaml_values, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="10 bytes"):
        parse_yaml(b"a: 1234567890", "x")


def test_load(tmp_path: Path) -> None:
    (tmp_path / "hparams.yaml").write_text(TEXT)
    assert Config.load(tmp_path / "hparams.yaml").get_int("dim") == 768
    with pytest.raises(ConfigError, match=r"nope\.yaml"):
        Config.load(tmp_path / "nope.yaml")


# PyYAML writes text such as 1e5 and 0o17 without quotes; here, as in OmegaConf, it is a number.
YAML_TEXT = st.text().filter(lambda text: not (FLOAT.match(text) or INTEGER.match(text)))


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | YAML_TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(YAML_TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_text_that_pyyaml_dumps_is_read(value: Any) -> None:
    if any(
        len(word) > 40
        for word in str(value).replace(",", " ").split()
        if word.lstrip("-[").isdigit()
    ):
        return
    assert parse_yaml(yaml.safe_dump(value).encode(), "x") == value


@settings(max_examples=150, deadline=None)
@given(st.text("ab:-[]{}&*!#|>%@`'\"?, \n\t${}.019<eE+~\\u", max_size=40))
def test_random_text_ends_in_values_or_a_format_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        parse_yaml(text.encode(), "x")
