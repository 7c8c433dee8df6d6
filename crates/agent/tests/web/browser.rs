//! The page in a real Chromium over invented targets; the binary has its own test in `cli`.

use std::net::SocketAddr;
use std::sync::Arc;

use health::{Reason, State};
use roundsman_agent::api;
use roundsman_agent::front::Front;

use crate::devtools::{Browser, artifacts};
use crate::{fake, tools};

/// Serves `front` on a thread of its own until the process ends.
fn serve(front: Arc<Front>, port: u16) -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket option");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            api::serve(listener, front, 100).await;
        });
    });
    address
}

fn browser() -> Option<Browser> {
    tools::find("ROUNDSMAN_TEST_CHROMIUM", "chromium").map(|file| Browser::start(&file))
}

const ROWS: &str = "document.querySelectorAll('tbody tr').length";
const FIRST: &str = "document.querySelector('tbody tr').dataset.key";
const FOCUSED: &str = "document.activeElement.textContent";

#[test]
fn the_page_lives_in_a_browser() {
    let Some(mut browser) = browser() else { return };
    let front = fake::populated(60);
    let place = serve(Arc::clone(&front), 0);
    browser.appear(1400, 900, "light");
    browser.open(&format!("http://{place}/"));
    browser.until("document.querySelector('#pulse').dataset.state === 'live'");
    browser.eval("window.isTheSamePage = true");

    // A change shows without a reload, and is said.
    fake::change(&front, "shop-eu-0000", State::Down, Reason::Refused);
    browser.until("document.querySelector('[data-key=\"shop-eu-0000\"]').className === 'down'");
    browser.until(
        "document.querySelector('#said').textContent.startsWith('shop-eu-0000 is down: refused')",
    );
    assert_eq!(browser.eval("document.title"), "(3 down) roundsman");
    assert_eq!(browser.eval("window.isTheSamePage"), true);

    // Search narrows while typing, and Escape clears it.
    browser.press("/");
    browser.type_text("login");
    browser.until(&format!("{ROWS} === 8"));
    browser.until("location.search === '?q=login'");
    browser.press("Escape");
    browser.until(&format!("{ROWS} === 60"));

    // Keys move between rows; the focus outlives a change that moves its row.
    browser.press("ArrowDown");
    browser.press("j");
    browser.press("k");
    let first = browser.eval(FIRST);
    assert_eq!(browser.eval(FOCUSED), first);
    let first = first.as_str().expect("a name").to_owned();
    fake::change(&front, &first, State::Up, Reason::None);
    browser.until(&format!("{FIRST} !== '{first}'"));
    assert_eq!(browser.eval(FOCUSED), first.as_str());
    let last = "[...document.querySelectorAll('[data-row]')].at(-1)";
    browser.eval(&format!("{last}.focus()"));
    let worse = browser.eval(FOCUSED).as_str().expect("a name").to_owned();
    fake::change(&front, &worse, State::Down, Reason::Reset);
    browser.until(&format!("{last}.textContent !== '{worse}'"));
    assert_eq!(browser.eval(FOCUSED), worse.as_str());
    browser.eval(&format!(
        "document.querySelector('[data-key=\"{first}\"] a').focus()"
    ));
    browser.press("Enter");
    browser.until(&format!("location.pathname === '/targets/{first}'"));
    browser.until("document.querySelector('.why') && document.readyState === 'complete'");
    browser.press("Escape");
    browser.until("location.pathname === '/'");

    assert_eq!(browser.complaints(), [""; 0]);
    browser.picture(&artifacts().join("page-invented.png"));
}

#[test]
fn nothing_scrolls_sideways_on_a_narrow_screen() {
    let Some(mut browser) = browser() else { return };
    let place = serve(fake::populated(300), 0);
    browser.appear(360, 800, "light");
    for path in [
        "/",
        "/?q=none-like-this",
        "/targets/login-eu-0001",
        "/targets/nobody",
    ] {
        browser.open(&format!("http://{place}{path}"));
        let wide = browser.eval("document.documentElement.scrollWidth");
        assert!(
            wide.as_u64().is_some_and(|wide| wide <= 360),
            "{path}: {wide}"
        );
    }
}

/// For looking at the page by hand: pictures of all its faces in the folder of artifacts.
#[test]
#[ignore = "takes pictures for people; asserts nothing"]
fn pictures_of_every_face() {
    let Some(mut browser) = browser() else { return };
    let worlds = [(0, "none"), (10, "10"), (250, "250"), (5_000, "5000")];
    let faces = [
        (1400, 900, "light"),
        (1400, 900, "dark"),
        (390, 844, "light"),
        (390, 844, "dark"),
    ];
    for (count, world) in worlds {
        let place = serve(fake::populated(count), 0);
        let paths = [
            ("/", "all"),
            ("/?q=zzz", "nothing"),
            ("/targets/login-eu-0001", "down"),
            ("/targets/shop-eu-0000", "up"),
            ("/targets/mail-eu-0004", "unknown"),
            ("/targets/nobody", "404"),
        ];
        for (path, what) in paths {
            if count != 10 && what != "all" {
                continue;
            }
            for (width, height, scheme) in faces {
                browser.appear(width, height, scheme);
                browser.open(&format!("http://{place}{path}"));
                if what != "404" {
                    browser.until("document.querySelector('#pulse').dataset.state === 'live'");
                }
                browser.picture(&artifacts().join(format!("{world}-{what}-{width}-{scheme}.png")));
            }
        }
    }
}
