//! Stub until the config worker's module lands.
/// Text that cannot print itself.
#[derive(Clone)]
pub struct Secret(Box<str>);
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
