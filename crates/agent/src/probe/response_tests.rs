//! Promises of the answer parser: framing, limits, and that pieces do not matter.

use proptest::prelude::*;

use super::*;

const WANTED: Wanted = Wanted {
    bodiless: false,
    head: true,
    redirect: true,
    body: true,
    max_body: 1_000,
};

/// What one answer comes to, however it is cut: complete or not, status and body.
type Read = Result<(bool, u16, Vec<u8>), Reason>;

fn read(pieces: &[&[u8]], wanted: Wanted) -> Read {
    let mut response = Response::new(wanted);
    for piece in pieces {
        response.feed(piece).map_err(|f| f.reason().unwrap())?;
    }
    let done = response.stage == Stage::Done;
    Ok((done, response.status(), response.body().to_vec()))
}

fn whole(text: &str) -> Read {
    read(&[text.as_bytes()], WANTED)
}

fn complete(status: u16, body: &str) -> Read {
    Ok((true, status, body.as_bytes().to_vec()))
}

#[test]
fn a_body_ends_where_its_framing_says() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4;a=b\r\nrust\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
    assert_eq!(whole(chunks), complete(200, "rust!"));
    assert_eq!(
        whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        complete(200, "hi")
    );
    assert_eq!(
        whole("HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"),
        complete(204, "")
    );
    assert_eq!(whole("HTTP/1.1 304 No\r\n\r\n"), complete(304, ""));
    assert_eq!(
        whole("HTTP/1.0 200 OK\r\n\r\nto the end"),
        Ok((false, 200, b"to the end".to_vec()))
    );
    let head = Wanted {
        bodiless: true,
        ..WANTED
    };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    assert_eq!(read(&[answer], head), complete(200, ""));
}

#[test]
fn servers_that_save_bytes_are_understood() {
    assert_eq!(
        whole("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"),
        complete(200, "x")
    );
    assert_eq!(
        whole("HTTP/1.1 200 OK\nContent-Length: 1\n\nx"),
        complete(200, "x")
    );
    let chunks = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n";
    assert_eq!(whole(chunks), complete(200, "x"));
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1, 1\r\n\r\nx";
    assert_eq!(whole(twice), complete(200, "x"));
}

#[test]
fn interim_answers_are_skipped() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(whole(answer), complete(200, ""));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(4_000);
    assert_eq!(whole(&endless), Err(Reason::TooLarge));
}

#[test]
fn what_is_not_http_is_refused_at_its_first_bytes() {
    assert_eq!(whole("SSH-2.0-OpenSSH_9.6\r\n"), Err(Reason::NotHttp));
    assert_eq!(whole("\r\nHTTP/1.1 200 OK\r\n\r\n"), Err(Reason::NotHttp));
    assert_eq!(whole("HTTP/1.1 2x0 OK\r\n\r\n"), Err(Reason::NotHttp));
    assert_eq!(whole("HT"), Ok((false, 0, Vec::new())));
    for body in [
        "xyz\r\n",
        "\r\n",
        "1\r\nxx",
        "-1\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(whole(&text), Err(Reason::NotHttp), "{body:?}");
    }
    for length in ["1\r\nContent-Length: 2", "1, 2", "-1", "x", ""] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(whole(&text), Err(Reason::NotHttp), "{length:?}");
    }
}

#[test]
fn nothing_is_longer_than_its_limit() {
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(whole(declared), Err(Reason::TooLarge));
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_001));
    assert_eq!(whole(&until_close), Err(Reason::TooLarge));
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
    assert_eq!(whole(chunk), Err(Reason::TooLarge));
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEAD_MAX));
    assert_eq!(whole(&head), Err(Reason::TooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(whole(&many), Ok((false, 200, Vec::new())));
    let exact = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
        "x".repeat(1_000)
    );
    assert!(whole(&exact).is_ok());
}

#[test]
fn a_close_before_the_end_is_early_and_after_the_end_is_not() {
    let ended = |text: &str| {
        let mut response = Response::new(WANTED);
        response.feed(text.as_bytes()).unwrap();
        response.end().map_err(|f| f.reason().unwrap())
    };
    assert_eq!(ended(""), Err(Reason::ClosedEarly));
    assert_eq!(ended("HTTP/1.1 200 OK\r\n"), Err(Reason::ClosedEarly));
    assert_eq!(
        ended("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx"),
        Err(Reason::ClosedEarly)
    );
    assert_eq!(
        ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"),
        Err(Reason::ClosedEarly)
    );
    assert_eq!(ended("HTTP/1.1 200 OK\r\n\r\nx"), Ok(()));
}

#[test]
fn a_connection_is_reusable_only_after_a_clean_end() {
    let reusable = |text: &str| {
        let mut response = Response::new(WANTED);
        response.feed(text.as_bytes()).unwrap();
        response.is_reusable()
    };
    assert!(reusable("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    assert!(reusable(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(!reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(!reusable(
        "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy"));
    assert!(!reusable("HTTP/1.1 200 OK\r\n\r\nx"));
}

/// Answers of every framing, some of them wrong.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world",
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200\nContent-Length: 3\n\nabc",
        "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
        "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let broken = (
        valid,
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(text, at, byte, flip)| {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            if flip {
                bytes[at] = byte;
            } else {
                bytes.truncate(at);
            }
            bytes
        });
    prop_oneof![broken, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic_and_pieces_do_not_matter(
        bytes in answers(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in at {
            pieces.push(&bytes[from..to]);
            from = to;
        }
        pieces.push(&bytes[from..]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let expected = read(&[&bytes], WANTED);
        prop_assert_eq!(read(&pieces, WANTED), expected.clone());
        prop_assert_eq!(read(&single, WANTED), expected);
    }
}
