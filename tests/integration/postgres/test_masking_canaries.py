"""Wherever SQL can read a text that somebody wrote, a canary in it fails the gate; what cannot be read is reported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask
from tests.integration.tiers import one_and_the_rest
from utils.errors import MaskingGateFailed

CANARY = "quetzal7@real.org"
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      public.people.email: email
    canaries: [CANARIES]
"""
PEOPLE = (
    "create role app",
    "grant app to boss with admin option",
    "grant all on schema public to app, boss",
    "create table public.people (id int primary key, email text not null)",
    "insert into public.people select i, 'quetzal' || i || '@real.org' from generate_series(1, 9) i",
    "alter table public.people owner to boss",
)
FOREIGN = (
    "create foreign data wrapper wrapper",
    "create server server foreign data wrapper wrapper",
    "grant usage on foreign data wrapper wrapper to boss",
    "alter server server owner to boss",
    "create foreign table far (id int, said text) server server",
)
# What each column of the catalogues that can hold a text is written by: the statement, and what the gate says of it. Or
# why no statement can write a row's value there, or why it is not searched.
WITH_ITS_ROW = "it names what exists already, or takes a superuser or a library; it is searched with its row"
NAME = f'"{CANARY}"'
COLUMNS: dict[str, tuple[str, str] | str] = {
    "pg_aggregate.agginitval": (
        f"create aggregate first_of(text) (sfunc = textcat, stype = text, initcond = '{CANARY}')",
        "function first_of(text)",
    ),
    "pg_aggregate.aggminitval": (
        "create aggregate moved_of(text) (sfunc = textcat, stype = text, msfunc = textcat, minvfunc = textcat,"
        f" mstype = text, minitcond = '{CANARY}')",
        "function moved_of(text)",
    ),
    "pg_am.amname": (f"create access method {NAME} type index handler bthandler", "access method [a canary]"),
    "pg_attrdef.adbin": (
        f"create table with_default (said text default '{CANARY}')",
        "default value for column said of table with_default",
    ),
    "pg_attribute.attname": (f"create table named ({NAME} int)", "column [a canary] of table named"),
    "pg_attribute.attoptions": "its options take numbers only; it is searched with its row",
    "pg_attribute.attfdwoptions": (
        f"alter foreign table far alter said options (add called '{CANARY}')",
        "column said of foreign table far",
    ),
    "pg_attribute.attmissingval": (
        f"create table older as select 1 as id; alter table older add said text default '{CANARY}';"
        " alter table older alter said drop default",
        "the value of older rows of column said of table older",
    ),
    "pg_authid.rolname": (f"create role {NAME}", "role [a canary]"),
    "pg_authid.rolpassword": "a hash, which only superusers read",
    "pg_class.relname": (f"create sequence {NAME}", 'sequence "[a canary]"'),
    "pg_class.reloptions": "PostgreSQL's options take numbers and its own words; it is searched with its row",
    "pg_class.relpartbound": (
        "create table whole (said text) partition by list (said);"
        f" create table part partition of whole for values in ('{CANARY}');"
        " alter table whole owner to boss; alter table part owner to boss",
        "the bounds of table part",
    ),
    "pg_collation.collname": (f'create collation public.{NAME} from "C"', 'collation "[a canary]"'),
    "pg_collation.collcollate": WITH_ITS_ROW,
    "pg_collation.collctype": WITH_ITS_ROW,
    "pg_collation.colllocale": WITH_ITS_ROW,
    "pg_collation.colliculocale": WITH_ITS_ROW,
    "pg_collation.collicurules": WITH_ITS_ROW,
    "pg_collation.collversion": WITH_ITS_ROW,
    "pg_constraint.conname": (
        f"create table constrained (id int constraint {NAME} check (id > 0))",
        "constraint [a canary] on table constrained",
    ),
    "pg_constraint.conbin": (
        f"create table checked (said text constraint nobody check (said <> '{CANARY}'))",
        "constraint nobody on table checked",
    ),
    "pg_conversion.conname": (
        f"create conversion {NAME} for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8",
        'conversion "[a canary]"',
    ),
    "pg_database.datname": WITH_ITS_ROW,
    "pg_database.datcollate": WITH_ITS_ROW,
    "pg_database.datctype": WITH_ITS_ROW,
    "pg_database.datlocale": WITH_ITS_ROW,
    "pg_database.daticulocale": WITH_ITS_ROW,
    "pg_database.daticurules": WITH_ITS_ROW,
    "pg_database.datcollversion": WITH_ITS_ROW,
    "pg_db_role_setting.setconfig": (
        f"alter role app in database orders set application_name = '{CANARY}';"
        f" alter database orders set my.setting = '{CANARY}'",
        "the settings of role app in database orders",
    ),
    "pg_description.description": (f"comment on schema public is '{CANARY}'", "a comment on schema public"),
    "pg_enum.enumlabel": (f"create type label as enum ('{CANARY}')", "a label of type label"),
    "pg_event_trigger.evtname": (
        "create function fires_there() returns event_trigger language plpgsql as 'begin end';"
        f" create event trigger {NAME} on sql_drop when tag in ('DROP LANGUAGE') execute function fires_there()",
        "event trigger [a canary]",
    ),
    "pg_event_trigger.evtevent": "PostgreSQL's own words; it is searched with its row",
    "pg_event_trigger.evttags": "PostgreSQL's own words; it is searched with its row",
    "pg_extension.extname": WITH_ITS_ROW,
    "pg_extension.extversion": WITH_ITS_ROW,
    "pg_extension.extcondition": WITH_ITS_ROW,
    "pg_foreign_data_wrapper.fdwname": (f"create foreign data wrapper {NAME}", "foreign-data wrapper [a canary]"),
    "pg_foreign_data_wrapper.fdwoptions": (
        f"create foreign data wrapper optioned options (a '{CANARY}')",
        "foreign-data wrapper optioned",
    ),
    "pg_foreign_server.srvname": (f"create server {NAME} foreign data wrapper wrapper", "server [a canary]"),
    "pg_foreign_server.srvtype": (
        f"create server typed type '{CANARY}' foreign data wrapper wrapper",
        "server typed",
    ),
    "pg_foreign_server.srvversion": (
        f"create server versioned version '{CANARY}' foreign data wrapper wrapper",
        "server versioned",
    ),
    "pg_foreign_server.srvoptions": (
        f"create server optioned foreign data wrapper wrapper options (host '{CANARY}')",
        "server optioned",
    ),
    "pg_foreign_table.ftoptions": (
        f"create foreign table far_optioned (id int) server server options (a '{CANARY}')",
        "the options of foreign table far_optioned",
    ),
    "pg_index.indexprs": (
        f"create table indexed (said text); create index of_texts on indexed ((said || '{CANARY}'))",
        "index of_texts",
    ),
    "pg_index.indpred": (f"create index partly on people (id) where email <> '{CANARY}'", "index partly"),
    "pg_language.lanname": (f"create language {NAME} handler plpgsql_call_handler", "language [a canary]"),
    "pg_largeobject.data": "large objects are refused or deleted",
    "pg_namespace.nspname": (f"create schema {NAME}", "schema [a canary]"),
    "pg_opclass.opcname": (
        f"create operator class {NAME} for type text using hash family f as operator 1 =, function 1 hashtext(text)",
        'operator class "[a canary]" for access method hash',
    ),
    "pg_operator.oprname": "signs that are no letters; it is searched with its row",
    "pg_opfamily.opfname": (f"create operator family {NAME} using hash", 'operator family "[a canary]" for access'),
    "pg_parameter_acl.parname": WITH_ITS_ROW,
    "pg_partitioned_table.partexprs": (
        f"create table by_text (said text) partition by range ((said || '{CANARY}'));"
        " alter table by_text owner to boss",
        "the partition key of table by_text",
    ),
    "pg_policy.polname": (f"create policy {NAME} on people", "policy [a canary] on table people"),
    "pg_policy.polqual": (f"create policy seen on people using (email <> '{CANARY}')", "policy seen on table people"),
    "pg_policy.polwithcheck": (
        f"create policy kept on people for insert with check (email <> '{CANARY}')",
        "policy kept on table people",
    ),
    "pg_proc.proname": (
        f"create function {NAME}() returns int language sql as 'select 1'",
        'function "[a canary]"()',
    ),
    "pg_proc.proargnames": (
        f"create function argument({NAME} int) returns int language sql as 'select 1'",
        "function argument(integer)",
    ),
    "pg_proc.proargdefaults": (
        f"create function defaulted(a text default '{CANARY}') returns text language sql as 'select a'",
        "function defaulted(text)",
    ),
    "pg_proc.prosrc": (f"create function body() returns text language sql as $$select '{CANARY}'$$", "function body()"),
    "pg_proc.probin": "the library of a function in C; it is searched with its definition",
    "pg_proc.prosqlbody": (
        f"create function parsed() returns text language sql return '{CANARY}'",
        "function parsed()",
    ),
    "pg_proc.proconfig": (
        f"create function set() returns int language sql set application_name = '{CANARY}' as 'select 1'",
        "function set()",
    ),
    "pg_publication.pubname": "publications are dropped; it is searched with its row",
    "pg_publication_rel.prqual": "publications are dropped; it is searched all the same",
    "pg_replication_origin.roname": (f"select pg_replication_origin_create('{CANARY}')", "a replication origin"),
    "pg_rewrite.rulename": (
        f"create rule {NAME} as on delete to ruled do instead nothing",
        "rule [a canary] on table ruled",
    ),
    "pg_rewrite.ev_qual": (
        f"create rule partly as on update to ruled where old.said = '{CANARY}' do instead nothing",
        "rule partly on table ruled",
    ),
    "pg_rewrite.ev_action": (
        f"create view shown as select '{CANARY}'::text as said",
        "rule _RETURN on view shown",
    ),
    "pg_seclabel.provider": WITH_ITS_ROW,
    "pg_seclabel.label": "it takes a library that provides labels; it is searched",
    "pg_shdescription.description": (
        f"comment on role app is '{CANARY}'; comment on database orders is '{CANARY}'",
        "a comment on database orders, a comment on",
    ),
    "pg_shseclabel.provider": WITH_ITS_ROW,
    "pg_shseclabel.label": "it takes a library that provides labels; it is searched",
    **dict.fromkeys(
        (f"pg_statistic.stavalues{number}" for number in range(1, 6)),
        "it is searched as pg_stats, for all tables but PostgreSQL's own",
    ),
    "pg_statistic_ext.stxname": (
        f"create statistics {NAME} on id, email from people; alter statistics {NAME} owner to boss",
        'statistics object "[a canary]"',
    ),
    "pg_statistic_ext.stxexprs": (
        f"create statistics of_text on (email || '{CANARY}') from people; alter statistics of_text owner to boss",
        "statistics object of_text",
    ),
    "pg_statistic_ext_data.stxdmcv": "it is searched as pg_stats_ext",
    "pg_statistic_ext_data.stxdexpr": "it is searched as pg_stats_ext_exprs",
    "pg_subscription.subconninfo": "PostgreSQL shows it to superusers only",
    "pg_subscription.subname": (
        f"create subscription {NAME} connection 'dbname=x' publication p with (connect = false, slot_name = none)",
        'subscription "[a canary]"',
    ),
    "pg_subscription.subslotname": "letters, digits and underscores; it is searched",
    "pg_subscription.subsynccommit": "PostgreSQL's own words",
    "pg_subscription.subpublications": (
        f"create subscription s connection 'dbname=x' publication {NAME} with (connect = false, slot_name = none)",
        "subscription s",
    ),
    "pg_subscription.suborigin": "PostgreSQL's own words",
    "pg_tablespace.spcname": WITH_ITS_ROW,
    "pg_tablespace.spcoptions": "its options take numbers only; it is searched with its row",
    "pg_trigger.tgname": (
        f"create trigger {NAME} before update on people for each row"
        " execute function suppress_redundant_updates_trigger()",
        "trigger [a canary] on table people",
    ),
    "pg_trigger.tgargs": (
        "create function fires() returns trigger language plpgsql as 'begin return new; end';"
        f" create trigger told before update on people for each row execute function fires('{CANARY}')",
        "trigger told on table people",
    ),
    "pg_trigger.tgqual": (
        f"create trigger conditional before update on people for each row when (old.email = '{CANARY}')"
        " execute function suppress_redundant_updates_trigger()",
        "trigger conditional on table people",
    ),
    "pg_trigger.tgoldtable": (
        "create function fires_after() returns trigger language plpgsql as 'begin return new; end';"
        f" create trigger old after update on people referencing old table as {NAME}"
        " for each statement execute function fires_after()",
        "trigger old on table people",
    ),
    "pg_trigger.tgnewtable": (
        "create function fires_then() returns trigger language plpgsql as 'begin return new; end';"
        f" create trigger new after update on people referencing new table as {NAME}"
        " for each statement execute function fires_then()",
        "trigger new on table people",
    ),
    "pg_ts_config.cfgname": (
        f"create text search configuration {NAME} (copy = simple)",
        'text search configuration "[a canary]"',
    ),
    "pg_ts_dict.dictname": (
        f"create text search dictionary {NAME} (template = simple)",
        'text search dictionary "[a canary]"',
    ),
    "pg_ts_dict.dictinitoption": WITH_ITS_ROW,
    "pg_ts_parser.prsname": (
        f"create text search parser {NAME} (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end,"
        " lextypes = prsd_lextype)",
        'text search parser "[a canary]"',
    ),
    "pg_ts_template.tmplname": (
        f"create text search template {NAME} (init = dsimple_init, lexize = dsimple_lexize)",
        'text search template "[a canary]"',
    ),
    "pg_type.typname": (f"create type {NAME} as enum ('a')", 'type "[a canary]"'),
    "pg_type.typdefaultbin": "pg_type.typdefault is the same as text",
    "pg_type.typdefault": (f"create domain said as text default '{CANARY}'", "type said"),
    "pg_user_mapping.umoptions": (
        f"create user mapping for public server server options (user '{CANARY}')",
        "the options of the user mapping for public on server server",
    ),
}
RULES = f"""      "public.*.said": keep
    foreign_servers: ['server', typed, versioned, optioned, '{CANARY}']
"""
# Of the version as PostgreSQL's documentation counts it.
SINCE = {"pg_proc.prosqlbody": 14, "pg_statistic_ext.stxexprs": 14}
# Columns in which no text can be: numbers in arrays, and positions of the write-ahead log.
NO_TEXT = (
    "('int2vector', 'oidvector', 'pg_lsn', 'xid', 'pg_ndistinct', 'pg_dependencies', '_int2', '_oid', '_char',"
    " '_float4', '_aclitem', 'char')"
)


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PEOPLE)
    yield running
    running.postgres.destroy()


