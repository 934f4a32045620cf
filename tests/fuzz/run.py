"""Coverage-guided fuzzing of all that reads strangers' files: ``python tests/fuzz/run.py SECONDS [TARGET ...]``.

It needs ``pip install -e '.[fuzz]'`` (atheris) and fuzzes each target for so many seconds. No input may raise anything
but what becomes a line for the user, take 10 s, or take 3 GB with all that is imported. What does is written to
``runs/verify/findings/TARGET``; mended, it moves to ``tests/fuzz/findings/TARGET``, where the suite reads it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]

from targets import all_targets  # noqa: E402


def fuzz(name: str, seconds: int, findings: Path) -> None:
    """Fuzzes one target; ends the process."""
    import atheris

    target = all_targets()[name]
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        folder, corpus = Path(made) / "work", Path(made) / "corpus"
        folder.mkdir()
        corpus.mkdir()
        with atheris.instrument_imports(include=[f"roadstill.{room}" for room in target.rooms]):
            for number, data in enumerate(target.seeds(folder)):
                (corpus / f"{number:04d}").write_bytes(data)
                target.read(data, folder)  # what is imported late is not what an input does
        limits = [f"-max_len={target.most_bytes}", f"-timeout={target.most_seconds}", "-rss_limit_mb=3072"]
        engine = [f"-max_total_time={seconds}", f"-artifact_prefix={findings}/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, *engine, str(corpus)], lambda data: target.read(data, folder))
        atheris.Fuzz()


def main() -> int:
    """Fuzzes the named targets one after the other, each in a process of its own; 1 if one found something."""
    seconds, names = int(sys.argv[1]), sys.argv[2:]
    if len(names) == 1:  # in this process, which the engine ends
        fuzz(names[0], seconds, Path("runs") / "verify" / "findings" / names[0])
        return 0
    codes = {
        name: subprocess.run([sys.executable, __file__, str(seconds), name], check=False).returncode
        for name in names or all_targets()
    }
    print(codes)
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
