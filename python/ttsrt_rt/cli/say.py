"""`ttsrt say TEXT`: speaks a text to a file, a pipe or a loudspeaker, or many to a folder."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.parser import OutputKind, Parser
from ttsrt_rt.cli.say_engine import open_executor, show_languages, show_voices, use_engine
from ttsrt_rt.cli.say_limits import Limit, told_cut
from ttsrt_rt.cli.say_options import check_say, request_fields
from ttsrt_rt.cli.say_outputs import Sinks, open_sinks, write_codes, write_words
from ttsrt_rt.cli.say_texts import texts_of
from ttsrt_rt.cli.say_voices import voice_fields
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.cli.watermarks import add_watermark_flag, check_watermark, marked
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.request import Request
    from ttsrt_rt.result import Result

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "say",
        help="speak a text",
        description="Speaks a text to a file, a pipe or a loudspeaker, or a file of texts to a "
        "folder. Without --engine and TTSRT_ENGINE, a demo with random weights speaks: noise.",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to say; - for standard input")
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="read the text from FILE, in UTF-8; with --output_dir a text a line (.txt), or rows "
        "of .tsv, .csv (a header line with id, text, voice, language, seed) or .jsonl",
    )
    parser.add_argument(
        "--engine",
        help="what build wrote, or a checkpoint, of which an engine is made and kept; default: "
        "TTSRT_ENGINE, or a demo",
    )
    parser.add_argument("--codec", help="the checkpoint of the codec, for a checkpoint")
    _add_output_flags(parser)
    _add_voice_flags(parser)
    _add_text_flags(parser)
    _add_batch_flags(parser)
    parser.reads("file", "engine", "codec", "lexicon")
    parser.writes("output", kind=OutputKind(_default_output, takes_stdout=True))
    parser.writes("timestamps", "codes")
    parser.set_defaults(run=_run)


def _add_output_flags(parser: Parser) -> None:
    group = parser.add_argument_group("the sound")
    group.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where the sound goes, its format by the ending; - for a WAV on standard output while "
        "it is made; a file is replaced; default: speech.wav, which must not exist",
    )
    group.add_argument(
        "--format",
        choices=["wav", "flac", "mp3", "ogg", "opus", "pcm"],
        help="overrides the file's ending; pcm is integers of 16 bits alone",
    )
    group.add_argument(
        "--stream", action="store_true", help="write to a file, too, while the sound is made"
    )
    group.add_argument("--play", action="store_true", help="play it; needs the extra play")
    group.add_argument(
        "--timestamps", metavar="FILE", help="words and their times, as .json, .srt or .vtt"
    )
    group.add_argument("--codes", metavar="FILE.npz", help="the codes of the codec, too")
    add_watermark_flag(group)


def _add_voice_flags(parser: Parser) -> None:
    group = parser.add_argument_group("how it is said")
    group.add_argument(
        "--voice", help="a name, an index or a file of ttsrt voice; default: the first one"
    )
    group.add_argument(
        "--voice_description",
        metavar="TEXT",
        help="a text that describes the voice, for models that take one",
    )
    group.add_argument("--list_voices", action="store_true", help="print them, and speak nothing")
    group.add_argument("--language", help="of the text; default: the engine's")
    group.add_argument(
        "--list_languages", action="store_true", help="print them, and speak nothing"
    )
    group.add_argument("--seed", type=int, help="the same one gives the same sound; default: 0")
    group.add_argument("--temperature", type=float, help="of the draws; 0 takes the likeliest")
    group.add_argument("--top_k", type=int, help="draws among the k likeliest; 0 for all")
    group.add_argument("--cfg_scale", type=float, help="guidance; 1 for none")
    group.add_argument("--max_seconds", type=float, help="of sound in all, at most")
    group.add_argument("--device", help='"auto", "cpu", "cuda:0", "reference"')
    group.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")


def _add_text_flags(parser: Parser) -> None:
    group = parser.add_argument_group("how the text is read")
    group.add_argument(
        "--normalize",
        choices=["off", "numbers", "nemo"],
        help="words for digits, or for dates, currencies and so on, too; default: off",
    )
    group.add_argument("--ssml", action="store_true", help="the text has the tags of docs/say.md")
    group.add_argument("--lexicon", metavar="FILE", help="pronunciations: our text, or W3C PLS")
    group.add_argument(
        "--strict_text", action="store_true", help="refuse characters that nothing speaks"
    )
    group.add_argument(
        "--stream_input",
        action="store_true",
        help="with -: speak each sentence as soon as standard input has all of it",
    )


def _add_batch_flags(parser: Parser) -> None:
    group = parser.add_argument_group("many texts: --file with --output_dir")
    group.add_argument("--output_dir", metavar="DIR", help="a file of sound for each row")
    group.add_argument(
        "--max_in_flight",
        type=int,
        help="rows at once; default: twice the engine's max_batch_size",
    )
    group.add_argument("--force", action="store_true", help="speak rows again that are there")
    ending = group.add_mutually_exclusive_group()
    ending.add_argument(
        "--keep_going", action="store_true", help="go on after a row that fails: the default"
    )
    ending.add_argument("--fail_fast", action="store_true", help="stop at the first such row")
    group.add_argument("--quiet", action="store_true", help="no bar, and no line for each file")


def _default_output(args: argparse.Namespace) -> str | None:
    is_none = args.play or args.output_dir or args.list_voices or args.list_languages
    if is_none:
        return None
    return f"speech.{args.format or 'wav'}"


def _run(args: argparse.Namespace) -> int:
    check_say(args)
    check_watermark(args.watermark)
    engine, is_demo = use_engine(args.engine, args.codec)
    if args.list_voices:
        return show_voices(engine)
    if args.list_languages:
        return show_languages(engine)
    if args.output_dir is not None:
        from ttsrt_rt.cli.say_batch import say_batch

        return say_batch(args, engine, is_demo=is_demo)
    return _say(args, engine, is_demo)


def _say(args: argparse.Namespace, engine: Path, is_demo: bool) -> int:
    """Speaks one text, or the sentences of standard input one after the other."""
    texts = texts_of(args)
    said: list[Result] = []
    is_over = False
    with ExitStack() as stack:
        executor = stack.enter_context(open_executor(args, engine))
        fields = request_fields(args, executor) | voice_fields(args, executor)
        sinks = open_sinks(args, executor.engine.info, stack)
        limit = Limit(args, executor, is_demo=is_demo)
        for text in texts:
            is_over = limit.is_over
            if is_over:
                break
            said.append(_speak(args, executor, limit, fields, sinks, text, is_demo))
            limit.take(said[-1])
        sinks.finish()
    write_words(args.timestamps, said)
    write_codes(args.codes, said)
    cut = told_cut(said, limit, is_over=is_over, timestamps=args.timestamps)
    if cut is not None:
        tell(cut)
    _report(args, said, sinks)
    return 0


def _speak(
    args: argparse.Namespace,
    executor: Executor,
    limit: Limit,
    fields: dict[str, Any],
    sinks: Sinks,
    text: str,
    is_demo: bool,
) -> Result:
    """Speaks a text to all sinks. Leaving early, as when a reader closes its pipe, cancels it."""
    from ttsrt_rt.cli.say_options import in_seconds, request_of

    begin = time.perf_counter()
    request = request_of(
        limit.fields(fields, text), text, executor, is_demo=is_demo, is_heard=sinks.are_heard
    )
    with in_seconds(executor):
        handle = _submit(executor, request, limit)
        if args.watermark is not None:
            said = marked(handle.result(), args.watermark)
            if said.audio is not None:
                sinks.write(said.audio)
            return said
        is_first = True
        for event in handle:
            if event.audio is None:
                continue
            sinks.write(event.audio)
            if is_first and args.verbose:
                which = f" of {quote(text[:40])}" if args.stream_input else ""
                tell(f"ttsrt: first sound{which} after {time.perf_counter() - begin:.3f} s")
            is_first = False
        return handle.result()


def _submit(executor: Executor, request: Request, limit: Limit) -> Handle:
    """Submits a text; of several that share a limit, with as much of it as the engine takes."""
    try:
        return executor.submit(request, return_positions=limit.counts_words)
    except ConfigError as error:
        if error.limit is None or not limit.is_shared:
            raise
        return executor.submit(
            request, return_positions=limit.counts_words, max_frames=int(error.limit)
        )


def _report(args: argparse.Namespace, said: list[Result], sinks: Sinks) -> None:
    seconds = sum(each.seconds for each in said)
    dropped: dict[str, int] = {}
    for each in said:
        for letter, count in each.metrics.dropped_text.items():
            dropped[letter] = dropped.get(letter, 0) + count
    if dropped:
        shown = ", ".join(
            f"{letter!r} {count} times" for letter, count in list(dropped.items())[:10]
        )
        tell(f"ttsrt: characters that were not spoken: {shown}")
    for name in sinks.files:
        print(f"{name}: {seconds:.2f} s")
