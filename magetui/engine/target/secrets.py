"""Secret stores that can hold the URL of Mage's database: AWS Secrets Manager and Azure Key Vault.

A store may refuse, be misconfigured or never answer, in the middle of an incident. So a request takes at most
`MAX_SECONDS`, however long the stores' own libraries wait (for a metadata service without a route, for a name that
does not resolve), and each failure has a sentence of its own. No sentence holds a secret. The stores' own messages are
quoted only if they help, without credentials.

The libraries are imported on use, `boto3` and `azure.identity` first: then two threads wait for each other's import,
and neither gets a partly loaded library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from magetui.backends.thread_call import ThreadCall
from magetui.engine.errors import ConnectError, fail_secret
from magetui.protocol.redaction import redact, store_secrets

CONNECT_SECONDS = 2
READ_SECONDS = 2
MAX_SECONDS = 8.0  # for the complete request: getting credentials, and two tries to read the secret
MAGES_REGION = "us-west-2"  # the region of mage-ai 0.9.80 if none is set
MAGES_PORT = 5432
KEYS = ("username", "password", "engine", "host", "dbname")
CHECK_AWS = "Check AWS_ENDPOINT_URL, the region, and that this machine can reach the network of AWS."
CHECK_VAULT = "Check AZURE_KEY_VAULT_URL, such as https://NAME.vault.azure.net, and that this machine can reach it."

ACCESS_KEY_UNKNOWN = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    }
)
SIGNATURE_WRONG = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"})
EXPIRED = frozenset({"ExpiredTokenException", "ExpiredToken", "RequestExpired"})
DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
BUSY = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "LimitExceededException"})


def aws_database(secret: str, environment: Mapping[str, str]) -> URL:
    """Return the database of an AWS secret, as mage-ai 0.9.80 reads it. Raises `ConnectError`, without the secret."""
    region, chosen = _region(environment)
    default = "" if chosen else ", Mage's default: no AWS_DEFAULT_REGION is set"
    where = f"secret '{secret}' (AWS Secrets Manager, {region}{default})"
    text = _bounded(lambda: _aws_text(secret, region, where, environment), where)
    return _described_url(text, where)


def azure_text(secret: str, environment: Mapping[str, str]) -> str:
    """Return the text of a secret in an Azure Key Vault, for Mage a complete URL. Raises as `aws_database` does."""
    vault = environment.get("AZURE_KEY_VAULT_URL")
    if not vault:
        fail_secret(
            f"AZURE_SECRET_DB_CONN_URL names the secret '{secret}', but AZURE_KEY_VAULT_URL, the secret's vault, is "
            "not set.",
            "Set AZURE_KEY_VAULT_URL as the Mage server has it, such as https://NAME.vault.azure.net.",
        )
    where = f"secret '{secret}' (Azure Key Vault {redact(vault, ())})"
    return _bounded(lambda: _azure_text(secret, vault, where), where)


# -- AWS


def _region(environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return the region as Mage chooses it, and True if a variable set it."""
    for variable in ("AWS_REGION_NAME", "AWS_DEFAULT_REGION"):
        if (region := environment.get(variable)) is not None:
            if not region.strip():
                fail_secret(
                    f"AWS_DB_SECRETS_NAME names a secret, but {variable}, the secret's region, is empty.",
                    f"Set {variable} as the Mage server has it, such as eu-west-1.",
                )
            return region, True
    return MAGES_REGION, False


def _aws_text(secret: str, region: str, where: str, environment: Mapping[str, str]) -> str:
    """Return the secret's text. The keys come from the environment, else boto3 searches for a role or a profile."""
    import boto3
    import botocore.session
    from boto3.compat import filter_python_deprecation_warnings
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret_key):
        fail_secret(
            f"The AWS credentials to read the {where} with are incomplete: "
            f"{'AWS_SECRET_ACCESS_KEY' if key else 'AWS_ACCESS_KEY_ID'} is not set.",
            "Set both, or neither to use an IAM role.",
        )
    keys = {
        "aws_access_key_id": key,
        "aws_secret_access_key": secret_key,
        "aws_session_token": environment.get("AWS_SESSION_TOKEN") or None,
    }
    filter_python_deprecation_warnings()  # nobody can act on these warnings during an incident
    # The default for every client of this session: assuming a role asks another service first.
    timeouts = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    botocore_session = botocore.session.Session()
    botocore_session.set_default_client_config(timeouts)
    try:
        session = boto3.Session(region_name=region, botocore_session=botocore_session, **(keys if key else {}))
        answer = session.client("secretsmanager").get_secret_value(SecretId=secret)
    except ClientError as error:
        _aws_refused(error.response.get("Error", {}), where, store_secrets(environment))
    except BotoCoreError as error:
        _aws_unreached(error, where)
    except ValueError as error:  # from botocore if the endpoint is no URL; the message quotes the endpoint
        reason = redact(str(error), store_secrets(environment)).rstrip(".")
        fail_secret(
            f"The {where} could not be requested: {reason}.", "Check AWS_ENDPOINT_URL and the other settings of AWS."
        )
    text = answer.get("SecretString")
    if not text:
        fail_secret(
            f"The {where} holds no text.",
            "Mage wants a JSON object in it; check that AWS_DB_SECRETS_NAME names the right secret.",
        )
    return str(text)


