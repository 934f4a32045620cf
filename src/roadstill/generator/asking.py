"""What pictures are asked to show: attributes in words, and strata that a set lacks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

import numpy as np

from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError, one_line
from roadstill.imagesets import ImageSet
from roadstill.imagesets.attributes import Vocabulary, described, spoken
from roadstill.runs import parse_yaml, same_classes, seed_of

_MOST_STRATA = 10_000


def read_where(given: str | Mapping[str, str], vocabulary: Vocabulary) -> dict[str, str]:
    """Values by attribute, of words such as "night rain, red light" or of a mapping, over a generator's vocabulary.

    A value of several words ("red light" for ``red_light``) is found wherever these follow one another between commas;
    the longest one wins. Capitals, ``-`` and ``_`` do not matter.

    Args:
        given: words, a mapping, or a mapping as YAML: ``{light: night}``.
        vocabulary: what the generator knows.

    Raises:
        UserError: a word that is no value or one of several attributes, or two values of one attribute; the line lists
            the vocabulary.
    """
    if not vocabulary:
        raise UserError("this generator knows no attributes; train one with attributes.names, or leave where out")
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = parse_yaml(given, "where", numbers=False)
    if isinstance(given, Mapping):
        return {name: _value(str(name), str(value), vocabulary) for name, value in given.items()}
    found: dict[str, str] = {}
    for words in (part.split() for part in spoken_parts(given)):
        while words:
            name, value, length = _longest(words, vocabulary)
            if name in found:
                raise UserError(f"where asks for {found[name]!r} and {value!r}, but both are {name}; leave one out")
            found[name] = value
            words = words[length:]
    return found


def spoken_parts(text: str) -> list[str]:
    """The parts between commas, as values are spoken."""
    return [spoken(part) for part in text.split(",")]


def _longest(words: Sequence[str], vocabulary: Vocabulary) -> tuple[str, str, int]:
    """Attribute and value that the first words name, and how many words they are."""
    for length in range(len(words), 0, -1):
        said = " ".join(words[:length])
        found = [(name, value) for name in sorted(vocabulary) for value in vocabulary[name] if spoken(value) == said]
        if len(found) > 1:
            options = " or ".join(f"{{{name}: {value}}}" for name, value in found)
            raise UserError(f"where: {said!r} may be {options}; give where as such a mapping")
        if found:
            return *found[0], length
    raise _unknown(words[0], vocabulary)


def _value(name: str, value: str, vocabulary: Vocabulary) -> str:
    if name not in vocabulary:
        raise _unknown(name, vocabulary)
    found = [each for each in vocabulary[name] if spoken(each) == spoken(value)]
    if not found:
        raise _unknown(f"{name}: {value}", vocabulary)
    return found[0]


def _unknown(what: str, vocabulary: Vocabulary) -> UserError:
    return UserError(f"where: {one_line(what[:80])!r} is unknown; this generator knows {described(vocabulary)}")


def asked_of(
    config: Sampling,
    vocabulary: Vocabulary,
    class_names: Sequence[str],
    per_class: int,
    seed: int,
    fill: ImageSet | None = None,
) -> list[dict[str, str]]:
    """What each picture is asked to show, class by class; empty if nothing is.

    ``where`` holds for all of them. Over the strata, all combinations of the values of ``strata``, pictures are spread
    as evenly as can be: each one goes to the stratum of its class that has fewest so far, those of ``fill`` counted, so
    that strata which that set lacks come first. Equals take turns in an order that depends on seed and class.

    Args:
        config: its ``where`` holds values of the vocabulary.
        vocabulary: what the generator knows.
        class_names: names of the classes.
        per_class: pictures per class.
        seed: seed of the set.
        fill: set whose pictures count, too, as far as they show what ``where`` says.

    Raises:
        UserError: an attribute that the generator does not know or ``fill`` does not hold, other classes there, strata
            without number, ``fill`` without strata.
    """
    where, names = config.where or {}, config.strata
    if fill is not None and not names:
        raise UserError(f"fill needs sampling.strata, some of {', '.join(sorted(vocabulary)) or 'its attributes'}")
    if not names:
        return [dict(where) for _ in range(len(class_names) * per_class)] if where else []
    if strange := [name for name in names if name not in vocabulary]:
        known = f"it knows {described(vocabulary)}" if vocabulary else "it knows no attributes"
        raise UserError(f"strata: this generator knows no {strange[0]!r}; {known}")
    if (count := prod(len(vocabulary[name]) for name in names)) > _MOST_STRATA:
        raise UserError(f"strata: {', '.join(names)} have {count:,} combinations; name fewer attributes")
    strata = list(product(*(vocabulary[name] for name in names)))
    there = Counter() if fill is None else _strata_of(fill, names, where, class_names)
    asked = []
    for label in range(len(class_names)):
        order = np.random.default_rng(seed_of("strata", seed, label)).permutation(len(strata))
        have = np.array([there[label, strata[place]] for place in order])
        for _ in range(per_class):
            fewest = int(have.argmin())  # the first of equals
            have[fewest] += 1
            asked.append({**where, **dict(zip(names, strata[order[fewest]], strict=True))})
    return asked


def _strata_of(
    images: ImageSet, names: Sequence[str], where: Mapping[str, str], class_names: Sequence[str]
) -> Counter[tuple[int, tuple[str, ...]]]:
    """Pictures of each label and stratum, of those that show what ``where`` says."""
    same_classes(images.class_names, class_names, of=images.root, to="the set to be drawn")
    columns = {name: images.column(name) for name in (*names, *where)}
    shown = zip(*(columns[name] for name in names), strict=True)
    counted = zip(images.labels.tolist(), shown, strict=True)
    fits = [all(columns[name][row] == value for name, value in where.items()) for row in range(len(images))]
    return Counter(pair for pair, fit in zip(counted, fits, strict=True) if fit)
