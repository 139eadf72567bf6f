"""Addresses of services: arguments, environment and regions."""

import pytest

from modelarts.auth import endpoints
from modelarts.errors import ConfigurationError, InvalidArgument


@pytest.mark.parametrize(
    ("service", "given", "expected"),
    [
        ("modelarts", "modelarts.example.com", "https://modelarts.example.com"),
        ("modelarts", "https://modelarts.example.com", "https://modelarts.example.com"),
        ("modelarts", "https://modelarts.example.com/", "https://modelarts.example.com"),
        ("modelarts", "http://modelarts.example.com", "http://modelarts.example.com"),
        ("modelarts", "HTTPS://modelarts.example.com", "https://modelarts.example.com"),
        ("modelarts", "https://modelarts.example.com/v1", "https://modelarts.example.com"),
        ("modelarts", "https://m.example.com/v1/$(tenant_id)s", "https://m.example.com"),
        ("modelarts", "https://m.example.com/v2/0a1b/", "https://m.example.com"),
        ("modelarts", "https://gw.example.com/ma", "https://gw.example.com/ma"),
        ("modelarts", "https://gw.example.com/ma/v1/0a1b", "https://gw.example.com/ma"),
        ("modelarts", "localhost:8080", "https://localhost:8080"),
        ("modelarts", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("modelarts", "http://[::1]:8080", "http://[::1]:8080"),
        ("iam", "iam.eu-de.otc.t-systems.com/v3", "https://iam.eu-de.otc.t-systems.com"),
        ("iam", "https://iam.example.com/v3/", "https://iam.example.com"),
        ("iam", "https://iam.example.com/v3.0", "https://iam.example.com"),
        ("iam", "https://iam.example.com", "https://iam.example.com"),
        ("iam", "https://gw.example.com/identity/v3", "https://gw.example.com/identity"),
        ("iam", "https://iam.example.com/v1", "https://iam.example.com/v1"),
        ("obs", "obs.example.com", "https://obs.example.com"),
        ("obs", "https://obs.example.com:443/", "https://obs.example.com:443"),
        ("obs", "file:///data/obs", "file:///data/obs"),
    ],
)
def test_address_allows_scheme_and_version(service, given, expected):
    """An address may be written with and without scheme and version."""
    assert endpoints.normalize(service, given) == expected


@pytest.mark.parametrize("service", ["modelarts", "iam", "obs"])
@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        " https://h.example.com",
        "https://h.example.com\n",
        "https://h example.com",
        "https://",
        "https:///v3",
        "://h.example.com",
        "ftp://h.example.com",
        "https://h.example.com?x=1",
        "https://h.example.com/#top",
        "https://h.example.com:port",
        "https://h.example.com:65536",
        "https://[::1",
        "https://ann@h.example.com",
        "https://:pw@h.example.com",
        None,
        5,
        b"https://h.example.com",
    ],
)
def test_what_is_no_address_is_refused_by_name(service, given):
    with pytest.raises(InvalidArgument) as caught:
        endpoints.normalize(service, given)
    assert caught.value.argument == service + "_endpoint"


@pytest.mark.parametrize("service", ["modelarts", "iam"])
def test_only_obs_may_be_a_folder(service):
    with pytest.raises(InvalidArgument, match=service):
        endpoints.normalize(service, "file:///data")


def test_a_password_in_an_address_is_not_shown():
    with pytest.raises(InvalidArgument) as caught:
        endpoints.normalize("obs", "https://ann:s3cret@obs.example.com")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(vars(caught.value))


# The environment --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"MODELARTS_ENDPOINT": "m.example.com"}, {"modelarts": "https://m.example.com"}),
        ({"MA_APIGW_ENDPOINT": "https://m.example.com"}, {"modelarts": "https://m.example.com"}),
        ({"MODELARTS_IAM_ENDPOINT": "i.example.com/v3"}, {"iam": "https://i.example.com"}),
        ({"MODELARTS_OBS_ENDPOINT": "file:///data"}, {"obs": "file:///data"}),
        ({"S3_ENDPOINT": "https://o.example.com"}, {"obs": "https://o.example.com"}),
        (
            {"MODELARTS_ENDPOINT": "first.example.com", "MA_APIGW_ENDPOINT": "second.example.com"},
            {"modelarts": "https://first.example.com"},
        ),
        (
            {"MODELARTS_OBS_ENDPOINT": "first.example.com", "S3_ENDPOINT": "second.example.com"},
            {"obs": "https://first.example.com"},
        ),
        (
            {"MODELARTS_ENDPOINT": "", "MA_APIGW_ENDPOINT": "second.example.com"},
            {"modelarts": "https://second.example.com"},
        ),
        ({"MODELARTS_ENDPOINT": ""}, {}),
        ({"IAM_ENDPOINT": "other.example.com", "HOME": "/home/ann"}, {}),
    ],
)
def test_the_environment_names_the_endpoints(environ, expected):
    assert endpoints.from_environment(environ) == expected


