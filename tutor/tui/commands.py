"""The one registry of what the app can do: keys, slash commands, palette and help come from it."""

from __future__ import annotations

from dataclasses import dataclass

from tutor.demos.registry import NAMES


@dataclass(frozen=True, slots=True)
class Command:
    """`/name argument`; the app's method `command_<name>` does it."""

    name: str
    help: str
    key: str = ""
    argument: str = ""
    choices: tuple[str, ...] = ()
    """What the argument may begin with, for completion."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.argument}".strip()


COMMANDS = (
    Command("help", "Show keys and commands", "f1"),
    Command("lessons", "Show or hide the lessons", "f2"),
    Command("decoding", "Show or hide the decoding settings", "f3"),
    Command("lesson", "Open a lesson", argument="NUMBER"),
    Command(
        "set",
        "Change a setting; the decoding ones act from the next token on",
        argument="NAME VALUE",
    ),
    Command("reset", "Put the decoding settings back to their defaults"),
    Command(
        "preset", "Set all knobs but seed and length at once", argument="precise, balanced or wild"
    ),
    Command("undo", "Take the last change of a setting back"),
    Command("inspect", "Look inside the last answer, token by token", "f4"),
    Command("compare", "One question under several settings, side by side", "f5", "QUESTION"),
    Command("demo", "Predict, then see: live demonstrations", "f6", "NAME INPUT", NAMES),
    Command("prompt", "Show the exact prompt of the last answer", "f7"),
    Command(
        "adapter",
        "Switch the tuned variant on or off, or choose another adapter",
        "f8",
        "NAME or none",
    ),
    Command("new", "Begin a new conversation", "ctrl+n"),
    Command("sessions", "Resume, rename, export or delete conversations", "f9"),
    Command("rename", "Rename this conversation", argument="TITLE"),
    Command("export", "Write this conversation to a file", argument="md or json"),
    Command("retry", "Ask the last question again", "ctrl+r"),
    Command("edit", "Edit the last question", "ctrl+e"),
    Command("copy", "Copy the last answer", "ctrl+y"),
    Command("theme", "Change the colours", argument="NAME"),
    Command("quit", "Leave the tutor", "ctrl+q"),
)


def find(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def completions(text: str) -> list[str]:
    """The slash commands that begin with `text`, or the arguments of the one that stands there."""
    name, space, begun = text.removeprefix("/").partition(" ")
    if space and (command := find(name)):
        return [f"/{name} {choice}" for choice in command.choices if choice.startswith(begun)]
    return [f"/{c.name}" for c in COMMANDS if f"/{c.name}".startswith(text)]


def help_text() -> str:
    """All keys and commands as Markdown."""
    rows = [f"| `{c.usage}` | {c.key.upper()} | {c.help} |" for c in COMMANDS]
    keys = (
        "**Enter** sends · **Ctrl+J** begins a new line · **Ctrl+U** clears what stands before the "
        "cursor · **Up/Down** recall questions · "
        "**Tab** completes a command · **Esc** stops an answer or closes what is open · "
        "**Ctrl+P** palette"
    )
    return "\n".join(["# Keys and commands", "", keys, "", "| command | key | |", "|-|-|-|", *rows])
