"""The folder `text` of a checkpoint: what convert makes of text tokenizers, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import ttsrt_rt as rt
from ttsrt_rt.convert import convert
from ttsrt_rt.convert.text_languages import TABLE, default_language, languages_of
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo
from ttsrt_rt.synth.front_end import front_end_of
from ttsrt_rt.synth.magpie_layout import CKPT_SIZES, NEMO_SIZES, config
from ttsrt_rt.synth.magpie_random import random_tensors
from ttsrt_rt.synth.nemo_writer import write_nemo

from ...conftest import source_of

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
REFS: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))
MODEL = NEMO_SIZES["tiny"]


def write(folder: Path, changed: dict[str, Any], files: dict[str, bytes] | None = None) -> Path:
    """A tiny `.nemo` with another configuration."""
    made = front_end_of(MODEL.text_vocab)
    values = config(MODEL, is_nemo3=True) | {"text_tokenizers": made.tokenizers} | changed
    members = {**(made.files if files is None else files)}
    members["model_config.yaml"] = yaml.safe_dump(values, sort_keys=False).encode()
    return write_nemo(folder / "made.nemo", members, random_tensors(MODEL, 0))


def described(checkpoint: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((checkpoint / "text" / "front_end.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    source = write_random_nemo(folder / "tiny.nemo", "tiny")
    return convert(source, folder / "ckpt", progress=False)


def test_the_folder_has_all_of_it(checkpoint: Path) -> None:
    found = described(checkpoint)
    assert (found["format"], found["format_version"]) == ("ttsrt.front_end", 1)
    assert (found["text_bos"], found["text_eos"]) == (38, 39)
    assert found["languages"] == {"en": "english_phoneme"} and found["default_language"] == "en"
    (english,) = found["tokenizers"]
    assert english["dictionaries"] == ["english_phoneme.0.dict"]
    names = {each.name for each in (checkpoint / "text").iterdir()}
    assert names == {"front_end.json", "english_phoneme.0.dict"}
    raw = (checkpoint / "text" / "english_phoneme.0.dict").read_bytes()
    assert raw in front_end_of(40).files.values()


@pytest.mark.parametrize("rows", [40, 98, 386, 3359])
def test_synthetic_vocabularies_add_up(rows: int, tmp_path: Path) -> None:
    """The tokenizers of every named size have as many ids as its table has rows."""
    from ttsrt_rt.convert.fields import Block
    from ttsrt_rt.convert.text_front_end import TextSources, read_text_folder

    class Archive:
        kind = "nemo"

        def artifact(self, name: str, most: int) -> bytes:
            return made.files[name.removeprefix("nemo:")]

    made = front_end_of(rows)
    block = Block({"text_tokenizers": made.tokenizers, "nemo_version": "2.8.0rc0"}, "")
    files = read_text_folder(block, Archive(), TextSources(), rows, [])  # type: ignore[arg-type]
    assert "front_end.json" in files
    with pytest.raises(FormatError, match=f"expected {rows - 1} ids, two less than"):
        read_text_folder(block, Archive(), TextSources(), rows + 1, [])  # type: ignore[arg-type]


def test_descriptions_of_voices_have_a_tokenizer(tmp_path: Path) -> None:
    from ttsrt_rt import _core
    from ttsrt_rt.convert.fields import Block
    from ttsrt_rt.convert.text_front_end import TextSources, file_writers, read_text_folder

    names = {
        "letters": {"_target_": "EnglishCharsTokenizer"},
        "text_ce_tokenizer": {"_target_": "AutoTokenizer", "pretrained_model": "google/byt5-small"},
    }
    values = {"text_tokenizers": names, "text_conditioning_tokenizer_name": "text_ce_tokenizer"}

    def made(rows: int, **changed: object) -> _core.TextFrontEnd:
        block = Block({**values, **changed}, "", ConfigError)
        folder = tmp_path / f"text{len([*tmp_path.iterdir()])}"
        folder.mkdir()
        files = read_text_folder(block, None, TextSources(), size + 2, [], rows)
        for name, write in file_writers(files).items():
            write(folder / name.removeprefix("text/"))
        return _core.TextFrontEnd.open(folder)

    with pytest.raises(FormatError, match=r"expected -?\d+ ids, .* got (\d+)") as told:
        size = 0
        made(0)
    size = int(re.findall(r"got (\d+)", str(told.value))[0])
    front_end = made(7)
    offset = front_end.tokenizers()[1].offset
    assert front_end.context_tokenizer == "text_ce_tokenizer"
    # The bytes, their own end, and padding up to as many as the context has.
    ids = [offset + each for each in (ord("a") + 3, ord("b") + 3, 1, 0, 0, 0, 0)]
    assert front_end.encode_context("ab") == ids
    assert len(front_end.encode_context("abcdef")) == 7
    with pytest.raises(ConfigError, match=r"context_text: expected at most 7 ids .* got 8"):
        front_end.encode_context("abcdefg")
    assert made(7, text_conditioning_tokenizer_name=None).context_tokenizer == "letters"
    assert made(0).context_tokenizer == ""
    with pytest.raises(ConfigError, match="no tokenizer for texts that describe a voice"):
        made(0).encode_context("a")
    with pytest.raises(ConfigError, match="text_conditioning_tokenizer_name: expected one of"):
        made(7, text_conditioning_tokenizer_name="other")


def test_a_mismatch_says_what_to_look_at(tmp_path: Path) -> None:
    made = front_end_of(40)
    hindi = {
        "_target_": "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
        ".HindiCharsTokenizer",
        "charset_version": 1,
    }
    source = write(tmp_path, {"text_tokenizers": made.tokenizers | {"hindi": hindi}})
    with pytest.raises(FormatError) as caught:
        convert(source, tmp_path / "out", progress=False)
    message = str(caught.value)
    assert "expected 38 ids" in message and "english_phoneme 38, hindi 193" in message
    assert "nemo_version: '2.8.0rc0'" in message and "hindi.charset_version 1" in message
    assert "charset_version, punct_version, locale_specific_punct" in message
    assert not (tmp_path / "out").exists()
    made_without = convert(source, tmp_path / "out", front_end=False, progress=False)
    assert not (made_without / "text").exists()


def test_stubs_convert_with_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = convert(source_of("tinyce"), tmp_path / "out", progress=False)
    assert not (made / "text").exists()
    assert (
        "no text front end, so requests need text_ids: the configuration describes" in caplog.text
    )
    with pytest.raises(ConfigError, match="text_tokenizers: expected a front end, but the config"):
        convert(source_of("tinyce"), tmp_path / "two", front_end=True, progress=False)


def test_a_reference_that_leads_nowhere_is_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = bare_paths()
    changed["text_tokenizers"]["english_phoneme"]["g2p"]["phoneme_dict"] = "${absent.path}"
    made = convert(write(tmp_path, changed), tmp_path / "out", progress=False)
    assert not (made / "text").exists() and "absent" in caplog.text


def bare_paths() -> dict[str, Any]:
    tokenizers = front_end_of(40).tokenizers
    tokenizers["english_phoneme"]["g2p"]["phoneme_dict"] = "scripts/data/ipa_words-1.txt"
    return {"text_tokenizers": tokenizers}


def test_a_missing_dictionary_is_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write(tmp_path, bare_paths())
    assert not (convert(source, tmp_path / "out", progress=False) / "text").exists()
    assert "not in the source: ipa_words-1.txt; text_files=FOLDER (--text_files)" in caplog.text
    with pytest.raises(
        ConfigError, match=r"expected a front end, but these dictionaries.*ipa_words"
    ):
        convert(source, tmp_path / "two", front_end=True, progress=False)


def test_dictionaries_of_the_caller(tmp_path: Path) -> None:
    source = write(tmp_path, bare_paths(), {})
    words = next(iter(front_end_of(40).files.values()))
    folder = tmp_path / "dicts"
    folder.mkdir()
    (folder / "ipa_words-1.txt").write_bytes(words)
    by_folder = convert(source, tmp_path / "1", text_files=folder, progress=False)
    (tmp_path / "mine").write_bytes(words)
    by_name = convert(
        source, tmp_path / "2", dictionaries={"ipa_words-1.txt": tmp_path / "mine"}, progress=False
    )
    by_tokenizer = convert(
        source, tmp_path / "3", dictionaries={"english_phoneme": tmp_path / "mine"}, progress=False
    )
    assert described(by_folder) == described(by_name) == described(by_tokenizer)
    with pytest.raises(ConfigError, match=r"dictionaries: expected names of files.*'german'"):
        convert(source, tmp_path / "4", dictionaries={"german": tmp_path / "mine"}, progress=False)
    with pytest.raises(ConfigError, match="front_end: expected True where dictionaries are given"):
        convert(source, tmp_path / "4", text_files=folder, front_end=False, progress=False)
    with pytest.raises(ConfigError, match="text_files: expected a folder"):
        convert(source, tmp_path / "4", text_files=tmp_path / "mine", progress=False)


def test_a_ckpt_takes_its_dictionaries_from_a_folder(tmp_path: Path) -> None:
    source = write_random_ckpt(tmp_path / "old.ckpt", "tiny")
    hparams = tmp_path / "old.hparams.yaml"
    values = yaml.safe_load(hparams.read_text())
    block = front_end_of(40).tokenizers["english_phoneme"]
    block["g2p"] |= {"phoneme_dict": ["a/few.dict", "b/more.dict"], "heteronyms": ["read"]}
    block |= {"punct": False, "apostrophe": False}
    del values["cfg"]["text_tokenizers"]
    values["cfg"]["text_tokenizer"] = block  # older configurations have one
    hparams.write_text(yaml.safe_dump(values, sort_keys=False))
    rows = CKPT_SIZES["tiny"].text_vocab
    letters = "".join(chr(ord("A") + each) for each in range(rows - 2 - 3 - 1))
    (tmp_path / "few.dict").write_text(f"{letters} \u0259\n", "utf-8")
    (tmp_path / "more.dict").write_text("A \u0259\nB \u0259\n", "utf-8")
    made = convert(source, tmp_path / "out", text_files=tmp_path, progress=False)
    (english,) = described(made)["tokenizers"]
    assert english["name"] == "english_phoneme"
    assert english["dictionaries"] == ["english_phoneme.0.dict", "english_phoneme.1.dict"]
    assert (made / "text" / "english_phoneme.heteronyms").read_text() == "read\n"


def test_an_unpacked_nemo_has_its_dictionaries(tmp_path: Path) -> None:
    source = write_random_nemo(tmp_path / "tiny.nemo", "tiny")
    shutil.unpack_archive(source, tmp_path / "folder", "tar")
    made = convert(tmp_path / "folder", tmp_path / "out", progress=False)
    assert described(made)["languages"] == {"en": "english_phoneme"}


def test_a_table_of_its_own_does_not_count(tmp_path: Path) -> None:
    """The tokenizer of descriptions of old models, which no class here could speak."""
    tokenizers = front_end_of(40).tokenizers
    t5 = {"_target_": "T5Tokenizer", "pretrained_model": "google-t5/t5-small"}
    changed = {
        "text_tokenizers": tokenizers | {"google-t5/t5-small": t5},
        "legacy_text_conditioning": True,
    }
    made = convert(write(tmp_path, changed), tmp_path / "out", progress=False)
    assert [each["name"] for each in described(made)["tokenizers"]] == ["english_phoneme"]


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    tokenizers = {"../english": front_end_of(40).tokenizers["english_phoneme"]}
    made = convert(
        write(tmp_path, {"text_tokenizers": tokenizers}), tmp_path / "out", progress=False
    )
    found = described(made)
    assert found["tokenizers"][0]["dictionaries"] == ["tokenizer0.0.dict"]
    assert found["languages"] == {"../english": "../english"}
    assert found["default_language"] == "../english"


def test_a_checkpoint_with_texts_is_replaced(tmp_path: Path, checkpoint: Path) -> None:
    source = write_random_nemo(tmp_path / "tiny.nemo", "tiny")
    made = convert(source, tmp_path / "out", progress=False)
    again = convert(source, made, overwrite=True, front_end=False, progress=False)
    assert not (again / "text").exists()


@pytest.mark.parametrize("case", REFS["language_map"]["cases"], ids=lambda case: case["language"])
def test_languages_are_those_of_the_table(case: dict[str, Any]) -> None:
    """But for the original's fall-back to English, which is no answer here."""
    if not case["available"]:
        return
    found = languages_of(None, case["available"]).get(case["language"])
    is_known = any(name in case["available"] for name in TABLE.get(case["language"], ()))
    assert found == (case["chosen"] if is_known else None)


