"""Refuse to set a password while pg_tle's hooks would run functions of the data with the rights of who sets it."""

from __future__ import annotations

from psycopg2 import sql

from utils.contracts.tle_hooks import TLE_HOOKS
from utils.errors import StepFailed
from utils.postgres.session import Session


def refuse_tle_hooks(opened: Session) -> None:
    """Raise StepFailed before a password is set where that would run the data's functions with the master's rights."""
    switched_on = opened.rows(
        sql.SQL("SELECT name, setting FROM pg_settings WHERE name = ANY(%s) AND setting <> 'off' ORDER BY name"),
        (list(TLE_HOOKS),),
    )
    if switched_on:
        listed = " and ".join(f"{name} = {setting}" for name, setting in switched_on)
        raise StepFailed(
            f"No password was set: the parameter group has {listed}, and so functions that came with the data run with "
            "the master user's rights, or a superuser's. Switch that off in the group, then resume this "
            "operation; or start a new one with a db_cluster_parameter_group_name and db_parameter_group_name in which "
            "it is off."
        )
