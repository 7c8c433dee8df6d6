//! Secrets: text that cannot print itself, and where it comes from.
//!
//! A definition names its secrets (`${…}` or a file); [`resolve`] fetches them on the node that
//! probes. Errors name variables and files, never content.

use std::fmt;
use std::fs;
use std::io::{self, Read};

use health::SecretSource;
use thiserror::Error;

use crate::config::{ExpandError, expand};

/// The longest content of a secret's file, in bytes.
pub const SECRET_FILE_MAX: u64 = 64 << 10;

/// Text that cannot print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text; hand it to what needs it and to nothing that prints.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret that this node doesn't have.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Its text can't be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// Its file can't be read.
    #[error("file '{path}' is not readable: {error}")]
    Unreadable {
        /// As written.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// Its file is a directory, a pipe or a device.
    #[error("'{0}' is not a regular file")]
    NotAFile(String),
    /// Its file is longer than [`SECRET_FILE_MAX`].
    #[error("file '{0}' is longer than 64 KiB; is it the right one?")]
    TooLong(String),
    /// Its file is not UTF-8.
    #[error("file '{0}' is not UTF-8 text")]
    NotText(String),
    /// Nothing is in it.
    #[error("file '{0}' is empty")]
    Empty(String),
}

/// The secret that `source` names: its text expanded, or its file without the last line break.
///
/// A relative path starts at the working directory of the process.
pub fn resolve(
    source: &SecretSource,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, SecretError> {
    match source {
        SecretSource::Text(text) => Ok(Secret(expand(text, env)?.into())),
        SecretSource::File(path) => read_file(&expand(path, env)?),
    }
}

/// The secret in the file at `path`, which is already expanded.
pub(crate) fn read_file(path: &str) -> Result<Secret, SecretError> {
    let bytes = read_bounded(path, SECRET_FILE_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(path.to_owned()))?;
    let text = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(&text);
    if text.is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    Ok(Secret::new(text))
}

/// The content of the regular file at `path`, at most `longest` bytes.
pub(crate) fn read_bounded(path: &str, longest: u64) -> Result<Vec<u8>, SecretError> {
    let unreadable = |error| SecretError::Unreadable {
        path: path.to_owned(),
        error,
    };
    // Asked before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(longest + 1).read_to_end(&mut bytes);
    if read.map_err(unreadable)? as u64 > longest {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(content: &[u8]) -> Result<Secret, SecretError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        let source = SecretSource::File(path.to_str().unwrap().into());
        resolve(&source, &|_| None)
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn text_is_expanded() {
        let env = |name: &str| (name == "TOKEN").then(|| "t0k".to_owned());
        let source = SecretSource::Text("${TOKEN}!".into());
        assert_eq!(resolve(&source, &env).unwrap().expose(), "t0k!");
        let error = resolve(&source, &|_| None).unwrap_err();
        assert!(error.to_string().contains("TOKEN is not set"), "{error}");
    }

    #[test]
    fn a_file_loses_one_line_break_and_no_more() {
        assert_eq!(of_file(b"a b").unwrap().expose(), "a b");
        assert_eq!(of_file(b"ab\n").unwrap().expose(), "ab");
        assert_eq!(of_file(b"ab\r\n").unwrap().expose(), "ab");
        assert_eq!(of_file(b"ab\n\n").unwrap().expose(), "ab\n");
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused() {
        assert!(matches!(of_file(b""), Err(SecretError::Empty(_))));
        assert!(matches!(of_file(b"\xff"), Err(SecretError::NotText(_))));
        let long = vec![b'a'; 64 * 1024 + 1];
        assert!(matches!(of_file(&long), Err(SecretError::TooLong(_))));
        assert!(of_file(&long[1..]).is_ok());
        let folder = SecretSource::File("/".into());
        let refused = resolve(&folder, &|_| None);
        assert!(matches!(refused, Err(SecretError::NotAFile(_))));
        let nowhere = SecretSource::File("/no/such/file".into());
        let refused = resolve(&nowhere, &|_| None);
        assert!(matches!(refused, Err(SecretError::Unreadable { .. })));
    }
}
