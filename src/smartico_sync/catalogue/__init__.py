"""What Smartico knows: view kinds, event types, properties and their defaults, as data."""
