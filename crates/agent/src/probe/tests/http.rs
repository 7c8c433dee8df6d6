//! What an HTTP answer leads to.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use health::{
    Auth, BodyRule, Compare, HeaderCondition, HeaderRule, Http, JsonRule, Phase, Probe, Reason,
    SecretSource, Tls,
};
use socket2::SockRef;

use super::servers::{
    answer, ask_http, ask_prepared, assert_failed, assert_passed, define, get, hear, nobody, ok,
    prepared, reason, route, serve,
};
use crate::probe::{Guard, Shared, Trust, prepare};

#[test]
fn a_good_answer_passes_and_is_timed() {
    let outcome = ask_http(get(answer(ok("hi"))));
    assert_passed(&outcome);
    assert_eq!(outcome.http_status, Some(200));
    assert_eq!(outcome.address, Some("127.0.0.1".parse().unwrap()));
    assert!(outcome.phases.get(Phase::Connect) > std::time::Duration::ZERO);
    assert_eq!(
        outcome.phases.get(Phase::Resolve),
        std::time::Duration::ZERO
    );
}

#[test]
fn localhost_is_found_without_a_name_server() {
    let port = answer(ok("hi")).port();
    assert_passed(&ask_http(Http::get(&format!("http://localhost:{port}/"))));
}

#[test]
fn a_port_without_listener_refuses() {
    let address = nobody();
    assert_failed(
        &ask_http(get(address)),
        Reason::Refused,
        &address.to_string(),
    );
}

#[test]
fn a_reset_is_a_reset() {
    let address = serve(|mut stream| {
        hear(&mut stream);
        SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    });
    assert_eq!(reason(&ask_http(get(address))), Reason::Reset);
}

#[test]
fn a_close_before_the_end_is_early() {
    for (bytes, detail) in [
        ("", "without an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "within the head"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
            "after 2 of 9 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
            "after 2 bytes",
        ),
    ] {
        assert_failed(&ask_http(get(answer(bytes))), Reason::ClosedEarly, detail);
    }
}

#[test]
fn what_is_not_http_is_named() {
    for (bytes, detail) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0"),
        ("\0\u{1}\u{2}binary", "binary"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "two different",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "broken chunk",
        ),
    ] {
        assert_failed(&ask_http(get(answer(bytes))), Reason::NotHttp, detail);
    }
}

#[test]
fn every_framing_is_read_to_its_end() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200\r\n\r\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    ] {
        let mut http = get(answer(bytes));
        http.expect.body = [BodyRule::Matches("^hello$".into())].into();
        assert_passed(&ask_http(http));
    }
}

#[test]
fn a_head_request_has_no_body_to_wait_for() {
    let mut http = get(route(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n".to_owned()
    }));
    http.method = "HEAD".into();
    assert_passed(&ask_http(http));
}

