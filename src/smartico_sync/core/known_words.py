"""Words that refusals are made of. None of them says who somebody is: a message's other words may be a name, a street or a token."""

from __future__ import annotations

from smartico_sync.catalogue.properties import PROPERTIES

__all__ = ["PREFIXES", "WORDS"]

_TEXT = """
    a able above accept accepted access account active actual after again against age all allow allowed already also
    amount an and another answer any api are argument array as at attempt authentication authorization authorized
    available bad balance batch be because been before being below bet between birth blank blocked body bonus
    boolean both brand broken but by cannot casino changed character characters check clears client closed code
    column conflict connect connected connection consent constraint contact contain contains content conversion
    convert converted correct could country currency current data database date day decimal demand denied deposit
    did different digits disabled does double duplicate during each eid element else email empty enabled entity
    entry epoch error errors event events exceed exceeded exceeds exist existing exists expected expired expression
    failed failure faled false field fields first flat float for forbidden format found from full future game
    gateway given got greater had has have header http https id identifier ids if ignored illegal immutable in
    incorrect index input instead int integer internal into invalid is it item items its json key key's keys kind
    language large last length less level like limit line list listed locked login long longer lower managed many
    mandatory match matches max maximum message method milliseconds min minimum missing more most must name names
    negative neither new nil no none nor not nothing null number numeric object of off old older on once one only
    operation optional or order other out over parallel parameter parse parsed part partial password past path
    pattern payload payment permission permitted phone platform player players positive prefix processed processing
    produced profile profiles prohibited properties property provided range rate reached read reason received
    records refuse refused registered reject rejected request requests required reserved resource result retry row
    same schema seconds send sent server service session set short should size small some source space sport start
    state status store stored string strings subscribed such suffix supported syntax system taken text than that the
    them then there this time timed timeout timestamp timezone to token too transaction true try twice type types
    unable unauthorized unavailable undeliverable under unexpected unique unknown unparseable unprocessable
    unreachable unsupported until update upper url used user users utf valid validation value values version view
    was were what when where which while whole win with withdrawal within without write wrong year yes yet zero zone
"""
WORDS = frozenset(_TEXT.split())
# What the names of properties and of events' fields begin with.
PREFIXES = frozenset(
    {name.partition("_")[0].lower() for name in PROPERTIES} | {"custom", "err", "event", "ext", "user"}
)