def policy(rules: str = "", canaries: str = CANARY) -> str:
    return POLICY.replace("CANARIES", canaries).replace("    canaries", f"{rules}    canaries")


def failed_gate(cluster: Cluster, text: str) -> str:
    with pytest.raises(MaskingGateFailed, match="the policy's canaries stand in ") as failed:
        mask(cluster, text)
    assert "quetzal" not in str(failed.value)
    return str(failed.value)


def test_every_column_of_the_catalogues_that_holds_texts_is_searched_or_says_why_not(production: Cluster) -> None:
    found = production.superuser(
        "orders",
        "select c.relname || '.' || attname from pg_class c join pg_attribute on attrelid = c.oid and attnum > 0"
        " join pg_type t on t.oid = atttypid where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r'"
        f" and typcategory in ('S', 'A', 'U', 'Z', 'P') and typname not in {NO_TEXT}",
    )
    assert {column for (column,) in found} - set(COLUMNS) == set()


@pytest.mark.parametrize("group", one_and_the_rest([1, 0]))
def test_a_canary_in_each_column_of_the_catalogues_is_found(production: Cluster, group: int) -> None:
    """In two halves, as a message lists fifty names."""
    production.superuser("orders", *FOREIGN, "create table ruled (said text)", "create operator family f using hash")
    tried = [
        written
        for number, (column, written) in enumerate(COLUMNS.items())
        if number % 2 == group and not isinstance(written, str) and production.version >= SINCE.get(column, 0)
    ]
    production.superuser("orders", *(statements for statements, _ in tried))
    message = failed_gate(production, policy(RULES)).replace("public.", "")
    assert [where for _, where in tried if where not in message] == []