def _aws_refused(answer: Mapping[str, str], where: str, hidden: tuple[str, ...]) -> NoReturn:
    """Raise the error for a refusal. AWS's message about a wrong signature holds the token: it is not quoted."""
    code, unread = answer.get("Code", ""), f"so the {where} could not be read"
    message = redact(" ".join(answer.get("Message", "").split()), hidden).rstrip(".")
    quoted = f": {message}" if message else ""
    if code == "ResourceNotFoundException":
        fail_secret(f"There is no {where}.", "Check AWS_DB_SECRETS_NAME, the region, and the account of the keys.")
    if code in DENIED:
        fail_secret(
            f"AWS does not let these credentials read the {where}{quoted}.",
            "They need secretsmanager:GetSecretValue on it, and kms:Decrypt if the secret has a key of its own.",
        )
    if code in EXPIRED:
        fail_secret(
            f"The AWS credentials have expired, {unread}.",
            "Get new ones and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again.",
        )
    if code in ACCESS_KEY_UNKNOWN:
        fail_secret(
            f"AWS does not know these credentials, {unread} ({code}).",
            "Check AWS_ACCESS_KEY_ID, and AWS_SESSION_TOKEN if the keys are temporary.",
        )
    if code in SIGNATURE_WRONG:
        fail_secret(
            f"AWS does not accept the signature of these credentials, {unread} ({code}).",
            "Check AWS_SECRET_ACCESS_KEY, and this machine's clock.",
        )
    if code == "InvalidRequestException":
        fail_secret(
            f"AWS does not return the {where}{quoted}.",
            "If the secret is marked for deletion, restore it, or name the secret that replaced it.",
        )
    if code == "DecryptionFailure":
        fail_secret(f"AWS cannot decrypt the {where}.", "Check the secret's KMS key.")
    if code in BUSY:
        fail_secret(
            f"AWS gets too many requests now, and did not return the {where} ({code}).", "Try again in a moment."
        )
    fail_secret(
        f"AWS did not return the {where}: it answered {code or 'with an error without a code'}.",
        "Try again. If it fails again, give the database with --url.",
    )


def _aws_unreached(error: Any, where: str) -> NoReturn:
    """Raise the error for a request that AWS did not answer: no credentials, no region, or no connection."""
    from botocore import exceptions as boto

    unread = f"so the {where} could not be read"
    if isinstance(error, boto.NoCredentialsError):
        fail_secret(
            f"There are no AWS credentials to read the {where} with: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are "
            "not set, and no IAM role or profile was found on this machine.",
            "Set both, with AWS_SESSION_TOKEN if they are temporary, or give the machine a role.",
        )
    if isinstance(error, boto.NoRegionError | boto.InvalidRegionError):
        fail_secret(f"AWS has no region with that name, {unread}.", "Check AWS_DEFAULT_REGION, such as eu-west-1.")
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        fail_secret(f"AWS does not answer at {_endpoint(error)}, {unread}.", CHECK_AWS)
    if isinstance(error, boto.SSLError):
        fail_secret(
            f"The certificate at {_endpoint(error)} is not accepted, {unread}.",
            "Check AWS_ENDPOINT_URL, and AWS_CA_BUNDLE if a proxy is in between.",
        )
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        fail_secret(
            f"AWS cannot be reached at {_endpoint(error)}, which refuses connections or does not exist, {unread}.",
            CHECK_AWS,
        )
    if isinstance(error, boto.ProfileNotFound):
        fail_secret(f"AWS_PROFILE names a profile that does not exist, {unread}.", "Check AWS_PROFILE.")
    fail_secret(
        f"The {where} could not be read: the AWS credentials or settings cannot be used ({type(error).__name__}).",
        "Check the variables that start with AWS_, and the files in ~/.aws.",
    )


def _endpoint(error: Any) -> str:
    """Return the address in botocore's error, redacted: it came from the environment and may hold a password."""
    return redact(str(error.kwargs.get("endpoint_url") or "the address of AWS"), ()).rstrip("/")


