"""Class names of two things that meet: the one place where they are compared."""

from collections.abc import Sequence

from roadstill.errors import UserError


def same_classes(found: Sequence[str], wanted: Sequence[str], *, of: object, to: object) -> None:
    """Requires the same class names in the same order, since labels and rows count by it.

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
            f"{of} has the classes {_listed(found)}, and {to} has the same ones in another order, {_listed(wanted)}; "
            "labels would be swapped: make one of the two again with the other's order"
        )
    raise UserError(
        f"{of} has the classes {_listed(found)}, but {to} has {_listed(wanted)}; take two that know the same classes"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return f"[{shown}{', ...' if len(names) > 12 else ''}]"
