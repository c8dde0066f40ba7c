"""The errors of the embedded AWS when it cannot do as asked. It never pretends."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class CannotStart(Exception):
    """Something on this machine is missing or taken; the message says what, and what to do about it."""


class AwsError(ServiceException):
    """An error as AWS answers it: a code and a message. moto takes its own class for one of a service named core."""


class NotImplementedByLocalAws(ServiceException):
    """AWS may know this; the embedded AWS does not. Inside a service it becomes an AWS-shaped error of this name."""

    code = "NotImplementedByLocalAws"
