"""A restored cluster with data to mask, and what tests ask of it afterwards."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.integration.postgres.cluster_support import Cluster
from utils.masking.reading import read_policy
from utils.postgres.databases import enter_cluster
from utils.postgres.masking.catalogue import read_catalogue
from utils.postgres.masking.mask import MaskingProgress, mask_slice, remove_masking_state
from utils.postgres.masking.salt_table import give_salt
from utils.postgres.masking.work import plan_work
from utils.postgres.session import Session

SALT, FINGERPRINT = "0123456789abcdefSalt", "1a2b3c4d"
Contents = dict[str, list[tuple[Any, ...]]]

# Production: tables of the master user's and of another role's, and everything that can hang on them.
PRODUCTION = (
    "create role app login password 'App-password-1'",
    "create schema app authorization app",
    "set role app",
    "create domain app.mail as text check (value like '%@%')",
    "create table app.users (id bigint generated always as identity primary key, email app.mail not null,"
    " phone text, full_name text, folded text generated always as (lower(email)) stored, tenant int not null,"
    " at timestamptz not null default '2026-01-01', constraint users_email unique (email))",
    "comment on constraint users_email on app.users is 'one account each'",
    "comment on table app.users is 'people'",
    "create index users_folded on app.users (lower(email)) where tenant > 0",
    "create index users_tenant on app.users (tenant) with (fillfactor = 70)",
    "alter table app.users cluster on users_tenant",
    "create unique index users_phone on app.users (phone) include (tenant) with (fillfactor = 80)",
    "alter index app.users_folded alter column 1 set statistics 7",
    "create statistics app.people (mcv) on phone, tenant from app.users",
    "create table app.audit (id bigserial, said text, tags text[])",
    "create function app.note() returns trigger language plpgsql as"
    " $$begin insert into app.audit (said, tags) values (new.email, array[new.email::text]); return new; end$$",
    "create trigger note after insert or update on app.users for each row execute function app.note()",
    "alter table app.users enable always trigger note",
    "create rule told as on update to app.users do also insert into app.audit (said) values (old.email)",
    "create table app.orders (id int primary key, user_email text references app.users (email) on update cascade,"
    " amount numeric(10,2))",
    "create index orders_email on app.orders (user_email)",
    "create table app.events (id int, at date not null, email text, primary key (id, at)) partition by range (at)",
    "create table app.events_1 partition of app.events for values from ('2026-01-01') to ('2026-02-01')",
    "create table app.events_2 partition of app.events for values from ('2026-02-01') to ('2026-03-01')",
    "create index events_email on app.events (email)",
    "create unique index events_1_own on app.events_1 (email, id)",
    "create table app.hashed (id int, email text not null) partition by hash (email)",
    "create table app.hashed_0 partition of app.hashed for values with (modulus 2, remainder 0)",
    "create table app.hashed_1 partition of app.hashed for values with (modulus 2, remainder 1)",
    "create index hashed_email on app.hashed (email, id)",
    "create materialized view app.domains as select email, at from app.events",
    "create unique index domains_email on app.domains (email)",
    "create materialized view app.days as select at, min(email) as first from app.domains group by 1",
    "create view app.shown as select email from app.users",
    "grant select (email, tenant) on app.users to public",
    "alter table app.users enable row level security",
    "alter table app.users force row level security",
    "create policy mine on app.users using (tenant = 1)",
    "reset role",
    "create table public.letters (id serial primary key, email text, body text default 'Dear')",
    "create table public.old_letters () inherits (public.letters)",
    "create index letters_email on public.letters (email)",
    "alter table public.letters alter column body set statistics 0",
    "create table public.nothing (email text)",
)
ROWS = (
    "alter table app.users disable trigger note",
    "alter table app.users disable rule told",
    "alter table app.users no force row level security",
    "insert into app.users (email, phone, full_name, tenant) select 'person' || i || '@real.org', '+49 170 ' || i,"
    " 'Real Name ' || i % 50, 1 + i % 3 from generate_series(1, 3000) i",
    "delete from app.users where id % 3 = 0",
    "alter table app.users force row level security",
    "alter table app.users enable always trigger note",
    "alter table app.users enable rule told",
    "insert into app.audit (said, tags) select 'person' || i || '@real.org', array['person1@real.org', 'b']"
    " from generate_series(1, 300) i",
    "insert into app.orders select i, (select email from app.users where id = 1 + 3 * (i % 900)), i"
    " from generate_series(1, 2000) i",
    "insert into app.events select i, '2026-01-01'::date + i % 59, 'person' || i || '@real.org'"
    " from generate_series(1, 2000) i",
    "insert into app.hashed select i, 'person' || i % 700 || '@real.org' from generate_series(1, 2000) i",
    "insert into public.letters (email, body) select 'person' || i || '@real.org', 'Dear person' || i"
    " from generate_series(1, 500) i",
    "insert into public.old_letters (email, body) select 'person' || i || '@real.org', 'Dear person' || i"
    " from generate_series(1, 500) i",
    "alter table public.letters add constraint newer check (id > 990) not valid",
    "comment on constraint newer on public.old_letters is 'since the move'",
    "set role app",
    "refresh materialized view app.domains",
    "refresh materialized view app.days",
    "reset role",
)
ANALYZED = "vacuum", "analyze"
POLICY = """
version: 1
types: {bigint: keep, integer: keep, timestamptz: keep, numeric: keep}
databases:
  orders:
    columns:
      app.users.email: {email: {group: mail}}
      app.users.phone: {hash: {length: 20}}
      app.users.full_name: name
      app.events.at: keep
      "app.{events,hashed}.email": {email: {group: mail}}
      "public.*.email": {email: {group: mail}}
      public.letters.body: {text: {length: 30}}
    tables: {app.audit: empty}
    canaries: [person1@real.org, 'Real Name 7', '"quoted", 100% odd']
    checks:
      no real mail: SELECT 1 FROM app.users WHERE email NOT LIKE '%@example.com'
