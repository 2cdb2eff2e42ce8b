"""Statistics as pure functions on arrays: the only place of formulas between trials and the report."""
