"""Secret stores that Mage may keep its database in: AWS Secrets Manager and Azure Key Vault.

Asking one goes over the network, to a store that may refuse, be misconfigured or never answer, in the middle of an
incident. So it takes `PATIENCE_SECONDS` at most, whatever the stores' own libraries wait for (a metadata service that
no route leads to, a name that does not resolve), and each way to fail is a sentence of its own. Nothing that is in a
secret is in any sentence; and what the stores say is quoted only where it helps, without what opens them.

The libraries are imported when they are asked for, `boto3` and `azure.identity` first: two threads that do so at the
same time then wait for one another, rather than meeting one that is half loaded.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from magetui.engine.errors import ConnectError
from magetui.protocol.redaction import redact, store_secrets

CONNECT_SECONDS = 2
READ_SECONDS = 2
PATIENCE_SECONDS = 8.0  # for all that leads to a secret: credentials, and two tries to ask for it
MAGES_REGION = "us-west-2"  # where mage-ai 0.9.80 looks when no region is set
MAGES_PORT = 5432
KEYS = ("username", "password", "engine", "host", "dbname")

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
    """The database that a secret of AWS Secrets Manager describes, as Mage reads it (mage-ai 0.9.80, services/aws).

    Raises `ConnectError` (`secret`), in which neither the secret nor what opens it stands.
    """
    region, chosen = _region(environment)
    default = "" if chosen else ", Mage's default: no AWS_DEFAULT_REGION is set"
    where = f"secret '{secret}' (AWS Secrets Manager, {region}{default})"
    text = _bounded(lambda: _aws_text(secret, region, where, environment), where)
    return _described(text, where)


def azure_text(secret: str, environment: Mapping[str, str]) -> str:
    """What a secret of an Azure Key Vault holds, which for Mage is a whole URL. Raises as `aws_database`."""
    vault = environment.get("AZURE_KEY_VAULT_URL")
    if not vault:
        _fail(
            f"AZURE_SECRET_DB_CONN_URL names the secret '{secret}', and AZURE_KEY_VAULT_URL, the vault it is in, "
            "is not set.",
            "Set AZURE_KEY_VAULT_URL as the Mage server has it, such as https://NAME.vault.azure.net.",
        )
    where = f"secret '{secret}' (Azure Key Vault {redact(vault, ())})"
    return _bounded(lambda: _azure_text(secret, vault, where), where)


# -- AWS


def _region(environment: Mapping[str, str]) -> tuple[str, bool]:
    """The region, as Mage chooses it, and whether somebody chose it."""
    for variable in ("AWS_REGION_NAME", "AWS_DEFAULT_REGION"):
        if (region := environment.get(variable)) is not None:
            if not region.strip():
                _fail(
                    f"AWS_DB_SECRETS_NAME names a secret, and {variable}, the region it is in, is empty: there is no "
                    "region to look in.",
                    f"Set {variable} as the Mage server has it, such as eu-west-1.",
                )
            return region, True
    return MAGES_REGION, False


def _aws_text(secret: str, region: str, where: str, environment: Mapping[str, str]) -> str:
    """The secret's text. Keys are those in the environment; without any, boto3 looks for a role or a profile."""
    import boto3
    import botocore.session
    from boto3.compat import filter_python_deprecation_warnings
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret_key):
        _fail(
            f"The AWS credentials to read the {where} with are incomplete: "
            f"{'AWS_SECRET_ACCESS_KEY' if key else 'AWS_ACCESS_KEY_ID'} is not set.",
            "Set both, or neither where an IAM role is to be used.",
        )
    keys = {
        "aws_access_key_id": key,
        "aws_secret_access_key": secret_key,
        "aws_session_token": environment.get("AWS_SESSION_TOKEN") or None,
    }
    filter_python_deprecation_warnings()  # nothing that somebody could heed during an incident
    # For each client that leads to the secret: a role is assumed by asking another service.
    patience = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    botocore_session = botocore.session.Session()
    botocore_session.set_default_client_config(patience)
    try:
        session = boto3.Session(region_name=region, botocore_session=botocore_session, **(keys if key else {}))
        answer = session.client("secretsmanager").get_secret_value(SecretId=secret)
    except ClientError as error:
        _aws_refused(error.response.get("Error", {}), where, store_secrets(environment))
    except BotoCoreError as error:
        _aws_unreached(error, where)
    except ValueError as error:  # botocore's word on an endpoint that is no URL, which it quotes
        said = redact(str(error), store_secrets(environment)).rstrip(".")
        _fail(f"The {where} could not be asked for: {said}.", "Check AWS_ENDPOINT_URL and the other settings of AWS.")
    text = answer.get("SecretString")
    if not text:
        _fail(
            f"The {where} holds no text.",
            "Mage wants a JSON object in it; check that AWS_DB_SECRETS_NAME names the right secret.",
        )
    return str(text)


