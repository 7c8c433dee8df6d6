//! One line of Maelstrom's protocol: who, to whom, and a body with a type.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields of a body.
pub(crate) type Body = Map<String, Value>;

/// The longest line that is read, in bytes; a longer one is an error of its writer.
pub(crate) const LINE_MAX: u64 = 16 << 20;

/// A message; `id`, which Maelstrom adds for its own log, is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The sender: a node (`n1`) or a client (`c1`).
    pub src: String,
    /// The receiver.
    pub dest: String,
    /// At least `type`; `msg_id` if an answer is wanted, `in_reply_to` if it is one.
    pub body: Body,
}

impl Message {
    /// A message whose body is this object.
    ///
    /// # Panics
    /// When `body` is no object: a mistake of the caller, never of a peer.
    #[must_use]
    pub fn new(src: &str, dest: &str, body: Value) -> Self {
        let Value::Object(body) = body else {
            panic!("a body is an object, not {body}");
        };
        Self {
            src: src.to_owned(),
            dest: dest.to_owned(),
            body,
        }
    }

    /// What the body calls itself; empty if it does not.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// A text field of the body.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    /// The answer to this message: `body` with `in_reply_to`.
    #[must_use]
    pub fn answer(&self, mut body: Body) -> Self {
        if let Some(id) = self.body.get("msg_id") {
            body.insert("in_reply_to".to_owned(), id.clone());
        }
        Self {
            src: self.dest.clone(),
            dest: self.src.clone(),
            body,
        }
    }

    /// The message as one line, with its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("maps with text keys are always JSON");
        line.push(b'\n');
        line
    }
}

/// What an `error` body says went wrong.
///
/// 0 and 13 and everything from 1000 leave open whether the operation happened; the others say it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub i64);

impl Code {
    /// No answer in time; it may have happened.
    pub const TIMEOUT: Self = Self(0);
    /// No node of this name.
    pub const NODE_NOT_FOUND: Self = Self(1);
    /// This node does not know the type.
    pub const NOT_SUPPORTED: Self = Self(10);
    /// Not now: the node has not been told its name yet.
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(11);
    /// The request lacks a field, or one has the wrong type.
    pub const MALFORMED_REQUEST: Self = Self(12);
    /// The node broke in the middle; it may have happened.
    pub const CRASH: Self = Self(13);
    /// Given up; it did not happen.
    pub const ABORT: Self = Self(14);
    /// A condition of the operation does not hold.
    pub const PRECONDITION_FAILED: Self = Self(22);

    /// Whether the operation surely did not happen.
    #[must_use]
    pub const fn is_definite(self) -> bool {
        self.0 != Self::TIMEOUT.0 && self.0 != Self::CRASH.0 && self.0 < 1_000
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_goes_back_and_names_its_question() {
        let question = Message::new("c1", "n1", json!({"type": "read", "msg_id": 7}));
        let Value::Object(body) = json!({"type": "read_ok"}) else {
            unreachable!("written as an object")
        };
        let answer = question.answer(body);
        let expected = json!({"type": "read_ok", "in_reply_to": 7});
        assert_eq!(answer, Message::new("n1", "c1", expected));
    }

    #[test]
    fn the_field_that_maelstrom_adds_is_dropped() {
        let line = r#"{"id":3,"src":"c1","dest":"n1","body":{"type":"echo"}}"#;
        let message: Message = serde_json::from_str(line).unwrap();
        assert_eq!(message.kind(), "echo");
        assert!(
            !String::from_utf8(message.line())
                .unwrap()
                .contains("\"id\"")
        );
    }

    #[test]
    fn timeouts_crashes_and_custom_codes_are_indefinite() {
        for open in [Code::TIMEOUT, Code::CRASH, Code(1_000), Code(4_711)] {
            assert!(!open.is_definite(), "{open:?}");
        }
        for sure in [1, 10, 11, 12, 14, 20, 21, 22, 30] {
            assert!(Code(sure).is_definite(), "{sure}");
        }
    }
}
