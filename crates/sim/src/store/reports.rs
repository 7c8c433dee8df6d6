//! How fast and at what cost news spreads: pure functions of seeds that return plain numbers.
