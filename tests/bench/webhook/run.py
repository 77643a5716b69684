"""
What the webhook costs, beside nothing, a plain Go injector, and Kyverno with an equal policy.

Unsaturated: all contenders are up, and pods are created for each in turn, so that what the machine
does meanwhile hits all alike. Saturated: only the one that is measured runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

from tests.bench.webhook import creating, reviewing
from tests.bench.webhook.cluster import review_of
from tests.bench.webhook.contenders import KYVERNO, NOBODY, OURS, PLAIN_GO, Nobody, Ours, PlainGo
from tests.bench.webhook.figures import Histogram, added, quantile, verdict
from tests.bench.webhook.kyverno import Kyverno
from tests.lab import binaries
from tests.lab.webhook_lab import PROGRAMS, WebhookLab

Say = Callable[[str], None]
Row = Callable[[str, Sequence[float], str], None]
PER_SECOND: Final = 10.0
STARTS: Final = 5
RSS_LIMIT_MIB: Final = 90.0
RSS_GROWTH_MIB: Final = 2.0
START_LIMIT_SECONDS: Final = 2.0
P50_LIMIT_MS: Final = 2.0
P99_LIMIT_MS: Final = 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument("--creates", type=int, default=500, help="pods for each, in turn (500)")
    parser.add_argument(
        "--pace-seconds", type=float, default=45, help="creates at 10 a second for each (45)"
    )
    parser.add_argument(
        "--saturated-seconds", type=float, default=8, help="50 creates in flight, three times (8)"
    )
    parser.add_argument(
        "--reviews", type=int, default=20_000, help="posted while RSS is watched (20000)"
    )
    parser.add_argument("--no-kyverno", action="store_true", help="it takes 6 minutes to build")


def run(options: argparse.Namespace, say: Say, row: Row) -> None:
    """Run it all in one cluster."""
    wanted = ["go-injector", *([] if options.no_kyverno else ["kyverno", "kyverno-install"])]
    binaries.ensure([*PROGRAMS, *wanted])
    say("the webhook: bringing up a cluster")
    with closing(WebhookLab.up()) as lab:
        nobody, ours, plain_go = Nobody(lab), Ours(lab), PlainGo(lab)
        _starts(lab, say, row)
        others: list[Nobody] = [plain_go]
        if not options.no_kyverno:
            others.append(Kyverno(lab))
        every = [nobody, ours, *others]
        _reviews(lab, [ours, *others], options.reviews, say)
        _saturated(lab, every, options.saturated_seconds, say, row)
        _unsaturated(lab, every, options, say)


def _starts(lab: WebhookLab, say: Say, row: Row) -> None:
    say(f"start to ready, {STARTS} times: exec to the first 200 of /readyz")
    times = []
    for _ in range(STARTS):
        replica = lab.pods.start(lab.environment())
        while not _is_ready(lab, replica.get):
            assert replica.process.poll() is None, replica.process.log_text()
            time.sleep(0.02)
        times.append(reviewing.seconds_since_exec(replica.process.pid))
        lab.pods.remove(replica)
    row("ready", times, "s ")
    say(f"  worst: {verdict(max(times), START_LIMIT_SECONDS)}")


def _is_ready(lab: WebhookLab, get: Callable[..., tuple[int, str]]) -> bool:
    try:
        return get("/readyz", lab.cp, 1.0)[0] == 200
    except OSError:
        return False


def _reviews(lab: WebhookLab, contenders: Sequence[Nobody], count: int, say: Say) -> None:
    say("reviews over connections that stay open: CPU time of the server's process, RSS")
    costs = {}
    for one in contenders:
        one.start()
        place = one.place()
        assert place
        review = review_of(lab, "bench-nobody", one.namespace)
        reviewing.post(lab.cp, place, review, 500)
        much = count if one.name == OURS else min(count, 5_000)
        cost = costs[one.name] = reviewing.post(lab.cp, place, review, much, parts=10)
        one.stop()
        say(
            f"  {one.name:<14} {cost.cpu_seconds / cost.reviews * 1000:6.3f} ms CPU a review,"
            f" {cost.reviews_per_core:6.0f} a second and core; RSS {max(cost.rss_mib):.1f} MiB"
        )
    ours = costs[OURS]
    for name, cost in costs.items():
        if name != OURS:
            ratio = ours.reviews_per_core / cost.reviews_per_core
            wanted = f"  {verdict(ratio, 0.5, at_least=True)}" if name == PLAIN_GO else ""
            say(f"  reviews per core, {OURS} / {name}: {ratio:.2f}{wanted}")
    growth = ours.rss_mib[-1] - ours.rss_mib[1]
    say(
        f"  RSS of {OURS}: {max(ours.rss_mib):.1f} MiB  {verdict(max(ours.rss_mib), RSS_LIMIT_MIB)}"
    )
    said = f"{growth:+.1f} MiB in the last 9 tenths of {ours.reviews} reviews"
    say(f"  RSS of {OURS}: {said}  {verdict(growth, RSS_GROWTH_MIB)}")


def _saturated(
    lab: WebhookLab, every: Sequence[Nobody], seconds: float, say: Say, row: Row
) -> None:
    say(f"creates a second with {creating.IN_FLIGHT} in flight, {seconds:g} s each, three turns")
    loads: dict[str, list[creating.Load]] = {one.name: [] for one in every}
    for turn in range(3):
        for one in every:
            one.start()
            loads[one.name].append(creating.saturated(lab, one, seconds))
            one.stop()
        say(f"  ... {turn + 1} of 3")
    rates = {name: [load.per_second for load in made] for name, made in loads.items()}
    for name, values in rates.items():
        row(name, values, "/s")
        spent = {
            who: statistics.median(load.cpu_ms[who] for load in loads[name])
            for who in loads[name][0].cpu_ms
        }
        shown = ", ".join(f"{who} {value:.2f}" for who, value in spent.items() if value >= 0.05)
        say(f"    CPU a create, {sum(spent.values()):.2f} ms in all: {shown}")
    _say_ratios({name: statistics.median(values) for name, values in rates.items()}, say)


def _say_ratios(rates: Mapping[str, float], say: Say) -> None:
    """Say how the webhook compares, and what the others keep of the rate without a webhook."""
    for name, limit in ((NOBODY, 0.8), (PLAIN_GO, None), (KYVERNO, 1.0)):
        if name in rates:
            ratio = rates[OURS] / rates[name]
            wanted = f"  {verdict(ratio, limit, at_least=True)}" if limit is not None else ""
            say(f"  {OURS} / {name}: {ratio:.2f}{wanted}")
    for name in (PLAIN_GO, KYVERNO):
        if name in rates:
            say(f"  {name} / {NOBODY}: {rates[name] / rates[NOBODY]:.2f}")


def _unsaturated(
    lab: WebhookLab, every: Sequence[Nobody], options: argparse.Namespace, say: Say
) -> None:
    for one in every:
        one.start()
    say(f"one create after another, {options.creates} for each, in turn")
    _latencies(lab, every, lambda: creating.in_turn(lab, every, options.creates), say)
    say(f"{PER_SECOND:g} creates a second, {options.pace_seconds:g} s for each, in three turns")
    _latencies(
        lab, every, lambda: creating.at_pace(lab, every, PER_SECOND, options.pace_seconds), say
    )
    for one in every:
        one.stop()


def _latencies(
    lab: WebhookLab,
    every: Sequence[Nobody],
    measure: Callable[[], Mapping[str, Sequence[float]]],
    say: Say,
) -> None:
    before = {one.name: _histogram(lab, one) for one in every}
    times = measure()
    for name, values in times.items():
        half, most = quantile(values, 0.5) * 1000, quantile(values, 0.99) * 1000
        say(f"  {name:<14} create: p50 {half:6.2f} ms, p99 {most:6.2f} ms")
    for one in every:
        if one.name == NOBODY:
            continue
        half = added(times, one.name, NOBODY, 0.5) * 1000
        most = added(times, one.name, NOBODY, 0.99) * 1000
        seen = _histogram(lab, one).since(before[one.name])
        limits = (verdict(half, P50_LIMIT_MS), verdict(most, P99_LIMIT_MS))
        shown = limits if one.name == OURS else ("", "")
        say(f"  {one.name:<14} added, seen by the client: p50 {half:6.2f} ms  {shown[0]}")
        say(f"  {'':<14} added, seen by the client: p99 {most:6.2f} ms  {shown[1]}")
        _say_histogram(one.name, seen, say)


def _say_histogram(name: str, seen: Histogram, say: Say) -> None:
    """Say what the API server timed; its first buckets end at 5 and 25 ms."""
    if not seen.count:
        say(f"  {'':<14} the API server did not call it")
        return
    half, most = seen.quantile(0.5) * 1000, seen.quantile(0.99) * 1000
    within = seen.buckets.get(0.005, 0.0) / seen.count * 100
    mean = seen.mean * 1000
    said = f"mean {mean:.2f} ms, {within:.1f} % within 5 ms, p99 {most:.2f} ms by its buckets"
    limits = f"  {verdict(mean, P50_LIMIT_MS)} (p50), {verdict(most, P99_LIMIT_MS)}"
    say(f"  {'':<14} timed by the API server: {said}{limits if name == OURS else ''}")
    assert half >= 0


def _histogram(lab: WebhookLab, one: Nobody) -> Histogram:
    return Histogram(lab.admin.get("/metrics")["text"], one.hook)
