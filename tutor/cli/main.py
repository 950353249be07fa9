"""The parser, and the one place where errors become a line and an exit status.

Nothing heavy is imported here: each command imports what it needs when it runs, so that
`tutor --help` is instant. Status: 0 done, 1 the thing asked for failed, 2 wrong use, 130
interrupted (128 + N where signal N ended the app).
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from tutor.cli.decoding import add_flags, add_variant
from tutor.text import visible

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

# Errors of our own, by their whole names: importing their modules here would cost the start-up.
USE_ERRORS = frozenset(
    [
        "tutor.agent.compare.CompareError",
        "tutor.agent.question.QuestionError",
        "tutor.cli.main.UseError",
        "tutor.demos.demo.DemoError",
        "tutor.engine.errors.AdapterError",
        "tutor.settings.SettingsError",
    ]
)
FAILURES = frozenset(
    [
        "corpus.lessons.CourseError",
        "index.errors.RetrievalError",
        "index.store.OtherVersionError",
        "tutor.agent.branch.BranchError",
        "tutor.bench.terminal.TerminalError",
        "tutor.engine.errors.EngineError",
        "tutor.engine.errors.ModelFileError",
        "tutor.home.HomeError",
        "tutor.lora.LoraError",
        "tutor.sessions.store.StoreError",
    ]
)


class UseError(Exception):
    """A command used wrongly; the message says what to do."""


def _complain(text: str) -> None:
    """One line on stderr; what a terminal would obey (in a file's name, say) becomes signs."""
    print(f"tutor: {visible(text, keep=' ')}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(WRONG_USE)


def _from(least: int) -> Callable[[str], int]:
    """A reader of whole numbers that are not below `least`."""

    def read(text: str) -> int:
        try:
            if (value := int(text)) >= least:
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"give a whole number from {least} on, not {text!r}")

    return read


def parser() -> argparse.ArgumentParser:
    """The whole command line; `run` of the result is `module:function` in tutor.cli."""
    top = _Parser(
        prog="tutor",
        description="An offline tutor for the foundations of language models. "
        "Without a command it opens the app.",
    )
    top.set_defaults(run="app:run_app")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    def command(group: argparse._SubParsersAction[_Parser], name: str, run: str, help: str):  # type: ignore[no-untyped-def]
        made = group.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="print JSON")
        return made

    ask = command(commands, "ask", "ask:run_ask", "ask one question")
    ask.add_argument("question", nargs="?", help="the question; - reads standard input")
    ask.add_argument("--batch", metavar="FILE", help="JSON lines {id, question, lesson?} or turns")
    ask.add_argument("--lesson", type=int, metavar="N", help="the lesson that is open")
    ask.add_argument("--no-rag", action="store_true", help="the model alone, without the lessons")
    add_variant(ask)
    ask.add_argument("--trace", metavar="FILE", help="write every token's step as JSON lines")
    add_flags(ask)

    compare = command(commands, "compare", "glassbox:run_compare", "one question, several settings")
    compare.add_argument("question", help="the question; - reads standard input")
    compare.add_argument(
        "--with",
        dest="columns",
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="a further column, for example temperature=1.5,seed=3, rag=off or adapter=none; "
        "up to three",
    )
    compare.add_argument("--lesson", type=int, metavar="N", help="the lesson that is open")
    add_variant(compare)
    add_flags(compare)

    following = command(commands, "next", "glassbox:run_next", "what could follow a text, and why")
    following.add_argument("prompt", help="the text; - reads standard input")
    following.add_argument(
        "--top", type=_from(1), default=10, metavar="N", help="candidates that are shown (10)"
    )
    mode = following.add_mutually_exclusive_group()
    mode.add_argument("--raw", action="store_true", help="continue the text as it is (default)")
    mode.add_argument("--chat", action="store_true", help="answer it as a chat message")
    add_variant(following)
    add_flags(following)

    search = command(commands, "search", "lookup:run_search", "search the lessons")
    search.add_argument("query", nargs="?", help="what to look for; - reads standard input")
    search.add_argument("--k", type=_from(1), default=5, metavar="N", help="number of results (5)")
    search.add_argument("--lesson", type=int, metavar="N", help="the lesson that is open")
    search.add_argument("--mode", choices=["hybrid", "dense", "bm25"], default="hybrid")
    search.add_argument("--explain", action="store_true", help="say why: ranks, scores, words")
    search.add_argument("--batch", metavar="FILE", help="JSON lines {id, query} or {id, question}")

    lessons = command(commands, "lessons", "lookup:run_lessons", "list the lessons, or read one")
    lessons.add_argument("number", nargs="?", type=int)

    tokens = command(commands, "tokens", "lookup:run_tokens", "cut a text into tokens")
    tokens.add_argument("text", help="the text; - reads standard input")

    show = command(commands, "demo", "demo:run_demo", "show a lesson's idea with the running model")
    show.add_argument("name", nargs="?", help="the demonstration; without it they are listed")
    show.add_argument("input", nargs="*", help="NAME=VALUE, or a text; - reads standard input")
    show.add_argument("--model", metavar="PATH", help="another GGUF chat model")

    judge = command(commands, "eval", "evaluate:run_eval", "ask the gold questions and judge")
    judge.add_argument("--split", choices=["train", "dev", "test"], default="dev")
    judge.add_argument("--adapter", metavar="NAME|none", help="the variant that speaks")
    judge.add_argument("--no-rag", action="store_true", help="the model alone, without the lessons")
    judge.add_argument("--retrieval-only", action="store_true", help="do not let the model answer")
    judge.add_argument("--limit", type=_from(1), metavar="N", help="a slice of N questions")
    judge.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change the search"
    )
    judge.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="search again with this change and test the difference",
    )

    def family(name: str, help: str) -> argparse._SubParsersAction[_Parser]:
        made = commands.add_parser(name, help=help)
        return made.add_subparsers(title="commands", metavar="COMMAND", required=True)

    sessions = family("sessions", "list, export or delete conversations")
    command(sessions, "list", "manage:list_sessions", "list the conversations").add_argument(
        "--search", default="", metavar="TEXT", help="only those that contain TEXT"
    )
    export = command(sessions, "export", "manage:export_session", "print a conversation")
    export.add_argument("id", type=int)
    command(sessions, "delete", "manage:delete_session", "delete a conversation").add_argument(
        "id", type=int
    )

    index = family("index", "the search index of the lessons")
    command(index, "build", "manage:build_index", "index what is new or changed")
    command(index, "status", "manage:index_status", "say whether the index is up to date")

    adapt = command(index, "adapt", "manage:adapt_encoder", "train the encoder's adapter anew")
    adapt.add_argument("folder", help="where PEFT's two files are left")

    command(index, "ship", "manage:ship_vectors", "compute the vectors that are shipped anew")

    models = family("models", "the models at hand")
    command(models, "list", "manage:list_models", "list the models")
    command(models, "prepare", "manage:prepare_model", "prepare the embedded model")
    command(models, "use", "manage:use_model", "use another GGUF chat model").add_argument(
        "path", help="a GGUF file, or 'embedded'"
    )

    lora = family("lora", "adapters: examples, training, export, comparison")
    data = command(lora, "data", "lora:run_data", "show what an adapter is trained on")
    data.add_argument(
        "--inspect", type=_from(0), default=5, metavar="N", help="examples to show (5)"
    )
    train = command(lora, "train", "lora:run_train", "train an adapter on the lessons")
    train.add_argument("--name", default="mine", help="what it is called (mine)")
    train.add_argument("--examples", type=_from(1), metavar="N", help="only so many examples")
    for flag, kind, help in (
        ("rank", int, "columns of lora_A (16)"),
        ("alpha", float, "the update counts alpha / rank (32)"),
        ("learning-rate", float, "the peak of the learning rate (6e-4)"),
        ("epochs", int, "passes over the examples (1)"),
        ("batch", int, "examples a step (8)"),
        ("dropout", float, "of the adapter's inputs (0)"),
        ("warmup", float, "share of the steps that the rate rises (0.05)"),
        ("seed", int, "of order, beginning and dropout (0)"),
    ):
        train.add_argument(f"--{flag}", type=kind, help=help)
    command(lora, "list", "lora:run_list", "list the adapters")
    worth = command(lora, "compare", "lora:run_compare", "base and tuned model on gold questions")
    worth.add_argument("--split", choices=["dev", "test"], default="dev")
    worth.add_argument("--adapter", metavar="NAME", help="the adapter; without it the shipped one")
    worth.add_argument("--limit", type=_from(1), metavar="N", help="a slice of N questions")
    export_lora = command(lora, "export", "lora:run_export", "a LoRA in PEFT's format to GGUF")
    export_lora.add_argument("folder", help="with adapter_config.json and its weights")
    export_lora.add_argument("--name", help="what it is called (the folder's name)")

    config = family("config", "settings that persist")
    command(config, "show", "manage:show_config", "show every setting and where files live")
    change = command(config, "set", "manage:set_config", "change a setting")
    change.add_argument("name")
    change.add_argument("value")

    command(commands, "doctor", "doctor:run_doctor", "check the installation")
    command(commands, "bench", "bench:run_bench", "measure speed and memory")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    # Before any dependency is imported: nothing may telephone home, whatever the user's own
    # environment allows other programs.
    os.environ["ANONYMIZED_TELEMETRY"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # No plugin of another program, and no search for one: that is 15 ms of every start.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    # Else every fork warns.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # numpy's threads wait by spinning after a product, on the cores that then read the prompt:
    # 2 ** 4 cycles are the least.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    # llama.cpp's wait so between the nodes of a graph, which takes microseconds, and would go on for
    # milliseconds after it: on the cores that the next question is searched with.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        status = _run(argv)
        # Not at Python's own end, where what goes wrong would be told in its words.
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): not an error, and nothing more to say.
        _drop_output()
        return 0
    except OSError as error:  # a full disk, say
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return FAILED
    except Exception as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        if name not in USE_ERRORS | FAILURES:
            raise
        _complain(str(error))
        return WRONG_USE if name in USE_ERRORS else FAILED


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:  # --help, or a wrong use that was told
        return stop.code if isinstance(stop.code, int) else WRONG_USE
    module, _, function = arguments.run.partition(":")
    # What is imported stays: to look through it for garbage is 8 ms of every start.
    gc.disable()
    try:
        command = getattr(import_module(f"tutor.cli.{module}"), function)
    finally:
        gc.enable()
    return int(command(arguments) or 0)


def _drop_output() -> None:
    """What standard output could not take is let go of: Python would try it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
