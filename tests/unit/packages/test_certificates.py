"""The certificates that the layer ships: Amazon RDS's own, for every region, good for years."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

import utils
from scripts.local_aws.cloudformation.template import read

BUNDLE = Path(utils.__file__).with_name("rds-global-bundle.pem")
TEMPLATE = Path(utils.__file__).parents[1] / "infrastructure" / "aurora-restore-pipeline.yaml"
PAGE = Path(utils.__file__).parents[1] / "documentation" / "implementation_guide" / "packages.md"
YEARS = 5
"""A stack runs for years after its last deployment: so long before the first certificate ends this test says so."""
CERTIFICATES = x509.load_pem_x509_certificates(BUNDLE.read_bytes())


def name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("certificate", CERTIFICATES, ids=name_of)
def test_a_certificate_is_a_root_of_amazon_rds_that_lasts(certificate: x509.Certificate) -> None:
    (organization,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    (unit,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert (organization.value, unit.value) == ("Amazon Web Services, Inc.", "Amazon RDS")
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(certificate)
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc > now + dt.timedelta(days=365 * YEARS)


@pytest.mark.parametrize(
    "region", ["us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-southeast-2", "sa-east-1"]
)
def test_a_region_has_a_root_for_each_kind_of_key(region: str) -> None:
    """A cluster's certificate descends from the one that its CA setting names; RSA2048 is the default."""
    kinds = {
        found[1]
        for each in CERTIFICATES
        if (found := re.fullmatch(rf"Amazon RDS {region} Root CA (.*)", name_of(each)))
    }
    assert kinds == {"RSA2048 G1", "RSA4096 G1", "ECC384 G1"}


def test_the_template_admits_the_regions_that_have_a_root_and_no_other() -> None:
    """Where the layer's file is used. A stack elsewhere would fail at its first login."""
    (assertion,) = read(TEMPLATE.read_text())["Rules"]["RootsOfTheRegion"]["Assertions"]
    admitted, region = assertion["Assert"]["Fn::Contains"]
    roots = (re.fullmatch(r"Amazon RDS ([a-z]+(?:-[a-z]+)+-\d) Root CA .*", name_of(each)) for each in CERTIFICATES)
    assert region == {"Ref": "AWS::Region"}
    assert admitted == sorted({found[1] for found in roots if found})


def test_no_private_key_travels_with_them() -> None:
    assert set(re.findall("BEGIN ([A-Z ]+)-", BUNDLE.read_text())) == {"CERTIFICATE"}


def test_the_page_that_says_where_they_come_from_speaks_of_this_very_file() -> None:
    assert hashlib.sha256(BUNDLE.read_bytes()).hexdigest() in PAGE.read_text()
    assert f"{len(CERTIFICATES)} certificates" in PAGE.read_text()
