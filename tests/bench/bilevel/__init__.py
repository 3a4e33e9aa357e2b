"""Required figures of bilevel learning beside measured ones."""
