"""What users type: its words and quotes, the help, the completion in a shell, and what is said of a mistake."""

from inpaintlab.commandline.arguments import COMMANDS, flags_first, read, settings_of
from inpaintlab.commandline.help import print_help
from inpaintlab.commandline.mistakes import MISTAKES, of_command, of_composing
from inpaintlab.commandline.multirun import own_choices, require_sweep
from inpaintlab.commandline.quoting import quoted
from inpaintlab.commandline.shell import answer_shell

__all__ = [
    "COMMANDS",
    "MISTAKES",
    "answer_shell",
    "flags_first",
    "of_command",
    "of_composing",
    "own_choices",
    "print_help",
    "quoted",
    "read",
    "require_sweep",
    "settings_of",
]
