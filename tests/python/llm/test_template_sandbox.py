"""Chat templates of strangers: what they may do, and how what they may not do ends."""

from __future__ import annotations

import time

import pytest

from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.llm.template_sandbox import render

assert jinja2 is not None
assert tokenizers is not None

MESSAGES = [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "<b>"}]


def made(source: str) -> str:
    return render(source, {"messages": MESSAGES, "bos_token": "<s>"}, "chat_template")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ bos_token }}{% for m in messages %}\n{{ m.role }}\n{% endfor %}",
         "<s>user\nassistant\n"),
        ("{{ messages[0]['content'].strip() | upper }}", "HI"),
        ("{{ messages | length }}{{ messages[-1].content }}", "2<b>"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": " hi "}, '
                                     '{"role": "assistant", "content": "<b>"}]'),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
         "{% endfor %}{{ ns.n }}", "2"),
        ("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ loop.index0 }}"
         "{{ loop.length }}{% endfor %}", "02"),
        ("{{ 'a' ~ 1 ~ 'b' }}{{ ('a' ~ ('b' ~ 'c')) | upper }}", "a1bABC"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') }}", "[a]"),
        ("{% generation %}{{ 'x' }}{% endgeneration %}", "x"),
        ("{{ range(3) | list }}{{ undefined_name }}", "[0, 1, 2]"),
        ("{{ 'a,b'.split(',') | join('-') }}{{ 'aba'.replace('a', 'c') }}", "a-bcbc"),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
        ("{{ messages | map(attribute='role') | join(', ') }}", "user, assistant"),
        ("{% if messages[0].role == 'user' and 'x' not in messages[0] %}y{% endif %}", "y"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ {'b': 1, 'a': 2} | dictsort }}", "[('a', 2), ('b', 1)]"),
    ],
)  # fmt: skip
def test_what_templates_do(source: str, expected: str) -> None:
    assert made(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.append(1) }}",
        "{{ messages.__class__ }}{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ messages[0].update({'a': 1}) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum() }}{{ cycler.__init__ }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 'a'.center(999999999) }}",
        "{{ 'a'.zfill(999999999) }}",
        "{{ 'a' | center(999999999) }}",
        "{{ 'a' | format }}",
        "{{ 'a' * 999999999 }}",
        "{{ [1] * 999999999 }}",
        "{{ 9 ** 99999999 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(999999999) | list }}",
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ ('a' * 99999).replace('a', 'a' * 99999) }}",
        "{{ ('a' * 99999) | replace('a', 'a' * 99999) }}",
        "{{ ('a' * 99999).join(['a'] * 99999) }}",
        "{{ ['a'] * 99999 | join('a' * 99999) }}",
        "{{ ('a\n' * 99999) | indent(99999) }}",
        "{{ messages | tojson(indent=99999) }}",
        "{% set ns = namespace(a='aaaaaaaaaa') %}"
        "{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "{% set ns = namespace(a='aaaaaaaaaa') %}"
        "{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}"
        "{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}",
        "{% set ns = namespace(a=1) %}"
        "{% for i in range(99) %}{% set ns.a = {1: ns.a, 2: ns.a} %}{% endfor %}",
        "{% set ns = namespace(a=1) %}"
        "{% for i in range(99) %}{% set ns.a = dict(b=ns.a, c=ns.a) %}{% endfor %}",
        "{% set ns = namespace(a=1) %}"
        "{% for i in range(99) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}",
        "{% set ns = namespace(a='aaaaaaaaaa') %}{% for i in range(99) %}"
        "{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}{% endfor %}",
        "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(a='aaaaaaaaaa') %}"
        "{% for i in range(99) %}{% set ns.a = m(ns.a) %}{% endfor %}",
        "{{ ['a' * 999999] * 999999 }}",
        "{{ (['a' * 999999] * 999999) | string }}",
        "{{ (['a' * 999999] * 999999) | tojson }}",
        "{{ (['a' * 999999] * 999999) | join }}",
        "{{ (['a' * 999999] * 999999) ~ '' }}",
        "{{ (['a' * 999999] * 999999) | upper }}",
        "{% if %}",
        "{{ messages[0].content + 1 }}",
        "{{ 1 / 0 }}",
        "a" * (257 << 10),
    ],
)
def test_what_ends_with_an_error(source: str) -> None:
    begin = time.monotonic()
    with pytest.raises(FormatError, match="chat_template: "):
        made(source)
    assert time.monotonic() - begin < 20


def test_a_template_may_refuse_messages() -> None:
    with pytest.raises(ConfigError, match="chat_template: no system turn"):
        made("{{ raise_exception('no system turn') }}")


def test_nothing_that_is_passed_changes() -> None:
    made("{% for m in messages %}{% set m = 1 %}{% endfor %}")
    assert MESSAGES[0] == {"role": "user", "content": " hi "}


def test_content_is_no_program() -> None:
    text = "{{ 1 + 1 }}{% raise %}"
    assert render("{{ m }}", {"m": text}, "here") == text
