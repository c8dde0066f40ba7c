"""The hash that all masked values are made of: keyed by the run's salt, and by the group whose values are alike."""

from __future__ import annotations

from psycopg2 import sql

# As a subquery the salt is read once for each statement, not for each row. It is never written into a statement.
_SALT = sql.SQL("(SELECT salt FROM pg_temp.aurora_restore_salt)")


def hexadecimal(text: sql.Composable, group: str) -> sql.Composable:
    """Return the 64 hexadecimal digits of the hash. No group has the character that ends it here."""
    # Not text::bytea, which takes a backslash for an escape and fails; and not another encoding than the database's
    # own, since of a database without one (SQL_ASCII) not all texts can be converted.
    return sql.SQL("encode(sha256(convert_to({} || {} || chr(31) || {}, getdatabaseencoding())), 'hex')").format(
        _SALT, sql.Literal(group), text
    )


def sixty_bits(hashed: sql.Composable) -> sql.Composable:
    """Return a number from 0 to 2⁶⁰ - 1 of those digits."""
    return sql.SQL("CAST(CAST('x' || left({}, 15) AS bit(60)) AS bigint)").format(hashed)
