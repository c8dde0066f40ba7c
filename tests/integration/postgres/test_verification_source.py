"""A comparison with the source as it is now, by a login that may only read there, and never at the source's expense."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace
from psycopg2 import sql

from scripts.local_aws.postgres.gateway import Place
from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.cluster_support import Cluster, kept, started
from tests.integration.postgres.test_verification import FINGERPRINT, NOW, PRODUCTION, SNAPSHOT_AT
from tests.integration.tiers import one_and_the_rest
from utils.contracts.verification import CheckResult
from utils.errors import StepFailed
from utils.masking.reading import read_policy
from utils.postgres.databases import enter_cluster
from utils.postgres.own_roles import OwnLogin
from utils.postgres.session import HELD
from utils.postgres.verification.source import LiveSource, source_server
from utils.postgres.verification.verify import verify_slice
from utils.verification.found import VerificationFound
from utils.verification.reading import read_verification_policy

GUIDES = Path(__file__).parents[3] / "documentation" / "implementation_guide"
MEMBER = "prod-shop-1"
LOGIN = OwnLogin("comparing", "Readers-password-1")
POLICY = """
version: 1
check_seconds: 10
databases:
  shop:
    count: [app.orders, "app.ev*"]
    newest_rows:
      app.orders.at: 2
source:
  max_difference_percent: 10
"""
READER = (
    f"create role {LOGIN.name} login password '{LOGIN.password}'",
    f"grant usage on schema app to {LOGIN.name}",
    f"grant select on all tables in schema app to {LOGIN.name}",
)


@pytest.fixture(scope="module")
def produced(servers: Servers) -> Volume:
    """Production, whose owner has made a login for the comparison."""
    cluster = started(servers)
    cluster.as_master("postgres", "create role shop login password 'Shop-password-1'", "create database shop")
    cluster.superuser("shop", *PRODUCTION, "reset role", *READER)
    return kept(cluster, servers)


@pytest.fixture
def source(servers: Servers, produced: Volume) -> Iterator[Cluster]:
    running = started(servers, produced)
    ((address,),) = running.as_master("postgres", "select host(inet_client_addr())")
    running.postgres.name_member(cast(Place, types.SimpleNamespace(address=address)), MEMBER)
    yield running
    running.postgres.destroy()


@pytest.fixture
def restored(servers: Servers, produced: Volume) -> Iterator[Cluster]:
    running = started(servers, produced)
    yield running
    running.postgres.destroy()


def live(source: Cluster, login: OwnLogin = LOGIN, masking: str | None = None) -> LiveSource:
    server = source.server
    return LiveSource(
        identifier="prod-shop",
        server=source_server(server.host, server.port, server.ca_bundle),
        read_login=lambda: login,
        members=frozenset({MEMBER, "prod-shop-2"}),
        why_away=None,
        masking=None if masking is None else read_policy(masking),
        now=NOW,
    )


def compared(
    restored: Cluster, against: LiveSource, text: str = POLICY, found: VerificationFound | None = None
) -> list[CheckResult]:
    """Everything that the comparison with the source has found."""
    so_far = found if found is not None else VerificationFound()
    cluster, policy = enter_cluster(restored.server, restored.master), read_verification_policy(text)
    assert verify_slice(cluster, policy, so_far, FINGERPRINT, SNAPSHOT_AT, lambda: 600.0, against)
    return [each for each in so_far.results if each.kind == "source"]


def of_shop(results: list[CheckResult], name: str) -> CheckResult:
    (only,) = [each for each in results if each.name == name and each.scope.startswith("shop")]
    return only


def test_a_copy_that_equals_its_source_holds_and_says_how_many_tables_were_compared(
    restored: Cluster, source: Cluster
) -> None:
    results = compared(restored, live(source))
    assert all(each.held for each in results)
    assert of_shop(results, "schema as in the source").actual == "the same"
    assert of_shop(results, "at").actual == "0 h 0 min behind"
    # The one with row level security was counted in neither.
    assert of_shop(results, "rows as in the source").actual == "3 tables compared, 1 not"
    assert of_shop(results, "rows as in the source").scope == "shop"


def test_the_login_of_the_guide_may_compare_everything_and_do_nothing_else(restored: Cluster, source: Cluster) -> None:
    """Its statements are run as they stand there, but for the password."""
    _, _, rest = (GUIDES / "verification.md").read_text().partition("```sql\nCREATE ROLE copy_reader")
    statements = "CREATE ROLE copy_reader" + rest.partition("```")[0].replace("'...'", f"'{LOGIN.password}'")
    source.superuser("postgres", statements)
    results = compared(restored, live(source, OwnLogin("copy_reader", LOGIN.password)))
    assert all(each.held for each in results), results
    assert of_shop(results, "rows as in the source").actual == "3 tables compared, 1 not"


@pytest.mark.full
def test_what_the_source_has_gained_is_within_the_tolerance_or_a_finding(restored: Cluster, source: Cluster) -> None:
    more = "insert into app.orders (customer, at, total) select 1, timestamptz '2026-03-10 03:30:00+00', 1"
    source.superuser("shop", f"{more} from generate_series(1, 30)")
    results = compared(restored, live(source))
    assert all(each.held for each in results)
    assert of_shop(results, "at").actual == "1 h 0 min behind"
    source.superuser("shop", f"{more} from generate_series(1, 30)", "analyze")
    results = compared(restored, live(source), POLICY.replace("source:\n", "source:\n  max_hours_behind: 1\n"))
    wrong = of_shop(results, "rows as in the source")
    assert (wrong.scope, wrong.held, wrong.actual) == ("shop.app.orders", False, "300 rows")
    assert wrong.expected == "at most 10 % more or fewer than the 360 rows of the source"
    assert of_shop(results, "at").held


def test_rows_that_the_copy_has_lost_and_a_newest_row_too_far_behind_are_findings(
    restored: Cluster, source: Cluster
) -> None:
    restored.superuser("shop", "delete from app.orders where at > timestamptz '2026-03-10 00:30:00+00'")
    results = compared(restored, live(source), POLICY.replace("source:\n", "source:\n  max_hours_behind: 1\n"))
    assert [(each.name, each.actual) for each in results if each.held is False] == [
        ("at", "2 h 0 min behind"),
        ("rows as in the source", "180 rows"),
    ]


CHANGED = (
    "create table app.new_one (id int)",
    'alter table app.orders add column "new\ncolumn" int',
    "alter table app.customers drop column mail",
    "drop table app.events",
)


@pytest.mark.full
def test_a_migration_since_the_snapshot_is_reported_by_name_and_a_finding_only_if_the_policy_says_so(
    restored: Cluster, source: Cluster
) -> None:
    source.superuser("shop", *CHANGED, "create database later")
    reported = compared(restored, live(source))
    assert all(each.held for each in reported)
    said = of_shop(reported, "schema as in the source").actual
    for each in (
        "tables only in the source: app.new_one;",
        "tables only in the restored cluster: app.events, app.events_1, app.events_2;",
        "columns only in the source: app.orders.new\\ncolumn;",
        "columns only in the restored cluster: app.customers.mail",
    ):
        assert each in said
    strict = compared(restored, live(source), POLICY + "  schema_changes: fail\n")
    assert [(each.name, each.scope) for each in strict if each.held is False] == [
        ("databases as in the source", "prod-shop"),
        ("schema as in the source", "shop"),
    ]
    assert strict[0].actual == "only in the source: later"


@pytest.mark.full
def test_a_column_that_the_source_no_longer_has_says_nothing_of_the_age(restored: Cluster, source: Cluster) -> None:
    source.superuser("shop", "alter table app.orders rename column at to ordered_at")
    result = of_shop(compared(restored, live(source)), "at")
    assert (result.held, result.error) == (None, "the source has no such column")


def test_nothing_is_compared_that_the_masking_has_emptied_or_whose_newest_row_it_has_moved(
    restored: Cluster, source: Cluster
) -> None:
    masking = """
