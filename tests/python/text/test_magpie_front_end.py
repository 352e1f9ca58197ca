"""Front ends of configurations: every golden text, converted and spoken as an engine does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.text_front_end import TextSources, file_writers, read_text_folder
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.text.magpie_front_end import MagpieFrontEnd
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text_options import TextOptions

from ...needs_extras import needed

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
REFS: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))
TOKENIZERS: dict[str, Any] = REFS["tokenizers"]
CASES = [
    (name, case)
    for name, entry in TOKENIZERS.items()
    if entry["config"]["_target_"].rsplit(".", 1)[-1] != "ChinesePhonemesTokenizer"
    for case in entry["cases"]
]
WHOLE = TextOptions(split="never")


def made(folder: Path, names: list[str], stamp: object = None) -> MagpieFrontEnd:
    """The front end of a configuration of some of the golden tokenizers."""
    blocks = {name: TOKENIZERS[name]["config"] for name in names}
    config = Block({"text_tokenizers": blocks, "nemo_version": stamp}, "", ConfigError)
    rows = sum(TOKENIZERS[name]["size"] for name in names) + 2
    files = read_text_folder(config, None, TextSources(text_files=DATA / "golden"), rows, [])
    folder.mkdir()
    for name, write in file_writers(files).items():
        write(folder / name.removeprefix("text/"))
    return MagpieFrontEnd(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MagpieFrontEnd]:
    folder = tmp_path_factory.mktemp("alone")
    return {
        name: made(folder / name, [name], entry["nemo_version"])
        for name, entry in TOKENIZERS.items()
    }


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> MagpieFrontEnd:
    order = REFS["aggregates"]["like_v2607"]["order"]
    return made(tmp_path_factory.mktemp("together") / "text", order)


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda each: str(each)[:24])
def test_ids_are_the_originals(
    name: str, case: dict[str, Any], alone: dict[str, MagpieFrontEnd]
) -> None:
    front_end, text = alone[name], case["text"]
    if "original_raises" in case:
        with pytest.raises(ConfigError):
            front_end.speak(text, name, WHOLE)
        return
    special = TextOptions(special_text=name == "byt5")
    tokens = front_end.encode(text, name, special)
    assert np.asarray(tokens.ids).tolist() == case["ids"]
    assert tokens.spans is not None and len(tokens.spans) == len(tokens.ids)
    assert all(0 <= begin <= end <= len(text) for begin, end in tokens.spans)


@pytest.mark.parametrize(
    "case", REFS["aggregates"]["like_v2607"]["cases"], ids=lambda case: case["tokenizer"]
)
def test_ids_of_a_whole_model(case: dict[str, Any], together: MagpieFrontEnd) -> None:
    entry = REFS["aggregates"]["like_v2607"]
    if case["tokenizer"] == "mandarin_phoneme":
        needed("jieba", "zh"), needed("pypinyin_dict", "zh")
    spoken = together.speak(case["text"], case["tokenizer"], WHOLE)
    assert spoken.ids.tolist() == [*case["ids"], entry["eos"]]
    assert spoken.spans is not None and spoken.spans[-1].tolist() == [len(case["text"])] * 2


def test_languages_of_a_whole_model(together: MagpieFrontEnd) -> None:
    assert together.languages == {
        "en": "english_phoneme",
        "de": "german_phoneme",
        "es": "spanish_phoneme",
        "zh": "mandarin_phoneme",
    }
    assert together.default_language == "en"
    assert together.speak("Straße", "de_AT", WHOLE).language == "de"
    assert together.speak("Bom dia", "portuguese_Brazilian_phoneme", WHOLE).language == (
        "portuguese_Brazilian_phoneme"
    )
    with pytest.raises(ConfigError, match="de, en, es, zh"):
        together.speak("Bom dia", "pt", WHOLE)


def test_long_texts_are_cut(together: MagpieFrontEnd) -> None:
    text = "The blue-bird sings *well*. " * 20 + "the end"
    whole = together.speak(text, "en", WHOLE)
    cut = together.speak(text, "en", TextOptions())
    assert len(whole.chunks) == 1 and len(cut.chunks) == 21
    assert sum(cut.chunks) == len(cut.ids) and cut.spans is not None
    begin = 0
    for index, count in enumerate(cut.chunks):
        part = cut.spans[begin : begin + count]
        assert index * 28 <= part.min() and part.max() <= (index + 1) * 28
        begin += count
    two = together.speak("One. Two.", "en", TextOptions(split="sentences"))
    assert len(two.chunks) == 2


def test_markup_with_phonemes_and_languages(together: MagpieFrontEnd) -> None:
    options = TextOptions(markup="ssml")
    text = (
        '<speak>the <phoneme ph="b l u">x</phoneme> <lang xml:lang="de">Straße</lang>'
        '<break time="200ms"/><voice name="other">the end</voice></speak>'
    )
    spoken = together.speak(text, "en", options)
    assert len(spoken.chunks) == 2
    assert spoken.pauses == (0, 200, 0) and spoken.voices == (None, "other")
    assert spoken.text.startswith("the x Stra") and spoken.spans is not None
    offsets = REFS["aggregates"]["like_v2607"]["offsets"]
    german = spoken.ids[(spoken.ids >= offsets["german_phoneme"]) & (spoken.ids < 637)]
    assert len(german)
    with pytest.raises(ConfigError, match="normalize: expected off with markup"):
        together.speak(text, "en", TextOptions(markup="ssml", normalize="numbers"))


def test_words_without_a_place_are_spoken(tmp_path: Path) -> None:
    front_end = made(tmp_path / "text", ["mandarin_phoneme"])

    class Placeless:
        analyser = "none 1.0"

        def encode(self, text: str) -> TextTokens:
            return TextTokens([3], [(0, 0)], {}, len(text.replace("-", "")))

    front_end._own["mandarin_phoneme"] = Placeless()
    assert front_end.speak("a", "zh", WHOLE).ids.tolist()[0] == 3
    with pytest.raises(ConfigError, match="no speakable symbol"):
        front_end.speak("-", "zh", WHOLE)


def test_a_description_of_another_kind_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "text", ["mandarin_phoneme"])
    path = tmp_path / "text" / "front_end.json"
    found = json.loads(path.read_text("utf-8"))
    del found["tokenizers"][0]["syllables"]
    path.write_text(json.dumps(found), "utf-8")
    with pytest.raises(FormatError, match=r"front_end\.json: mandarin_phoneme: expected what conv"):
        MagpieFrontEnd(tmp_path / "text")


def test_a_megabyte_in_chunks(together: MagpieFrontEnd) -> None:
    text = "The blue bird sings. " * 50_000
    spoken = together.speak(text, "en", TextOptions())
    assert len(spoken.chunks) == 50_000 and spoken.spans is not None
    assert spoken.spans[-1].tolist() == [len(text.rstrip())] * 2


SSML = TextOptions(markup="ssml")
SENTENCE = 'The <phoneme ph="b l u">blue</phoneme> bird sings 3.14 times'
MIXED = f'{SENTENCE}. <lang xml:lang="de">Gute Straße!</lang> The end'


def test_passages_with_phonemes_and_languages_are_cut(together: MagpieFrontEnd) -> None:
    split = TextOptions(markup="ssml", split="sentences")
    spoken = together.speak(f"<speak>{MIXED}</speak>", "en", split)
    assert spoken.spans is not None and len(spoken.chunks) == 3
    begin, parts = 0, []
    for count in spoken.chunks:
        places = spoken.spans[begin : begin + count]
        parts.append(spoken.text[places[:, 0].min() : places[:, 1].max()].strip())
        begin += count
    assert parts == ["The blue bird sings 3.14 times.", "Gute Straße!", "The end"]
    # What is cut off says what it says alone.
    alone = [
        together.speak(f"<speak>{part}</speak>", "en", SSML).ids
        for part in (f"{SENTENCE}.", '<lang xml:lang="de">Gute Straße!</lang>', "The end")
    ]
    assert spoken.ids.tolist() == np.concatenate(alone).tolist()
    assert len(together.speak(f"<speak>{MIXED}</speak>", "en", SSML).chunks) == 1
    long = f"<speak>{'. '.join([MIXED] * 8)}</speak>"
    assert len(together.speak(long, "en", SSML).chunks) > 8
    assert len(together.speak(long, "en", TextOptions(markup="ssml", split="never")).chunks) == 1


def test_the_language_of_the_markup_is_that_of_the_request(together: MagpieFrontEnd) -> None:
    for text in ('<speak xml:lang="de-AT">Gute Straße</speak>', "<speak>Gute Straße</speak>"):
        spoken = together.speak(text, None if "lang" in text else "de", SSML)
        assert spoken.language == "de"
        assert spoken.ids.tolist() == together.speak("Gute Straße", "de", WHOLE).ids.tolist()
    long = "The blue bird sings. " * 20
    for text in (
        f'<speak xml:lang="en">{long}</speak>',
        f'<speak><s xml:lang="en">{long}</s></speak>',
    ):
        assert len(together.speak(text, None, SSML).chunks) == 20
    mixed = together.speak('<speak xml:lang="de">Gute Straße</speak>', "en", SSML)
    assert mixed.language == "en"
    with pytest.raises(ConfigError, match=r"text: line 1, column 10: xml:lang: language: expected"):
        together.speak('<speak>a <lang xml:lang="xx">b</lang></speak>', "en", SSML)


def test_a_full_stop_behind_what_is_not_plain(together: MagpieFrontEnd) -> None:
    options = TextOptions(markup="ssml", terminal_punctuation=True)
    for inside in (
        'the <phoneme ph="b l u">blue</phoneme>',
        'the <phoneme ph="b l u">blue</phoneme> bird',
        'the <lang xml:lang="de">Straße</lang>',
    ):
        ended = together.speak(f"<speak>{inside}</speak>", "en", options).ids
        bare = together.speak(f"<speak>{inside}</speak>", "en", SSML).ids
        assert len(ended) > len(bare)
        dotted = inside.replace("</lang>", ".</lang>") if "</lang>" in inside else f"{inside}."
        plain = together.speak(f"<speak>{dotted}</speak>", "en", SSML).ids
        assert ended.tolist() == plain.tolist()


def test_a_lexicon_is_of_the_tokenizer_of_the_request(together: MagpieFrontEnd) -> None:
    lexicon = {"blue": "b l u"}
    options = TextOptions(markup="ssml", lexicon=lexicon)
    for text in (
        "<speak>the blue end</speak>",
        '<speak><lang xml:lang="de">Straße</lang> the blue end</speak>',  # not of its first part
    ):
        said = together.speak(text, "en", options).ids.tolist()
        assert said != together.speak(text, "en", SSML).ids.tolist()
        assert (
            said
            == together.speak(
                text.replace("blue", '<phoneme ph="blu">blue</phoneme>'), "en", SSML
            ).ids.tolist()
        )
    with pytest.raises(ConfigError, match="lexicon: expected a text in en, whose words it has"):
        together.speak('<speak><lang xml:lang="de">blue</lang></speak>', "en", options)
    for name in ("mandarin_phoneme",):
        with pytest.raises(ConfigError, match=f"of the kind ipa, and {name} is of the kind mandar"):
            together.speak("a", name, TextOptions(lexicon=lexicon))


def test_a_lexicon_is_read_once(together: MagpieFrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    from ttsrt_rt.text import lexicon

    calls: list[object] = []
    read = lexicon.lexicon_of

    def counted(value: object, where: str) -> lexicon.Lexicon:
        calls.append(value)
        return read(value, where)

    monkeypatch.setattr(lexicon, "lexicon_of", counted)
    text = "The blue bird sings. " * 20
    assert len(together.speak(text, "en", TextOptions(lexicon={"blue": "b l u"})).chunks) == 20
    assert len(calls) == 1
