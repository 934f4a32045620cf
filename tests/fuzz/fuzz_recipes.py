"""Coverage-guided fuzzing of recipes: any bytes end in a recipe or in one line.

``python tests/fuzz/fuzz_recipes.py SECONDS`` needs atheris; a finding is written to ``crash-*`` in the current folder,
and becomes a case of ``tests/hostile/test_recipes.py``.
"""

import sys
import tempfile
from pathlib import Path

_ARMS = "arms:\n  random: {kind: random, label: x}\n"
SEEDS = (
    f"name: m\n{_ARMS}  b: {{kind: generated, label: y, finetune: {{steps: 2, minimax: {{diversity: 0.1}}}}}}\n",
    f"name: m\nlike: demo\n{_ARMS}budgets: [1, 5]\nsizes: {{toy: {{seeds: 4}}}}\n",
    f"name: m\n{_ARMS}agent: &a {{network: convnet, learning_rate: 1e-3}}\nfull_agent: {{<<: *a, steps: 9}}\n",
    f"name: m\n{_ARMS}others: {{soft: {{labels: soft}}}}\nsampling: {{guidance_interval: [0, 0.5], noise: null}}\n",
    f"name: m\n{_ARMS}index: {{filter: {{min_speed_mps: 3}}, shares: [0.7, 0.15, 0.15]}}\nworld: {{drives: 3}}\n",
    f"name: m\n{_ARMS}thesis: {{random@10: 60.86 ± 6.69}}\nprotocol: literature\nhook: my.Hook\n",
    "a: &a [*a]\n",
    "[[[[[[",
)


def read(data: bytes, folder: Path) -> None:
    """Reads a recipe of these bytes.

    Raises:
        Exception: anything but a line for the user.
    """
    from roadstill.errors import UserError
    from roadstill.recipes import read_recipe, recipe_sizes

    path = folder / "r.yaml"
    path.write_bytes(data)
    try:
        for size in (None, *recipe_sizes(str(path))):
            recipe = read_recipe(str(path), size)
            assert recipe.name.isprintable()
            assert recipe.seeds >= 3
            assert all(arm.isprintable() and "/" not in arm for arm in recipe.arms)
    except UserError as error:
        said = str(error)
        assert said.isprintable(), ascii(said)
        assert len(said) < 2000, said


def main(seconds: int) -> None:
    """Fuzzes for so many seconds."""
    import atheris

    with atheris.instrument_imports(include=["roadstill.recipes", "roadstill.runs"]):
        from roadstill import recipes  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "seeds"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            (corpus / str(number)).write_text(seed, encoding="utf-8")
        arguments = [
            sys.argv[0],
            f"-max_total_time={int(seconds)}",
            "-max_len=4096",
            "-rss_limit_mb=2048",
            "-timeout=10",
        ]
        atheris.Setup([*arguments, str(corpus)], lambda data: read(data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]))