version: 1
databases:
  shop:
    columns:
      app.orders.at: {date_shift: {days: 3}}
    tables: {"app.ev*": empty}
"""
    restored.superuser("shop", "truncate app.events", "update app.orders set at = at - interval '3 days'")
    results = compared(restored, live(source, masking=masking))
    assert all(each.held for each in results)
    assert [each.name for each in results if each.scope == "shop"] == [
        "schema as in the source",
        "rows as in the source",
    ]
    assert of_shop(results, "rows as in the source").actual == "2 tables compared, 1 not"


def only_reason(results: list[CheckResult]) -> str:
    (only,) = [each for each in results if each.held is None]
    assert not [each for each in results if each.held is False]
    return only.error or ""


def test_a_source_that_does_not_answer_counts_as_not_run_and_is_asked_once(
    restored: Cluster, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.postgres.verification.source.PAUSE_SECONDS", 0)
    source.postgres.stop()
    found = VerificationFound()
    why = only_reason(compared(restored, live(source), found=found))
    assert "No login as 'comparing'" in why
    assert why.endswith("and the source's, which has to admit it")
    assert len(compared(restored, live(source), found=found)) == 1


@pytest.mark.full
def test_a_login_that_is_refused_or_cannot_be_read_counts_as_not_run(
    restored: Cluster, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.postgres.verification.source.PAUSE_SECONDS", 0)
    why = only_reason(compared(restored, live(source, OwnLogin(LOGIN.name, "Wrong-password-1"))))
    assert "password authentication failed" in why
    assert "Wrong" not in why

    def unreadable() -> OwnLogin:
        raise StepFailed("the secret is gone")

    gone = replace(live(source), read_login=unreadable)
    assert only_reason(compared(restored, gone)) == "the secret is gone"


def slice_of(restored: Cluster, against: LiveSource, found: VerificationFound) -> bool:
    cluster, policy = enter_cluster(restored.server, restored.master), read_verification_policy(POLICY)
    return verify_slice(cluster, policy, found, FINGERPRINT, SNAPSHOT_AT, lambda: 600.0, against)


def test_an_instance_that_rds_does_not_list_ends_the_slice_and_after_another_look_counts_as_not_run(
    restored: Cluster, source: Cluster
) -> None:
    found, elsewhere = VerificationFound(), replace(live(source), members=frozenset({"prod-shop-2"}))
    assert not slice_of(restored, elsewhere, found)
    assert found.strangers == [MEMBER]
    assert slice_of(restored, elsewhere, found)
    why = only_reason([each for each in found.results if each.kind == "source"])
    assert f"leads to the instance '{MEMBER}', which RDS does not list among those of 'prod-shop'" in why


def test_an_instance_that_has_been_added_since_is_compared_with_after_another_look(
    restored: Cluster, source: Cluster
) -> None:
    found = VerificationFound()
    assert not slice_of(restored, replace(live(source), members=frozenset({"prod-shop-2"})), found)
    assert slice_of(restored, live(source), found)
    results = [each for each in found.results if each.kind == "source"]
    assert len(results) > 1
    assert all(each.held for each in results)


def test_each_session_is_proved_and_nothing_is_read_with_another_clusters_instance(
    restored: Cluster, source: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address leads to another cluster once the first session has been proved."""
    asked = iter([MEMBER])
    monkeypatch.setattr("utils.postgres.verification.source.member_of", lambda _: next(asked, "another-1"))
    found = VerificationFound()
    assert not slice_of(restored, live(source), found)
    assert found.strangers == ["another-1"]
    asked = iter([MEMBER])
    assert slice_of(restored, live(source), found)
    compared_databases = {each.scope for each in found.results if each.kind == "source" and each.held is not None}
    assert compared_databases == {"prod-shop"}
    assert all("'another-1'" in (each.error or "") for each in found.results if each.scope == "shop" and not each.held)


