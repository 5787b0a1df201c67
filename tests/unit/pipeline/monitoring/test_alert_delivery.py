"""Who is told of which alert, and how a webhook is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.monitoring.alert_channels import Notice, Topic, Webhook, channels
from pipeline.monitoring.alert_delivery import Known, changes
from pipeline.monitoring.alert_rules import Alert
from tests.support.hooks import hook

LATE = Alert("critical", "late", "main/sales", "main/sales is late by 20 min")
FULL = Alert("critical", "memory", "control", "Redis (control) uses 95%")
UNTAKEN = Alert("critical", "untaken", "main.compute", "7 messages wait")


@given(st.lists(st.lists(st.sampled_from([LATE, FULL]), unique=True)))
def test_each_channel_is_told_of_each_beginning_and_each_end_once(looks):
    known: list[Known] = []
    said: dict[str, list[tuple[str, Alert]]] = {"webhook": [], "sns": []}
    for n, found in enumerate(looks):
        for channel, its in said.items():
            known, notices = changes(known, found, float(n), channel)
            its += [(notice.status, notice.alert) for notice in notices]
    for alert in (LATE, FULL):
        there = [alert in found for found in looks]
        expected = [
            "new" if now else "resolved"
            for before, now in zip([False, *there], there, strict=False)
            if before != now
        ]
        for its in said.values():
            assert [status for status, of in its if of is alert] == expected


def test_a_text_that_changes_is_no_new_alert_and_the_end_has_the_last_one():
    later = Alert(LATE.level, LATE.what, LATE.about, "main/sales is late by 21 min")
    known, _ = changes([], [LATE], 0.0, "webhook")
    known, notices = changes(known, [later], 60.0, "webhook")
    assert notices == []
    _, notices = changes(known, [], 120.0, "webhook")
    assert notices == [Notice("resolved", later, 0.0)]


def test_what_may_be_a_cold_start_is_told_when_it_has_lasted():
    known, notices = changes([], [UNTAKEN], 0.0, "webhook")
    assert notices == []
    known, notices = changes(known, [UNTAKEN], 119.0, "webhook")
    assert notices == []
    assert changes(known, [], 119.5, "webhook") == ([], [])
    _, notices = changes(known, [UNTAKEN], 120.0, "webhook")
    assert notices == [Notice("new", UNTAKEN, 0.0)]


def test_what_is_known_is_read_as_it_was_written():
    one = Known(Alert("warning", "failed", "main/sales some task", "text"), 5.5, frozenset({"sns"}))
    assert Known.load(one.key, one.dump()) == one


def test_a_webhook_gets_one_post_for_all_that_changed():
    with hook() as to:
        assert Webhook(to.url).tell([Notice("new", LATE, 0.0), Notice("resolved", FULL, 60.0)]) == 2
    (body,) = to.bodies
    assert body["text"] == "new: main/sales is late by 20 min\nresolved: Redis (control) uses 95%"
    assert body["alerts"][0] == {
        "status": "new",
        "level": "critical",
        "what": "late",
        "about": "main/sales",
        "text": "main/sales is late by 20 min",
        "since": "1970-01-01T00:00:00+00:00",
    }


@pytest.mark.parametrize(("answers", "told"), [([500, 503], 1), ([500, 500, 500], 0), ([302, 302, 302], 0)])
def test_a_webhook_that_refuses_is_tried_three_times(answers, told):
    with hook() as to:
        to.answers = list(answers)
        assert Webhook(to.url, pauses=(0.01, 0.01)).tell([Notice("new", LATE, 0.0)]) == told
        assert len(to.bodies) == told
        assert to.answers == []


def test_a_webhook_that_has_the_post_and_answers_late_is_not_told_again():
    with hook() as to:
        to.delay = 0.5
        assert Webhook(to.url, timeout=0.2, pauses=(0.01, 0.01)).tell([Notice("new", LATE, 0.0)]) == 1
        assert len(to.bodies) == 1


def test_logs_tell_the_host_of_a_webhook_and_not_its_secret(caplog):
    assert Webhook("http://127.0.0.1:1/T0/secret", pauses=()).tell([Notice("new", LATE, 0.0)]) == 0
    assert "host='127.0.0.1'" in caplog.text
    assert "secret" not in caplog.text


def test_a_channel_that_cannot_work_is_refused_in_words():
    for url in ("hooks.example.org/x", "ftp://example.org", "https://"):
        with pytest.raises(SettingsError) as caught:
            Webhook(url)
        assert str(caught.value) == (
            "PIPELINE_ALERT_WEBHOOK is not an address of a webhook. Give one that begins with https:// (or http://)."
        )
    with pytest.raises(SettingsError) as caught:
        Topic("alerts")
    assert str(caught.value) == (
        "PIPELINE_ALERT_TOPIC='alerts' is not a topic. Give its ARN: arn:aws:sns:eu-west-1:123456789012:alerts"
    )
    assert channels({}) == []


def test_a_topic_without_boto3_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(SettingsError) as caught:
        channels({"PIPELINE_ALERT_TOPIC": "arn:aws:sns:eu-west-1:123456789012:alerts"})
    assert (
        str(caught.value) == "PIPELINE_ALERT_TOPIC needs boto3. Install it: pip install 'celery-waves[aws]'"
    )
