"""The casino of `smartico-sync demo`: a replica that never stands still, and whose changes can be counted."""
