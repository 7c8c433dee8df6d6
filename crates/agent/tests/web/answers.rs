//! What single routes promise, each answer held against the document.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use health::{Reason, State};
use roundsman_agent::api;
use serde_json::{Value, json};

use crate::fake;
use crate::schema::{Answer, ask, demand_documented, get, request, validator};

async fn read(router: &Router, path: &str, target: &str) -> Value {
    let answer = get(router, target).await;
    demand_documented(path, &Method::GET, &answer);
    assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text);
    answer.json()
}

async fn refused(router: &Router, path: &str, target: &str, status: u16) -> String {
    let answer = get(router, target).await;
    demand_documented(path, &Method::GET, &answer);
    assert_eq!(answer.status.as_u16(), status, "{target}: {}", answer.text);
    answer.json()["detail"]
        .as_str()
        .expect("a detail")
        .to_owned()
}

async fn write(router: &Router, method: Method, target: &str, body: &str) -> Answer {
    let path = if target == "/-/reload" {
        target
    } else {
        "/v1/targets/{name}"
    };
    let answer = ask(router, request(method.clone(), target, body)).await;
    demand_documented(path, &method, &answer);
    answer
}

const LIST: &str = "/v1/targets";
const ONE: &str = "/v1/targets/{name}";

#[tokio::test]
async fn every_target_of_every_state_answers_as_documented() {
    let router = api::router(fake::populated(120));
    let list = read(&router, LIST, "/v1/targets?limit=1000").await;
    for target in list["items"].as_array().unwrap() {
        let name = target["name"].as_str().unwrap();
        read(&router, ONE, &format!("/v1/targets/{name}")).await;
        read(
            &router,
            "/v1/targets/{name}/history",
            &format!("/v1/targets/{name}/history"),
        )
        .await;
        read(
            &router,
            "/v1/targets/{name}/explain",
            &format!("/v1/targets/{name}/explain"),
        )
        .await;
    }
    for path in ["/v1/summary", "/v1/members", "/openapi.json"] {
        read(&router, path, path).await;
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = get(&router, path).await;
        demand_documented(path, &Method::GET, &answer);
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn pages_add_up_to_all_targets_in_the_order_of_their_names() {
    let router = api::router(fake::populated(250));
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&router, LIST, &format!("/v1/targets?limit=60{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|t| t["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names.len(), 250);
    assert!(names.is_sorted());
}

#[tokio::test]
async fn every_filter_narrows_and_all_must_hold() {
    let router = api::router(fake::populated(120));
    let count = async |query: &str| {
        let list = read(&router, LIST, &format!("/v1/targets?limit=1000&{query}")).await;
        list["items"].as_array().unwrap().len()
    };
    let (down, all) = (count("state=down").await, count("").await);
    assert!(down > 0 && down < all);
    assert_eq!(count("state=down,up,unknown,paused").await, all);
    assert!(count("group=mail").await > 0);
    assert!(count("label=team%3Dpay").await > count("label=team%3Dpay&label=zone%3Deu-1").await);
    assert_eq!(count("label=team%3Dnobody").await, 0);
    assert!(count("q=SHOP").await > 0);
    assert!(count("q=refused").await > 0);
    assert_eq!(
        count("q=hunter2").await,
        0,
        "a password must not be searchable"
    );
    assert_eq!(count("stale=true").await + count("stale=false").await, all);
}

#[tokio::test]
async fn what_is_not_known_or_not_yet_there_is_refused_with_the_way_out() {
    let router = api::router(fake::populated(3));
    let cases = [
        ("stat=up", "'state'"),
        ("state=dead", "'dead'"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("cursor=%21", "'cursor'"),
        ("label=x", "'='"),
        ("min_version=1", "ORIGIN-NUMBER"),
        ("within=soon", "50ms or 2s"),
        ("within=1h", "50ms or 2s"),
        ("within=61s", "at most 60 s"),
        (
            "consistency=linearizable",
            "'consistency' is not in this version",
        ),
    ];
    for (query, part) in cases {
        let detail = refused(&router, LIST, &format!("/v1/targets?{query}"), 400).await;
        assert!(detail.contains(part), "{query}: {detail}");
    }
    refused(&router, ONE, "/v1/targets/nobody", 404).await;
    refused(&router, ONE, "/v1/targets/%FF", 400).await;
    let history = "/v1/targets/{name}/history";
    refused(
        &router,
        history,
        "/v1/targets/login-eu-0001/history?since=noon",
        400,
    )
    .await;
    assert_eq!(
        get(&router, "/v1/nothing").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_token_that_no_node_can_have_given_is_refused_at_once_with_the_way_out() {
    let router = api::router(fake::populated(3));
    let list = read(&router, LIST, "/v1/targets?limit=1").await;
    let good = list["version"].as_str().expect("a version").to_owned();
    read(&router, LIST, &format!("/v1/targets?min_version={good}")).await;
    let (origin, rest) = good.split_once('-').expect("ORIGIN-NUMBER-MARK");
    let (number, mark) = rest.split_once('-').expect("NUMBER-MARK");
    let without_mark = format!("{origin}-{number}");
    read(
        &router,
        LIST,
        &format!("/v1/targets?min_version={without_mark}"),
    )
    .await;
    let bad = [
        ("x".to_owned(), "unchanged"),
        (format!("{origin}-"), "unchanged"),
        (format!("{origin}-%2B1"), "unchanged"),
        (format!("{origin}-1e9"), "unchanged"),
        (format!("{}-{number}", &origin[1..]), "unchanged"),
        (format!("{good}-0"), "unchanged"),
        (format!("{origin}-{number}-{mark}0"), "another label"),
        (
            format!("{origin}-{}-{mark}", u64::MAX),
            "nobody has written so much",
        ),
        (
            format!("{:016x}-{}", 7, u64::MAX),
            "nobody has written so much",
        ),
        (format!("{origin}-{}9", u64::MAX), "unchanged"),
        ("9".repeat(5_000), "longer than any"),
        ("%E2%98%95".repeat(400), "longer than any"),
    ];
    for (token, part) in bad {
        let detail = refused(
            &router,
            LIST,
            &format!("/v1/targets?min_version={token}"),
            400,
        )
        .await;
        assert!(
            detail.contains(part) && detail.len() < 400,
            "{token}: {detail}"
        );
    }
}

#[tokio::test]
async fn a_version_that_does_not_come_is_a_time_out_that_says_what_is_missing() {
    let router = api::router(fake::populated(3));
    let list = read(&router, LIST, "/v1/targets?limit=1").await;
    let own = list["version"].as_str().expect("a version");
    let (origin, rest) = own.split_once('-').expect("ORIGIN-NUMBER-MARK");
    let (_, mark) = rest.split_once('-').expect("NUMBER-MARK");
    let cases = [
        (format!("{origin}-900-{mark}"), Value::from(1), "number 1"),
        (
            format!("{:016x}-1-{mark}", 7),
            Value::Null,
            "nothing from there",
        ),
    ];
    for (token, seen, part) in cases {
        for place in ["/v1/targets", "/v1/targets/nobody"] {
            let answer = get(&router, &format!("{place}?min_version={token}&within=20ms")).await;
            assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
            assert_eq!(answer.header("content-type"), "application/problem+json");
            let said = answer.json();
            let detail = said["detail"].as_str().expect("a detail");
            assert!(
                detail.contains(part) && detail.contains("within 20 ms"),
                "{detail}"
            );
            let missing =
                json!({ "version": token, "seen": seen, "members_seen": 1, "members_known": 1 });
            assert_eq!(said["missing"], missing);
        }
    }
}

#[tokio::test]
async fn odd_names_come_back_from_their_own_address() {
    let router = api::router(fake::odd());
    for name in fake::ODD {
        let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let encoded = encoded.replace('+', "%20");
        let target = read(&router, ONE, &format!("/v1/targets/{encoded}")).await;
        assert_eq!(target["name"], name);
        let page = get(&router, &format!("/targets/{encoded}")).await;
        assert_eq!(page.status, StatusCode::OK, "{name}");
        assert!(
            !page.text.contains("<script>alert"),
            "{name} is not escaped"
        );
    }
}

#[tokio::test]
async fn no_answer_shows_a_password() {
    let router = api::router(fake::populated(20));
    for place in [
        "/v1/targets",
        "/v1/targets/shop-eu-0000",
        "/v1/targets/shop-eu-0000/explain",
        "/",
        "/targets/shop-eu-0000",
    ] {
        let answer = get(&router, place).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.text.contains("hunter2"), "{place}");
    }
}

#[tokio::test]
async fn a_target_is_defined_replaced_and_removed() {
    let router = api::router(fake::populated(3));
    let body = r#"{"http": "http://127.0.0.1:9/", "interval": "5s"}"#;
    let made = write(&router, Method::PUT, "/v1/targets/a%2Fb", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.header("location"), "/v1/targets/a%2Fb");
    assert_eq!(made.json()["target"]["interval_ms"], 5_000);
    let again = write(&router, Method::PUT, "/v1/targets/a%2Fb", body).await;
    assert_eq!(again.status, StatusCode::OK);
    let gone = write(&router, Method::DELETE, "/v1/targets/a%2Fb", "").await;
    assert_eq!((gone.status, &*gone.text), (StatusCode::NO_CONTENT, ""));
    let twice = write(&router, Method::DELETE, "/v1/targets/a%2Fb", "").await;
    assert_eq!(twice.status, StatusCode::NOT_FOUND);
    let from_file = write(&router, Method::DELETE, "/v1/targets/login-eu-0001", "").await;
    assert_eq!(from_file.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_body_that_is_wrong_says_how() {
    let router = api::router(fake::populated(3));
    let put = |body: String| write_owned(&router, body);
    assert_eq!(put("{".to_owned()).await.status.as_u16(), 400);
    assert_eq!(
        put(format!("\"{}\"", "x".repeat(70_000)))
            .await
            .status
            .as_u16(),
        413
    );
    let faults = put(r#"{"htp": "x"}"#.to_owned()).await;
    assert_eq!(faults.status.as_u16(), 422);
    assert!(!faults.json()["errors"].as_array().unwrap().is_empty());
    let body = r#"{"tcp": "169.254.169.254:80"}"#;
    let denied = write(&router, Method::PUT, "/v1/targets/denied", body).await;
    assert_eq!(denied.status.as_u16(), 422);
}

async fn write_owned(router: &Router, body: String) -> Answer {
    write(router, Method::PUT, "/v1/targets/new", &body).await
}

#[tokio::test]
async fn writes_need_the_token() {
    let front = fake::populated(3);
    let router = api::router(front.clone());
    let with = |value: Option<&str>| {
        let mut request = Request::builder()
            .method(Method::DELETE)
            .uri("/v1/targets/shop-eu-0000");
        if let Some(value) = value {
            request = request.header("authorization", value);
        }
        request.body(Body::empty()).unwrap()
    };
    for value in [
        None,
        Some("Bearer wrong"),
        Some("Basic correct-horse"),
        Some("Bearer"),
        Some(""),
    ] {
        let answer = ask(&router, with(value)).await;
        demand_documented(ONE, &Method::DELETE, &answer);
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    front.settings.store(Default::default());
    let answer = ask(&router, with(Some("Bearer correct-horse"))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text.contains("api.token_file"));
}

#[tokio::test]
async fn a_reload_says_what_changed_or_what_is_wrong_in_the_file() {
    let router = api::router(fake::populated(3));
    let done = write(&router, Method::POST, "/-/reload", "").await;
    assert_eq!(done.status, StatusCode::ACCEPTED);
    assert_eq!(done.json()["added"], json!(["new"]));
    let wrong = write(&router, Method::POST, "/-/reload", "").await;
    assert_eq!(wrong.status.as_u16(), 422);
    assert_eq!(wrong.json()["errors"][0]["line"], 3);
}

#[tokio::test]
async fn why_is_one_sentence_for_people() {
    let router = api::router(fake::populated(10));
    let story = read(
        &router,
        "/v1/targets/{name}/explain",
        "/v1/targets/login-eu-0001/explain",
    )
    .await;
    let why = story["why"].as_str().unwrap();
    assert!(why.starts_with("down since "), "{why}");
    assert!(
        why.contains("because 3 checks in a row failed (fall 3): refused: 10.0.0.1:443"),
        "{why}"
    );
}

#[tokio::test]
async fn the_summary_counts_every_target_once() {
    let router = api::router(fake::populated(120));
    let summary = read(&router, "/v1/summary", "/v1/summary").await;
    assert_eq!(summary["counts"]["total"], 120);
    let groups = summary["groups"].as_array().unwrap();
    let sum: u64 = groups
        .iter()
        .map(|g| g["counts"]["total"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 120);
    assert!(groups.last().unwrap()["group"].is_null());
}

fn events(text: &str) -> Vec<(&str, Value)> {
    text.split("\n\n")
        .filter_map(|block| {
            let part = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let body = serde_json::from_str(part("data: ")?).expect("JSON");
            Some((part("event: ")?, body))
        })
        .collect()
}

#[tokio::test]
async fn events_resume_after_an_id_and_say_a_gap() {
    let front = fake::populated(10);
    let router = api::router(front.clone());
    for (to, reason) in [
        (State::Down, Reason::Refused),
        (State::Up, Reason::None),
        (State::Down, Reason::Reset),
    ] {
        fake::change(&front, "shop-eu-0000", to, reason);
    }
    let all = get(&router, "/v1/events?follow=false").await;
    demand_documented("/v1/events", &Method::GET, &all);
    let seen = events(&all.text);
    assert_eq!(seen.len(), 3);
    let transition = validator(&json!({"$ref": "#/components/schemas/EventTransition"}));
    for (name, body) in &seen {
        assert_eq!(*name, "transition");
        assert!(transition.is_valid(body), "{body}");
    }
    assert_eq!(seen[0].1["error"], "refused: 10.0.0.9:80");
    let ids: Vec<&str> = all
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .collect();
    let rest = get(
        &router,
        &format!("/v1/events?follow=false&after={}", ids[1]),
    )
    .await;
    assert_eq!(events(&rest.text).len(), 1);
    let other = get(&router, "/v1/events?follow=false&after=00000000000000aa-7").await;
    let seen = events(&other.text);
    assert_eq!((seen[0].0, seen.len()), ("gap", 4));
    assert!(validator(&json!({"$ref": "#/components/schemas/EventGap"})).is_valid(&seen[0].1));
    refused(&router, "/v1/events", "/v1/events?after=x", 400).await;
}
