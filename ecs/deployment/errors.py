"""What can go wrong with AWS, as texts that say what to do.

PipelineError
+-- CloudError         AWS refused, or cannot be asked
    +-- DeployFailed     a stack did not become what it should
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import PipelineError

# What their codes begin with: some services add "Exception".
QUOTA = ("LimitExceeded", "ServiceQuotaExceeded", "TooManyRequests")
LOGIN = ("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "AuthFailure")
DENIED = ("AccessDenied", "UnauthorizedOperation")


class CloudError(PipelineError):
    """AWS refused what was asked, or could not be asked."""


class DeployFailed(CloudError):
    """A stack did not become what it should; it is as it was before, or told how to get there."""


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn what boto3 raises into CloudError, which says what was wanted and what to do."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - comes with the extra [aws]

    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        code, text = str(found.get("Code", "")), str(found.get("Message", error))
        raise CloudError(_client(what, code, text)) from None
    except BotoCoreError as error:
        raise CloudError(_core(what, error)) from None


def _client(what: str, code: str, text: str) -> str:
    said = f"{what}: AWS says {code}: {text.rstrip('.')}."
    if code.startswith(LOGIN):
        return f"{said} The credentials are wrong or have expired: log in again, as by `aws sso login`."
    if code.startswith(DENIED):
        return f"{said} Ask for that right, or choose another AWS_PROFILE."
    if code.startswith(QUOTA):
        return f"{said} A quota is reached: have it raised in Service Quotas, or destroy an environment not needed."
    return said


def _core(what: str, error: Exception) -> str:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return f"{what}: no AWS credentials were found. Set AWS_PROFILE, or log in by `aws sso login`."
    if kind == "EndpointConnectionError":
        return f"{what}: AWS does not answer ({error}). Is the region's name right, and the network there?"
    return f"{what}: {error}"
