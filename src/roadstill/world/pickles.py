"""Log pickles that every client can open: numpy 2 writes module names that the pinned numpy of NAVSIM does not know."""

import pickle
from pathlib import Path
from typing import Any

_NEW, _OLD = "numpy._core", "numpy.core"


_PythonPickler: Any = pickle._Pickler  # the C one cannot be taught new names


class _PortablePickler(_PythonPickler):
    """The pure-Python pickler, writing ``numpy._core*`` as ``numpy.core*`` (numpy >= 1.26 understands both)."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Writes a global by its old module name."""
        module = getattr(obj, "__module__", None) or ""
        if not module.startswith(_NEW):
            super().save_global(obj, name)
            return
        self.save(_OLD + module[len(_NEW) :])
        self.save(name or obj.__qualname__)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


def write_log(path: Path, frames: list[dict[str, Any]]) -> None:
    """Writes one log in protocol 4."""
    with path.open("wb") as file:
        _PortablePickler(file, 4).dump(frames)