def test_a_source_that_has_gone_since_is_not_entered_and_what_was_compared_is_dropped(
    restored: Cluster, source: Cluster
) -> None:
    found = VerificationFound()
    assert slice_of(restored, live(source), found)
    assert found.databases["shop"].source_tables
    source.postgres.stop()
    assert slice_of(restored, replace(live(source), members=frozenset(), why_away="it has gone"), found)
    assert only_reason([each for each in found.results if each.kind == "source"]) == "it has gone"
    assert not found.databases["shop"].source_tables


# Each is taken back, by the second statement, before the next is tried.
TOO_MUCH = (
    (
        f"alter role {LOGIN.name} createrole",
        f"alter role {LOGIN.name} nocreaterole",
        f"it is, or may become, {LOGIN.name}",
    ),
    (
        f"grant rds_superuser to {LOGIN.name}",
        f"revoke rds_superuser from {LOGIN.name}",
        "it is, or may become, rds_superuser",
    ),
    (f"alter role {LOGIN.name} superuser", f"alter role {LOGIN.name} nosuperuser", "it is, or may become, "),
    (f"grant shop to {LOGIN.name}", f"revoke shop from {LOGIN.name}", "it may change the schema app"),
    (
        f"grant update (total) on app.orders to {LOGIN.name}",
        f"revoke update (total) on app.orders from {LOGIN.name}",
        "it may change the relation app.orders",
    ),
    (
        "grant delete on app.events to public",
        "revoke delete on app.events from public",
        "it may change the relation app.events",
    ),
    (
        f"grant usage on sequence app.customers_id_seq to {LOGIN.name}",
        f"revoke usage on sequence app.customers_id_seq from {LOGIN.name}",
        "it may change the sequence app.customers_id_seq",
    ),
    (
        f"grant create on schema app to {LOGIN.name}",
        f"revoke create on schema app from {LOGIN.name}",
        "it may change the schema app",
    ),
    (
        f"grant create on database shop to {LOGIN.name}",
        f"revoke create on database shop from {LOGIN.name}",
        "it may change the database shop",
    ),
)


@pytest.mark.parametrize("cases", one_and_the_rest([[*TOO_MUCH[:1]], [*TOO_MUCH[1:]]]), ids=["one", "the rest"])
def test_a_login_that_may_do_more_than_read_reads_nothing(
    restored: Cluster, source: Cluster, cases: list[tuple[str, str, str]]
) -> None:
    wrong = {}
    for statement, back, said in cases:
        source.superuser("shop", statement)
        results = [each for each in compared(restored, live(source)) if each.scope != "postgres"]
        source.superuser("shop", back)
        why = [each.error or "" for each in results if not each.held]
        advice = "Put a login into its secret that may do nothing but read"
        if len(why) != 1 or said not in why[0] or advice not in why[0] or any(each.held is False for each in results):
            wrong[statement] = results
    assert not wrong, wrong
    # Each was taken back, so none has spoken for the next.
    assert all(each.held for each in compared(restored, live(source)))


