"""A database in an Azure Key Vault: read as Mage reads it, and each way to fail told by a sentence of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from magetui.engine.errors import ConnectError
from magetui.engine.target import secrets
from tests.support.postgres import PASSWORD
from tests.support.secret_stores import (
    IDENTITY_HEADER,
    Vault,
    make_certificate,
    serving,
)
from tests.support.secret_targets import failing, opened, silent_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("vault"))


@pytest.fixture
def vault(certificate: Path) -> Iterator[Vault]:
    """A vault with one good secret, asked through the SDK over TLS with a managed identity's token."""
    served = Vault(certificate, {"mage-url": f"postgresql://mage:{PASSWORD}@db1:6432/orchestration"})
    with serving(served):
        yield served


@pytest.mark.slow
def test_a_key_vaults_secret_is_the_whole_url(monkeypatch: pytest.MonkeyPatch, vault: Vault, certificate: Path) -> None:
    target = opened(monkeypatch, vault.environment("mage-url", certificate))
    assert target.redacted == "postgresql://mage:***@db1:6432/orchestration"
    assert target.source == "Azure Key Vault, AZURE_SECRET_DB_CONN_URL"
    assert target.url.password == PASSWORD
    assert target.clean(f"{PASSWORD} {IDENTITY_HEADER}") == "*** ***"
    assert vault.asked == 1


@pytest.mark.parametrize("content", ["s3cret", '{"password": "s3cret"}', "foo://mage:s3cret@db1/x", "mage:s3cret@db1"])
def test_a_key_vaults_secret_that_is_no_url_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, vault: Vault, certificate: Path, content: str
) -> None:
    vault.secrets["other"] = content
    told = failing(monkeypatch, vault.environment("other", certificate), content)
    assert told.startswith("The secret 'other' in Azure Key Vault does not hold a valid URL of a database.")


def test_a_key_vaults_secret_that_is_empty(monkeypatch: pytest.MonkeyPatch, vault: Vault, certificate: Path) -> None:
    vault.secrets["empty"] = ""
    assert "is empty. Mage wants the database's URL in it." in failing(
        monkeypatch, vault.environment("empty", certificate)
    )


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        ((404, "SecretNotFound"), "There is no secret 'mage-url' (Azure Key Vault https://127.0.0.1:"),
        ((403, "Forbidden"), "Azure does not let this identity read the secret 'mage-url'"),
        ((400, "BadParameter"), "it answered with status 400."),
    ],
)
def test_a_key_vault_that_refuses(
    monkeypatch: pytest.MonkeyPatch, vault: Vault, certificate: Path, refuses: tuple[int, str], sentence: str
) -> None:
    vault.refuses = refuses
    assert sentence in failing(monkeypatch, vault.environment("mage-url", certificate))


def test_an_identity_that_gets_no_token(monkeypatch: pytest.MonkeyPatch, vault: Vault, certificate: Path) -> None:
    environment = {**vault.environment("mage-url", certificate), "IDENTITY_HEADER": "another-header"}
    told = failing(monkeypatch, environment, "another-header")
    assert told.startswith("There are no working Azure credentials to read the secret 'mage-url'")


@pytest.mark.slow
def test_a_key_vault_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "READ_SECONDS", 0.5)
    began = time.monotonic()
    nobody = {"AZURE_SECRET_DB_CONN_URL": "mage-url"}
    refused = failing(monkeypatch, {**nobody, "AZURE_KEY_VAULT_URL": "https://127.0.0.1:1"})
    assert refused.startswith("The vault cannot be reached, or does not exist, so the secret 'mage-url'")
    with silent_server() as address:
        silent = {**nobody, "AZURE_KEY_VAULT_URL": address.replace("http:", "https:")}
        assert "does not answer" in failing(monkeypatch, silent)
    assert time.monotonic() - began < 2 * secrets.MAX_SECONDS
    for no_vault, sentence in (("nonsense", "could not be"), ("http://127.0.0.1:1", "could not be")):
        assert sentence in failing(monkeypatch, {**nobody, "AZURE_KEY_VAULT_URL": no_vault})


def test_no_vault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told = failing(monkeypatch, {"AZURE_SECRET_DB_CONN_URL": "mage-url"})
    assert "AZURE_KEY_VAULT_URL, the secret's vault, is not set." in told


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # what Python makes of a module that is not there
    with pytest.raises(ConnectError, match=r"uv tool install --compile-bytecode '\.\[azure\]'") as raised:
        opened(monkeypatch, {"AZURE_SECRET_DB_CONN_URL": "x", "AZURE_KEY_VAULT_URL": "https://127.0.0.1:1"})
    assert raised.value.cause == "driver-missing"
