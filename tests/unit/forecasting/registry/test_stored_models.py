"""Models as 0.1.0 stored them, and manifests that name what they must not: foreign code, files elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import ModelError
from forecasting.features.panel import Panel
from forecasting.registry import Registry
from forecasting.registry.estimators import ESTIMATORS, WRITTEN_BY_0_1_0
from forecasting.registry.manifest import class_of, recipe_of
from tests.contracts.models import SPAN, Level

STORED = Path(__file__).parents[3] / "data" / "models-0.1.0"
TOLD: dict[str, Any] = json.loads((STORED / "forecasts.json").read_text())
Hostile = Callable[..., Registry]


def history() -> Panel:
    """What the models were fitted to."""
    hour = np.arange(600)[:, None]
    y = 10 + np.sin(hour / 24 * 2 * np.pi) + np.arange(2) + 0.1 * np.cos(hour**2)
    index = pd.date_range("2026-01-01", periods=600, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=["e0", "e1"]))


@pytest.mark.parametrize("name", TOLD)
def test_a_model_that_0_1_0_stored_forecasts_what_it_forecast_then(name: str, monkeypatch):
    monkeypatch.delenv("PIPELINE_ALLOW")
    registry = Registry(STORED)
    manifest = registry.check("demand", name, registry.live("demand", name))
    assert manifest.kind == TOLD[name]["kind"]
    model = registry.fresh("demand", name, manifest.version)
    found = model.forecast(history())
    np.testing.assert_allclose(found.mean, TOLD[name]["mean"], atol=2e-4)
    np.testing.assert_allclose(found.bounds["hi-95"], TOLD[name]["hi-95"], atol=2e-4)
    if name in ("global", "local", "pooled"):
        assert recipe_of(model) == manifest.recipe


@pytest.mark.parametrize("public", ESTIMATORS)
def test_an_estimator_is_found_by_its_public_name_and_by_that_of_0_1_0(public: str, monkeypatch):
    monkeypatch.delenv("PIPELINE_ALLOW")
    assert class_of(public) is class_of(WRITTEN_BY_0_1_0[public])
    assert class_of(public).__name__ == public.partition(":")[2]


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    """Stores a model, and puts other things into its manifest and its folder."""

    def make(**changes: Any) -> Registry:
        registry = Registry(tmp_path / "models")
        version = registry.save("delay", "JFK", Level(1.0), SPAN, entities=1).version
        os.rename(tmp_path / f"models/delay/JFK/models/{version}", tmp_path / "models/delay/JFK/models/v1")
        file = tmp_path / "models/delay/JFK/models/v1/manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"version": "v1"} | changes))
        return registry

    return make


def everything(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "file",
    ["../x", "/x", "a/../../b", "", ".", "..", "C:\\x", "a\\b", "a\0b", "manifest.json", "C:x", "a/b"],
)
def test_a_manifest_whose_files_are_no_plain_names_is_refused_and_nothing_is_written(
    hostile: Hostile, tmp_path: Path, file: str
):
    registry = hostile(sha256={file: hashlib.sha256(b"x").hexdigest()})
    before = everything(tmp_path)
    with pytest.raises(ModelError) as raised:
        registry.load("delay", "JFK", "v1")
    assert f"cannot be read ({file!r} cannot be the name of a file of a model: it has to be plain" in str(
        raised.value
    )
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "kind", ["os:system", "subprocess:Popen", "smtpd:SMTPServer", "forecasting.registry:Registry"]
)
def test_a_manifest_that_names_a_foreign_class_is_refused_before_any_of_its_files_is_read(
    hostile: Hostile, kind: str, monkeypatch
):
    registry = hostile(kind=kind)
    files = registry.files.read
    monkeypatch.setattr(
        registry.files, "read", lambda key: files(key) if key.endswith("manifest.json") else 1 / 0
    )
    module = kind.partition(":")[0]
    with pytest.raises(ModelError) as raised:
        registry.load("delay", "JFK", "v1")
    assert str(raised.value).startswith(
        f"the model is not an estimator of ours: it was stored as '{kind}', and this proc"
    )
    assert f"set PIPELINE_ALLOW={module}" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": ["a"]}, "cannot be read (it is not an object with a text as its kind)"),
        ({"sha256": ["level.json"]}, "cannot be read ("),
        ({"sha256": {"level.json": "0" * 64}}, "level.json is damaged: it is not the file that was saved"),
        ({"version": "../../v1"}, "is that of '../../v1' of 'delay' of 'JFK', and lies in the wrong place"),
        ({"partition": "LGA"}, "is that of 'v1' of 'delay' of 'LGA', and lies in the wrong place"),
    ],
)
def test_a_manifest_of_another_form_or_another_model_is_refused(hostile: Hostile, changes, text: str):
    with pytest.raises(ModelError) as raised:
        hostile(**changes).load("delay", "JFK", "v1")
    assert text in str(raised.value)


@pytest.mark.parametrize("version", ["../v1", "/etc", "..", "", "a/b"])
def test_a_version_that_leads_elsewhere_is_refused(hostile: Hostile, version: str):
    with pytest.raises(ModelError, match=r"is not a version of a model\. `wave model ls` lists them"):
        hostile().load("delay", "JFK", version)


@pytest.mark.parametrize("linked", ["level.json", "manifest.json", ""])
def test_a_link_in_a_folder_of_models_is_refused(hostile: Hostile, tmp_path: Path, linked: str):
    registry = hostile()
    place = tmp_path / "models/delay/JFK/models/v1" / linked
    os.rename(place, tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        ModelError, match="is refused: a file of a model lies in its own folder, and is not a link"
    ):
        registry.load("delay", "JFK", "v1")
    with pytest.raises(ModelError, match="is refused: a file of a model"):
        registry.files.create("delay/JFK/models/v1/../../../../out", b"x")
    assert not (tmp_path / "out").exists()


class Lister(Level):
    @classmethod
    def load(cls, folder: Path) -> Level:
        assert sorted(path.name for path in folder.iterdir()) == ["level.json", "notes.txt"]
        return super().load(folder)


def test_files_that_the_manifest_does_not_name_are_not_fetched(hostile: Hostile, tmp_path: Path):
    registry = hostile(kind=f"{__name__}:Lister")
    for name in (".hidden", "more.py"):
        (tmp_path / "models/delay/JFK/models/v1" / name).write_text("import os")
    assert registry.load("delay", "JFK", "v1").level_ == 1.0


def test_an_estimator_of_ones_own_is_kept_only_where_its_module_is_allowed(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PIPELINE_ALLOW", "other")
    with pytest.raises(
        ModelError, match=r"If tests\.contracts\.models is yours, set PIPELINE_ALLOW=tests\.contracts"
    ):
        Registry(tmp_path).save("delay", "JFK", Level(), SPAN, entities=1)
    assert not everything(tmp_path)
    monkeypatch.setenv("PIPELINE_ALLOW", "other,tests.contracts.models")
    version = Registry(tmp_path).save("delay", "JFK", Level(3.0), SPAN, entities=1).version
    assert Registry(tmp_path).load("delay", "JFK", version).level_ == 3.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"file": "../../../../secret.ubj"}, "cannot be the name of a file of a model"),
        ({"file": "/secret.skops", "blank": "/secret.skops"}, "cannot be the name of a file of a model"),
        (
            {"kind": "xgboost.core:os.system"},
            "xgboost.core:os.system is not a regressor of XGBoost. There are: XGBRF",
        ),
    ],
)
def test_what_an_adapter_stored_names_no_files_elsewhere_and_no_other_class(
    tmp_path: Path, changes, text: str
):
    (kept,) = (STORED / "demand/xgboost/models").iterdir()
    folder = tmp_path / "model"
    shutil.copytree(kept, folder)
    file = folder / "regressor.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ModelError) as raised:
        class_of("forecasting:RegressorForecaster").load(folder)
    assert text in str(raised.value)
