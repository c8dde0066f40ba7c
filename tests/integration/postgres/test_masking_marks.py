"""Code of the data that runs while rows are masked can neither write how far the masking came, nor outlast its turn."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import Cluster, started
from tests.integration.postgres.masking_support import finish, mask
from utils.errors import MaskingGateFailed, StepFailed

# The first owner's code runs while the second one's rows are still as they were.
FORGED = (
    "update {state}.progress set tried = true, bound = 0, done = true, masked_rows = 40 where rel ="
    " (select oid from pg_class where relname = 'salaries')",
    "insert into {state}.moved select (select oid from pg_class where relname = 'salaries'), format('(0,%s)', i)::tid"
    " from generate_series(1, 100) i",
    "insert into {state}.moved select format('(0,%s)', i)::tid from generate_series(1, 100) i",
    "insert into {state}.own_done values (0), (1)",
    "insert into {state}.stage (name) select unnest(array['tried', 'masked', 'examined', 'passed'])",
    "insert into {state}.examined values ((select oid from pg_class where relname = 'salaries'), 0, 40, true)",
    "insert into {state}.begun values (-1, pg_current_xact_id(), 'select 1')",
    "delete from {state}.work where rel = (select oid from pg_class where relname = 'salaries')",
)
PRODUCTION = (
    "create role a_app",
    "create role b_app",
    "create schema a authorization a_app",
    "create schema b authorization b_app",
    "create table b.salaries (id int primary key, amount int)",
    "insert into b.salaries select i, 1000000 + i from generate_series(1, 40) i",
    "alter table b.salaries owner to b_app",
    "create table a.marks (said text)",
    "alter table a.marks owner to a_app",
    "create function a.code(text) returns boolean language plpgsql as $$begin return true; end$$",
    "create table a.people (id int primary key, email text check (a.code(email)))",
    "insert into a.people values (1, '1@real.org')",
    "alter table a.people owner to a_app",
    "alter function a.code(text) owner to a_app",
    "grant a_app, b_app to boss with admin option",
    "create or replace function a.code(text) returns boolean language plpgsql as $code$"
    " declare state text := (select nspname from pg_namespace where nspname ~ '^aurora_restore_mask_');"
    " begin raise log 'FORGES as %', current_user;"
    + "".join(
        f" begin execute replace($x${each}$x$, '{{state}}', state); exception when others then null; end;"
        for each in FORGED
    )
    + " return true; end$code$",
)
POLICY = """
version: 1
types: {integer: keep}
databases:
  orders:
    columns:
      a.people.email: email
      a.marks.said: keep
      b.salaries.amount: hash
    sql:
      first: {owner: a_app, text: INSERT INTO a.marks VALUES ('first')}
      second: {owner: a_app, text: "INSERT INTO a.marks VALUES ('second')"}
