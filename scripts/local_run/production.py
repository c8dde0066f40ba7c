"""A production-like source: a cluster with two databases, odd names, several owners and its own logins, and a snapshot.

Everything is made through the RDS API and SQL, as people would.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg2 import sql

from scripts.local_aws.server import LocalAws
from scripts.local_run.databases import count_rows, database_session
from scripts.local_run.keys import create_key
from scripts.local_run.waiting import wait_until

CLUSTER = "prod-orders"
SNAPSHOT = "prod-orders-nightly"
Encryption = Literal["a customer's key", "the default key", "a key that AWS owns", "nothing"]
MASTER = "prod_master"
DATABASES = ("orders", "Billing & Tax")
ORDERS = 50_000

# Owners, then what they own. Quoting is PostgreSQL's: these names are meant to be awkward.
_ROLES = """
CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE "Billing Owner" NOLOGIN;
CREATE ROLE orders_app LOGIN PASSWORD {app} IN ROLE orders_owner;
CREATE ROLE "Reporting.Tool" LOGIN PASSWORD {reporting};
"""
_ORDERS = f"""
GRANT orders_owner TO CURRENT_USER;
CREATE SCHEMA sales AUTHORIZATION orders_owner;
CREATE SCHEMA "Reporting" AUTHORIZATION orders_owner;
CREATE SCHEMA "odd schema; drop" AUTHORIZATION orders_owner;
SET ROLE orders_owner;
CREATE TYPE sales.state AS ENUM ('new', 'paid', 'shipped');
CREATE TABLE sales.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text);
CREATE TABLE sales.orders (
    id bigserial PRIMARY KEY, customer_id bigint REFERENCES sales.customers, state sales.state NOT NULL,
    total numeric(12, 2) NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE sales."Order Lines" ("Order" bigint REFERENCES sales.orders, "Line No" int, "select" text,
    PRIMARY KEY ("Order", "Line No"));
CREATE TABLE "odd schema; drop"."O'Brien ""quoted"" täble" (id int PRIMARY KEY, "Größe" text);
CREATE TABLE sales.events (id bigint, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE sales.events_2026 PARTITION OF sales.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SEQUENCE sales.invoice_numbers START 1000;
CREATE VIEW "Reporting"."Daily Totals" AS
    SELECT placed_at::date AS day, count(*) AS orders, sum(total) AS total FROM sales.orders GROUP BY 1;
CREATE MATERIALIZED VIEW "Reporting".best_customers AS
    SELECT customer_id, sum(total) AS total FROM sales.orders GROUP BY 1 ORDER BY 2 DESC LIMIT 100;
CREATE FUNCTION sales.order_total(bigint) RETURNS numeric LANGUAGE sql STABLE
    AS 'SELECT total FROM sales.orders WHERE id = $1';
INSERT INTO sales.customers (name, email)
    SELECT 'Customer ' || n, 'customer' || n || '@example.com' FROM generate_series(1, 2000) n;
INSERT INTO sales.orders (customer_id, state, total, placed_at)
    SELECT 1 + n % 2000, (ARRAY['new', 'paid', 'shipped']::sales.state[])[1 + n % 3], (n % 9973) / 7.0,
           timestamptz '2026-01-01' + n * interval '9 minutes' FROM generate_series(1, {ORDERS}) n;
INSERT INTO sales."Order Lines" SELECT n, 1, 'item ' || n FROM generate_series(1, 5000) n;
INSERT INTO "odd schema; drop"."O'Brien ""quoted"" täble" SELECT n, 'größe ' || n FROM generate_series(1, 10) n;
INSERT INTO sales.events SELECT n, date '2026-01-01' + n % 300 FROM generate_series(1, 1000) n;
REFRESH MATERIALIZED VIEW "Reporting".best_customers;
RESET ROLE;
CREATE TABLE public.settings (key text PRIMARY KEY, value text);
INSERT INTO public.settings VALUES ('currency', 'EUR'), ('tax', '19');
GRANT USAGE ON SCHEMA sales, "Reporting" TO "Reporting.Tool";
GRANT SELECT ON ALL TABLES IN SCHEMA sales, "Reporting" TO "Reporting.Tool";
"""
_BILLING = """
GRANT "Billing Owner" TO CURRENT_USER;
CREATE SCHEMA "Ledger" AUTHORIZATION "Billing Owner";
SET ROLE "Billing Owner";
CREATE TABLE "Ledger"."Entries" (id bigserial PRIMARY KEY, amount numeric(14, 2) NOT NULL, booked_on date NOT NULL);
INSERT INTO "Ledger"."Entries" (amount, booked_on)
    SELECT n / 3.0, date '2026-01-01' + n % 365 FROM generate_series(1, 12000) n;
RESET ROLE;
"""


@dataclass
class Production:
    """The source cluster, as those who run it know it."""

    region: str
    account: str
    cluster: str = CLUSTER
    host: str = ""
    port: int = 5432
    master_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    app_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    reporting_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def snapshot(self) -> str:
        """Return the identifier of the snapshot that is taken of it."""
        return f"{self.cluster}-nightly"

    @property
    def passwords(self) -> list[str]:
        """Return every password that opens production."""
        return [self.master_password, self.app_password, self.reporting_password]


def make_production(
    aws: LocalAws,
    region: str,
    account: str | None = None,
    key_users: Sequence[str] = (),
    encryption: Encryption = "a customer's key",
    cluster: str = CLUSTER,
) -> Production:
    """Create the cluster, fill it, and take the snapshot.

    `key_users` are other accounts that may use production's key as it takes to copy a snapshot (Aurora user guide,
    "Sharing encrypted snapshots").
    """
    production = Production(region, account or aws.account_id, cluster)
    rds = aws.client("rds", region, account)
    encrypted: dict[str, Any] = {"StorageEncrypted": True} if encryption == "the default key" else {}
    if encryption == "a customer's key":
        key = create_key(aws, region, production.account, "Production's data", key_users)
        encrypted = {"StorageEncrypted": True, "KmsKeyId": key}
    rds.create_db_cluster(
        DBClusterIdentifier=cluster,
        Engine="aurora-postgresql",
        EngineVersion="17.5",
        MasterUsername=MASTER,
        MasterUserPassword=production.master_password,
        DatabaseName=DATABASES[0],
        Tags=[{"Key": "environment", "Value": "production"}],
        **encrypted,
    )
    if encryption == "nothing":
        aws.aurora.make_unencrypted(cluster, region, account)
    described = functools.partial(rds.describe_db_clusters, DBClusterIdentifier=cluster)
    wait_until(aws, lambda: described()["DBClusters"][0]["Status"] == "available", "production")
    writer = f"{cluster}-writer"
    rds.create_db_instance(
        DBInstanceIdentifier=writer,
        DBClusterIdentifier=cluster,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    instance = functools.partial(rds.describe_db_instances, DBInstanceIdentifier=writer)
    wait_until(aws, lambda: instance()["DBInstances"][0]["DBInstanceStatus"] == "available", "production")
    production.host, production.port = (described()["DBClusters"][0][name] for name in ("Endpoint", "Port"))
    _fill(aws, production)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=production.snapshot)
    wait_for_snapshot(aws, production, production.snapshot)
    return production


def wait_for_snapshot(aws: LocalAws, production: Production, name: str) -> None:
    """Let time pass until one of production's snapshots is available."""
    rds = aws.client("rds", production.region, production.account)

    def is_available() -> bool:
        found = rds.describe_db_cluster_snapshots(DBClusterIdentifier=production.cluster)["DBClusterSnapshots"]
        (status,) = [each["Status"] for each in found if each["DBClusterSnapshotIdentifier"] == name]
        return bool(status == "available")

    wait_until(aws, is_available, "production")


def _fill(aws: LocalAws, production: Production) -> None:
    def opened(database: str) -> Any:
        return database_session(aws, production, database, MASTER, production.master_password)

    with opened("postgres") as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(
            sql.SQL(_ROLES).format(
                app=sql.Literal(production.app_password), reporting=sql.Literal(production.reporting_password)
            )
        )
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASES[1])))
    for database, script in zip(DATABASES, (_ORDERS, _BILLING), strict=True):
        with opened(database) as connection, connection, connection.cursor() as cursor:
            cursor.execute(script)
        with opened(database) as connection:
            production.rows |= count_rows(connection, database)
