"""What the embedded AWS says when it cannot do as asked. It never pretends."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class CannotStart(Exception):
    """Something on this machine is missing or taken; the message says what, and what to do about it."""


class AwsError(ServiceException):
    """An error as AWS answers it: a code and a message. moto takes its own class for one of a service named core."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


class NotImplementedByLocalAws(ServiceException):
    """AWS may know this; we do not. Raised inside a service it becomes an AWS-shaped error of this name."""

    code = "NotImplementedByLocalAws"
