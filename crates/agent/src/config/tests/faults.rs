//! The table of mistakes.
