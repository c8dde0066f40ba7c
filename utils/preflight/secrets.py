"""What is wrong with the two secrets that a run needs: the stack's, or those of another target."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils import environment
from utils.contracts.plan import ClusterPlan, TargetSecrets
from utils.logins.application import ApplicationSecret
from utils.logins.master import AdminSecret
from utils.logins.roles import RoleNames
from utils.logins.target_secrets import secret_with_roles, target_secret_problems


def secret_problems(
    master_username: str, cluster: ClusterPlan, secrets: TargetSecrets | None, now: dt.datetime
) -> Iterator[str]:
    """Yield what is wrong with the two secrets. The admin secret is not used where RDS keeps the login.

    Another target than the stack's own has secrets of its own, or gets them: `secrets` names them.
    """
    admin = AdminSecret(environment.text("ADMIN_SECRET_ARN"))
    names = RoleNames(environment.optional("APPLICATION_USERNAME"), environment.optional("READ_ONLY_USERNAME"))
    if secrets is not None:
        yield from target_secret_problems(secrets, cluster.target_identifier, now)
        application = ApplicationSecret(secret_with_roles(secrets, cluster.target_identifier), names)
    else:
        application = ApplicationSecret(environment.text("APP_SECRET_ARN"), names)
        if cluster.master_login == "pipeline" and (why := admin.why_unusable()) is not None:
            yield f"admin_secret: {admin.arn!r} {why}"
    for wrong in application.whats_wrong(master_username):
        yield f"application_secret: {application.arn!r} {wrong}"
