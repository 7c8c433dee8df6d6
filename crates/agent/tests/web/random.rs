//! Random requests: whatever is asked, the answer is a documented one and never a 500.

use axum::http::Method;
use proptest::prelude::*;
use proptest::sample::select;
use roundsman_agent::api;

use crate::fake;
use crate::schema::{ask, demand_documented, get, request};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "\\PC{1,12}",
        select(fake::ODD.to_vec()).prop_map(str::to_owned),
        select(vec![
            "down",
            "up,down",
            "1",
            "1000",
            "true",
            "2026-01-31T12:00:00Z",
            "team=pay",
            "shop-eu-0000",
            "login-eu-0001",
            "000000000000feed-1",
            "c2hvcA"
        ])
        .prop_map(str::to_owned),
    ]
}

fn parameter() -> impl Strategy<Value = String> {
    let known = select(vec![
        "state",
        "group",
        "label",
        "q",
        "limit",
        "cursor",
        "stale",
        "since",
        "after",
        "min_version",
        "follow",
    ]);
    let key = prop_oneof![4 => known.prop_map(str::to_owned), 1 => text()];
    (key, text()).prop_map(|(key, value)| format!("{}={}", encoded(&key), encoded(&value)))
}

fn encoded(text: &str) -> String {
    let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    text.replace('+', "%20")
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        text(),
        text().prop_map(|t| serde_json::json!({ "http": t }).to_string()),
        text().prop_map(|t| serde_json::json!({ "tcp": t, "interval": t }).to_string()),
        Just(r#"{"http": "http://127.0.0.1:9/"}"#.to_owned()),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_request_is_answered_as_documented(
        path in select(api::paths()),
        method in select(vec!["GET", "GET", "GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
        name in text(),
        parameters in prop::collection::vec(parameter(), 0..4),
        body in body(),
    ) {
        let method: Method = method.parse().expect("a method");
        let mut target = path.replace("{name}", &encoded(&name));
        // A stream that follows would not end.
        let mut parameters = parameters;
        if path == "/v1/events" {
            parameters.retain(|p| !p.starts_with("follow"));
            parameters.push("follow=false".to_owned());
        }
        if !parameters.is_empty() {
            target = format!("{target}?{}", parameters.join("&"));
        }
        runtime().block_on(async {
            let router = api::router(fake::populated(20));
            let answer = ask(&router, request(method.clone(), &target, &body)).await;
            assert!(answer.status.as_u16() != 500, "{method} {target}: {}", answer.text);
            demand_documented(path, &method, &answer);
        });
    }

    #[test]
    fn any_page_is_shown_or_refused_and_never_runs_what_was_given(
        name in text(),
        parameters in prop::collection::vec(parameter(), 0..4),
        is_target in any::<bool>(),
    ) {
        let path = if is_target { format!("/targets/{}", encoded(&name)) } else { "/".to_owned() };
        let target = format!("{path}?{}&page=2", parameters.join("&"));
        runtime().block_on(async {
            let answer = get(&api::router(fake::odd()), &target).await;
            assert!([200, 400, 404].contains(&answer.status.as_u16()), "{target}: {}", answer.status);
            assert!(!answer.text.contains("<script>"), "{target}");
        });
    }
}
