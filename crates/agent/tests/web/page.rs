//! The page as text: complete without a script, and nothing that the policy forbids.

use axum::Router;
use axum::http::StatusCode;
use roundsman_agent::api;

use crate::fake;
use crate::schema::get;

async fn html(router: &Router, place: &str) -> String {
    let answer = get(router, place).await;
    assert_eq!(answer.status, StatusCode::OK, "{place}");
    answer.text
}

#[tokio::test]
async fn nothing_on_the_page_needs_what_the_policy_forbids() {
    let router = api::router(fake::populated(300));
    for place in [
        "/",
        "/?state=down",
        "/targets/login-eu-0001",
        "/targets/nobody",
        "/?stat=up",
    ] {
        let answer = get(&router, place).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        for forbidden in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!answer.text.contains(forbidden), "{place} has {forbidden}");
        }
        assert!(!answer.text.contains("<script>"), "{place}");
    }
}

#[tokio::test]
async fn assets_are_named_by_their_content_and_kept() {
    let router = api::router(fake::populated(1));
    let page = html(&router, "/").await;
    for extension in [".css", ".js", ".svg"] {
        let end = page.find(&format!("{extension}\"")).unwrap() + extension.len();
        let start = page[..end].rfind('"').unwrap() + 1;
        let answer = get(&router, &page[start..end]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", &page[start..end]);
        assert!(answer.header("cache-control").contains("immutable"));
    }
    assert_eq!(
        get(&router, "/static/app-0.js").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_worst_come_first() {
    let page = html(&api::router(fake::populated(40)), "/").await;
    let body = &page[page.find("<tbody>").unwrap()..];
    let rank = |class: &str| match class {
        "down" => 0,
        "unknown" => 1,
        "up" => 2,
        _ => 4,
    };
    let ranks: Vec<u8> = body
        .split("<tr ")
        .skip(1)
        .map(|row| {
            let class = &row[row.find("class=\"").unwrap() + 7..];
            rank(&class[..class.find('"').unwrap()])
        })
        .collect();
    assert_eq!(ranks.len(), 40);
    assert!(ranks.is_sorted(), "{ranks:?}");
    assert!(page.contains("<title>(2 down) roundsman</title>"));
}

#[tokio::test]
async fn search_and_paging_work_by_links_alone() {
    let router = api::router(fake::populated(250));
    let all = html(&router, "/").await;
    assert!(all.contains("1–100 of 250") && all.contains("href=\"/?page=2\""));
    assert!(html(&router, "/?page=3").await.contains("201–250 of 250"));
    assert!(html(&router, "/?page=99").await.contains("201–250 of 250"));
    assert!(
        html(&router, "/?q=nothing-like-this")
            .await
            .contains("Nothing matches")
    );
}

#[tokio::test]
async fn a_newcomer_sees_how_to_begin() {
    let page = html(&api::router(fake::front(Vec::new())), "/").await;
    assert!(page.contains("No targets yet") && page.contains("roundsman run"));
}

#[tokio::test]
async fn five_thousand_targets_stay_below_a_megabyte_and_a_wall_that_is_known_is_not_sent_again() {
    let router = api::router(fake::populated(5_000));
    let page = html(&router, "/").await;
    assert!(page.len() < 1 << 20, "{}", page.len());
    let at = page.find("data-version=\"").unwrap() + 14;
    let version = &page[at..at + 16];
    let fragment = html(&router, &format!("/?fragment=1&wall={version}")).await;
    assert!(fragment.len() < 100_000, "{}", fragment.len());
    assert!(fragment.contains("data-same"));
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_style() {
    let router = api::router(fake::populated(3));
    let page = get(&router, "/targets/nobody").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(
        page.text.contains("There is no target “nobody”") && page.text.contains("class=\"bar\"")
    );
}
