//! `openapi.json` as a judge of answers.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use jsonschema::Validator;
use roundsman_agent::api;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(api::OPENAPI).expect("openapi.json is JSON"));

static VALIDATORS: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> =
    LazyLock::new(Mutex::default);

/// One answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().expect("text"))
    }
}

/// Sends a request to `router` and reads the answer.
pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("a router always answers");
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, 256 << 20).await.expect("the body ends");
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
    }
}

/// A request of `method` for `target`, with the token.
pub(crate) fn request(method: Method, target: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("authorization", format!("Bearer {}", crate::fake::TOKEN))
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

/// Reads `target`.
pub(crate) async fn get(router: &Router, target: &str) -> Answer {
    ask(router, request(Method::GET, target, "")).await
}

/// The documented answers of `method` at `path`, if it is documented.
pub(crate) fn operation(path: &str, method: &Method) -> Option<&'static Value> {
    DOCUMENT["paths"][path].get(method.as_str().to_lowercase())
}

/// Demands that `answer` is one of those that the document names for `method` at `path`.
pub(crate) fn demand_documented(path: &str, method: &Method, answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        assert!(
            !answer.header("allow").is_empty(),
            "{method} {path} says no Allow"
        );
        return demand(&json!({"$ref": "#/components/schemas/Problem"}), answer);
    }
    let operation =
        operation(path, method).unwrap_or_else(|| panic!("{method} {path} is undocumented"));
    let documented = &operation["responses"][answer.status.as_str()];
    assert!(
        documented.is_object(),
        "{method} {path} answers {}: {}",
        answer.status,
        answer.text
    );
    let Some(content) = documented["content"].as_object() else {
        return assert_eq!(answer.text, "", "{method} {path} has no documented content");
    };
    let kind = answer.header("content-type");
    let (_, content) = content
        .iter()
        .find(|(name, _)| kind.split(';').next() == Some(name))
        .unwrap_or_else(|| panic!("{method} {path} answers with {kind}"));
    if kind.contains("json") {
        demand(&content["schema"], answer);
    }
}

fn demand(schema: &Value, answer: &Answer) {
    let value = answer.json();
    let validator = validator(schema);
    let wrong: Vec<String> = validator
        .iter_errors(&value)
        .map(|e| format!("{e} at {}", e.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} in {}", answer.text);
}

/// A validator of `schema`, in which no object may have keys that are not documented.
pub(crate) fn validator(schema: &Value) -> Arc<Validator> {
    let mut kept = VALIDATORS.lock().expect("nobody panics while holding it");
    let made = kept.entry(schema.to_string()).or_insert_with(|| {
        let mut whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": DOCUMENT["components"],
        });
        close(&mut whole["components"]["schemas"]);
        Arc::new(jsonschema::validator_for(&whole).expect("the schemas are valid"))
    });
    Arc::clone(made)
}

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.contains_key("properties") && object.get("type") == Some(&json!("object")) {
            object.entry("additionalProperties").or_insert(json!(false));
        }
        object.values_mut().for_each(close);
    } else if let Some(list) = schema.as_array_mut() {
        list.iter_mut().for_each(close);
    }
}
