"""Chat templates of strangers: what they may do, and how what they may not do ends."""

from __future__ import annotations

import time

import pytest

from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.llm.template_limits import MAX_SECONDS
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
        ("{% for m in messages %}{% if m.role == 'user' and m in messages[:1] %}{{ [m.role] ~ 1 }}"
         "{% endif %}{% endfor %}{% block b %}{{ [1, 2][1:] ~ (1 == 1) }}{% endblock %}",
         "['user']1[2]True"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') }}", "[a]"),
        ("{% generation %}{{ 'x' }}{% endgeneration %}", "x"),
        ("{{ range(3) | list }}{{ undefined_name }}", "[0, 1, 2]"),
        ("{{ 'a,b'.split(',') | join('-') }}{{ 'aba'.replace('a', 'c') }}", "a-bcbc"),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
        ("{{ messages | map(attribute='role') | join(', ') }}", "user, assistant"),
        ("{% if messages[0].role == 'user' and 'x' not in messages[0] %}y{% endif %}", "y"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ messages[1:] | map(attribute='role') | list }}{{ 'abc'[:2] }}", "['assistant']ab"),
        ("{{ ['b', 'a'] | sort | join }}{{ [1, 2] | map('string') | sort | unique | list }}",
         "ab['1', '2']"),
        ("{{ '-'.join(messages | map(attribute='role')) }}{{ 2.55 | round(1) }}",
         "user-assistant2.5"),
        ("{{ [1, 2] == [1, 2] }}{{ 2 is in [1, 2] }}{{ {'a': 1}.items() }}",
         "TrueTruedict_items([('a', 1)])"),
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
        # Names of a template can't take the place of what bounds it.
        "{% set bounded_turns = range %}{% set _turns = range %}{% set l = range(20000) | list %}"
        "{% for a in l %}{% for b in l %}x{% endfor %}{% endfor %}",
        "{% set environment = 1 %}{% set l = range(99999) | list %}"
        "{% for a in l %}{% if l | sort | length == 0 %}x{% endif %}{% endfor %}",
        # Filters, comparisons, searches and tests are counted.
        "{% set l = range(99999) | list %}"
        + "{% set y = l | map('string') | map('upper') | sort | unique | list | length %}" * 60,
        "{% set l = range(99999) | list %}{% set m = range(99999) | list %}"
        "{% for a in range(99999) %}{% if l == m %}{% endif %}{% endfor %}",
        "{% set l = range(99999) | list %}"
        "{% for a in range(99999) %}{% if -1 in l %}{% endif %}{% endfor %}",
        "{% set l = range(99999) | list %}{{ l | select('in', l | list) | list }}",
        "{{ ('a' * 999999).rfind('b' ~ 'a' * 499999) }}",
        "{{ ('a' * 999999).strip('b' * 999999 ~ 'a') }}",
        "{{ ('a' * 999999) | trim('b' * 999999 ~ 'a') }}",
        "{{ 1 | round(999999999, 'ceil') }}",
        # All that is made counts together.
        "".join(f"{{% set x{i} = 'a' * 1000000 %}}" for i in range(300)),
        "".join(f"{{% set x{i} = range(99999) | list %}}" for i in range(300)),
        "{% set l = 'a ' * 99999 %}" + "".join(f"{{% set x{i} = l.split() %}}" for i in range(99)),
        "{% set l = 'a' * 999999 %}" + "".join(f"{{% set x{i} = l[1:] %}}" for i in range(99)),
        "{% set l = 'a' * 999999 %}{% set ns = namespace(a=[]) %}{% for i in range(99) %}"
        "{% set ns.a = ns.a + [l | upper] %}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}"
        "{% for i in range(99) %}{% set ns.a = [ns.a] * 2 %}{% endfor %}{{ ns.a == ns.a }}",
        "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = varargs %}{% endmacro %}"
        "{% for i in range(99) %}{{ m(ns.a, ns.a) }}{% endfor %}",
        "{% set ns = namespace(a=1) %}"
        "{% for i in range(99) %}{% set ns.a = namespace(a=ns.a, b=ns.a) %}{% endfor %}{{ ns.a }}",
        "{% set d = dict(a=['a'] * 99999) %}{% for i in range(99) %}{{ d.items() }}{% endfor %}",
        "{{ ('a' * 99999).join('a' * 99999) }}",
        "{{ range(99999) | map('default', 'a' * 99999, true) | sort }}",
        "{{ ([1] * 99999) | tojson(separators=('a' * 999999, 'b')) }}",
        "{{ int('f' * 999999, 16) }}{{ ('f' * 999999) | int(0, 16) }}",
        # What Python's compiler refuses.
        "{% for a in messages %}" * 25 + "{% endfor %}" * 25,
        "{% if messages %}" * 200 + "{% endif %}" * 200,
        "{% break %}",
        "{% if %}",
        "{{ messages[0].content + 1 }}",
        "{{ 1 / 0 }}",
        "a" * (129 << 10),
    ],
)
def test_what_ends_with_an_error(source: str) -> None:
    begin = time.thread_time()
    with pytest.raises(FormatError, match="chat_template: "):
        made(source)
    assert time.thread_time() - begin < MAX_SECONDS + 3  # the last operation ends in its time


def test_a_template_may_refuse_messages() -> None:
    with pytest.raises(ConfigError, match="chat_template: no system turn"):
        made("{{ raise_exception('no system turn') }}")


def test_nothing_that_is_passed_changes() -> None:
    made("{% for m in messages %}{% set m = 1 %}{% endfor %}")
    assert MESSAGES[0] == {"role": "user", "content": " hi "}


def test_content_is_no_program() -> None:
    text = "{{ 1 + 1 }}{% raise %}"
    assert render("{{ m }}", {"m": text}, "here") == text
