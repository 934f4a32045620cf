"""Names of the layout before 0.1.0: Python imports them, dotted paths and records know them."""

import importlib
import inspect
import subprocess
import sys

import pytest

from roadstill.moved import GONE_IN, MOVED, present, recorded
from roadstill.names import dotted
from roadstill.runs import plain

pytestmark = pytest.mark.usefixtures("trusted")


@pytest.mark.parametrize("old", MOVED)
def test_what_an_old_module_held_is_found_under_its_old_name(old):
    module = importlib.import_module(MOVED[old])
    name = next(name for name, found in vars(module).items() if name[0] != "_" and not inspect.ismodule(found))
    assert dotted(f"{old}.{name}", "part") is getattr(module, name)
    sys.modules.pop(old, None)
    with pytest.warns(
        DeprecationWarning, match=f"^{old} is {MOVED[old]} now; the old name goes in roadstill {GONE_IN}$"
    ):
        assert getattr(importlib.import_module(old), name) is getattr(module, name)


def test_records_name_things_as_they_did_before():
    from roadstill.data.privacy import hook_of

    assert plain(hook_of) == "roadstill.privacy.hook_of"
    assert present(recorded("roadstill.data.privacy.BlurBoxes")) == "roadstill.data.privacy.BlurBoxes"
    assert present("my_hooks.flip") == recorded("my_hooks.flip") == "my_hooks.flip"


def test_a_name_that_never_was_is_no_module():
    with pytest.raises(ModuleNotFoundError, match=r"roadstill\.nowhere"):
        importlib.import_module("roadstill.nowhere")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from roadstill.privacy import nothing")


def test_a_script_of_the_old_layout_runs():
    code = "from roadstill.finetune import finetune; from roadstill.hub import shipped; print(shipped('x').name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "x\n"
