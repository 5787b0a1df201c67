"""A Redis URL: every form of it is read by one parser, and a wrong one is refused by name, without its password."""

from __future__ import annotations

import ssl

import pytest
from redis.connection import URL_QUERY_ARGUMENT_PARSERS

from pipeline.connections import async_clients, sync_clients
from pipeline.connections.address import is_cluster, parse
from pipeline.connections.broker import NOWHERE, broker_settings
from pipeline.connections.url_options import CONNECTION, HOST, KNOWN, PLACE, POOL, TCP, TLS
from pipeline.errors import UnreachableError

VALUES = {
    "ssl_include_verify_flags": "VERIFY_X509_STRICT",
    "ssl_exclude_verify_flags": "[VERIFY_X509_STRICT, VERIFY_CRL_CHECK_LEAF]",
    "ssl_cert_reqs": "CERT_OPTIONAL",
    "ssl_min_version": "771",
    "ssl_ciphers": "ECDHE",
    "encoding": "utf-8",
    "encoding_errors": "strict",
    "decode_responses": "False",
    "legacy_responses": "True",
    "client_name": "me",
    "username": "user",
    "password": "word",
    "host": "there",
    "protocol": "3",
}  # others take a number


@pytest.mark.parametrize(
    ("url", "hosts", "db", "user"),
    [
        ("redis://", (("localhost", 6379),), 0, {}),
        (" redis://host\n", (("host", 6379),), 0, {}),
        ("REDIS://host:7/2", (("host", 7),), 2, {}),
        ("redis://host/0?db=5", (("host", 6379),), 5, {}),
        ("redis://host/3/", (("host", 6379),), 3, {}),
        ("redis://?host=there&port=8", (("there", 8),), 0, {}),
        ("redis://me:p%40s%2Fs%20@host", (("host", 6379),), 0, {"username": "me", "password": "p@s/s "}),
        ("redis://:p@ss@host", (("host", 6379),), 0, {"password": "p@ss"}),
        ("redis://me@host", (("host", 6379),), 0, {"username": "me"}),
        ("redis://host?username=me&password=p%26s+s", (("host", 6379),), 0, {"username": "me", "password": "p&s s"}),
        ("rediss://me:pass@[2001:db8::1]:7/2", (("2001:db8::1", 7),), 2, {"username": "me", "password": "pass"}),
        ("redis+cluster://host:7/0", (("host", 7),), 0, {}),
    ],
)  # fmt: skip
def test_a_server_is_found_in_every_form(url, hosts, db, user):
    found = parse(url)
    assert (found.hosts, found.db, found.user) == (hosts, db, user)


@pytest.mark.parametrize(
    ("url", "path", "db"),
    [
        ("unix:///run/a%20b.sock?db=3", "/run/a b.sock", 3),
        ("unix://me:pass@/run/a@b.sock", "/run/a@b.sock", 0),
        ("redis+socket:///run/redis.sock?virtual_host=4", "/run/redis.sock", 4),
    ],
)
def test_a_socket_is_found_in_both_forms(url, path, db):
    assert (parse(url).path, parse(url).db) == (path, db)


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://us%20er:p%40ss@a:1;[::2]/3?master=m&sentinel_password=s&sentinel_ssl=yes&ssl_ca_certs=/ca",
        "sentinel://us%20er:p%40ss@a:1/3;sentinel://us%20er:p%40ss@[::2]/3?master_name=m&sentinel_password=s"
        "&sentinel_ssl=1&ssl=true&ssl_ca_certs=/ca",
    ],
)
def test_sentinels_are_read_in_our_form_and_in_celerys(url):
    found = parse(url)
    assert found.hosts == (("a", 1), ("::2", 26379))
    assert (found.master, found.db, found.tls) == ("m", 3, True)
    assert found.user == {"username": "us er", "password": "p@ss"}
    assert found.sentinel == {"password": "s", "ssl": True}
    assert found.options == {"ssl_ca_certs": "/ca"}
    assert "p@ss" not in repr(found)


