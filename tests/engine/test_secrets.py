"""A database in AWS Secrets Manager: read as Mage reads it, and each way to fail told by a sentence of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from magetui.engine.target import secrets
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import Target, parse_target
from magetui.engine.workspace import Workspace
from tests.support.leaks import nowhere
from tests.support.postgres import PASSWORD
from tests.support.readings import diagnose
from tests.support.secret_stores import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    SESSION_TOKEN,
    Answers,
    SecretsManager,
    aws_environment,
    refusal,
    serving,
)
from tests.support.secret_targets import CONFIDENTIAL, failing, opened, silent_server

DATABASE = {
    "username": "mage",
    "password": PASSWORD,
    "engine": "postgres",
    "host": "db1",
    "port": 6432,
    "dbname": "orchestration",
}


@pytest.mark.slow
def test_a_secret_is_the_database(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    secrets_manager.put("prod/mage", DATABASE)
    target = opened(monkeypatch, secrets_manager.environment("prod/mage"))
    assert target.redacted == "postgresql://mage:***@db1:6432/orchestration"
    assert target.source == "AWS Secrets Manager, AWS_DB_SECRETS_NAME"
    assert target.url.password == PASSWORD
    shown = [repr(target), str(target), target.clean(f"{target.text} {PASSWORD} {SECRET_KEY} {SESSION_TOKEN}")]
    nowhere(shown, *CONFIDENTIAL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "password", ["p@ss", "a:b", "a/b", "100%", "%41", "p%40ss", "a#b?c=d&e", "[p]", "a b", 'ü"\\', "@"]
)
def test_a_password_in_a_secret_is_taken_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager, password: str
) -> None:
    secrets_manager.put("prod/odd", {**DATABASE, "password": password})
    target = opened(monkeypatch, secrets_manager.environment("prod/odd"))
    assert target.url.password == password
    assert parse_target(target.text, "the run's request").url == target.url


@pytest.mark.parametrize("port", ["5433", 5433])
def test_a_port_may_be_a_number_or_a_text(
    monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager, port: object
) -> None:
    secrets_manager.put("prod/port", {**DATABASE, "port": port})
    assert opened(monkeypatch, secrets_manager.environment("prod/port")).url.port == 5433


def test_without_a_port_it_is_5432(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    secrets_manager.put("prod/noport", {key: value for key, value in DATABASE.items() if key != "port"})
    assert opened(monkeypatch, secrets_manager.environment("prod/noport")).url.port == 5432


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in DATABASE.items() if name != key}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (PASSWORD, "is not a JSON object. Mage wants an object with username, password, engine, host, dbname"),
        ([PASSWORD], "is not a JSON object."),
        (f"postgresql://mage:{PASSWORD}@db1/x", "is not a JSON object."),
        (without("password"), "lacks 'password'."),
        ({"username": "mage", "password": PASSWORD}, "lacks 'engine', 'host' and 'dbname'."),
        ({**DATABASE, "host": ""}, "lacks 'host'."),
        ({**DATABASE, "dbname": {"a": PASSWORD}}, "lacks 'dbname'."),
        ({**DATABASE, "engine": "mysql-s3cret"}, "its 'engine' is not 'postgres'."),
        ({**DATABASE, "port": PASSWORD}, "has a 'port' that is not a port number."),
        ({**DATABASE, "port": 0}, "has a 'port' that is not a port number."),
        ({**DATABASE, "host": f"{PASSWORD}@db1"}, "has an invalid 'host' or 'dbname'."),
    ],
)
def test_a_secret_that_describes_no_database(
    monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager, content: object, sentence: str
) -> None:
    secrets_manager.put("prod/wrong", content)
    told = failing(monkeypatch, secrets_manager.environment("prod/wrong"))
    assert told.startswith(f"The secret 'prod/wrong' (AWS Secrets Manager, {REGION}) ")
    assert sentence in told


def test_a_secret_of_bytes(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    secrets_manager.client().create_secret(Name="prod/bytes", SecretBinary=b"s3cret")
    assert "holds no text." in failing(monkeypatch, secrets_manager.environment("prod/bytes"))


def test_a_secret_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    told = failing(monkeypatch, secrets_manager.environment("prod/nowhere"))
    assert told == (
        f"There is no secret 'prod/nowhere' (AWS Secrets Manager, {REGION}). "
        "Check AWS_DB_SECRETS_NAME, the region, and the account of the keys."
    )


def test_a_secret_that_is_to_be_deleted(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    secrets_manager.put("prod/deleted", DATABASE)
    secrets_manager.client().delete_secret(SecretId="prod/deleted", RecoveryWindowInDays=7)
    told = failing(monkeypatch, secrets_manager.environment("prod/deleted"))
    assert "does not return the secret 'prod/deleted'" in told
    assert "If the secret is marked for deletion, restore it" in told


def test_without_a_region_it_is_mages_default(monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager) -> None:
    secrets_manager.put("prod/region", DATABASE)
    environment = secrets_manager.environment("prod/region")
    del environment["AWS_DEFAULT_REGION"]
    told = failing(monkeypatch, environment)
    assert "(AWS Secrets Manager, us-west-2, Mage's default: no AWS_DEFAULT_REGION is set)" in told
    assert opened(monkeypatch, {**environment, "AWS_REGION_NAME": REGION}).url.host == "db1"


@pytest.mark.parametrize("region", ["", " "])
def test_a_region_that_is_empty(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    told = failing(monkeypatch, {**aws_environment("http://127.0.0.1:1"), "AWS_DEFAULT_REGION": region})
    assert "AWS_DEFAULT_REGION, the secret's region, is empty" in told


def test_a_region_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    told = failing(monkeypatch, {**aws_environment("http://127.0.0.1:1"), "AWS_DEFAULT_REGION": "Ireland (eu)"})
    assert "AWS has no region with that name" in told


@pytest.mark.parametrize(
    ("code", "words", "sentences"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/mage is not authorized to perform: secretsmanager:GetSecretValue",
            ("does not let these credentials read", "arn:aws:iam::1:user/mage", "They need secretsmanager:GetSecret"),
        ),
        ("ExpiredTokenException", "", ("The AWS credentials have expired", "AWS_SESSION_TOKEN again.")),
        ("UnrecognizedClientException", "", ("does not know these credentials", "Check AWS_ACCESS_KEY_ID")),
        ("InvalidSignatureException", "", ("does not accept the signature", "this machine's clock")),
        ("DecryptionFailure", "", ("cannot decrypt", "KMS key")),
        ("ThrottlingException", "", ("gets too many requests", "Try again in a moment.")),
        ("UnheardOfException", "", ("it answered UnheardOfException", "give the database with --url")),
    ],
)
def test_a_refusal_is_told_by_what_it_means(
    monkeypatch: pytest.MonkeyPatch, code: str, words: str, sentences: tuple[str, ...]
) -> None:
    # What AWS says may repeat what it was asked with: of a wrong signature it quotes the whole request.
    repeated = f"{words} (x-amz-security-token:{SESSION_TOKEN} {SECRET_KEY})"
    with serving(refusal(code, repeated)) as aws:
        told = failing(monkeypatch, aws_environment(aws.url))
    for sentence in sentences:
        assert sentence in told
    assert "'prod/mage'" in told


@pytest.mark.parametrize("lacking", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_a_key(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    told = failing(monkeypatch, {**aws_environment("http://127.0.0.1:1"), lacking: ""})
    assert f"are incomplete: {lacking} is not set." in told


@pytest.mark.parametrize("token", ["", SESSION_TOKEN])
def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    keyless = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": token}
    told = failing(monkeypatch, {**aws_environment("http://127.0.0.1:1"), **keyless})
    assert told.startswith(
        f"There are no AWS credentials to read the secret 'prod/mage' (AWS Secrets Manager, {REGION}) "
    )


def test_a_role_of_the_machine_is_used_where_no_key_is_set(
    monkeypatch: pytest.MonkeyPatch, secrets_manager: SecretsManager
) -> None:
    secrets_manager.put("prod/role", DATABASE)
    role = {
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Token": SESSION_TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    }
    keyless = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with serving(Answers(200, role)) as container:
        environment = {**secrets_manager.environment("prod/role"), **keyless}
        environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{container.url}/role"
        assert opened(monkeypatch, environment).url.password == PASSWORD
        assert container.asked == 1


@pytest.mark.slow
def test_a_metadata_service_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.setattr(secrets, "MAX_SECONDS", 3.0)
    keyless = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "false"}
    hasty = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": silent, "AWS_METADATA_SERVICE_TIMEOUT": "60"}
    began = time.monotonic()
    told = failing(monkeypatch, {**aws_environment("http://127.0.0.1:1"), **keyless, **hasty})
    assert 2.5 < time.monotonic() - began < 30  # of the 60 that the service is said to take
    assert "There was no answer within 3 s" in told


@pytest.fixture
def silent() -> Iterator[str]:
    with silent_server() as address:
        yield address


@pytest.mark.slow
def test_an_endpoint_that_never_answers(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    told = failing(monkeypatch, aws_environment(silent))  # which is told by AWS's library, before we lose patience
    assert told.startswith(f"AWS does not answer at {silent}, so the secret 'prod/mage' ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("http://127.0.0.1:1", "reached at http://127.0.0.1:1, which refuses connections or does not exist"),
        ("http://no-such-host.invalid", "AWS cannot be reached at http://no-such-host.invalid,"),
        ("http://user:s3cret@127.0.0.1:1", "AWS cannot be reached at http://user:***@127.0.0.1:1,"),
        ("nonsense", "could not be requested: Invalid endpoint: nonsense. Check AWS_ENDPOINT_URL"),
    ],
)
def test_an_endpoint_where_nobody_is(monkeypatch: pytest.MonkeyPatch, endpoint: str, sentence: str) -> None:
    assert sentence in failing(monkeypatch, aws_environment(endpoint))


@pytest.mark.slow
def test_a_server_that_is_not_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for status, sentence in ((200, "holds no text"), (503, "did not return the secret"), (302, "did not return")):
        with serving(Answers(status, {"hello": "world"})) as stranger:
            assert sentence in failing(monkeypatch, aws_environment(stranger.url))


@pytest.mark.slow
def test_a_secret_is_asked_for_once_a_reading_and_anew_for_the_next(
    monkeypatch: pytest.MonkeyPatch, mage_home: Path
) -> None:
    described = {**DATABASE, "password": PASSWORD, "host": "127.0.0.1", "port": 1}
    with serving(Answers(200, {"Name": "prod/mage", "SecretString": json.dumps(described)})) as aws:
        for name, value in aws_environment(aws.url).items():
            monkeypatch.setenv(name, value)
        seen: set[Target] = set()
        for reading in (1, 2):
            workspace = Workspace(Selection(mage_path=str(mage_home)), targets=seen)
            diagnosis = diagnose(workspace)
            assert [finding.facts["cause"] for finding in diagnosis.findings] == ["refused"]
            assert workspace.target.clean(str(described["password"])) == "***"
            assert aws.asked == reading
            described["password"] = "another"
            aws.document = {"Name": "prod/mage", "SecretString": json.dumps(described)}
        assert {target.url.password for target in seen} == {PASSWORD, "another"}


class Together(Answers):
    """Answers nobody until two ask at the same time."""

    def __init__(self) -> None:
        super().__init__(200, {"Name": "prod/mage", "SecretString": json.dumps(DATABASE)})
        self.both = Barrier(2, timeout=5)

    def heard(self) -> None:
        self.both.wait()


def test_two_readings_do_not_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "READ_SECONDS", 6)
    with serving(Together()) as aws, ThreadPoolExecutor() as threads:
        for name, value in aws_environment(aws.url).items():
            monkeypatch.setenv(name, value)
        found = [threads.submit(lambda: Workspace(Selection()).target.url.password) for _ in range(2)]
        assert [one.result(timeout=20) for one in found] == [PASSWORD, PASSWORD]
