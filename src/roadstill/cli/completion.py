"""Completion of verbs, options and their choices by the shell's tab key: ``roadstill --completion bash``."""

import argparse
from collections.abc import Mapping

from roadstill.cli import displays, launch, trust
from roadstill.cli.ahead import table
from roadstill.errors import UserError

FLAG = "--completion"


def script(shell: str, summaries: Mapping[str, str]) -> str:
    """The script that a shell reads to complete the command.

    Args:
        shell: name of the shell: bash, zsh or tcsh.
        summaries: what each verb does, by its name.

    Raises:
        UserError: another shell, or shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise UserError("completion needs the package shtab: pip install 'roadstill[completion]'") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UserError(f"{FLAG} is for {', '.join(shtab.SUPPORTED_SHELLS)}, not {shell!r}")
    text: str = shtab.complete(parser_of(summaries, file={"complete": shtab.FILE}), shell)
    return text


def parser_of(summaries: Mapping[str, str], file: Mapping[str, object]) -> argparse.ArgumentParser:
    """A parser that knows every name, made from the table of options, and is never asked to parse.

    Args:
        summaries: what each verb does, by its name.
        file: attributes of an argument that takes a path.
    """
    parser = argparse.ArgumentParser("roadstill")
    verbs = parser.add_subparsers()
    for verb, known in table().items():
        its = verbs.add_parser(verb, help=summaries[verb], description=summaries[verb], allow_abbrev=False)
        for name, takes in {**known["takes"], **known["options"], "--config": "PATH"}.items():
            choices = None if not takes.strip("[").startswith("{") else takes.strip("[{}]").split(",")
            action = its.add_argument(name, nargs="?" if name.startswith("--") else None, choices=choices)
            if takes.startswith("PATH"):
                vars(action).update(file)
        for flag in (trust.FLAG, *displays.HELP):
            its.add_argument(flag, action="store_true")
        if verb in launch.VERBS:
            its.add_argument(launch.FLAG)
    return parser
