"""Class names of two things that meet: the one place where they are compared."""

from collections.abc import Sequence

from roadstill.errors import UserError

_REMAKE = "make one of the two again with the other's order"


def same_classes(found: Sequence[str], wanted: Sequence[str], *, of: object, to: object) -> None:
    """Requires the same class names in the same order, since labels count by it.

    Args:
        found: names, in label order.
        wanted: names that they should be.
        of: description or path of what has the first ones.
        to: description or path of what has the others.

    Raises:
        UserError: other names, or the same ones in another order, which is told as such.
    """
    found, wanted = tuple(found), tuple(wanted)
    if found == wanted:
        return
    if sorted(found) == sorted(wanted):
        raise UserError(
            f"{of} has the classes {_listed(found)}, and {to} has them in another order, {_listed(wanted)}; labels "
            f"would be swapped, so {_REMAKE}"
        )
    raise UserError(
        f"{of} has the classes {_listed(found)}, but {to} has {_listed(wanted)}; take two that know the same classes"
    )


def same_rows(
    names: Sequence[str],
    rows: Sequence[int] | None,
    known: Sequence[str],
    known_rows: Sequence[int] | None = None,
    *,
    of: object,
    to: object,
    setting: str,
    may_be_new: bool,
) -> None:
    """Requires that classes get the rows of a generator's label table at which it knows them.

    Args:
        names: names of the classes, in label order.
        rows: row that each of them gets; None is 0, 1, ...
        known: names that the generator knows; if none, anything goes.
        known_rows: its row of each of them; None is 0, 1, ...
        of: description or path of what has the names.
        to: description or path of the generator.
        setting: name of the setting that gives rows, for messages.
        may_be_new: whether names that the generator does not know may take a row, too.

    Raises:
        UserError: a name at another row than the generator's; the line tells the right rows.
    """
    right = dict(zip(known, known_rows if known_rows is not None else range(len(known)), strict=True))
    told = tuple(rows) if rows is not None else tuple(range(len(names)))
    if not known or len(told) != len(names):  # a wrong number of rows is refused elsewhere
        return
    unknown = [name for name in names if name not in right]
    if unknown and not may_be_new:
        raise UserError(
            f"{of} names the class {unknown[0]!r}, but {to} knows {_listed(known)}; take one of these, or give the row "
            f"of every class ({setting})"
        )
    wrong = [name for name, row in zip(names, told, strict=True) if right.get(name, row) != row]
    if wrong:
        if unknown:
            way_out = f"row {right[wrong[0]]} is the one that {to} knows it by; give the row of every class ({setting})"
        else:
            way_out = f"give {setting} [{', '.join(str(right[name]) for name in names)}]"
        order = " in another order" if sorted(names) == sorted(known) and tuple(names) != tuple(known) else ""
        raise UserError(
            f"{of} has the classes {_listed(names)}, and {to} knows {_listed(known)}{order}: {wrong[0]!r} would take "
            f"the row of another class; {way_out}"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return f"[{shown}{', ...' if len(names) > 12 else ''}]"
