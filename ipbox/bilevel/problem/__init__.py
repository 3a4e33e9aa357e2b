"""The two levels of a bilevel problem, and what is known of their values and derivatives."""
