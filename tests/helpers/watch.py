"""What Python does while a stranger's file is read."""

import sys

ACTS = ("exec", "import", "os.", "pickle.", "shutil.", "socket.", "subprocess.", "ctypes.", "marshal.", "code.")


class Watch:
    """Notes what Python does while it is on; a hook for audits cannot be taken off, so there is one for all tests."""

    def __init__(self):
        self.on, self.acts = False, []
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if self.on and (event.startswith(ACTS) or event == "open"):
            self.acts.append((event, str(arguments[:1])))

    def __enter__(self):
        self.acts, self.on = [], True
        return self

    def __exit__(self, *_):
        self.on = False


WATCH = Watch()
