//! `openapi.json` against OpenAPI 3.1's own rules, and against the router.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use roundsman_agent::api;
use serde_json::Value;

use crate::fake;
use crate::schema::{DOCUMENT, ask, operation, request};

fn operations() -> Vec<(&'static String, &'static String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().expect("a path item");
            item.iter()
                .filter(|(method, _)| *method != "parameters")
                .map(move |(method, operation)| (path, method, operation))
        })
        .collect()
}

fn each<'a>(value: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                see(key, inner);
                each(inner, see);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| each(inner, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_keeps_the_rules_of_openapi() {
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    assert!(DOCUMENT["info"]["title"].is_string() && DOCUMENT["info"]["version"].is_string());
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let id = operation["operationId"].as_str().expect("an operationId");
        assert!(ids.insert(id), "{id} twice");
        let answers = operation["responses"].as_object().expect("responses");
        assert!(!answers.is_empty(), "{method} {path}");
        for (status, answer) in answers {
            assert!(
                answer["description"].is_string(),
                "{method} {path} {status}"
            );
        }
        let shared = DOCUMENT["paths"][path]["parameters"].as_array();
        let own = operation["parameters"].as_array();
        let parameters: Vec<&Value> = shared.into_iter().chain(own).flatten().collect();
        for name in path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        {
            let found = parameters
                .iter()
                .find(|p| p["name"] == name)
                .expect("a path parameter");
            assert!(
                found["in"] == "path" && found["required"] == true,
                "{path} {name}"
            );
        }
        for parameter in parameters {
            assert!(
                parameter["in"].is_string() && parameter["schema"].is_object(),
                "{parameter}"
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used_or_named() {
    let mut used = BTreeSet::new();
    each(&DOCUMENT, &mut |key, value| {
        if key == "$ref" {
            let place = value
                .as_str()
                .expect("text")
                .strip_prefix('#')
                .expect("local");
            assert!(DOCUMENT.pointer(place).is_some(), "{place}");
            used.insert(place.rsplit('/').next().expect("a name"));
        }
    });
    let text = DOCUMENT["paths"].to_string();
    for name in DOCUMENT["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .keys()
    {
        assert!(
            used.contains(&**name) || text.contains(&**name),
            "{name} is not used"
        );
    }
}

#[test]
fn the_document_has_the_routes_of_the_router_and_no_others() {
    let routes: BTreeSet<&str> = api::paths().into_iter().collect();
    let documented: BTreeSet<&str> = DOCUMENT["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(routes, documented);
}

#[tokio::test]
async fn every_route_has_the_documented_methods_and_no_others() {
    let router = api::router(fake::populated(3));
    for path in api::paths() {
        let answer = ask(
            &router,
            request(Method::TRACE, &path.replace("{name}", "x"), ""),
        )
        .await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed: BTreeSet<&str> = answer.header("allow").split(',').map(str::trim).collect();
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let method: Method = method.parse().expect("a method");
            let is_documented = operation(path, &method).is_some();
            assert_eq!(
                allowed.contains(method.as_str()),
                is_documented,
                "{method} {path}"
            );
        }
    }
}