@pytest.mark.parametrize(
    ("variable", "service"),
    [
        ("MODELARTS_ENDPOINT", "modelarts"),
        ("MODELARTS_IAM_ENDPOINT", "iam"),
        ("S3_ENDPOINT", "obs"),
    ],
)
def test_a_wrong_address_in_the_environment_is_refused(variable, service):
    with pytest.raises(ConfigurationError, match="%s: %s_endpoint" % (variable, service)):
        endpoints.from_environment({variable: "https://"})


# Regions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["modelarts", "iam", "obs"])
@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("cn-north-1", "myhuaweicloud.com"),
        ("cn-north-4", "myhuaweicloud.com"),
        ("cn-east-3", "myhuaweicloud.com"),
        ("cn-south-1", "myhuaweicloud.com"),
        ("ap-southeast-1", "myhuaweicloud.com"),
        ("ap-southeast-3", "myhuaweicloud.com"),
        ("af-south-1", "myhuaweicloud.com"),
        ("la-south-2", "myhuaweicloud.com"),
        ("tr-west-1", "myhuaweicloud.com"),
        ("me-east-1", "myhuaweicloud.com"),
        ("eu-west-101", "myhuaweicloud.eu"),
        ("eu-de", "otc.t-systems.com"),
    ],
)
def test_a_public_region_has_known_addresses(service, region, domain):
    expected = "https://%s.%s.%s" % (service, region, domain)
    assert endpoints.of_region(service, region) == expected
    assert endpoints.normalize(service, expected) == expected


@pytest.mark.parametrize("service", ["iam", "obs"])
def test_eu_nl_has_the_other_services(service):
    assert endpoints.of_region(service, "eu-nl") == "https://%s.eu-nl.otc.t-systems.com" % service


def test_eu_nl_error_names_another_region():
    """Eu nl has no modelarts and the error names a region that has."""
    with pytest.raises(ConfigurationError, match="eu-nl has no ModelArts; use eu-de"):
        endpoints.of_region("modelarts", "eu-nl")


@pytest.mark.parametrize("region", [None, ""])
def test_without_a_region_the_error_names_what_to_give(region):
    with pytest.raises(ConfigurationError, match="give region_name= or iam_endpoint="):
        endpoints.of_region("iam", region)


@pytest.mark.parametrize(
    "region",
    ["mars", "CN-NORTH-1", "cn-north", "cn-north-1\n", "cn-north-1.example.com/", "eu-de2", "../x"],
)
def test_a_region_of_neither_cloud_is_named_with_what_to_give(region):
    with pytest.raises(ConfigurationError) as caught:
        endpoints.of_region("modelarts", region)
    assert repr(region) in str(caught.value)
    assert "modelarts_endpoint=" in str(caught.value)
    assert "Session.set_endpoint" in str(caught.value)


@pytest.mark.parametrize("service", ["modelarts", "iam", "obs"])
@pytest.mark.parametrize("region", ["cn-north-4", "ap-southeast-1", "eu-west-101", "eu-de"])
def test_a_public_address_tells_its_region(service, region):
    assert endpoints.region_of(service, endpoints.of_region(service, region)) == region


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://iam.example.com",
        "https://obs.eu-de.otc.t-systems.com",
        "https://iam.eu-de.otc.t-systems.com.example.com",
        "https://gw.example.com/iam.eu-de.otc.t-systems.com",
        "https://iam.myhuaweicloud.com",
        "file:///data",
    ],
)
def test_another_address_tells_no_region(endpoint):
    assert endpoints.region_of("iam", endpoint) is None
