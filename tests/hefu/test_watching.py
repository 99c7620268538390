"""What watches Hefu names only numbers that Hefu gives, and words that it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import Counter, Gauge, Histogram

from hefu.metrics import Metrics
from services.refusals import LoginFailureCode
from wecom import errors

ROOT = Path(__file__).parent.parent.parent
DASHBOARD = json.loads((ROOT / "deploy/grafana.json").read_text("utf-8"))
RULES = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text("utf-8"))
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")

NAME = re.compile(r"\bhefu_\w+")
OTHERS = re.compile(r"\b(up|probe_success|node_systemd_\w+|patroni_\w+)\b")
LABELLED = re.compile(r'(hefu_\w+?)_total\{\w+=~?"([^"]+)"')
OUTCOME = re.compile(r'(hefu_\w+?)_total\{outcome=~?"([^"]+)"')


def names() -> set[str]:
    """As Prometheus knows them."""
    metrics = [each for each in vars(Metrics()).values() if isinstance(each, KINDS)]
    return {
        name + suffix
        for metric in metrics
        for name, suffixes in ((metric._name, SUFFIXES[type(metric)]),)
        for suffix in suffixes
    }


KINDS = (Counter, Gauge, Histogram)
SUFFIXES: dict[type, tuple[str, ...]] = {
    Counter: ("_total",),
    Gauge: ("",),
    Histogram: ("_bucket", "_sum", "_count"),
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    shown = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
    ]
    return [*shown, *(rule["expr"] for rule in rules())]


def test_every_number_that_is_looked_at_exists() -> None:
    known = names()
    assert "hefu_logins_total" in known
    for expression in expressions():
        named = NAME.findall(expression)
        assert named or OTHERS.search(expression)
        assert set(named) <= known


def test_what_an_alert_waits_for_is_there_before_it_happens() -> None:
    """Or the first after a start is no increase, and nobody is told of it."""
    waited = [match for rule in rules() for match in LABELLED.findall(rule["expr"])]
    assert {"hefu_http_requests", "hefu_logins"} <= {metric for metric, _ in waited}
    known = {
        (metric._name, value)
        for metric in vars(Metrics()).values()
        if isinstance(metric, Counter)
        for family in metric.collect()
        for sample in family.samples
        for value in sample.labels.values()
    }
    for metric, values in waited:
        # Of WeCom's calls a tenth is waited for: the first does not matter.
        if metric != "hefu_wecom_requests":
            assert {(metric, value) for value in values.split("|")} <= known


def test_every_number_is_on_the_dashboard() -> None:
    shown = {
        name.removesuffix("_bucket")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        for name in NAME.findall(target["expr"])
    }
    wanted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()}
    assert shown == wanted


def test_every_outcome_that_is_waited_for_can_happen() -> None:
    refusals = {each.value for each in LoginFailureCode}
    ends = refusals | {"SUCCESS", "BINDING_REQUIRED", "UNAVAILABLE", "INTERNAL"}
    kinds = [each for each in vars(errors).values() if hasattr(each, "outcome")]
    wecom = {each.outcome for each in kinds if isinstance(each.outcome, str)}
    can = {
        "hefu_logins": ends,
        "hefu_login_starts": ends,
        "hefu_sessions_refreshed": ends,
        "hefu_wecom_requests": wecom | {"ok", "cancelled"},
    }
    found = [match for each in expressions() for match in OUTCOME.findall(each)]
    assert found
    for metric, outcomes in found:
        assert set(outcomes.split("|")) <= can[metric]


def test_the_page_says_what_to_do_about_every_alert() -> None:
    told = re.findall(r"^\| `(Hefu\w+)` \|", PAGE, re.MULTILINE)
    assert told == [rule["alert"] for rule in rules()]


def test_every_number_is_on_the_page() -> None:
    told = re.findall(r"^\| `(hefu_\w+)` \|", PAGE, re.MULTILINE)
    wanted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()}
    assert len(told) == len(set(told))
    assert set(told) == wanted


def test_every_setting_is_on_the_page() -> None:
    read = (ROOT / "hefu/settings.py").read_text("utf-8")
    settings = set(re.findall(r'read\(\s*"(HEFU_\w+)"', read))
    assert len(settings) > 10
    assert settings == set(re.findall(r"^\| `(HEFU_\w+)` \|", PAGE, re.MULTILINE))
