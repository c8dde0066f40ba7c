"""The errors of the embedded AWS when it cannot do as asked. It never pretends."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class CannotStart(Exception):
    """Something on this machine is missing or taken; the message says what, and what to do about it."""


class AwsError(ServiceException):
    """An error as AWS answers it: a code and a message. moto takes its own class for one of a service named core."""


class NotImplementedByLocalAws(ServiceException):
    """The embedded AWS does not know this, and AWS may. A service answers it as an error of this name."""

    code = "NotImplementedByLocalAws"