def test_the_spellings_of_celery_and_of_redis_py_mean_the_same():
    for value in ("none", "NONE", "CERT_NONE"):
        assert parse(f"rediss://h?ssl_cert_reqs={value}").options == {"ssl_cert_reqs": "none"}
    for value, means in {
        "true": True,
        "Yes": True,
        "1": True,
        "False": False,
        "no": False,
        "0": False,
    }.items():
        assert parse(f"rediss://h?ssl_check_hostname={value}").options == {"ssl_check_hostname": means}
    for value in ("771", "TLSv1_2", "TLSv1.2"):
        assert parse(f"rediss://h?ssl_min_version={value}").options == {
            "ssl_min_version": ssl.TLSVersion.TLSv1_2
        }


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "sentinel"])
def test_every_option_is_one_that_each_client_takes(scheme):
    """A connection is made, which is when redis-py looks at its options."""
    names = [name for name in KNOWN[scheme] if name in CONNECTION | TCP | TLS | POOL]
    query = "&".join(f"{name}={VALUES.get(name, '1')}" for name in names)
    place = {"unix": "/run/x", "sentinel": "host"}.get(scheme, "host")
    url = f"{scheme}://{place}?{query}{'&master=m' if scheme == 'sentinel' else ''}"
    for client in (sync_clients.connect(url, 1, 1), async_clients.connect(url, 1)):
        made = client.connection_pool.make_connection()
        assert made.client_name == "me"
        assert (made.socket_timeout, made.health_check_interval) == (1, 1)


@pytest.mark.parametrize("scheme", KNOWN)
def test_an_unknown_option_is_refused_with_the_near_ones(scheme):
    with pytest.raises(
        UnreachableError, match=r"'socket_timeot', which .* Did you mean 'socket_timeout'.* Known: "
    ):
        parse(f"{scheme}://host?socket_timeot=7")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host", "is not a Redis URL. It begins with one of redis://"),
        ("host:6379", "is not a Redis URL"),
        ("", "is not a Redis URL"),
        ("redis://host:port/0", "its port is not a number from 1 to 65535"),
        ("redis://::1/0", "an IPv6 address is written [::1]"),
        ("redis://[::1/0", "its [IPv6 address] does not end"),
        ("redis://host/zero", "its path is not a number of a database"),
        ("redis://host?db=-1", "db='-1' cannot be read. It takes a whole number from 0 on."),
        ("redis://host?socket_timeout=soon", "It takes a time above zero, in seconds."),
        ("redis://host?socket_timeout=0", "socket_timeout='0' cannot be read"),
        ("redis://host?socket_keepalive=perhaps", "It takes true or false."),
        ("redis://host?protocol=4", "It takes 2 or 3."),
        ("redis://host?decode_responses=true", "It takes false, and nothing else: what is stored depends on it."),
        ("redis://host?ssl_ca_certs=/ca.pem", "begin the URL with rediss://"),
        ("redis+cluster://host?ssl=true", "begin the URL with rediss+cluster://"),
        ("rediss://host?ssl_cert_reqs=perhaps", "It takes none, optional or required."),
        ("rediss://host?ssl_min_version=3", "It takes a TLS version, as in TLSv1_2 or 771."),
        ("rediss://host?ssl_include_verify_flags=X", "It takes names of ssl.VerifyFlags with commas between them."),
        ("rediss+cluster://host?ssl_ciphers=x", "redis-py's client of a Cluster does not take"),
        ("redis+cluster://host/1", "a Cluster has database 0 alone"),
        ("unix://run/redis.sock", "It looks like unix:///run/redis.sock?db=0."),
        ("unix:///run/redis.sock?socket_keepalive=1", "which unix:// does not have"),
        ("sentinel://host:1/0", "it does not name the master. It looks like sentinel://"),
        ("sentinel://a;;b/0?master=m", "it does not name the host. It looks like sentinel://"),
    ],
)  # fmt: skip
def test_a_wrong_url_says_what_is_wrong(url, said):
    with pytest.raises(UnreachableError) as raised:
        parse(url)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:S3CRET@host:port",
        "redis://:S3CRET",
        "redis://host:S3CRET",
        "redis://me:S3CRET/x@host",
        "redis://me:1/S3CRET@host",
        "redis://me:1?S3CRET@host",
        "redis://me:1?S3CRET=x@host",
        "redis://me:1?x=S3CRET@host",
        "redis://me:1#S3CRET@host",
        "redis://host?password=a&S3CRET",
        "redis://host?password=a&S3CRET=b",
        "redis://host?password=S3CRET&nonsense=1",
        "rediss://host?ssl_password=S3CRET&nonsense=1",
        "redis:/me:S3CRET@host",
        "me:S3CRET@host",
        "htp://me:S3CRET@host",
        "redis://S3CRET@host?db=x",
        "sentinel://:S3CRET@a;b/0",
        "sentinel://:S3CRET@a;sentinel://:S3CRET@b/0",
        "sentinel://a/0?sentinel_password=S3CRET",
        "unix://:S3CRET@run",
        "redis+cluster://:S3CRET@host/1",
    ],
)
def test_no_form_of_a_wrong_url_shows_a_password(url):
    with pytest.raises(UnreachableError) as raised:
        parse(url)
    assert "S3CRET" not in str(raised.value)


