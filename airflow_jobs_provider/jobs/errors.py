"""What the error answers of AWS APIs mean for a job."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class ErrorKind(str, Enum):
    """What an error answer of an API means for a job."""

    REJECTED = "rejected"  # throttled, say: nothing was done, so it is always safe to ask again
    TRANSIENT = "transient"  # may or may not have been done: ask again where that is safe
    NOT_FOUND = "not found"
    EXISTS = "exists"  # a start with an id that was used before
    OVER = "over"  # a cancel of a job that has ended
    BUSY = "busy"  # the target runs another job
    QUOTA = "quota"
    FATAL = "fatal"


# Credentials that ran out.
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
# Credentials that AWS does not know, or not any more.
REFUSED = (
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
# Too many calls.
THROTTLES = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
)

# Error codes that mean the same in every AWS API (botocore's retry handlers list them too).
COMMON_ERRORS: Mapping[str, ErrorKind] = {
    **dict.fromkeys(THROTTLES, ErrorKind.REJECTED),
    # The next request is signed with refreshed ones.
    **dict.fromkeys(EXPIRED, ErrorKind.REJECTED),
    **dict.fromkeys(
        (
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "InternalServerException",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        ErrorKind.TRANSIENT,
    ),
}
