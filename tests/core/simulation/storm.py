"""A seeded casino: writers that take values early, some that stay long, rollbacks, a standby that lags, an API that fails."""

from __future__ import annotations

import random

from core.simulation.database import Database
from core.simulation.poller import Lost, Poller

ROUNDS = 120
LULL = 40  # rounds, in the last two thirds of which nothing happens but that writers end, where readers are quiet


def storm(seed, mechanism, *, cursor="id", role="primary", faults="none", writers="in order", pace=1.0, **options):
    """Play one seed to its end; the poller, for its API and state. `pace` below 1: a quieter database.

    Writers at their worst take times long before they write, or by a clock that is behind; hand out ids in blocks; show rows
    by a join.
    """
    dice = random.Random(seed)
    longest = {"fence": 60_000}.get(mechanism, 20_000)
    database = Database(cursor, role, longest_ms=longest, dawdle_ms=1_900 if writers == "in order" else 9_000)
    poller = Poller(database, mechanism, **options)
    for number in range(ROUNDS):
        if poller.quiet and number % LULL >= LULL / 3:
            lull(dice, poller)
            continue
        for _ in range(dice.randrange(4)):
            if dice.random() < pace:
                step(dice, database)
            if writers != "in order" and dice.random() < 0.3:
                worst(dice, database)
        database.replay(dice.randrange(6))
        if role == "standbys" and dice.random() < 0.1:
            database.switch()
        outcome = "accept"
        if faults == "all" and dice.random() < 0.3:
            outcome = dice.choice(["refuse", "unknown", "crash before", "crash between", "crash after"])
        poller.read()
        if dice.random() < 0.7:
            poller.settle(outcome)
        poller.check()
        poller.advance(dice.choice([1, 100, 300, 1_000, 2_500]))
    poller.quiesce(120_000)
    return poller


def lull(dice, poller):
    """A second in which nothing new comes, but what a slow writer ends."""
    database = poller.database
    if database.open and dice.random() < 0.1:
        database.commit(dice.choice(database.open))
    database.replay(6)
    poller.poll()
    poller.check()
    poller.advance(1_000)


def step(dice, database):
    """One writer does one thing."""
    action = dice.random()
    if action < 0.3 or not database.open:
        database.take(database.begin())
        return
    # The young end soon, and one in a while stays.
    transaction = database.open[dice.randrange(len(database.open)) if dice.random() < 0.8 else -1]
    if action < 0.5:
        database.take(transaction)
    elif action < 0.65:
        database.write(transaction)
    elif action < 0.93:
        database.commit(transaction)
    else:
        database.rollback(transaction)


def worst(dice, database):
    """One writer does what the fence's assumptions forbid."""
    if database.unjoined and dice.random() < 0.3:
        database.join()
        return
    transaction = database.begin()
    if database.cursor == "ts":
        database.take(transaction, dice.randrange(9_000))
    else:
        database.take_from_block(transaction, dice.randrange(3))
    end = dice.choice([database.commit, database.write, database.await_join])
    end(transaction)


def losses(seeds, mechanism, **options):
    """In how many of the seeds rows were lost."""
    return sum(loses(seed, mechanism, **options) for seed in seeds)


def loses(seed, mechanism, **options):
    try:
        return bool(storm(seed, mechanism, **options).lost())
    except Lost:
        return True