KEPT = {
    "citext": ("create extension citext", "citext", f"'{CANARY}'"),
    "hstore": ("create extension hstore", "hstore", f"'a=>\"{CANARY}\"'"),
    "array of citext": ("create extension citext", "citext[]", f"array['{CANARY}']::citext[]"),
    "composite": ("create type duo as (x int, y text)", "duo[]", f"array[row(1, '{CANARY}')::duo]"),
    "domain of a composite": (
        "create type public.duo as (x int, y text); create domain public.pair as public.duo",
        "public.pair",
        f"row(1, '{CANARY}')",
    ),
    "range": ("create type public.span as range (subtype = text)", "public.span", f"'[a,{CANARY}]'"),
    "words": ("select 1", "tsvector", f"'{CANARY}'"),
    "path": ("select 1", "jsonpath", f"'$.\"{CANARY}\"'"),
}


@pytest.mark.parametrize("kind", one_and_the_rest(KEPT))
def test_a_canary_in_a_column_of_any_type_that_holds_texts_is_found(production: Cluster, kind: str) -> None:
    created, of_type, value = KEPT[kind]
    production.superuser(
        "orders",
        created,
        f"create table public.kept (id int, value {of_type})",
        f"insert into public.kept values (1, null), (2, {value})",
        "alter table public.kept owner to boss",
    )
    message = failed_gate(production, policy("      public.kept.value: keep\n"))
    assert "canaries stand in 1 rows of public.kept.value" in message


