//! stub
use super::Definition;
use base::wire::DecodeError;

/// Stub.
#[must_use]
pub fn encode(_: &Definition) -> Vec<u8> {
    Vec::new()
}
/// Stub.
pub fn decode(_: &[u8]) -> Result<Definition, DecodeError> {
    Err(DecodeError::TooLong)
}