def _aws_refused(answer: Mapping[str, str], where: str, hidden: tuple[str, ...]) -> NoReturn:
    """AWS answered, and not with the secret.

    Its words are quoted where they name who may not do what; where a signature is wrong they hold the session's token.
    """
    code = answer.get("Code", "")
    said = redact(" ".join(answer.get("Message", "").split()), hidden).rstrip(".")
    quoted = f": {said}" if said else ""
    if code == "ResourceNotFoundException":
        _fail(f"There is no {where}.", "Check AWS_DB_SECRETS_NAME, the region, and which account the keys are of.")
    if code in DENIED:
        _fail(
            f"AWS does not let these credentials read the {where}{quoted}.",
            "They need secretsmanager:GetSecretValue on it, and kms:Decrypt where it has a key of its own.",
        )
    if code in EXPIRED:
        _fail(
            f"The AWS credentials have expired, so the {where} could not be read.",
            "Get new ones and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew.",
        )
    if code in ACCESS_KEY_UNKNOWN:
        _fail(
            f"AWS does not know these credentials, so the {where} could not be read ({code}).",
            "Check AWS_ACCESS_KEY_ID, and AWS_SESSION_TOKEN if the keys are temporary ones.",
        )
    if code in SIGNATURE_WRONG:
        _fail(
            f"AWS does not accept the signature of these credentials, so the {where} could not be read ({code}).",
            "Check AWS_SECRET_ACCESS_KEY, and this machine's clock.",
        )
    if code == "InvalidRequestException":
        _fail(
            f"AWS does not give out the {where}{quoted}.",
            "If it is marked for deletion, restore it, or name the one that took its place.",
        )
    if code == "DecryptionFailure":
        _fail(f"AWS cannot decrypt the {where}.", "Check the KMS key that it is encrypted with.")
    if code in BUSY:
        _fail(f"AWS is asked too often just now, and did not give out the {where} ({code}).", "Try again in a moment.")
    _fail(
        f"AWS did not give out the {where}: it answered {code or 'with an error that it does not name'}.",
        "Try again; if it stays so, name the database with --url.",
    )


def _aws_unreached(error: Any, where: str) -> NoReturn:
    """There was no answer of AWS: no credentials to ask with, no region, or nobody at the other end."""
    from botocore import exceptions as boto

    if isinstance(error, boto.NoCredentialsError):
        _fail(
            f"There are no AWS credentials to read the {where} with: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are "
            "not set, and this machine has no IAM role or profile that was found.",
            "Set both, with AWS_SESSION_TOKEN if they are temporary, or give the machine a role.",
        )
    if isinstance(error, boto.NoRegionError | boto.InvalidRegionError):
        _fail(
            f"AWS has no region of that name, so the {where} could not be read.",
            "Check AWS_DEFAULT_REGION, such as eu-west-1.",
        )
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        _fail(f"AWS does not answer at {_endpoint(error)}, so the {where} could not be read.", _reachable())
    if isinstance(error, boto.SSLError):
        _fail(
            f"The certificate at {_endpoint(error)} is not accepted, so the {where} could not be read.",
            "Check AWS_ENDPOINT_URL, and AWS_CA_BUNDLE if a proxy is in between.",
        )
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        _fail(
            f"AWS cannot be reached at {_endpoint(error)}, which refuses or does not exist, so the {where} could not "
            "be read.",
            _reachable(),
        )
    name = type(error).__name__
    if isinstance(error, boto.ProfileNotFound):
        _fail(
            f"AWS_PROFILE names a profile that does not exist, so the {where} could not be read.", "Check AWS_PROFILE."
        )
    _fail(
        f"The {where} could not be read: the AWS credentials or settings cannot be used ({name}).",
        "Check the variables that begin with AWS_, and the files in ~/.aws.",
    )


def _reachable() -> str:
    return "Check AWS_ENDPOINT_URL, the region, and that this machine reaches the network that AWS is in."


def _endpoint(error: Any) -> str:
    """The address that botocore's error names; it came from the environment, where it may hold a password."""
    return redact(str(error.kwargs.get("endpoint_url") or "the address of AWS"), ()).rstrip("/")


