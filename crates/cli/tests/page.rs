//! The page of the real binary in a real Chromium: what a person at two in the morning needs.

#[path = "page/devtools.rs"]
mod devtools;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use devtools::{Browser, artifacts};
use tempfile::TempDir;

/// A server that answers; when told so, it closes every connection that asks for `/shop`.
fn patient(answers: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1_024];
            let read = stream.read(&mut request).unwrap_or(0);
            if answers.load(Relaxed) || !request[..read].starts_with(b"GET /shop") {
                let _unread = stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        }
    });
    address
}

/// The binary with a config of its own; killed when dropped.
struct Node {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Node {
    fn start(targets: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("page.yaml");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = free.expect("a free port");
        let defaults = "node: { name: night }\ndefaults: { interval: 200ms, timeout: 100ms, fall: 2, rise: 2 }\n";
        std::fs::write(&config, format!("{defaults}targets:\n{targets}")).expect("a config");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_roundsman"))
            .arg("run")
            .arg(&config)
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["--listen", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        let node = Self {
            child,
            address,
            _directory: directory,
        };
        let end = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(node.address).is_err() {
            assert!(Instant::now() < end, "the node does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Chromium, or a line that says that it is missing.
fn chromium() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("ROUNDSMAN_TEST_CHROMIUM") {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("chromium"))
        .find(|file| file.is_file());
    if found.is_none() {
        if let Some(list) = std::env::var_os("ROUNDSMAN_TEST_SKIPS") {
            let list = std::fs::File::options()
                .append(true)
                .create(true)
                .open(list);
            writeln!(list.expect("the list of skips"), "needs chromium").expect("a line fits");
        }
        writeln!(std::io::stderr(), "SKIPPED: needs chromium").expect("a line fits");
    }
    found
}

fn class_of(name: &str, class: &str) -> String {
    format!("document.querySelector('[data-key=\"{name}\"]')?.className === '{class}'")
}

#[test]
fn a_target_that_goes_down_is_seen_found_and_opened_without_a_reload() {
    let Some(chromium) = chromium() else { return };
    let answers = Arc::new(AtomicBool::new(true));
    let server = patient(Arc::clone(&answers));
    let mut targets = String::new();
    for n in 0..12 {
        let group = ["web", "mail"][n % 2];
        targets += &format!(
            "  - {{ name: steady-{n}, http: \"http://{server}/{n}\", group: {group}, interval: 1s }}\n"
        );
    }
    targets += &format!("  - {{ name: shop, http: \"http://{server}/shop\", group: web }}\n");
    let node = Node::start(&targets);
    let mut browser = Browser::start(&chromium);
    browser.appear(1400, 900, "light");
    browser.open(&format!("http://{}/", node.address));
    browser.until("document.querySelector('#pulse').dataset.state === 'live'");
    browser.until(&class_of("shop", "up"));
    browser.until("document.querySelectorAll('tbody tr.up').length === 13");
    browser.eval("window.isTheSamePage = true");

    answers.store(false, Relaxed);
    browser.until(&class_of("shop", "down"));
    browser.until("document.title.startsWith('(1 down)')");
    browser.until("document.querySelector('#said').textContent.startsWith('shop is down: ')");
    assert_eq!(browser.eval("window.isTheSamePage"), true);
    browser.picture(&artifacts().join("page-down.png"));

    browser.press("/");
    browser.type_text("shop");
    browser.until("document.querySelectorAll('tbody tr').length === 1");
    browser.press("ArrowDown");
    assert_eq!(browser.eval("document.activeElement.textContent"), "shop");
    browser.press("Enter");
    browser.until("location.pathname === '/targets/shop'");
    browser.until("document.querySelector('.why')?.textContent.startsWith('down since ')");
    browser.picture(&artifacts().join("page-target.png"));

    answers.store(true, Relaxed);
    browser.until("document.querySelector('.why.up')");
    browser.press("Escape");
    browser.until("location.pathname === '/'");
    browser.until("document.querySelectorAll('tbody tr').length > 0");
    assert_eq!(browser.complaints(), [""; 0]);
}
