"""What an operator sees: facts of every view, and the health, metrics and pages that follow from them."""