def _described(text: str, where: str) -> URL:
    """The URL of what the secret's JSON describes. A value is passed on as it stands, and never quoted."""
    try:
        described = json.loads(text)
    except ValueError:
        described = None
    found = f"The {where}"
    check = "Check that AWS_DB_SECRETS_NAME names the right secret, or mend it."
    if not isinstance(described, dict):
        wanted = f"Mage wants an object with {', '.join(KEYS[:-1])}, {KEYS[-1]} and, if not {MAGES_PORT}, port."
        _fail(f"{found} is not JSON of an object.", wanted)
    values = {key: _text_of(described.get(key)) for key in KEYS}
    if values["engine"] and values["engine"] != "postgres":
        _fail(f"{found} is of another kind of database: its 'engine' is not 'postgres'.", check)
    missing = [f"'{key}'" for key in KEYS if not values[key]]
    if missing:
        _fail(f"{found} lacks {' and '.join(', '.join(missing).rsplit(', ', 1))}.", check)
    port = _text_of(described.get("port", MAGES_PORT))
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        _fail(f"{found} has a 'port' that is none.", check)
    url = URL.create("postgresql", values["username"], values["password"], values["host"], int(port), values["dbname"])
    try:
        understood = make_url(url.render_as_string(hide_password=False)) == url
    except (ArgumentError, ValueError):
        understood = False
    if not understood:  # the run's process is told the URL as text
        _fail(f"{found} has a 'host' or 'dbname' that cannot be one.", check)
    return url


def _text_of(value: object) -> str:
    """A value of the secret as Mage would write it into a URL; nothing where it is no text and no number."""
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
            f"AZURE_SECRET_DB_CONN_URL names the {where}, and magetui was installed without what reads it: the extra "
            f"'azure' ({error.name or 'azure'} is missing).",
            "Install it into magetui's own environment, from its folder: "
            "uv tool install --compile-bytecode '.[azure]', or pipx install --force '.[azure]'.",
        ) from None
    _hush()
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
        _fail(f"There is no {where}.", "Check AZURE_SECRET_DB_CONN_URL and AZURE_KEY_VAULT_URL.")
    except azure.HttpResponseError as error:
        _azure_refused(error, where)
    except (azure.ServiceResponseError, azure.ServiceRequestTimeoutError):
        _fail(f"Azure does not answer, so the {where} could not be read.", _vault_reachable())
    except azure.ServiceRequestError:
        _fail(f"The vault cannot be reached, or does not exist, so the {where} could not be read.", _vault_reachable())
    except (azure.AzureError, ValueError) as error:
        _fail(f"The {where} could not be asked for ({type(error).__name__}).", _vault_reachable())
    if not text:
        _fail(f"The {where} is empty.", "Mage wants the database's URL in it.")
    return str(text)


def _azure_unknown(error: Any, where: str) -> NoReturn:
    """Azure gives no token to whoever asks. Of what it says, which is long, only its number is told."""
    number = re.search(r"AADSTS[0-9]+", str(error))
    if number:
        _fail(
            f"Azure does not accept these credentials, so the {where} could not be read ({number[0]}).",
            "Check AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, which may have expired.",
        )
    _fail(
        f"There are no Azure credentials that work to read the {where} with: not by AZURE_CLIENT_ID, AZURE_TENANT_ID "
        "and AZURE_CLIENT_SECRET, and not by a managed identity of this machine.",
        "Set all three, or give the machine an identity.",
    )


def _azure_refused(error: Any, where: str) -> NoReturn:
    if error.status_code == 403:
        _fail(
            f"Azure does not let this identity read the {where}, or the secret is disabled.",
            "It needs the right 'get' on secrets (the role Key Vault Secrets User), and a way through the vault's "
            "firewall.",
        )
    if error.status_code == 429:
        _fail(f"Azure is asked too often just now, and did not give out the {where}.", "Try again in a moment.")
    _fail(f"Azure did not give out the {where}: it answered with status {error.status_code}.", _vault_reachable())


def _vault_reachable() -> str:
    return "Check AZURE_KEY_VAULT_URL, such as https://NAME.vault.azure.net, and that this machine reaches its network."


def _hush() -> None:
    """Azure's libraries log each way to credentials that does not lead there: on a screen that is not theirs."""
    import logging

    for name in ("azure", "msal"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


# -- both


def _bounded(ask: Callable[[], str], where: str) -> str:
    """What `ask` returns or raises, within `PATIENCE_SECONDS`.

    In a thread of its own, which is left behind if it has to be: resolving a name, or a program that is to give
    credentials, heeds no timeout, and in here ctrl+c is heard.
    """
    answered: list[str] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answered.append(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="secret", daemon=True).start()
    if not done.wait(PATIENCE_SECONDS):
        _fail(
            f"There was no answer within {PATIENCE_SECONDS:g} s: the {where} could not be read, or no credentials "
            "to read it with were had.",
            "Check that this machine reaches the store, and how it gets its credentials there.",
        )
    if failed:
        raise failed[0]
    return answered[0]


def _fail(message: str, advice: str) -> NoReturn:
    """Without the error behind it: it may repeat the secret, or what opens the store."""
    raise ConnectError("secret", message, advice) from None
