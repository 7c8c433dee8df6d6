//! Query strings, read strictly: what is not known is refused with the nearest known name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::Problem;

/// Parameters of the contract that a node alone can't honour yet.
const LATER: [&str; 1] = ["consistency"];

/// The parameters of a request, decoded, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn read(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Refuses every parameter that is not in `known`, and those of `known` that are given twice
    /// without being in `repeatable`.
    pub(crate) fn allow(&self, known: &[&str], repeatable: &[&str]) -> Result<(), Problem> {
        for (at, (key, _)) in self.0.iter().enumerate() {
            if repeatable.contains(&key.as_str()) {
                continue;
            }
            if !known.contains(&key.as_str()) {
                return Err(unknown(key, known, repeatable));
            }
            if self.0[..at].iter().any(|(earlier, _)| earlier == key) {
                return Err(Problem::bad_request(format!("'{key}' is given twice")));
            }
        }
        Ok(())
    }

    /// The value of `key`; an empty one counts as not given, as forms send it.
    pub(crate) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// All values of `key` that are not empty.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, value)| k == key && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// `true` or `false`; `otherwise` when not given.
    pub(crate) fn flag(&self, key: &str, otherwise: bool) -> Result<bool, Problem> {
        match self.get(key) {
            None => Ok(otherwise),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(Problem::bad_request(format!(
                "'{key}' is 'true' or 'false', not '{other}'"
            ))),
        }
    }
}

fn unknown(key: &str, known: &[&str], repeatable: &[&str]) -> Problem {
    if LATER.contains(&key) {
        return Problem::bad_request(format!("'{key}' is not in this version"));
    }
    let all = || known.iter().chain(repeatable).copied();
    let nearest = all().max_by(|a, b| {
        let (a, b) = (strsim::jaro_winkler(key, a), strsim::jaro_winkler(key, b));
        a.total_cmp(&b)
    });
    Problem::bad_request(match nearest {
        None => format!("unknown parameter '{key}'; none is taken here"),
        Some(near) => format!("unknown parameter '{key}'; the nearest known is '{near}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let problem = Query::read(text)
            .allow(&["state", "limit"], &["label"])
            .expect_err("refused");
        format!("{problem:?}")
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_known_one() {
        assert!(refusal("stat=up").contains("nearest known is 'state'"));
        assert!(refusal("lable=a").contains("nearest known is 'label'"));
    }

    #[test]
    fn a_parameter_of_a_later_version_is_named_as_such() {
        assert!(refusal("consistency=a").contains("'consistency' is not in this version"));
    }

    #[test]
    fn only_repeatable_parameters_may_be_given_twice() {
        assert!(refusal("state=up&state=down").contains("given twice"));
        let query = Query::read("label=a%3D1&label=b%3D2&state=");
        assert!(query.allow(&["state"], &["label"]).is_ok());
        assert_eq!(query.all("label").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(query.get("state"), None);
    }
}