def _described_url(text: str, where: str) -> URL:
    """Return the URL that the secret's JSON describes. No value is ever quoted in an error."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    subject = f"The {where}"
    check = "Check that AWS_DB_SECRETS_NAME names the right secret, or correct the secret."
    if not isinstance(document, dict):
        wanted = f"Mage wants an object with {', '.join(KEYS[:-1])}, {KEYS[-1]} and, if not {MAGES_PORT}, port."
        fail_secret(f"{subject} is not a JSON object.", wanted)
    values = {key: _text_of(document.get(key)) for key in KEYS}
    if values["engine"] and values["engine"] != "postgres":
        fail_secret(f"{subject} is for another kind of database: its 'engine' is not 'postgres'.", check)
    missing = [f"'{key}'" for key in KEYS if not values[key]]
    if missing:
        fail_secret(f"{subject} lacks {' and '.join(', '.join(missing).rsplit(', ', 1))}.", check)
    port = _text_of(document.get("port", MAGES_PORT))
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        fail_secret(f"{subject} has a 'port' that is not a port number.", check)
    url = URL.create("postgresql", values["username"], values["password"], values["host"], int(port), values["dbname"])
    try:
        survives_as_text = make_url(url.render_as_string(hide_password=False)) == url
    except (ArgumentError, ValueError):
        survives_as_text = False
    if not survives_as_text:  # the run's process gets the URL as text
        fail_secret(f"{subject} has an invalid 'host' or 'dbname'.", check)
    return url


def _text_of(value: object) -> str:
    """Return a value of the secret as Mage would write it into a URL, or '' if it is neither text nor a number."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


# -- Azure


def _azure_text(secret: str, vault: str, where: str) -> str:
    try:
        from azure.core import exceptions as azure
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError as error:
        raise ConnectError(
            "driver-missing",
            f"AZURE_SECRET_DB_CONN_URL names the {where}, but magetui was installed without the extra 'azure', which "
            f"reads it ({error.name or 'azure'} is missing).",
            "Install it into magetui's own environment, from its folder: "
            "uv tool install --compile-bytecode '.[azure]', or pipx install --force '.[azure]'.",
        ) from None
    _silence_logging()
    try:
        with (
            DefaultAzureCredential() as credential,
            SecretClient(
                vault_url=vault,
                credential=credential,
                connection_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retry_total=1,
            ) as client,
        ):
            text = client.get_secret(secret).value
    except azure.ClientAuthenticationError as error:
        _azure_unknown(error, where)
    except azure.ResourceNotFoundError:
        fail_secret(f"There is no {where}.", "Check AZURE_SECRET_DB_CONN_URL and AZURE_KEY_VAULT_URL.")
    except azure.HttpResponseError as error:
        _azure_refused(error, where)
    except (azure.ServiceResponseError, azure.ServiceRequestTimeoutError):
        fail_secret(f"Azure does not answer, so the {where} could not be read.", CHECK_VAULT)
    except azure.ServiceRequestError:
        fail_secret(f"The vault cannot be reached, or does not exist, so the {where} could not be read.", CHECK_VAULT)
    except (azure.AzureError, ValueError) as error:
        fail_secret(f"The {where} could not be requested ({type(error).__name__}).", CHECK_VAULT)
    if not text:
        fail_secret(f"The {where} is empty.", "Mage wants the database's URL in it.")
    return str(text)


def _azure_unknown(error: Any, where: str) -> NoReturn:
    """Raise the error for credentials that Azure rejects. Azure's message is long, so only its number is quoted."""
    number = re.search(r"AADSTS[0-9]+", str(error))
    if number:
        fail_secret(
            f"Azure does not accept these credentials, so the {where} could not be read ({number[0]}).",
            "Check AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, which may have expired.",
        )
    fail_secret(
        f"There are no working Azure credentials to read the {where} with: neither AZURE_CLIENT_ID, AZURE_TENANT_ID "
        "and AZURE_CLIENT_SECRET, nor a managed identity of this machine.",
        "Set all three, or give the machine an identity.",
    )


def _azure_refused(error: Any, where: str) -> NoReturn:
    if error.status_code == 403:
        fail_secret(
            f"Azure does not let this identity read the {where}, or the secret is disabled.",
            "The identity needs the right 'get' on secrets (the role Key Vault Secrets User), and the vault's firewall "
            "must let this machine in.",
        )
    if error.status_code == 429:
        fail_secret(f"Azure gets too many requests now, and did not return the {where}.", "Try again in a moment.")
    fail_secret(f"Azure did not return the {where}: it answered with status {error.status_code}.", CHECK_VAULT)


def _silence_logging() -> None:
    """Keep Azure's libraries from logging each failed credential to stderr, which would draw over the screen."""
    import logging

    for name in ("azure", "msal"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


# -- both


def _bounded(ask: Callable[[], str], where: str) -> str:
    """Return the result of `ask`. Its thread is abandoned after `MAX_SECONDS`: name resolution obeys no timeout."""
    call = ThreadCall(ask)
    call.start("secret")
    if not call.wait(MAX_SECONDS):
        fail_secret(
            f"There was no answer within {MAX_SECONDS:g} s: the {where} could not be read, or no credentials to read "
            "it with arrived.",
            "Check that this machine can reach the store, and how it gets its credentials.",
        )
    return call.result()
