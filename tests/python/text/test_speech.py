"""What marked-up text says: chunks of parts, spaces between them, and pauses."""

from __future__ import annotations

from ttsrt_rt.text.speech import SpeechBuilder, Style


def spans(text: str, at: int = 0) -> list[tuple[int, int]]:
    return [(at + each, at + each + 1) for each in range(len(text))]


def add(builder: SpeechBuilder, text: str, style: Style | None = None, at: int = 0) -> None:
    builder.add_text(text, spans(text, at), style or Style())


def test_white_space_becomes_one_space_and_none_at_the_ends() -> None:
    builder = SpeechBuilder()
    add(builder, "  one\n\t two ")
    add(builder, " three  ", at=20)
    speech = builder.finish()
    assert speech.text == "one two three" and len(speech.chunks) == 1
    (part,) = speech.chunks[0].parts
    assert (part.text, part.begin, part.end, part.language) == ("one two three", 0, 13, "")
    assert speech.origins[:3] == ((2, 3), (3, 4), (4, 5)) and speech.origins[8] == (21, 22)


def test_languages_make_parts_and_the_space_stands_with_the_first() -> None:
    builder = SpeechBuilder()
    add(builder, "one ")
    add(builder, "zwei", Style("de"), 4)
    add(builder, " three", at=8)
    parts = builder.finish().chunks[0].parts
    assert [(each.text, each.language) for each in parts] == [
        *(("one ", ""), ("zwei ", "de"), ("three", "")),
    ]
    assert parts[1].spans == [(4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]


def test_pronunciations_stand_where_their_word_is() -> None:
    builder = SpeechBuilder()
    add(builder, "a ")
    builder.add_phonemes("wd", "word", (10, 14), Style())
    add(builder, "s", at=14)
    speech = builder.finish()
    assert speech.text == "a words"
    sound = speech.chunks[0].parts[1]
    assert (sound.text, sound.shown, sound.is_phonemes) == ("wd", "word", True)
    assert sound.spans == [(2, 6), (2, 6)] and speech.origins[2] == (10, 14)


def test_pauses_voices_and_rates_end_chunks() -> None:
    builder = SpeechBuilder()
    builder.pause(100)
    add(builder, "a")
    builder.pause(200)
    builder.pause(50)
    add(builder, "b", Style(voice="v"), 1)
    add(builder, "c", Style(voice="v", rate=1.5), 2)
    builder.pause(10)
    speech = builder.finish()
    assert [(each.pause_before, each.voice, each.rate) for each in speech.chunks] == [
        *((100, None, None), (250, "v", None), (0, "v", 1.5)),
    ]
    assert speech.pause_after == 10 and speech.text == "a b c"
    assert [(each.begin, each.end) for each in speech.chunks] == [(0, 1), (2, 3), (4, 5)]
    assert all(each.is_plain for each in speech.chunks)


def test_separated_words_do_not_join() -> None:
    builder = SpeechBuilder()
    add(builder, "a")
    builder.separate(1)
    builder.separate(1)
    add(builder, "b", at=2)
    assert builder.finish().text == "a b"
    assert SpeechBuilder().finish().chunks == ()