def test_a_cluster_is_told_by_its_scheme():
    assert is_cluster("redis+cluster://host")
    assert is_cluster("rediss+cluster://host")
    assert not is_cluster("redis://cluster")
    with pytest.raises(UnreachableError, match="can hold pipes and nothing else"):
        sync_clients.connect("redis+cluster://host", 1, 1)
    with pytest.raises(UnreachableError, match="names no single Redis, which serving needs"):
        async_clients.connect("redis+cluster://host", 1)


# -- the broker


def test_the_broker_gets_the_place_alone_and_all_else_by_the_address():
    found = broker_settings("redis://:secret@[::1]:1/2?socket_timeout=3&protocol=2", 20)
    assert (found["broker_url"], found["broker_use_ssl"]) == ("redis://:secret@[::1]:1/2", False)
    assert found["broker_transport_options"]["socket_timeout"] == 3
    assert found["broker_transport_options"]["address"].options["protocol"] == 2
    assert "secret" not in repr(found["broker_transport_options"])
    socket = broker_settings("unix://:secret@/run/a b?db=2", 20)
    assert socket["broker_url"] == "redis+socket://:secret@/run/a%20b?virtual_host=2"


def test_the_broker_checks_certificates_unless_it_is_told_not_to():
    found = broker_settings(
        "rediss://host:1/2?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&ssl_password=x", 20
    )
    assert found["broker_url"] == "rediss://host:1/2"
    assert found["broker_use_ssl"] == {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
    }
    assert broker_settings("rediss://host", 20)["broker_use_ssl"] == {"ssl_cert_reqs": "required"}
    assert broker_settings("rediss://host?ssl_cert_reqs=CERT_NONE", 20)["broker_use_ssl"] == {
        "ssl_cert_reqs": "none"
    }


def test_the_broker_gets_each_sentinel_with_the_user_of_redis():
    found = broker_settings("sentinel://me:p%40ss@a:1;b:2/3?master=m", 20)
    assert found["broker_url"] == "sentinel://me:p%40ss@a:1/3;sentinel://me:p%40ss@b:2/3"
    assert found["broker_transport_options"]["master_name"] == "m"


def test_a_program_that_only_imports_is_not_told_of_a_wrong_url():
    assert broker_settings("nonsense", 20)["broker_url"] == NOWHERE


def test_the_table_has_every_option_that_redis_py_reads_from_a_url():

    known = PLACE | HOST | POOL | CONNECTION | TCP | TLS
    assert set(URL_QUERY_ARGUMENT_PARSERS) - set(known) == {"retry_on_error"}  # classes, which no text names
