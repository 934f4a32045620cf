"""The page itself: Streamlit's widgets over `browse`, `arms` and `play`; it runs anew whenever one of them changes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from roadstill.app import arms, browse, html, play
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.imagesets.attributes import Vocabulary
from roadstill.names import trusting

_ANY = "any"
_OWN = "the generator's own"
_DAMAGED = (UserError, OSError, KeyError, TypeError, ValueError)
_SIDE = 12  # pictures of each of two sets side by side


def show(run: Path, typed: Path, *, trusted: bool = False) -> None:
    """Shows a run.

    Args:
        run: the run folder.
        typed: the same as the user typed it, for commands.
        trusted: whether models that the run's files name may be fetched.
    """
    st.set_page_config(page_title=f"{run.name} · roadstill", layout="wide")
    st.html(html.style())
    parts: dict[str, Callable[[], None]] = {
        "Sets": lambda: _sets(run),
        "Arms": lambda: _arms(run),
        "Play": lambda: _play(run, typed),
    }
    with st.sidebar:
        st.html(html.heading(run.name))
        chosen = st.radio("Look at", list(parts), key="part")
    with trusting() if trusted else nullcontext():
        try:
            parts[chosen]()
        except _DAMAGED as error:  # of a file of the run, which the page names and goes on
            st.html(html.note(str(error)))


def _sets(run: Path) -> None:
    entries = {each.title: each for each in browse.entries_of(run)}
    if not entries:
        st.html(html.note("The run has no set yet."))
        return
    with st.sidebar:
        title = st.selectbox("Set", list(entries), key="set")
        images = browse.open_entry(entries[title])
        label = _class("Class", images.class_names, key="class")
        where = _where(browse.strata_of(images), key="stratum")
    rows = browse.rows_of(images, label, where)
    pages = max(1, -(-len(rows) // browse.PER_PAGE))
    with st.sidebar:
        number = st.number_input("Page", 1, pages, key=f"page {title} {label} {sorted(where.items())}")
    lens, lacks = browse.lens_of(run)
    page = browse.page_of(images, rows, int(number), title, lens)
    st.html(html.found(title, page.found, len(images), page.number, page.pages))
    for lack in lacks:
        st.html(html.note(lack))
    st.html(html.tiles(page.tiles))


def _arms(run: Path) -> None:
    table = arms.table_of(run)
    if table is None:
        st.html(html.note("The run has compared no arms yet."))
    else:
        st.html(html.arms(table))
    entries = arms.pairs_of(run)
    if not entries:
        return
    names, first = list(entries), arms.first_pair(list(entries.values()))
    for place, column in enumerate(st.columns(2)):
        with column:
            title = st.selectbox(("Left", "Right")[place], names, index=first[place], key=f"side{place}")
            images = browse.open_entry(entries[title])
            label = _class("Class", images.class_names, key=f"class{place}")
            page = browse.page_of(images, browse.rows_of(images, label), 1, title, browse.lens_of(run)[0], _SIDE)
            st.html(html.found(title, page.found, len(images), 1, page.pages))
            st.html(html.tiles(page.tiles))


def _play(run: Path, typed: Path) -> None:
    sources = {each.label: each for each in play.sources_of(run)}
    if not sources:
        st.html(html.note("The run has no generator yet."))
        return
    with st.sidebar:
        source = sources[st.selectbox("Generator", list(sources), key="generator")]
        trained = source.tuned and st.selectbox("Weights", ["ema", "trained"], key="which") == "trained"
    which: Literal["ema", "trained"] = "trained" if trained else "ema"
    denoiser, _ = play.open_source(source, which)
    names = play.class_names_of(source, denoiser)
    wish = _wish(denoiser, names, which, key=f"{source.label} {which}")
    known = bool(denoiser.origin.class_names)
    st.code(play.command_of(source, wish, names, known=known, run=run, typed=typed), language=None, wrap_lines=True)
    if st.button("Draw", type="primary", key="draw"):
        bar = st.progress(0.0, text="drawing")
        st.session_state["drawn"] = play.draw_pictures(source, wish, tick=lambda share: _told(bar, share))
        bar.empty()
        st.session_state["drawn of"] = (source, wish)
    if "drawn" in st.session_state:
        if st.session_state["drawn of"] != (source, wish):
            st.html(html.note("These were drawn with other settings; Draw draws with the present ones."))
        st.html(html.drawn(st.session_state["drawn"]))


def _told(bar: Any, share: float) -> None:
    """Shows progress; where the page was closed or changed meanwhile, Streamlit ends the drawing here."""
    bar.progress(share, text="drawing")


def _wish(denoiser: LabelledDenoiser, names: Sequence[str], which: Literal["ema", "trained"], *, key: str) -> play.Wish:
    """What the widgets ask for; a generator of few steps has its guidance inside, and one solver.

    What depends on the generator is kept apart by ``key``.
    """
    plan, few = denoiser.plan(play.Wish().sampling), denoiser.origin.distilled is not None
    with st.sidebar:
        label = st.selectbox(
            "Class", range(len(names)), format_func=lambda at: names[at].replace("_", " "), key=f"{key} class"
        )
        count = st.slider("Pictures", 1, play.MOST_PICTURES, 4, key="count")
        seed = st.number_input("Seed", 0, play.MOST_SEED, 0, key="seed")
        guidance = solver = None
        if not few:
            guidance = st.slider("Guidance", 0.0, play.MOST_GUIDANCE, plan.guidance, 0.5, key=f"{key} guidance")
        most = _most_steps(denoiser)
        steps = st.slider("Steps", 1, most, min(plan.steps, most), key=f"{key} steps")
        if not few:
            solver = st.selectbox("Solver", denoiser.solvers, key=f"{key} solver")
        schedule = _OWN
        if denoiser.schedule is not None:
            schedule = st.selectbox("Schedule", [_OWN, *play.SCHEDULES], key=f"{key} schedule")
        where = _where(denoiser.origin.attributes, key=f"{key} where")
    return play.Wish(
        label=int(label), count=int(count), seed=int(seed), guidance=guidance, steps=steps, solver=solver,
        schedule=None if schedule == _OWN else schedule, where=where, which=which,
    )  # fmt: skip


def _most_steps(denoiser: LabelledDenoiser) -> int:
    chain = denoiser.schedule
    return play.MOST_STEPS if chain is None else min(play.MOST_STEPS, len(chain))


def _class(title: str, names: Sequence[str], *, key: str) -> int | None:
    """The class that is chosen, None for all."""
    chosen = st.selectbox(
        title, [-1, *range(len(names))], key=key,
        format_func=lambda at: _ANY if at < 0 else names[at].replace("_", " "),
    )  # fmt: skip
    return None if chosen < 0 else int(chosen)


def _where(vocabulary: Vocabulary | dict[str, list[str]], *, key: str) -> dict[str, str]:
    """The values that are chosen, by name."""
    found = {}
    for name, values in vocabulary.items():
        chosen = st.selectbox(html.plain(name.replace("_", " ")), [None, *values], key=f"{key} {name}",
                              format_func=lambda value: _ANY if value is None else value.replace("_", " "))  # fmt: skip
        if chosen is not None:
            found[name] = chosen
    return found
