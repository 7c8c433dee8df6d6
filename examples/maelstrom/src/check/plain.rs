//! Echo and unique ids: each answer alone, and all answers together.

use std::collections::BTreeMap;

use crate::check::some;
use crate::lab::{History, Request};

/// Every answer equals its request.
pub(crate) fn echo(history: &History) -> Result<String, String> {
    let mut wrong = Vec::new();
    let mut right = 0;
    for operation in &history.operations {
        if let (Request::Echo(asked), Some(told)) = (&operation.request, operation.answer()) {
            if asked == told {
                right += 1;
            } else {
                wrong.push(format!("{asked} came back as {told}"));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(format!("{right} came back as they were sent"));
    }
    Err(format!("{} answers differ: {}", wrong.len(), some(&wrong)))
}

/// No id, of whatever JSON type, is given out twice.
pub(crate) fn unique_ids(history: &History) -> Result<String, String> {
    let mut given: BTreeMap<String, u64> = BTreeMap::new();
    for operation in &history.operations {
        if let (Request::Generate, Some(id)) = (&operation.request, operation.answer()) {
            *given.entry(id.to_string()).or_default() += 1;
        }
    }
    let twice = given.iter().filter(|(_, times)| **times > 1);
    let twice: Vec<String> = twice.map(|(id, n)| format!("{id} {n} times")).collect();
    if twice.is_empty() {
        return Ok(format!("{} ids, all distinct", given.len()));
    }
    Err(format!(
        "{} ids were given out again: {}",
        twice.len(),
        some(&twice)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::made::{done, history};

    #[test]
    fn an_echo_that_differs_is_named() {
        let said = |told: Value| history(vec![done(Request::Echo(json!("hi")), told)]);
        assert!(echo(&said(json!("hi"))).is_ok());
        let wrong = echo(&said(json!("ho"))).unwrap_err();
        assert!(wrong.contains("\"hi\" came back as \"ho\""), "{wrong}");
    }

    #[test]
    fn an_id_given_out_twice_is_named_whatever_its_type() {
        for id in [json!(7), json!("7"), json!([1, {"a": 2}])] {
            let given = |ids: Vec<Value>| {
                let all = ids.into_iter().map(|id| done(Request::Generate, id));
                history(all.collect())
            };
            assert!(unique_ids(&given(vec![id.clone(), json!("other")])).is_ok());
            let said = unique_ids(&given(vec![id.clone(), id.clone()])).unwrap_err();
            assert!(said.contains(&format!("{id} 2 times")), "{said}");
        }
    }

    #[test]
    fn the_number_and_the_text_are_two_ids() {
        let all = vec![
            done(Request::Generate, json!(7)),
            done(Request::Generate, json!("7")),
        ];
        assert!(unique_ids(&history(all)).is_ok());
    }
}
