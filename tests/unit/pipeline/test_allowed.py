"""What stored data may name: modules, single objects of them and folders that a process' own settings allow."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import check_output

import pytest

from pipeline.allowed import Allowed
from pipeline.errors import NotAllowed, SettingsError

HERE = __name__
RUN = check_output
MADE = [check_output]


def predict() -> int:
    return 7


def test_an_allowed_module_is_what_it_and_its_submodules_define():
    assert Allowed((HERE,)).find(f"{HERE}:predict") is predict
    assert Allowed(("tests",)).find(f"{HERE}:predict") is predict
    assert Allowed((f"{HERE}:predict",)).find(f"{HERE}:predict") is predict
    assert Allowed((HERE,)).find(f"{HERE}:MADE") is MADE


@pytest.mark.parametrize("name", ["check_output", "RUN", "os.system", "sys.stdout.write", "Path", "os"])
def test_what_an_allowed_module_has_only_imported_stays_refused_unless_it_is_named_itself(name: str):
    text = rf"{HERE}:{name} is not defined in {HERE}, which has only imported it\. If it is meant, set PIPELINE_ALLOW="
    with pytest.raises(NotAllowed, match=text):
        Allowed((HERE,)).find(f"{HERE}:{name}")
    assert Allowed((f"{HERE}:{name}",)).find(f"{HERE}:{name}")


@pytest.mark.parametrize("names", [(), ("smtp",), ("smtpd.x", "smtpd:other")])
def test_a_module_that_is_not_allowed_is_not_imported(names: tuple[str, ...]):
    with pytest.raises(NotAllowed) as raised:
        Allowed(names).find("smtpd:x")
    assert str(raised.value) == (
        "it was stored as 'smtpd:x', and this process imports nothing that stored data names unless its own settings "
        "allow it. If smtpd is yours, set PIPELINE_ALLOW=smtpd, or give that to `wave serve-worker --allow`."
    )
    assert "smtpd" not in sys.modules


@pytest.mark.parametrize(
    "path", ["{0}/../secret", "/etc/passwd", "{0}/link", "{0}/folder/secret", "", "{0}-other/x"]
)
def test_a_file_out_of_the_allowed_folders_is_refused_however_it_is_written(tmp_path: Path, path: str):
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "secret").write_text("")
    (models / "link").symlink_to(tmp_path / "secret")
    (models / "folder").symlink_to(tmp_path)
    with pytest.raises(
        NotAllowed, match=r"in none of the folders .*: .*models\. If it is meant, set PIPELINE_ALLOW=/"
    ):
        Allowed(folders=(str(models),)).file(path.format(models))


def test_a_file_in_an_allowed_folder_is_found_by_its_real_path(tmp_path: Path):
    (tmp_path / "models").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "models")
    (tmp_path / "models" / "a.ubj").write_text("")
    found = Allowed(folders=(str(tmp_path / "link"),)).file(str(tmp_path / "models" / "a.ubj"))
    assert found == os.path.realpath(tmp_path / "models" / "a.ubj")


def test_the_environment_allows_modules_objects_and_folders_and_the_folder_of_models():
    found = Allowed.from_env({"PIPELINE_ALLOW": " my_models, lib.kinds:Onnx,./more ,/srv/m/"})
    assert found.names == ("my_models", "lib.kinds:Onnx")
    assert found.folders == (os.path.abspath("models"), os.path.abspath("more"), "/srv/m")
    assert Allowed.from_env({"PIPELINE_MODELS": "s3://bucket/models"}) == Allowed()
    again = Allowed.from_env({"PIPELINE_MODELS": "s3://bucket", "PIPELINE_ALLOW": found.dump()})
    assert again == found


@pytest.mark.parametrize("entry", ["my models", "a:b:c", "my-models", "a.", "/a,b"])
def test_an_entry_that_is_nothing_of_these_is_named(entry: str):
    with pytest.raises(
        SettingsError, match=rf"PIPELINE_ALLOW or --allow: '{entry}' is neither a module \(my_models\)"
    ):
        Allowed().also([entry])