"""


def produce(cluster: Cluster) -> None:
    """Make production, as the master user."""
    cluster.as_master("postgres", "select 1")
    cluster.as_master("orders", PRODUCTION[0], cluster.joining("app"), *PRODUCTION[1:])
    cluster.superuser("orders", *ROWS)
    for statement in ANALYZED:
        cluster.superuser("orders", statement)
    cluster.as_master("orders", "revoke app from boss")


def mask(cluster: Cluster, policy: str, *, seconds: float = 600, most: int = 200) -> MaskingProgress:
    """Mask in slices of so many seconds until it is done."""
    for _ in range(most):
        progress = one_slice(cluster, policy, seconds=seconds)
        if progress.done:
            return progress
    raise AssertionError(f"not done after {most} slices")


def one_slice(cluster: Cluster, policy: str, *, seconds: float = 600, questions: int = sys.maxsize) -> MaskingProgress:
    """Mask for so many seconds, or until it was asked so often how many are left, which no machine's speed changes."""
    ends, asked = time.monotonic() + seconds, itertools.count(1)
    return mask_slice(
        enter_cluster(cluster.server, cluster.master),
        read_policy(policy),
        SALT,
        FINGERPRINT,
        lambda: ends - time.monotonic() if next(asked) <= questions else -1.0,
    )


def finish(cluster: Cluster) -> None:
    remove_masking_state(enter_cluster(cluster.server, cluster.master), FINGERPRINT)