#[test]
fn bodies_beyond_the_limit_are_too_large() {
    let endless = serve(|mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    assert_failed(
        &ask_http(get(endless)),
        Reason::TooLarge,
        "the limit is 10485760",
    );
    let huge = answer("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    assert_failed(&ask_http(get(huge)), Reason::TooLarge, "104857600");
    let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(70_000));
    assert_failed(&ask_http(get(answer(head))), Reason::TooLarge, "head");
}

#[test]
fn a_status_counts_as_expected() {
    let teapot = || {
        get(answer(
            "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n",
        ))
    };
    let outcome = ask_http(teapot());
    assert_failed(&outcome, Reason::Status(418), "expected 200-299");
    assert_eq!(outcome.http_status, Some(418));
    let mut http = teapot();
    http.expect.status = [(200, 204), (418, 418)].into();
    assert_passed(&ask_http(http));
}

#[test]
fn body_rules_hold_or_name_what_does_not() {
    let with = |rule: BodyRule| {
        let mut http = get(answer(ok(
            r#"{"state":"ok","lag":7,"nodes":[{"up":true}]}"#,
        )));
        http.expect.body = [rule].into();
        ask_http(http)
    };
    assert_passed(&with(BodyRule::Matches("\"ok\"".into())));
    assert_passed(&with(BodyRule::NotMatches("error".into())));
    assert_failed(
        &with(BodyRule::Matches("bad".into())),
        Reason::BodyMismatch,
        "bad",
    );
    assert_failed(
        &with(BodyRule::NotMatches("ok".into())),
        Reason::BodyMismatch,
        "matches ok",
    );
    let json = |path: &str, compare, value: &str| {
        with(BodyRule::Json(JsonRule {
            path: path.into(),
            compare,
            value: value.into(),
        }))
    };
    for (path, compare, value) in [
        ("$.state", Compare::Equals, r#""ok""#),
        ("$.state", Compare::NotEquals, r#""bad""#),
        ("$.state", Compare::Matches, "^o"),
        ("$.lag", Compare::Less, "7.5"),
        ("$.lag", Compare::AtMost, "7"),
        ("$.lag", Compare::Greater, "6"),
        ("$.lag", Compare::AtLeast, "7.0"),
        ("$.nodes[?@.up == true]", Compare::Exists, ""),
        ("$.error", Compare::Absent, ""),
    ] {
        assert_passed(&json(path, compare, value));
    }
    let lag = json("$.lag", Compare::Less, "7");
    assert_failed(&lag, Reason::JsonMismatch, "expected $.lag < 7, found 7");
    let absent = json("$.error", Compare::NotEquals, "1");
    assert_failed(&absent, Reason::JsonMismatch, "found nothing");
}

#[test]
fn a_body_that_is_not_json_fails_a_json_rule() {
    let mut http = get(answer(ok("<html>")));
    let rule = JsonRule {
        path: "$.a".into(),
        compare: Compare::Exists,
        value: "".into(),
    };
    http.expect.body = [BodyRule::Json(rule)].into();
    assert_failed(&ask_http(http), Reason::JsonMismatch, "not JSON");
}

#[test]
fn header_rules_hold_or_name_the_header() {
    let with = |name: &str, condition| {
        let bytes = "HTTP/1.1 200 OK\r\nX-Version: 7\r\nContent-Length: 0\r\n\r\n";
        let mut http = get(answer(bytes));
        http.expect.headers = [HeaderRule {
            name: name.into(),
            condition,
        }]
        .into();
        ask_http(http)
    };
    assert_passed(&with("x-version", HeaderCondition::Present));
    assert_passed(&with("Server", HeaderCondition::Absent));
    assert_passed(&with("X-Version", HeaderCondition::Matches("^7$".into())));
    assert_passed(&with("X-Version", HeaderCondition::NotMatches("8".into())));
    for (name, condition) in [
        ("Server", HeaderCondition::Present),
        ("X-Version", HeaderCondition::Absent),
        ("X-Version", HeaderCondition::Matches("8".into())),
        ("X-Version", HeaderCondition::NotMatches("7".into())),
    ] {
        assert_failed(&with(name, condition), Reason::HeaderMismatch, name);
    }
}

/// What goes over the wire for a definition.
fn heard(change: impl FnOnce(&mut Http)) -> String {
    let (sender, heard) = mpsc::channel();
    let sender = Mutex::new(sender);
    let address = route(move |request| {
        sender.lock().unwrap().send(request.to_owned()).unwrap();
        ok("")
    });
    let mut http = get(address);
    change(&mut http);
    assert_passed(&ask_http(http));
    heard.recv().unwrap()
}

#[test]
fn the_request_says_who_asks_and_what_was_defined() {
    let plain = heard(|_| {});
    assert!(
        plain.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"),
        "{plain}"
    );
    assert!(plain.contains("\r\nUser-Agent: roundsman/") && plain.contains("\r\nAccept: */*\r\n"));
    assert!(plain.contains("\r\nConnection: close\r\n"));
    let basic = heard(|http| {
        http.auth = Some(Auth::Basic(
            "aladdin".into(),
            SecretSource::Text("opensesame".into()),
        ));
    });
    assert!(
        basic.contains("\r\nAuthorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l\r\n"),
        "{basic}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let path = file.path().to_str().unwrap();
    let bearer = heard(|http| {
        http.auth = Some(Auth::Bearer(SecretSource::File(path.into())));
        http.headers = [("User-Agent".into(), "${NOT_SET:-mine}$$".into())].into();
    });
    assert!(
        bearer.contains("\r\nAuthorization: Bearer s3cret\r\n"),
        "{bearer}"
    );
    assert!(bearer.contains("\r\nUser-Agent: mine$\r\n") && !bearer.contains("roundsman/"));
}

#[test]
fn a_definition_that_cannot_be_probed_names_all_its_faults() {
    let mut http = Http::get("ftp://x/");
    http.headers = [
        ("X Y".into(), "z".into()),
        ("X".into(), "${NOT_SET_HERE}".into()),
    ]
    .into();
    http.expect.body = [BodyRule::Matches("(".into())].into();
    http.auth = Some(Auth::Bearer(SecretSource::File("/nowhere/token".into())));
    let error = prepared(Probe::Http(Box::new(http)), &Shared::new()).unwrap_err();
    assert_eq!(error.0.len(), 5, "{error}");
    for part in [
        "http://",
        "X Y",
        "NOT_SET_HERE",
        "pattern",
        "/nowhere/token",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

fn redirect(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn redirects_are_followed_to_the_answer() {
    let address = route(|request| match request.split(' ').nth(1) {
        Some("/") => redirect(301, "a/b"),
        Some("/a/b") => redirect(307, "../c?d#e"),
        Some("/c?d") => ok("there"),
        _ => "HTTP/1.1 404 No\r\n\r\n".to_owned(),
    });
    assert_passed(&ask_http(get(address)));
    let mut http = get(address);
    http.redirects = 0;
    assert_failed(&ask_http(http), Reason::Status(301), "expected 200-299");
}

#[test]
fn redirects_in_a_circle_or_without_end_are_loops() {
    let circle = route(|request| {
        if request.starts_with("GET / ") {
            redirect(302, "/b")
        } else {
            redirect(302, "/")
        }
    });
    assert_failed(&ask_http(get(circle)), Reason::RedirectLoop, "again");
    let endless = route(|request| {
        let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
        redirect(302, &format!("{path}x"))
    });
    assert_failed(
        &ask_http(get(endless)),
        Reason::RedirectLoop,
        "more than 10",
    );
}

#[test]
fn redirects_to_nowhere_are_bad() {
    for (location, detail) in [("ftp://x/", "ftp"), ("http://[", "not a URL")] {
        let address = answer(redirect(302, location));
        assert_failed(&ask_http(get(address)), Reason::BadRedirect, detail);
    }
    let without = answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    assert_failed(&ask_http(get(without)), Reason::BadRedirect, "no Location");
}

#[test]
fn a_redirected_post_becomes_a_get_and_credentials_stay_with_their_host() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&heard);
    let other = route(move |request| {
        note.lock().unwrap().push(request.to_owned());
        ok("")
    });
    let port = other.port();
    let note = Arc::clone(&heard);
    let first = route(move |request| {
        note.lock().unwrap().push(request.to_owned());
        if request.starts_with("POST / ") {
            redirect(302, "/same")
        } else {
            redirect(302, &format!("http://localhost:{port}/other"))
        }
    });
    let mut http = get(first);
    http.method = "POST".into();
    http.body = Some("x=1".into());
    http.auth = Some(Auth::Bearer(SecretSource::Text("s3cret".into())));
    assert_passed(&ask_http(http));
    let heard = heard.lock().unwrap();
    assert!(heard[0].starts_with("POST / ") && heard[0].contains("s3cret"));
    assert!(heard[1].starts_with("GET /same ") && heard[1].contains("s3cret"));
    assert!(!heard[1].contains("Content-Length"), "{}", heard[1]);
    assert!(heard[2].starts_with("GET /other ") && !heard[2].contains("s3cret"));
    assert!(
        heard[2].contains(&format!("Host: localhost:{port}\r\n")),
        "{}",
        heard[2]
    );
}

#[test]
fn a_target_made_through_the_api_reaches_no_denied_address_not_even_by_redirect() {
    let shared = Shared::new();
    let timeout = std::time::Duration::from_secs(10);
    let ask = |url: &str, allow: &[&str]| {
        let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
        let trust = Trust::Api(Arc::new(Guard { allow }));
        let definition = define(Probe::Http(Box::new(Http::get(url))));
        let prepared = prepare(&definition, trust, &shared).unwrap();
        ask_prepared(&prepared, &shared, timeout)
    };
    let inner = answer(ok(""));
    assert_failed(
        &ask(&format!("http://{inner}/"), &[]),
        Reason::Denied,
        "loopback",
    );
    let name = format!("http://localhost:{}/", inner.port());
    assert_failed(&ask(&name, &[]), Reason::Denied, "loopback");
    let redirecting = answer(redirect(302, "http://169.254.169.254/latest"));
    let url = format!("http://{redirecting}/");
    assert_failed(
        &ask(&url, &["127.0.0.0/8"]),
        Reason::Denied,
        "cloud metadata",
    );
    assert_passed(&ask(&format!("http://{inner}/"), &["127.0.0.0/8"]));
}

#[test]
fn a_plain_prepared_target_is_small() {
    let size = size_of::<crate::probe::Prepared>();
    assert!(
        size <= 192,
        "{size} bytes, beside some 120 bytes of request"
    );
}

#[test]
fn a_connection_is_closed_by_reset_unless_asked_otherwise() {
    use std::io::Read;
    for (close, is_reset) in [(health::Close::Reset, true), (health::Close::Fin, false)] {
        let (sender, ended) = mpsc::channel();
        let sender = Mutex::new(sender);
        let address = serve(move |mut stream: TcpStream| {
            hear(&mut stream);
            let _ = stream.write_all(ok("x").as_bytes());
            let end = stream.read(&mut [0; 16]);
            sender.lock().unwrap().send(end.is_err()).unwrap();
        });
        let mut http = get(address);
        http.close = close;
        assert_passed(&ask_http(http));
        assert_eq!(ended.recv().unwrap(), is_reset);
    }
}

#[test]
fn a_target_made_through_the_api_carries_nothing_of_this_node_away() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path: Box<str> = file.path().to_str().unwrap().into();
    let shared = Shared::new();
    let plain = Http::get("http://192.0.2.1/");
    let wrong = [
        Http {
            url: "http://192.0.2.1/${PATH}".into(),
            ..plain.clone()
        },
        Http {
            body: Some("${PATH}".into()),
            ..plain.clone()
        },
        Http {
            headers: [("X".into(), "${PATH}".into())].into(),
            ..plain.clone()
        },
        Http {
            auth: Some(Auth::Bearer(SecretSource::File(path.clone()))),
            ..plain.clone()
        },
        Http {
            auth: Some(Auth::Bearer(SecretSource::Text("${PATH}".into()))),
            ..plain.clone()
        },
        Http {
            tls: Tls {
                ca_file: Some(path),
                ..Tls::default()
            },
            ..Http::get("https://192.0.2.1/")
        },
    ];
    for http in wrong {
        let definition = define(Probe::Http(Box::new(http)));
        let error = prepare(&definition, Trust::Api(Arc::default()), &shared).unwrap_err();
        assert!(
            error.to_string().contains("define it in the config file"),
            "{error}"
        );
    }
    let literal = Http {
        auth: Some(Auth::Bearer(SecretSource::Text("abc".into()))),
        ..plain
    };
    let definition = define(Probe::Http(Box::new(literal)));
    assert!(prepare(&definition, Trust::Api(Arc::default()), &shared).is_ok());
}
