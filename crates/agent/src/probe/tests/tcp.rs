//! Dialogues over TCP.

use std::io::{BufRead, BufReader, Write};

use health::{Reason, Step, Tcp};

use super::servers::{ask_tcp, assert_failed, assert_passed, nobody, serve};

fn expect(pattern: &str) -> Step {
    Step::Expect(pattern.into())
}

fn talk(greeting: &'static str, steps: &[Step]) -> health::Outcome {
    let address = serve(move |mut stream| {
        let _ = stream.write_all(greeting.as_bytes());
        let mut line = String::new();
        let _ = BufReader::new(&stream).read_line(&mut line);
        let _ = stream.write_all(format!("250 you said {line}").as_bytes());
    });
    let mut tcp = Tcp::connect(&address.to_string());
    tcp.dialogue = steps.into();
    ask_tcp(tcp)
}

#[test]
fn connecting_is_enough_without_a_dialogue() {
    assert_passed(&talk("", &[]));
    let address = nobody();
    let refused = ask_tcp(Tcp::connect(&address.to_string()));
    assert_failed(&refused, Reason::Refused, &address.to_string());
}

#[test]
fn a_dialogue_goes_line_by_line() {
    let steps = [
        expect("^220"),
        expect("^221 .*ready$"),
        Step::Send("EHLO ${NOT_SET:-me}\r\n".into()),
        expect("^250 you said EHLO me"),
    ];
    assert_passed(&talk("220 hello there\r\n221 we are ready\r\n", &steps));
}

#[test]
fn another_answer_is_unexpected_and_shown() {
    let steps = [Step::Send("hi\n".into()), expect("^500")];
    let outcome = talk("", &steps);
    assert_failed(&outcome, Reason::Unexpected, r#"after "250 you said hi\n""#);
}

#[test]
fn an_answer_without_end_is_too_large() {
    let address = serve(|mut stream| while stream.write_all(&[b'x'; 8_192]).is_ok() {});
    let mut tcp = Tcp::connect(&address.to_string());
    tcp.dialogue = [expect("y")].into();
    assert_failed(&ask_tcp(tcp), Reason::TooLarge, "64 KiB");
}

#[test]
fn an_address_has_a_port() {
    for address in ["localhost", "::1:80", "[x]:80", "a:0", "a:99999", "a b:1"] {
        let probe = health::Probe::Tcp(Box::new(Tcp::connect(address)));
        let shared = crate::probe::Shared::new();
        assert!(
            super::servers::prepared(probe, &shared).is_err(),
            "{address}"
        );
    }
}
