"""Each alert fires for its fault and for nothing else, and ends with it: Prometheus' own tool plays the series."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ALERTS = Path(__file__).parents[2] / "config" / "smartico-sync.alerts.yaml"
FAULT_ENDS_AT = 240  # minutes; from there on all is well again
MINUTE = "1m"


@dataclass(frozen=True)
class Fault:
    """The series of a fault (two that are fine stand beside it), in Prometheus' notation: start, step, times."""

    alert: str
    series: str
    bad: str
    good: str
    told_after: int = 12  # minutes
    over_after: int = 62  # minutes: rules that look back an hour
    beside: tuple[tuple[str, str], ...] = ()


def gauge(alert: str, series: str, bad: float, good: float, told_after: int = 12) -> Fault:
    """A value that is too high or too low until the fault ends."""
    return Fault(alert, series, f"{bad}x{FAULT_ENDS_AT} {good}x180", f"{good}x430", told_after)


FAULTS = (
    gauge("SmarticoSyncDown", 'up{job="smartico-sync",instance="%s"}', 0, 1),
    gauge("SmarticoSyncNotDelivering", 'smartico_sync_ready{instance="%s"}', 0, 1),
    gauge("SmarticoSyncStuck", 'smartico_sync_alive{instance="%s"}', 0, 1),
    Fault(
        "SmarticoSyncRestarts",
        'process_start_time_seconds{job="smartico-sync",instance="%s"}',
        f"0+60x{FAULT_ENDS_AT} 14400x180",
        "100x430",
    ),
    gauge("SmarticoSyncViewStopped", 'smartico_sync_view_state{view="%s",state="halted"}', 1, 0),
    gauge("SmarticoSyncViewStopped", 'smartico_sync_view_state{view="%s",state="regressed"}', 1, 0),
    gauge("SmarticoSyncDestinationHalted", 'smartico_sync_destination_state{destination="%s",state="halted"}', 1, 0),
    Fault(
        "SmarticoSyncRequestsFail",
        'smartico_sync_requests_total{instance="a",destination="%s",decision="retry"}',
        f"0+30x{FAULT_ENDS_AT} 7200x180",
        "0+1x430",
        25,
        beside=(
            ('smartico_sync_requests_total{instance="a",destination="bad",decision="done"}', "0+100x430"),
            ('smartico_sync_requests_total{instance="a",destination="good",decision="done"}', "0+100x430"),
        ),
    ),
    Fault(
        "SmarticoSyncSlowAnswers",
        'smartico_sync_request_duration_seconds_bucket{instance="a",destination="%s",le="5"}',
        f"0+1x{FAULT_ENDS_AT} 240+60x180",
        "0+60x430",
        25,
        beside=tuple(
            (
                f'smartico_sync_request_duration_seconds_bucket{{instance="a",destination="{name}",le="{le}"}}',
                "0+60x430",
            )
            for name in ("bad", "good")
            for le in ("10", "+Inf")
        ),
    ),
    gauge("SmarticoSyncLag", 'smartico_sync_lag_seconds{view="%s"}', 301, 20),
    gauge("SmarticoSyncStandstill", 'smartico_sync_standstill_seconds{view="%s"}', 301, 0),
    gauge("SmarticoSyncRowsWait", 'smartico_sync_parked_oldest_seconds{view="%s"}', 700, 60),
    gauge("SmarticoSyncRefused", 'smartico_sync_recent_refused_ratio{view="%s"}', 0.06, 0.01),
    Fault(
        "SmarticoSyncNewDeadLetters",
        'smartico_sync_dead_letters{view="%s",code="20056"}',
        f"0x5 1+1x{FAULT_ENDS_AT - 6} 235x180",
        "3x430",
        70,
    ),
    gauge("SmarticoSyncRowsMissing", 'smartico_sync_unacknowledged_rows{view="%s"}', 3, 0, 62),
    Fault(
        "SmarticoSyncNotCompared",
        'smartico_sync_compared_timestamp_seconds{view="%s"}',
        f"0x{FAULT_ENDS_AT} 14400+60x180",
        "0+60x430",
        195,
    ),
    gauge("SmarticoSyncClock", 'smartico_sync_clock_skew_seconds{view="%s"}', -61, 5),
    gauge(
        "SmarticoSyncClock",
        'smartico_sync_finding_since_timestamp_seconds{subject="%s",code="clock"}',
        1_800_000_000,
        0,
    ),
    Fault(  # a replica whose primary has nothing to say stands in no other alert's way
        "SmarticoSyncClock",
        'smartico_sync_clock_skew_seconds{view="%s"}',
        f"-61x{FAULT_ENDS_AT} 5x180",
        "-1000x430",
        beside=(('smartico_sync_replica_lag_seconds{view="good"}', "0x430"),),
    ),
    gauge(
        "SmarticoSyncFinding",
        'smartico_sync_finding_since_timestamp_seconds{subject="%s",code="source"}',
        1_800_000_000,
        0,
    ),
    gauge("SmarticoSyncReplicaLag", 'smartico_sync_replica_lag_seconds{view="%s"}', 301, 1),
    *(
        Fault(alert, series, f"0+1x{FAULT_ENDS_AT} 240x180", "7x430")
        for alert, series in (
            ("SmarticoSyncInvalidValues", 'smartico_sync_invalid_values_total{view="%s",property="core_language"}'),
            ("SmarticoSyncUnknownDuplicates", 'smartico_sync_unknown_duplicates_total{view="%s"}'),
            ("SmarticoSyncLogLinesDropped", 'smartico_sync_log_lines_dropped_total{instance="%s"}'),
        )
    ),
)


def rule_names() -> list[str]:
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule["alert"] for rule in group["rules"]]


def played(fault: Fault) -> dict[str, object]:
    """A test of promtool: the faulty series and a good one; exactly one alert fires while it lasts, none afterwards."""
    asked = f'count by (alertname) (ALERTS{{alertname="{fault.alert}",alertstate="firing"}})'
    firing = [{"labels": f'{{alertname="{fault.alert}"}}', "value": 1}]
    return {
        "interval": MINUTE,
        "input_series": [
            {"series": fault.series % "bad", "values": fault.bad},
            {"series": fault.series % "good", "values": fault.good},
            *({"series": series, "values": values} for series, values in fault.beside),
        ],
        "promql_expr_test": [
            {"expr": asked, "eval_time": f"{fault.told_after}m", "exp_samples": firing},
            {"expr": asked, "eval_time": f"{FAULT_ENDS_AT}m", "exp_samples": firing},
            {"expr": asked, "eval_time": f"{FAULT_ENDS_AT + fault.over_after}m", "exp_samples": []},
        ],
    }


def test_every_alert_is_played():
    """A rule without a fault here would be a rule that nobody has seen fire."""
    assert {fault.alert for fault in FAULTS} == set(rule_names())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_each_alert_fires_for_its_fault_alone_and_ends_with_it(tmp_path):
    """The series that is fine beside it never fires."""
    file = tmp_path / "alerts.test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": MINUTE, "tests": list(map(played, FAULTS))})
    )
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