@pytest.mark.parametrize(
    ("canary", "of_type", "value"),
    one_and_the_rest(
        [
            ("'Dwayne \"The Rock\" O''Quetzal'", "text[]", "array['x Dwayne \"The Rock\" O''Quetzal']"),
            ("Müller-Quetzal", "json", r"""'{"name": "M\u00FCller-Quetzal"}'"""),
            ("Müller-Quetzal", "json[]", r"""array['{"name": "M\u00fcller-Quetzal"}']::json[]"""),
        ]
    ),
)
def test_a_canary_that_is_written_with_escapes_is_found(
    production: Cluster, canary: str, of_type: str, value: str
) -> None:
    production.superuser(
        "orders",
        f"create table public.kept as select {value}::{of_type} as value",
        "alter table public.kept owner to boss",
    )
    message = failed_gate(production, policy("      public.kept.value: keep\n", canaries=canary))
    assert "canaries stand in 1 rows of public.kept.value" in message


def test_a_canary_with_quotes_is_found_in_a_definition(production: Cluster) -> None:
    default = "alter table public.people alter email set default 'x O''Quetzal of'"
    production.superuser("orders", default)
    assert "email" in failed_gate(production, policy(canaries="O'Quetzal of"))


def test_a_name_that_has_a_canary_is_not_shown(production: Cluster) -> None:
    production.superuser(
        "orders",
        f"create table public.{NAME} as select '{CANARY}'::text as said",
        f"alter table public.{NAME} owner to boss",
    )
    assert "1 rows of public.[a canary].said" in failed_gate(production, policy('      "public.*.said": keep\n'))


def test_what_cannot_be_searched_for_canaries_is_reported(production: Cluster) -> None:
    production.superuser(
        "orders",
        *FOREIGN[:2],
        f"create user mapping for app server server options (user '{CANARY}')",
        f"create table public.closed as select '{CANARY}'::text as said",
    )
    rules = "      public.closed.said: keep\n    foreign_servers: [server]\n"
    progress = mask(production, policy(rules))
    assert [text for text in progress.findings if "canaries" in text] == [
        "orders: not searched for canaries: public.closed of 'rdsadmin'",
        "orders: not searched for canaries: the options of the user mapping for app on server server",
    ]
    finish(production)
