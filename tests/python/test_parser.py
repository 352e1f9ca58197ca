"""Errors of the command line: one line and a hint, in the names of flags."""

from __future__ import annotations

import pytest

from ttsrt_rt.cli import main
from ttsrt_rt.cli.parser import in_flags, with_underscores

FLAGS = ["--top_k", "--max_frames", "--prior", "--prior_left", "--overwrite", "--voice", "--config"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("top_k: expected 0 or more", "--top_k: expected 0 or more"),
        ("prior.left: expected int", "--prior: left: expected int"),
        ("one of voice, max_frames, top_k", "one of --voice, --max_frames, --top_k"),
        ("max_frames or voice, got none", "--max_frames or --voice, got none"),
        ("max_frames, top_k, and config", "--max_frames, --top_k, and --config"),
        ("the voice of max_frames", "the voice of --max_frames"),
        ("voice: unknown", "--voice: unknown"),
        ("set max_frames below 3", "set --max_frames below 3"),
        ("pass overwrite=True to replace it", "pass --overwrite to replace it"),
        ("pass overwrite to replace it", "pass --overwrite to replace it"),
        ("in the folder or as config=", "in the folder or as --config"),
        ("/a/max_frames/x: no such file", "/a/max_frames/x: no such file"),
        ("max_frames.npy: no such file", "max_frames.npy: no such file"),
        ("a 'max_frames' b", "a 'max_frames' b"),
        ("other_name: wrong", "other_name: wrong"),
        ("a voice of max_frames_more", "a voice of max_frames_more"),
        ("voices: expected two", "--voice: expected two"),
        ("left: wrong (none: prior=None)", "left: wrong (none: --prior off)"),
        ('0, because prior is "off"', '0, because --prior is "off"'),
        ("a/b.pt: config: expected none", "a/b.pt: --config: expected none"),
        ("a/b.pt: other: expected none", "a/b.pt: other: expected none"),
        ("takes the options config, other, top_k", "takes the options --config, other, --top_k"),
    ],
)
def test_messages_name_flags(message: str, shown: str) -> None:
    assert in_flags(message, FLAGS) == shown


def test_parts_of_options_are_flags_where_they_were_given_as_such() -> None:
    given = ["run", "--prior_left=3"]
    assert in_flags("prior.left: wrong", FLAGS, given) == "--prior_left: wrong"


def test_files_with_the_names_of_arguments_are_files() -> None:
    for given in (["--config", "voice"], ["--config=voice"], ["voice"]):
        assert in_flags("voice: no such file", FLAGS, given) == "voice: no such file"
    given = ["--voice", "x", "--config", "y"]
    assert in_flags("voice: unknown", FLAGS, given) == "--voice: unknown"
    assert in_flags("voice: unknown", FLAGS, ["--voice", "voice"]) == "--voice: unknown"


def test_hyphens_become_underscores() -> None:
    given = ["run", "--max-frames=5-6", "--top-k", "a-b", "--", "--not-a-flag"]
    expected = ["run", "--max_frames=5-6", "--top_k", "a-b", "--", "--not-a-flag"]
    assert with_underscores(given) == expected


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["run", "e", "--text_idz", "x"], "unrecognized arguments: --text_idz", "--text_ids meant"),
        (["run", "e", "--seed", "x"], "argument --seed", "ttsrt run --help"),
        (["build"], "--checkpoint_dir, --output_dir", "ttsrt build --help"),
        (["nothing"], "invalid choice: 'nothing'", "ttsrt --help"),
        ([], "required: COMMAND", "ttsrt --help"),
        (["bench", "run"], "required: engine", "ttsrt bench run --help"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(
    arguments: list[str], problem: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("ttsrt: error: ") and problem in first
    assert second.startswith("ttsrt: hint: ") and hint in second