@pytest.mark.full
def test_the_login_of_the_page_is_fit_also_beside_an_extension_that_lets_everybody_write(
    restored: Cluster, source: Cluster
) -> None:
    if source.version < 14:
        pytest.skip("pg_read_all_data came with 14")
    source.as_master("postgres", f"create role plain login password '{LOGIN.password}' connection limit 4")
    source.as_master("postgres", "grant pg_read_all_data to plain")
    for cluster in (restored, source):
        cluster.superuser("shop", "create table app.log (id int)", "grant delete on app.log to public")
        cluster.superuser("shop", "alter extension plpgsql add table app.log")
    results = compared(restored, live(source, OwnLogin("plain", LOGIN.password)))
    assert all(each.held for each in results)
    assert of_shop(results, "rows as in the source").actual == "3 tables compared, 1 not"


def test_no_session_there_can_write_and_each_has_little_memory_and_patience(source: Cluster) -> None:
    against = live(source)
    cluster = enter_cluster(against.server, source.master)
    with pytest.raises(StepFailed, match="read-only transaction"), cluster.maintenance() as opened:
        opened.run(sql.SQL("CREATE TABLE public.left_behind ()"))
    with cluster.maintenance() as opened:
        names = ("work_mem", "lock_timeout", "statement_timeout", "search_path", "max_parallel_workers_per_gather")
        shown = [opened.rows(sql.SQL("SELECT current_setting(%s)"), (name,))[0][0] for name in names]
        assert shown == ["4MB", "5s", "1min", "pg_catalog", "0"]


def test_a_table_that_the_login_may_not_read_counts_as_not_run_and_the_others_are_compared(
    restored: Cluster, source: Cluster
) -> None:
    source.superuser("shop", f"revoke select on app.customers from {LOGIN.name}")
    results = compared(restored, live(source))
    assert "its login may not read app.customers. GRANT it SELECT there" in only_reason(results)
    (held,) = [each for each in results if each.name == "rows as in the source" and each.held and each.scope == "shop"]
    assert held.actual == "2 tables compared, 2 not"


@pytest.mark.full
def test_a_name_that_is_no_text_leaves_the_rest_compared(restored: Cluster, source: Cluster) -> None:
    for cluster in (restored, source):
        cluster.as_master("postgres", "create database bytes encoding 'SQL_ASCII' template template0")
    with closing(source.postgres.connect("bytes")) as inside, inside.cursor() as cursor:
        inside.set_client_encoding("SQL_ASCII")
        cursor.execute(b'create table "\xff" (id int)')
        inside.commit()
    results = compared(restored, live(source))
    unknown = {each.scope: each.error for each in results if each.held is None}
    assert unknown == {"bytes": "PostgreSQL refused it: CharacterNotInRepertoire (SQLSTATE 22021)"}
    assert of_shop(results, "rows as in the source").held


@pytest.mark.full
def test_a_table_that_others_have_locked_is_not_waited_for(restored: Cluster, source: Cluster) -> None:
    holder = source.postgres.connect("shop")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("lock app.orders in access exclusive mode")
    results = compared(restored, live(source), POLICY.replace("    newest_rows:\n      app.orders.at: 2\n", ""))
    holder.close()
    unknown = [each for each in results if each.held is None and each.name == "rows as in the source"]
    assert [(each.scope, each.error) for each in unknown] == [("shop.app.orders", HELD)]


def test_code_of_the_source_that_hangs_is_ended_with_its_session(restored: Cluster, source: Cluster) -> None:
    """PostgreSQL evaluates an index's expression while it plans, as whoever reads the table."""
    hanging = "loop begin perform pg_sleep(100); exception when query_canceled then null; end; end loop;"
    create = "create or replace function app.slow(x int) returns int language plpgsql immutable as"
    source.superuser(
        "shop",
        f"{create} $$begin return x; end$$",
        "create index slow on app.customers ((app.slow(1) + id))",
        f"{create} $$begin {hanging} end$$",
    )
    results = compared(restored, live(source), POLICY.replace("check_seconds: 10", "check_seconds: 2"))
    unknown = [each for each in results if each.held is None]
    assert [(each.scope, each.error) for each in unknown] == [("shop.app.customers", "it was cut off after 2 seconds")]
    left = f"select count(*) from pg_stat_activity where usename = '{LOGIN.name}'"
    assert source.superuser("postgres", left) == [(0,)]