def test_the_table_is_the_originals() -> None:
    builtin = REFS["language_map"]["builtin"]
    assert {name: [*names] for name, names in TABLE.items()} == builtin


def test_the_checkpoints_own_map_comes_first() -> None:
    names = ["english_phoneme", "german_phoneme", "portuguese_Brazilian_phoneme", "mine"]
    mapping = {
        "pt-BR": "portuguese_Brazilian_phoneme",
        "de": ["absent", "mine", "german_phoneme"],
        "ko": ["korean_chartokenizer"],
    }
    found = languages_of(mapping, names)
    assert found == {
        "en": "english_phoneme",
        "de": "mine",
        "pt-BR": "portuguese_Brazilian_phoneme",
    }
    assert default_language(found) == "en" and default_language({"fr": "a"}) == "fr"
    assert languages_of(None, ["b", "c"]) == languages_of({}, ["b", "c"]) == {"b": "b"}
    for wrong in (["en"], {"en": 3}, {"": "mine"}, {"x" * 65: "mine"}):
        with pytest.raises(ConfigError, match="language_to_tokenizer_mapping: expected"):
            languages_of(wrong, names)


def test_the_command_takes_dictionaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ttsrt_rt.cli import main

    source = write(tmp_path, bare_paths(), {})
    (tmp_path / "mine").write_bytes(next(iter(front_end_of(40).files.values())))
    arguments = ["convert", str(source), str(tmp_path / "out")]
    assert main([*arguments, "--dictionary", "nothing"]) != 0
    assert "--dictionary: expected NAME=FILE, got 'nothing'" in capsys.readouterr().err
    assert main([*arguments, "--dictionary", f"english_phoneme={tmp_path / 'mine'}"]) == 0
    assert (tmp_path / "out" / "text" / "front_end.json").is_file()


def test_another_dictionary_makes_another_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path / "cache"))
    source = write(tmp_path, bare_paths(), {})
    words = next(iter(front_end_of(40).files.values()))
    paths = []
    for text in (words, words.replace(b"HELLO", b"HALLO")):
        (tmp_path / "mine").write_bytes(text)
        with rt.Executor.from_checkpoint(
            source, dictionaries={"english_phoneme": tmp_path / "mine"}, device="reference",
            progress=False,
        ) as executor:  # fmt: skip
            paths.append(executor.engine.path)
            assert executor.languages == {"en": "english_phoneme"}
    assert len({*paths}) == 2
