"""Docstrings of the public names: their form, their sections, and that their examples run as printed."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import xgboost

from pipeline.testing import run_wave

PACKAGES = ("pipeline", "forecasting", "tasks", "ecs")
ROOT = Path(__file__).parents[2]
OLD_VERBS = re.compile(r"(Give|Say|Tell)s?\b")
METHODS = (classmethod, staticmethod, property)
# What users receive, and do not make.
RECEIVED = {"Cover", "Decision", "Event", "Forecast", "Forecasts", "Live", "Manifest", "Measured", "Outcome"}
RECEIVED |= {"Progress", "Promotion", "Scores"}


class Public(NamedTuple):
    """A public name, or a public method of a public class."""

    name: str
    value: Any
    method: bool

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.value.__doc__ or "")

    @property
    def is_exception(self) -> bool:
        return inspect.isclass(self.value) and issubclass(self.value, BaseException)

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.value) and not self.is_exception

    @property
    def is_protocol(self) -> bool:
        return getattr(self.value, "_is_protocol", False)

    @property
    def is_made(self) -> bool:
        """Whether it is a class that users make objects of."""
        received = inspect.isabstract(self.value) or self.name.partition(".")[2] in RECEIVED
        return self.is_class and not self.is_protocol and not received


def faces() -> Iterator[tuple[str, str, Any]]:
    for package in map(importlib.import_module, PACKAGES):
        yield from ((package.__name__, name, getattr(package, name)) for name in package.__all__)


def publics() -> Iterator[Public]:
    for package, name, found in faces():
        yield Public(f"{package}.{name}", found, method=False)
        for own, value in vars(found).items() if inspect.isclass(found) else ():
            if not own.startswith("_") and (inspect.isfunction(value) or isinstance(value, METHODS)):
                yield Public(f"{package}.{name}.{own}", function_of(value), method=True)


def function_of(value: Any) -> Callable[..., Any]:
    return value.fget if isinstance(value, property) else getattr(value, "__func__", value)


def parameters(public: Public) -> set[str]:
    """Return the names of what a caller may give; of a function with overloads, of all of them together."""
    found: dict[str, inspect.Parameter] = {}
    for form in typing.get_overloads(public.value) or [public.value]:
        found |= inspect.signature(form).parameters
    return {name for name in found if name not in ("self", "cls") and not name.startswith("_")}


def section(doc: str, title: str) -> list[str]:
    """Return the names that a section explains, none where there is no such section."""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)*)", f"{doc}\n", re.MULTILINE)
    return re.findall(r"^    \*{0,2}(\w+): \S", found.group(1), re.MULTILINE) if found else []


def in_doctests() -> dict[str, Any]:
    """Return the names that examples use as they are: all public ones, and those that everybody writes so."""
    names = {name: value for _, name, value in faces()}
    return names | {"np": np, "pd": pd, "run_wave": run_wave, "xgboost": xgboost}


def example(public: Public) -> doctest.DocTest:
    return doctest.DocTestParser().get_doctest(public.doc, in_doctests(), public.name, None, 0)


def is_skipped(public: Public) -> bool:
    return any(doctest.SKIP in one.options for one in example(public).examples)


PUBLICS = list(publics())
WITH_EXAMPLE = [one for one in PUBLICS if "Example:\n" in one.doc]


def test_the_first_line_is_a_sentence() -> None:
    assert [one.name for one in PUBLICS if not one.doc.partition("\n")[0].endswith(".")] == []


def test_what_takes_three_parameters_or_more_explains_each() -> None:
    asked = [one for one in PUBLICS if not (one.method or one.is_exception or one.is_protocol)]
    many = [(one, parameters(one)) for one in asked if len(parameters(one)) >= 3]
    assert len(many) > 40
    differ = {one.name: wanted ^ set(section(one.doc, "Args")) for one, wanted in many}
    assert {name: names for name, names in differ.items() if names} == {}


def test_only_parameters_are_explained_as_such_and_each_once() -> None:
    wrong = {}
    for one in PUBLICS:
        told = section(one.doc, "Args")
        if told and (len(set(told)) < len(told) or not set(told) <= parameters(one)):
            wrong[one.name] = told
    assert wrong == {}


def test_what_is_raised_exists() -> None:
    wrong = []
    for one in PUBLICS:
        known = vars(builtins) | vars(sys.modules[one.value.__module__]) | in_doctests()
        raised = [(name, known.get(name, object)) for name in section(one.doc, "Raises")]
        wrong += [f"{one.name}: {name}" for name, kind in raised if not issubclass(kind, Exception)]
    assert wrong == []


def test_no_section_is_empty_or_of_another_name() -> None:
    titles = {
        (one.name, title) for one in PUBLICS for title in re.findall(r"^(\w+):$", one.doc, re.MULTILINE)
    }
    assert {title for _, title in titles} == {"Args", "Returns", "Raises", "Example"}
    listing = {(name, title) for name, title in titles if title in ("Args", "Raises")}
    named = {one.name: one.doc for one in PUBLICS}
    assert [each for each in sorted(listing) if not section(named[each[0]], each[1])] == []


def test_a_class_that_users_make_objects_of_has_an_example() -> None:
    assert [one.name for one in PUBLICS if one.is_made and not example(one).examples] == []


@pytest.mark.parametrize("public", WITH_EXAMPLE, ids=lambda one: one.name)
def test_an_example_runs_as_printed(public: Public, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    doctest.DocTestRunner().run(example(public), out=said.append)
    assert "".join(said) == ""


def test_few_examples_are_only_to_be_read() -> None:
    skipped = [one.name for one in WITH_EXAMPLE if is_skipped(one)]
    assert 5 * len(skipped) <= len(WITH_EXAMPLE)


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_of_functions_begin_with_a_verb_of_the_field(package: str) -> None:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                doc = ast.get_docstring(node) or ""
                if OLD_VERBS.match(doc):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {doc.partition(chr(10))[0]}")
    assert found == []
