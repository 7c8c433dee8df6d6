//! Connections as clients see them: bounded, and ended when the node stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roundsman_agent::api;
use roundsman_agent::front::Front;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fake;

async fn serve(room: usize) -> (Arc<Front>, SocketAddr, JoinHandle<()>) {
    let front = fake::populated(3);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = tokio::spawn(api::serve(listener, Arc::clone(&front), room));
    (front, address, served)
}

async fn say(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 2_048];
    let n = stream.read(&mut bytes).await.expect("it answers");
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away_and_counted() {
    let (front, address, _served) = serve(2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = say(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
        open.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let answer = head(&mut third).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("too many connections"),
        "{answer}"
    );
    assert_eq!(front.meters.api_refused.get(), 1);
    drop(open);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut fourth = say(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head(&mut fourth).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_node_that_stops_ends_streams_and_idle_connections_at_once() {
    let (front, address, served) = serve(9).await;
    let mut stream = say(address, "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head(&mut stream).await.contains("text/event-stream"));
    let mut idle = say(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut idle).await;
    let start = Instant::now();
    front.stopping.send_replace(true);
    served.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.ends_with(b"0\r\n\r\n"),
        "the stream ends as HTTP wants it"
    );
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_cut_off_when_the_node_stops() {
    let (front, address, served) = serve(9).await;
    let _half = say(address, "PUT /v1/targets/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer correct-horse\r\ncontent-length: 99\r\n\r\n{").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    front.stopping.send_replace(true);
    served.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        start.elapsed()
    );
}
