"""Names, parameters, keys of a version, and what the commands refuse."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from ecs.cli import ecs
from ecs.deployment.aws_clients import clients
from ecs.deployment.deployer import parts
from ecs.deployment.errors import CloudError, telling
from ecs.deployment.images import commands, images
from ecs.deployment.version_keys import belongs
from ecs.templates.naming import LONGEST, Place
from pipeline.errors import KeyFormatError, SettingsError

IMAGES = {"WorkerImage": "w:1", "WebImage": "x:1"}


def test_names_of_an_environment_tell_stage_and_branch():
    assert Place("dev").stack == "waves-dev-main"
    assert Place("prod", "feature-x").stack == "waves-prod-feature-x"
    assert Place("dev").shared == "waves-dev-shared"


def test_branches_that_look_alike_in_names_get_different_stacks():
    names = {
        Place("dev", branch).stack for branch in ("a-b", "a/b", "a.b", "A-b", "shared", "a" * 60, "a" * 61)
    }
    assert len(names) == 7
    assert all(len(name) <= LONGEST for name in names)
    assert Place("dev", "shared").stack != Place("dev").shared


@pytest.mark.parametrize(
    ("stage", "version", "project", "kind", "text"),
    [
        (
            "prd",
            "main",
            "waves",
            SettingsError,
            "'prd' is not a stage. Did you mean 'prod'? There are dev, test, prod.",
        ),
        ("dev", "a b", "waves", KeyFormatError, "version 'a b' cannot be part of a key"),
        ("dev", "main", "a-name-that-is-too-long", SettingsError, "use up to 16 small letters"),
    ],
)
def test_places_that_cannot_be_are_told(
    stage: str, version: str, project: str, kind: type[Exception], text: str
):
    with pytest.raises(kind) as error:
        Place(stage, version, project)
    assert text in str(error.value)


def test_main_brings_what_its_stage_shares_and_a_branch_brings_its_own_alone():
    main = parts(Place("dev"), IMAGES, {"Flows": "f"}, {"RedisNodeType": "cache.r7g.large"})
    assert [part.name for part in main] == ["waves-dev-shared", "waves-dev-main"]
    assert main[0].parameters == {"Stage": "dev", "RedisNodeType": "cache.r7g.large"}
    (branch,) = parts(Place("dev", "feature/x"), IMAGES, {"Flows": "f"}, {})
    assert branch.parameters["Version"] == "feature/x"
    assert branch.parameters["Shared"] == "waves-dev-shared"
    assert branch.parameters["BeatCount"] == "0"


def test_parameters_that_lack_or_are_unknown_are_told():
    with pytest.raises(SettingsError, match=r"parameters are missing: Flows\. .*by -p NAME=VALUE"):
        parts(Place("dev"), IMAGES, {}, {})
    with pytest.raises(SettingsError, match=r"no parameter 'MaxTask'\. Did you mean 'MaxTasks'\?"):
        parts(Place("dev"), IMAGES, {"Flows": "f", "MaxTask": "1"}, {})


@pytest.mark.parametrize(
    "key",
    [
        "a/delay JFK 2013-06-25T13",
        "a/delay JFK series 2013-06-20",
        "wave:a/delays 2013-06-25T13",
        "wave:a/delays 2013-06-25T13 units",
        "totals:a/delays",
        "costs:a/delays",
        "scheduled:a/delays",
        "serve:a",
        "serve:a/mean workers",
        "a.compute",
        "a.compute\x06\x163",
        "a.serve.mean",
        "_kombu.binding.a.compute",
    ],
)
def test_a_key_belongs_to_its_version_alone(key: str):
    assert belongs(key, "a")
    assert not belongs(key, "b")


@pytest.mark.parametrize(
    "key",
    [
        "a/b/delay JFK 2013-06-25T13",
        "wave:a/b/delays 2013-06-25T13",
        "a.b.compute",
        "state:a",
        "deadlines",
        "waves",
    ],
)
def test_keys_of_others_are_left(key: str):
    assert not belongs(key, "a")


def test_a_region_that_lacks_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"no AWS region: set AWS_DEFAULT_REGION, or give --region"):
        clients()


def test_a_region_that_is_none_is_told_at_once():
    said = CliRunner().invoke(ecs, ["deploy", "--env", "dev", "--region", "eu-wst-1", "--flows", "f"])
    assert said.exit_code == 2
    assert "there is no AWS region 'eu-wst-1'. Did you mean 'eu-west-1'" in " ".join(said.output.split())


def test_credentials_that_lack_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    command = ["deploy", "--env", "dev", "--region", "eu-west-1", "--flows", "f"]
    said = CliRunner().invoke(ecs, command)
    assert said.exit_code == 2
    assert "asking who this is: no AWS credentials were found. Set AWS_PROFILE" in said.output


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ExpiredToken", "log in again, as by `aws sso login`"),
        ("AccessDenied", "Ask for that right, or choose another AWS_PROFILE"),
        ("LimitExceededException", "A quota is reached: have it raised in Service Quotas"),
        ("Strange", "planning x: AWS says Strange: no."),
    ],
)
def test_what_aws_refuses_is_told_with_what_to_do(code: str, text: str):
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to load

    with pytest.raises(CloudError) as error, telling("planning x"):
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateChangeSet")
    assert text in str(error.value)


def test_a_parameter_without_a_value_is_told():
    said = CliRunner().invoke(ecs, ["deploy", "--env", "dev", "-p", "MaxTasks"])
    assert (said.exit_code, "write NAME=VALUE, as in -p MaxTasks=20" in said.output) == (2, True)


def test_images_are_built_for_their_version_and_pushed(tmp_path):
    found = commands(tmp_path, "1.ecr", "feature-x", "feature/x")
    assert [words[:2] for words in found] == [["docker", "build"], ["docker", "push"]] * 2
    assert "VERSION=feature/x" in found[0]
    assert (
        found[1][-1] == images("1.ecr", "feature-x")["WorkerImage"] == "1.ecr/celery-waves-worker:feature-x"
    )