"""


@pytest.fixture
def production(servers: Servers) -> Iterator[Cluster]:
    running = started(servers)
    running.superuser("orders", *PRODUCTION)
    yield running
    running.postgres.destroy()


def test_code_of_the_data_cannot_say_that_others_rows_are_masked(production: Cluster) -> None:
    mask(production, POLICY)
    finish(production)
    assert "FORGES as aurora_restore_masker" in production.postgres.log.read_text(errors="replace"), "it did run"
    assert production.superuser("orders", "select count(*) from b.salaries where amount = 1000000 + id") == [(0,)]
    assert production.superuser("orders", "select said from a.marks order by 1") == [("first",), ("second",)]


# Own statements: code of one owner's tables runs in them, and reaches nobody else's.
REACHES = (
    "insert into a.marks select amount::text from b.salaries",
    "create trigger left_behind before update on b.salaries for each row execute function a.fires()",
    "create index left_behind on b.salaries (a.number(amount))",
    "grant select on b.salaries to a_app",
)
REACHING = (
    "create or replace function a.code(text) returns boolean language plpgsql as $code$begin"
    + "".join(f" begin execute $x${each}$x$; exception when others then null; end;" for each in REACHES)
    + " return true; end$code$",
    "create function a.number(int) returns int immutable language sql as 'select $1'",
    "create function a.fires() returns trigger language plpgsql as $$begin"
    " insert into a.marks values ('fired'); return new; end$$",
    "grant usage on schema a, b to public",
)


def test_code_that_own_statements_call_reaches_only_the_tables_of_their_owner(production: Cluster) -> None:
    production.superuser("orders", *REACHING)
    mask(production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", "UPDATE a.people SET id = id"))
    finish(production)
    assert production.superuser("orders", "select said from a.marks order by 1") == [("first",)]
    hung = "select tgname from pg_trigger union all select indexrelid::regclass::text from pg_index"
    assert ("left_behind",) not in production.superuser("orders", hung)


@pytest.mark.full
def test_triggers_fire_again_when_own_statements_have_run_and_one_that_these_drop_is_gone(production: Cluster) -> None:
    production.superuser(
        "orders",
        *REACHING[1:3],
        "create trigger kept before insert on a.marks for each row execute function a.fires()",
        "alter table a.marks enable always trigger kept",
        "create trigger dropped before insert on a.people for each row execute function a.fires()",
    )
    policy = POLICY.replace("INSERT INTO a.marks VALUES ('second')", "DROP TRIGGER dropped ON a.people")
    mask(production, policy)
    finish(production)
    assert production.superuser("orders", "select said from a.marks") == [("first",)]
    triggers = "select tgname, tgenabled from pg_trigger where not tgisinternal"
    assert production.superuser("orders", triggers) == [("kept", "A")]


# By how each is named in the refusal: no two alike, so that none is missed behind another.
ADDED = {
    "trigger 'made' of a.marks": "CREATE TRIGGER made BEFORE INSERT ON a.marks FOR EACH ROW EXECUTE FUNCTION a.fires()",
    "rule 'made' of a.marks": "CREATE RULE made AS ON INSERT TO a.marks DO ALSO SELECT 1",
    "policy 'made' of a.marks": "CREATE POLICY made ON a.marks USING (true)",
    "index 'a.made' of a.people": "CREATE INDEX made ON a.people (a.number(id))",
    "constraint 'made' of a.people": "ALTER TABLE a.people ADD CONSTRAINT made CHECK (a.number(id) > 0)",
    "default 'id' of a.people": "ALTER TABLE a.people ALTER id SET DEFAULT a.number(1)",
    "rule '_RETURN' of a.shown": "CREATE OR REPLACE VIEW a.shown AS SELECT 'made'::text AS said",
    "privilege 'b_app' of a.people": "GRANT SELECT ON a.people TO b_app",
    "privilege 'b_app' of a.closed": "GRANT SELECT (id) ON a.closed TO b_app",
    "inheritance 'a.parent' of a.people": "ALTER TABLE a.people INHERIT a.parent",
    "row level security 'false' of a.closed": "ALTER TABLE a.closed DISABLE ROW LEVEL SECURITY",
}


def test_what_would_run_code_or_give_rights_may_not_be_added(production: Cluster) -> None:
    """Whether own statements or code of the data did it cannot be told apart."""
    production.superuser(
        "orders",
        *REACHING[1:3],
        "create view a.shown as select said from a.marks",
        "create table a.parent (id int)",
        "create table a.closed (id int)",
        "alter table a.closed enable row level security",
        *(f"alter table a.{name} owner to a_app" for name in ("shown", "parent", "closed")),
        "alter function a.fires() owner to a_app",
        "alter function a.number(int) owner to a_app",
    )
    with pytest.raises(MaskingGateFailed, match="may drop such things") as failed:
        mask(production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", "; ".join(ADDED.values())))
    (said,) = re.findall("was added or changed meanwhile: (.*?)\\. The policy's", str(failed.value))
    assert set(said.split(", ")) == ADDED.keys(), said


@pytest.mark.full
def test_an_index_that_own_statements_create_stays_with_its_tables_owner(production: Cluster) -> None:
    mask(
        production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", "CREATE INDEX made ON a.people (id, email)")
    )
    finish(production)
    owner = "select pg_get_userbyid(relowner) from pg_class where relname = 'made'"
    assert production.superuser("orders", owner) == [("a_app",)]


OWNED_BY_NOBODY = {
    "function a.made()": "CREATE FUNCTION a.made() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "table a.made_table": "CREATE TABLE a.made_table (id int)",
    "view a.made_view": "CREATE VIEW a.made_view AS SELECT 1 AS x",
    "sequence a.made_sequence": "CREATE SEQUENCE a.made_sequence",
    "type a.made_type": "CREATE TYPE a.made_type AS (x int)",
}


def test_what_own_statements_create_and_nobody_owns_is_refused(production: Cluster) -> None:
    created = "; ".join(OWNED_BY_NOBODY.values())
    with pytest.raises(StepFailed, match="that they call, created ") as failed:
        mask(production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", created))
    (said,) = re.findall(r"created (.*?)\. They may", str(failed.value))
    assert set(said.split(", ")) == OWNED_BY_NOBODY.keys(), said


@pytest.mark.full
def test_own_statements_may_use_temporary_tables(production: Cluster) -> None:
    used = "CREATE TEMP TABLE used AS SELECT 1 AS x; INSERT INTO a.marks SELECT x::text FROM pg_temp.used"
    mask(production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", used))
    finish(production)
    assert production.superuser("orders", "select said from a.marks order by 1") == [("1",), ("first",)]


@pytest.mark.full
def test_whose_tables_own_statements_are_for_is_asked_where_there_are_several_owners(production: Cluster) -> None:
    for policy, said in (
        (POLICY.replace("{owner: a_app, text: INSERT INTO a.marks VALUES ('first')}", "SELECT 1"), "a_app, b_app"),
        (POLICY.replace("owner: a_app", "owner: c_app"), "c_app"),
    ):
        with pytest.raises(StepFailed, match="nothing was changed") as failed:
            mask(production, policy)
        assert said in str(failed.value)


def test_rows_that_own_statements_add_or_delete_are_counted_and_reported(production: Cluster) -> None:
    progress = mask(production, POLICY.replace("INSERT INTO a.marks VALUES ('second')", "DELETE FROM a.people"))
    assert "orders: a.people has 0 rows, of which 1 were masked" in progress.findings
