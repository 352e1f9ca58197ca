"""SSML: what it says, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.speech import Speech, SpeechPart
from ttsrt_rt.text.ssml import parse_ssml


def parse(inside: str, **options: object) -> Speech:
    return parse_ssml(f"<speak>{inside}</speak>", **options)  # type: ignore[arg-type]


def parts_of(speech: Speech) -> list[list[tuple[str, bool, str]]]:
    return [
        [(part.text, part.is_phonemes, part.language) for part in chunk.parts]
        for chunk in speech.chunks
    ]


def test_text_entities_and_white_space() -> None:
    speech = parse("\n  Tom &amp;\n Jerry &lt;3 don&apos;t \n")
    assert speech.text == "Tom & Jerry <3 don't"
    assert parts_of(speech) == [[("Tom & Jerry <3 don't", False, "")]]
    assert speech.chunks[0].is_plain
    source = "<speak>\n  Tom &amp;\n Jerry &lt;3 don&apos;t \n</speak>"
    begin, end = speech.origins[speech.text.index("&")]
    assert source[begin:end] == "&amp;"
    assert len(speech.origins) == len(speech.text)


def test_comments_are_skipped() -> None:
    said = '<sub alias="x"><!-- a -->b</sub>'
    assert parse(f"<!-- a -->Hel<!-- <b> -->lo <!---->{said}").text == "Hello x"
    digits = '<say-as interpret-as="characters">1<!-- - -->2</say-as>'
    assert parse(digits).text == parse(digits.replace("<!-- - -->", "")).text
    with pytest.raises(ConfigError, match="ssml: line 1, column 9: expected a comment that ends"):
        parse("a<!-- b -- c -->")


def test_values_that_checks_refuse_have_a_place() -> None:
    def refuse(*values: str) -> None:
        raise ConfigError(f"no {values[0]}")

    for check, inside, told in (
        ("check_voice", "a\n<voice name='b'>c</voice>", "line 2, column 1: name: no b"),
        ("check_language", "a <lang xml:lang='xx'>c</lang>", "line 1, column 10: xml:lang: no xx"),
        ("check_phonemes", "<phoneme ph='\u03a9'>c</phoneme>", "line 1, column 8: ph: no \u03a9"),
    ):
        assert parse(inside).chunks
        with pytest.raises(ConfigError, match=f"^ssml: {told}$"):
            parse(inside, **{check: refuse})


def test_paragraphs_separate_words() -> None:
    assert parse("<p>One.</p><p><s>Two.</s><s>Three.</s></p>four").text == "One. Two. Three. four"


def test_phonemes_stand_where_their_word_is() -> None:
    speech = parse('the <phoneme alphabet="ipa" ph="l \u02c8i d">lead</phoneme>s')
    assert parts_of(speech) == [
        [("the ", False, ""), ("l\u02c8id", True, ""), ("s", False, "")],
    ]
    assert speech.text == "the leads"
    assert speech.chunks[0].parts[1].spans == [(4, 8)] * 4
    assert speech.chunks[0].parts[2].spans == [(8, 9)]
    assert not speech.chunks[0].is_plain


def test_phonemes_are_nfc_and_may_have_no_word() -> None:
    part = parse('<phoneme ph="c\u0327 a"/>').chunks[0].parts[0]
    assert (part.text, part.word, part.begin, part.end) == ("\u00e7a", "\u00e7a", 0, 2)


def test_breaks_end_chunks() -> None:
    speech = parse('<break time="1s"/>One.<break/><break time=".25s"/> Two.<break time="50ms"/>')
    assert [chunk.pause_before for chunk in speech.chunks] == [1000, 650]
    assert speech.pause_after == 50
    assert [speech.text[chunk.begin : chunk.end] for chunk in speech.chunks] == ["One.", "Two."]


@pytest.mark.parametrize(
    ("strength", "milliseconds"),
    [
        ("none", 0),
        ("x-weak", 100),
        ("weak", 200),
        ("medium", 400),
        ("strong", 700),
        ("x-strong", 1000),
    ],
)
def test_strengths(strength: str, milliseconds: int) -> None:
    speech = parse(f'a<break strength="{strength}"/>b')
    assert [chunk.pause_before for chunk in speech.chunks] == [0, milliseconds]


def test_voices_and_languages() -> None:
    speech = parse(
        '<voice name="Leo">Hello <lang xml:lang="de">Weg</lang> there</voice> <voice name="1">b'
        "</voice>c",
    )
    assert [chunk.voice for chunk in speech.chunks] == ["Leo", "1", None]
    assert parts_of(speech)[0] == [
        ("Hello ", False, ""),
        ("Weg ", False, "de"),
        ("there", False, ""),
    ]
    assert parse_ssml('<speak xml:lang="es">hola</speak>').chunks[0].parts[0].language == "es"
    assert speech.text == "Hello Weg there b c"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("characters", "NASA 3", "N A S A three"),
        ("spell-out", "e\u0301a", "\u00e9 a"),
        ("digits", "10-23", "one zero two three"),
        ("telephone", "+49 30 12", "plus four nine, three zero, one two"),
        ("telephone", "(0800) 1", "zero eight zero zero, one"),
    ],
)
def test_say_as(kind: str, text: str, said: str) -> None:
    assert parse(f'<say-as interpret-as="{kind}">{text}</say-as>').text == said


def test_say_as_speaks_the_language() -> None:
    inside = '<say-as interpret-as="digits">12</say-as>'
    assert parse(inside, language="de-DE").text == "eins zwei"
    assert parse(f'<lang xml:lang="es">{inside}</lang>').text == "uno dos"
    with pytest.raises(ConfigError, match=r"a language among en, de.* for digits, got 'sw'"):
        parse(inside, language="sw")


def test_sub() -> None:
    speech = parse('The <sub alias="World  Wide Web">WWW</sub>!')
    assert speech.text == "The World Wide Web!"
    assert set(speech.origins[4:18]) == {(40, 43)}


def test_rates() -> None:
    for rate, value in (("fast", 1.25), ("50%", 0.5), ("2", 2.0)):
        speech = parse(f'a <prosody rate="{rate}">b</prosody>', takes_rate=True)
        assert [chunk.rate for chunk in speech.chunks] == [None, value]
    with pytest.raises(ConfigError, match="the model has no rate of speech"):
        parse('<prosody rate="fast">b</prosody>')
    for rate in ("5", "-1", "10%", "+20%", "1e3"):
        with pytest.raises(ConfigError, match="a rate from 25% to 400%"):
            parse(f'<prosody rate="{rate}">b</prosody>', takes_rate=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<speak></speak>", "expected text to speak, got none"),
        ("<speak><break/></speak>", "expected text to speak, got none"),
        ("<p>x</p>", "line 1, column 1: expected <speak> around the whole, got <p>"),
        ("<speak><speak>x</speak></speak>", "no <speak> in <speak>"),
        ("<speak><emphasis>x</emphasis></speak>", "an element among speak, p, s, .*<emphasis>"),
        ("<speak><audio src='http://x'/></speak>", "an element among"),
        ("<speak><mark name='x'/></speak>", "an element among"),
        ("<speak><break time='1'/>x</speak>", 'time="300ms"'),
        ("<speak><break time='11s'/>x</speak>", "at most 10 s"),
        ("<speak><break time='-1s'/>x</speak>", 'time="300ms"'),
        ("<speak>" + "<break time='10s'/>" * 7 + "x</speak>", "at most 60 s in all, got 70 s"),
        ("<speak><break strength='loud'/>x</speak>", "strength among none"),
        ("<speak><break>x</break></speak>", "<break/> without text"),
        (
            "<speak><break when='x'/></speak>",
            "attributes of <break> among time, strength, got when",
        ),
        ("<speak><phoneme ph=' '>x</phoneme></speak>", 'ph="..." in <phoneme>'),
        ("<speak><phoneme>x</phoneme></speak>", 'ph="..." in <phoneme>'),
        ("<speak><phoneme alphabet='x-sampa' ph='a'>x</phoneme></speak>", 'alphabet="ipa"'),
        ("<speak><phoneme ph='a'><s>x</s></phoneme></speak>", "no element in <phoneme>, got <s>"),
        ("<speak><say-as interpret-as='x'>1</say-as></speak>", "interpret-as among characters"),
        (
            "<speak>a\n<say-as interpret-as='digits'>1a</say-as></speak>",
            "^ssml: line 2, column 1: say-as: expected digits, got 'a'$",
        ),
        (
            "<speak><say-as interpret-as='cardinal'>3.5</say-as></speak>",
            "^ssml: line 1, column 8: say-as: expected a whole number, got '3.5'$",
        ),
        ("<speak><say-as interpret-as='digits'></say-as></speak>", "text in <say-as>"),
        ("<speak><prosody pitch='high'>x</prosody></speak>", "attributes of <prosody> among rate"),
        ("<speak><voice gender='male'>x</voice></speak>", "attributes of <voice> among name"),
        ("<speak><lang>x</lang></speak>", 'xml:lang="..." in <lang>'),
        ("<speak>x", "expected </speak> for this element"),
    ],
)
def test_refused_with_a_position(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_ssml(text)


def test_models_without_phonemes_refuse_them() -> None:
    with pytest.raises(ConfigError, match=r"line 1, column 8: .* the model reads no phonemes"):
        parse('<phoneme ph="a">x</phoneme>', takes_phonemes=False)


def test_missing_packages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "num2words", None)
    monkeypatch.setitem(__import__("sys").modules, "nemo_text_processing", None)
    for kind, package in (("cardinal", "num2words"), ("date", "nemo_text_processing")):
        with pytest.raises(ConfigError, match=f"expected the package {package}"):
            parse(f'<say-as interpret-as="{kind}">21</say-as>')


TREES = st.recursive(
    st.text(st.sampled_from("ab .&<\n"), max_size=6).map(
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
    ),
    lambda inner: (
        st.builds(
            "{0}{1}{2}".format,
            st.sampled_from(["<p>", "<s>", "<voice name='x'>", "<lang xml:lang='de'>"]),
            inner,
            st.just(""),
        ).map(lambda text: text + "</" + text[1:].split(">")[0].split(" ")[0] + ">")
        | st.tuples(inner, st.just("<break/>"), inner).map("".join)
    ),
    max_leaves=12,
)


@given(TREES)
def test_parts_are_the_text(inside: str) -> None:
    """The parts of the chunks are the text, in order and without gaps but one space."""
    try:
        speech = parse(inside)
    except ConfigError as error:
        assert "text to speak" in str(error) or "deep" in str(error) or "60 s" in str(error)
        return
    assert len(speech.origins) == len(speech.text)
    assert "  " not in speech.text and speech.text == speech.text.strip()
    at = 0
    for chunk in speech.chunks:
        assert chunk.begin - at in (0, 1)
        assert chunk.parts[0].begin == chunk.begin and chunk.parts[-1].end == chunk.end
        for one, other in zip(chunk.parts, chunk.parts[1:], strict=False):
            assert one.end == other.begin
        for part in chunk.parts:
            _check(part, speech)
        at = chunk.end
    assert at == len(speech.text)


def _check(part: SpeechPart, speech: Speech) -> None:
    assert part.text == speech.text[part.begin : part.end] == part.shown
    assert part.spans == [(each, each + 1) for each in range(part.begin, part.end)]


@given(st.text(st.sampled_from("<>/&;\"'= abspeak:!-?[]\n\x00\ud800"), max_size=60))
def test_any_text_is_an_error_or_a_speech(text: str) -> None:
    for each in (text, f"<speak>{text}</speak>"):
        try:
            parse_ssml(each)
        except ConfigError as error:
            assert str(error).startswith("ssml: ")
