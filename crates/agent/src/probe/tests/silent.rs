//! Peers that say nothing, or nothing more: the timeout names the phase.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use health::{Http, Phase, Probe, Reason, Tls};
use socket2::{Domain, Socket, Type};

use super::servers::{ask, assert_failed, hear, serve};

fn impatient(url: &str) -> health::Outcome {
    let mut http = Http::get(url);
    http.tls = Tls {
        verify: false,
        ..Tls::default()
    };
    ask(Probe::Http(Box::new(http)), Duration::from_millis(300))
}

fn hold(stream: TcpStream) {
    thread::sleep(Duration::from_secs(5));
    drop(stream);
}

#[test]
fn a_full_backlog_times_out_in_connect() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _held: Vec<TcpStream> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    let outcome = impatient(&format!("http://{address}/"));
    assert_failed(
        &outcome,
        Reason::Timeout(Phase::Connect),
        &format!("no answer from {address}"),
    );
}

#[test]
fn a_peer_that_never_shakes_hands_times_out_in_tls() {
    let address = serve(hold);
    let outcome = impatient(&format!("https://{address}/"));
    assert_failed(&outcome, Reason::Timeout(Phase::Tls), "after 300ms");
}

#[test]
fn a_peer_that_never_answers_times_out_in_processing() {
    let address = serve(hold);
    let outcome = impatient(&format!("http://{address}/"));
    assert_failed(&outcome, Reason::Timeout(Phase::Processing), "after 300ms");
}

#[test]
fn a_body_that_trickles_times_out_in_transfer() {
    let address = serve(|mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let outcome = impatient(&format!("http://{address}/"));
    assert_failed(&outcome, Reason::Timeout(Phase::Transfer), "after 300ms");
    assert_eq!(outcome.http_status, Some(200));
}
