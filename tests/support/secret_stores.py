"""Secret stores on this machine: AWS Secrets Manager by moto, and servers that answer as AWS and Azure document.

moto's server is a separate process, so that moto and its changes to boto3 stay out of the tests' process. The server
ends when its input ends, so a killed test run leaves no server behind.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

REGION = "eu-west-1"
ACCESS_KEY = "AKIAMAGETUITEST00000"
SECRET_KEY = "wJalr/XUtnFEMI+K7MDENG=bPxRfiCY"  # with characters that a URL must escape
SESSION_TOKEN = "FwoGZXIvYXdzEBYaD/tokentoken=="
HOST = "127.0.0.1"
SILENT_AT_MOST = 60  # seconds

# Serves until its input ends. The first line of output is the port.
MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class SecretsManager:
    """moto's AWS Secrets Manager. Tests create and change secrets as an operator would."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", MOTO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://{HOST}:{int(self._process.stdout.readline())}"

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def environment(self, secret: str) -> dict[str, str]:
        """Return Mage's variables for a database in this secret."""
        return aws_environment(self.url, secret)

    def put(self, secret: str, content: object) -> None:
        """Create the secret, or change its value. A value that is not a string is stored as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        client = self.client()
        if self.exists(secret):
            client.put_secret_value(SecretId=secret, SecretString=text)
        else:
            client.create_secret(Name=secret, SecretString=text)

    def exists(self, secret: str) -> bool:
        listed = self.client().list_secrets(Filters=[{"Key": "name", "Values": [secret]}])["SecretList"]
        return any(entry["Name"] == secret for entry in listed)

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "secretsmanager",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )


def aws_environment(endpoint: str, secret: str = "prod/mage") -> dict[str, str]:
    """Return Mage's variables with temporary keys."""
    return {
        "AWS_DB_SECRETS_NAME": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
    }


class Answers(ThreadingHTTPServer):
    """A server that gives the same answer to every request and counts the requests."""

    daemon_threads = True

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        super().__init__((HOST, 0), _Answer)
        self.status, self.document = status, document
        self.asked = 0
        self.scheme = "http"
        self._speaks = threading.Event()
        self._speaks.set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.server_port}"

    def answer(self, _request: BaseHTTPRequestHandler) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
        """Return status, headers and document for one request."""
        self.asked += 1
        return self.status, {}, self.document

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Hold answers back until the block ends."""
        self._speaks.clear()
        try:
            yield
        finally:
            self._speaks.set()

    def heard(self) -> None:
        """Wait until `silence` is over."""
        self._speaks.wait(SILENT_AT_MOST)

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.heard()
        status, headers, document = self.server.answer(self)
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(server: Answers) -> Iterator[Answers]:
    """Serve until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusal(code: str, message: str = "") -> Answers:
    """Return a server that refuses as AWS's JSON protocol does."""
    return Answers(400, {"__type": code, "message": message or f"{code} it is."})


# -- Azure

IDENTITY_HEADER = "853b9a84-5bfa-4b22-a3f3-header"
TOKEN = "eyJ0eXAiOiJKV1Qi-vault-token"


class Vault(Answers):
    """A Key Vault over TLS as its REST API documents it: requests without a token get a challenge, others the secrets.

    /identity serves the managed identity of an App Service: it gives the token to requests with its header. The SDK
    requires that a vault's address ends in a dot and the domain of the challenge: 127.0.0.1 ends in .0.0.1 as
    NAME.vault.azure.net ends in .vault.azure.net.
    """

    def __init__(self, certificate: Path, secrets: Mapping[str, str]) -> None:
        super().__init__(200, {})
        self.secrets = dict(secrets)
        self.refuses: tuple[int, str] | None = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"

    def environment(self, secret: str, certificate: Path) -> dict[str, str]:
        """Return Mage's variables for a database in this secret, on an App Service with an identity."""
        return {
            "AZURE_SECRET_DB_CONN_URL": secret,
            "AZURE_KEY_VAULT_URL": self.url,
            "IDENTITY_ENDPOINT": f"{self.url}/identity",
            "IDENTITY_HEADER": IDENTITY_HEADER,
            "REQUESTS_CA_BUNDLE": str(certificate),
        }

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
        path = request.path.partition("?")[0].strip("/").split("/")
        if path == ["identity"]:
            if request.headers["X-IDENTITY-HEADER"] != IDENTITY_HEADER:
                return 401, {}, {"error": "unauthorized"}
            expires = int((datetime.now(timezone.utc) + timedelta(hours=1)).timestamp())
            resource = f"https://0.0.1:{self.server_port}"
            token = {"access_token": TOKEN, "expires_on": str(expires), "resource": resource, "token_type": "Bearer"}
            return 200, {}, token
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            challenge = f'Bearer authorization="{self.url}/tenant", resource="https://0.0.1:{self.server_port}"'
            return 401, {"WWW-Authenticate": challenge}, {"error": {"code": "Unauthorized"}}
        self.asked += 1
        if self.refuses is not None:
            status, code = self.refuses
            return status, {}, {"error": {"code": code, "message": f"{code} it is."}}
        if path[0] != "secrets" or path[1] not in self.secrets:
            return 404, {}, {"error": {"code": "SecretNotFound", "message": "A secret was not found in this vault."}}
        return 200, {}, {"value": self.secrets[path[1]], "id": f"{self.url}/secrets/{path[1]}/1", "attributes": {}}


def make_certificate(folder: Path) -> Path:
    """Write a key and a self-signed certificate for 127.0.0.1 into one file, and return its path."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "vault.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