def schema_of(cluster: Cluster, database: str) -> str:
    """The schema as pg_dump writes it: constraints, owners, privileges, comments and all."""
    program = cluster_binaries(cluster) / "pg_dump"
    done = subprocess.run(
        [str(program), "-s", "-h", cluster.server.host, "-p", str(cluster.server.port), "-U", "rdsadmin", database],
        env={"PGPASSWORD": superuser_password(cluster), "PGSSLMODE": "require", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def cluster_binaries(cluster: Cluster) -> Path:
    return cluster.postgres._servers.binaries.directory


def superuser_password(cluster: Cluster) -> str:
    return cluster.postgres._servers.password


def contents(cluster: Cluster, database: str) -> Contents:
    """Every row of every table and materialized view, without what is generated."""
    return _contents(cluster, database, {})


def expected_contents(cluster: Cluster, database: str, policy: str) -> Contents:
    """Return what there has to be afterwards: the policy's expressions over the rows as they are, each evaluated once.

    Of materialized views only the number of their rows.
    """
    with closing(cluster.postgres.connect(database)) as connected, connected.cursor() as cursor:
        opened = Session(connected, cursor)
        cursor.execute("set search_path = pg_catalog")
        work = plan_work(read_policy(policy), read_catalogue(opened))
        values: dict[int, dict[str, str] | None] = {
            table.oid: None
            if table.empty
            else {column.name: column.value.as_string(connected) for column in table.columns}
            for table in work.tables
        }
        cursor.execute(
            "select p.oid, l.relid::oid from pg_class p, pg_partition_tree(p.oid) l where p.relkind = 'p' and l.isleaf"
        )
        for top, leaf in cursor.fetchall():
            if top in values:
                values[leaf] = values[top]
    return _contents(cluster, database, values)


def _contents(cluster: Cluster, database: str, values: dict[int, dict[str, str] | None]) -> Contents:
    found: Contents = {}
    with closing(cluster.postgres.connect(database)) as connected, connected.cursor() as cursor:
        cursor.execute("set search_path = pg_catalog")
        give_salt(Session(connected, cursor), SALT)
        cursor.execute(
            "select c.oid, coalesce(pg_partition_root(c.oid), c.oid)::regclass::text, c.oid::regclass::text,"
            " array(select attname::text from pg_attribute a where attrelid = c.oid and attnum > 0"
            "        and not attisdropped and attgenerated = '' order by attname)"
            " from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r'"
            " and nspname !~ '^(pg_|aurora_restore)' and nspname <> 'information_schema' order by 1"
        )
        for oid, top, name, columns in cursor.fetchall():
            own = values.get(oid, {})
            if own is None:
                found.setdefault(top, [])
                continue
            listed = ", ".join(f"({own.get(column, chr(34) + column + chr(34))})::text" for column in columns)
            cursor.execute(f"select {listed} from only {name}")
            found.setdefault(top, []).extend(cursor.fetchall())
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def traces(cluster: Cluster, database: str) -> list[tuple[Any, ...]]:
    """Return what the masking has left behind of its own."""
    return cluster.superuser(
        database,
        "select nspname::text from pg_namespace where nspname ~ '^aurora_restore'"
        " union all select relname from pg_class where pg_get_userbyid(relowner) ~ 'aurora_restore'"
        " or relacl::text ~ 'aurora_restore'"
        " union all select nspname from pg_namespace where nspacl::text ~ 'aurora_re'"
        " union all select datname from pg_database where datacl::text ~ 'aurora_restore'",
    )


def readable(cluster: Cluster, database: str, original: str) -> list[str]:
    """Where a regular expression of original values matches anything that SQL can read, in data or catalogues."""
    relations = cluster.superuser(
        database,
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace"
        " where relkind in ('r', 'm', 'v') and (nspname !~ '^(pg_|information_schema)'"
        " or relname in ('pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs', 'pg_description', 'pg_attrdef',"
        " 'pg_statistic', 'pg_largeobject', 'pg_attribute', 'pg_index', 'pg_class', 'pg_constraint',"
        " 'pg_statistic_ext_data'))",
    )
    toasts = cluster.superuser(database, "select oid::regclass::text from pg_class where relkind = 't'")
    rows = [(name, "each::text") for (name,) in relations]
    chunks = [(name, "encode(chunk_data, 'escape')") for (name,) in toasts]
    looks = [
        f"select $name${name}$name$ where exists (select from {name} each where {text} ~* '{original}')"
        for name, text in (*rows, *chunks)
    ]
    return [name for (name,) in cluster.superuser(database, " union all ".join(looks))]
