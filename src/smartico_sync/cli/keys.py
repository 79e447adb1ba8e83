"""`smartico-sync keys`: keys for the personal data."""

from __future__ import annotations

import click

from smartico_sync.errors import ConfigError
from smartico_sync.pii.keys import new_key, new_pair

__all__ = ["keys"]


@click.group()
def keys() -> None:
    """Make encryption keys."""


@keys.command()
@click.option("--quiet", "-q", is_flag=True, help="Print the key and nothing else, for a secret store.")
@click.option("--hpke", "pair", is_flag=True, help="Print a key pair: only its private half can read.")
def new(*, quiet: bool, pair: bool) -> None:
    """Print a fresh key for e-mail and phone, and what to do with it. Nothing is stored."""
    if pair and quiet:
        raise ConfigError("--quiet prints one key, a pair has two", hint="smartico-sync keys new --hpke")
    if pair:
        private, public = new_pair()
        click.echo(f"public:  {public}\nprivate: {private}")
        click.echo(PAIR, err=True)
        return
    click.echo(new_key())
    if not quiet:
        click.echo(ONE, err=True)


ONE = """
This key is shown once. What to do with it:
  1. Put it into your secret store, and into the daemon's environment:  SYNC_PII_KEY=<the key>
  2. In views.yaml:
       pii:
         mode: encrypt
         key: ${SYNC_PII_KEY}
         key_id: '1'
  3. Give it to whoever reads the values at the other end. docs/pii.md shows how they decrypt.
Without it nobody can read what was sent. A new key needs a new key_id."""

PAIR = """
This pair is shown once. What to do with it:
  1. The private half goes to whoever reads the values, and nowhere else.
  2. The public half goes into views.yaml:
       pii:
         mode: encrypt
         encryptor: hpke
         key: <the public half>
         key_id: '1'
Without the private half nobody can read what was sent, not even this daemon."""
