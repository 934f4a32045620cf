"""The one error that is the user's to mend."""


class UserError(ValueError):
    """Bad input: says in one line what is wrong, where, and the way out. The door turns it into exit code 2."""


class PartlyDone(Exception):
    """The work is done and on disk, but part of the input could not be read; the message is what the verb prints."""


def one_line(text: str) -> str:
    r"""The text with every letter escaped that would break a line, steer a terminal or turn the reading order.

    >>> one_line("log\n\x1b[2J")
    'log\\n\\x1b[2J'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
