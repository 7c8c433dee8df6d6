//! The `http` probe of a target.

use health::{Auth, Http, Tls};

use super::connection;
use super::expand::expand;
use super::expect::expect;
use super::export::{HIDDEN, is_sensitive};
use super::fault::{Mark, shown};
use super::quantity;
use super::sections::narrow;
use super::take::{Fields, Reading};
use super::verify::{Check, is_https, is_token};
use super::yaml::Node;

/// The longest body that a probe may be told to read: 1 GiB.
const BODY_MAX: u64 = 1 << 30;

/// The most headers of one request; servers refuse more.
const HEADERS_MAX: usize = 100;

type Headers = Box<[(Box<str>, Box<str>)]>;

/// A mapping of `http`; the short form is a URL alone.
pub(super) fn http(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Http> {
    let mut fields = reading.fields("'http'", node)?;
    if !fields.has("url") {
        reading.fault(fields.at, "'http' needs a 'url'");
    }
    let url = fields.read_at(reading, "url", |r, k, n| r.text(k, n, Check::Url));
    let method = fields.read(reading, "method", |r, k, n| r.text(k, n, Check::Method));
    let headers = fields.take("headers").and_then(|n| headers(reading, n));
    let body = fields.read(reading, "body", sent_text);
    let redirects = redirects(reading, &mut fields);
    let expect = fields.take("expect").and_then(|n| expect(reading, n));
    let max_body = fields.read(reading, "max_body", max_body);
    let tls = fields
        .take("tls")
        .map(|n| (n.at, connection::tls(reading, n)));
    let auth = fields.take("auth").map(|n| (n.at, auth(reading, n)));
    let keep_alive = fields.read(reading, "keep_alive", Reading::boolean);
    let family = connection::family(reading, &mut fields);
    let close = connection::close(reading, &mut fields);
    fields.finish(reading, &[]);

    let headers = headers.unwrap_or_default();
    if let Some((at, _)) = auth {
        one_authorization(reading, at, &headers);
    }
    let (expect, cert_at) = expect.unwrap_or_default();
    let (url, _) = url?;
    if redirects == 0 && !https(reading, &url) {
        needs_https(reading, tls.as_ref().map(|&(at, _)| at), "tls");
        needs_https(reading, cert_at, "cert_valid_for");
    }
    Some(Http {
        method: method.unwrap_or_else(|| "GET".into()),
        headers,
        body,
        redirects,
        expect,
        max_body: max_body.unwrap_or(Http::MAX_BODY),
        tls: tls.and_then(|(_, tls)| tls).unwrap_or_else(Tls::default),
        auth: auth.and_then(|(_, auth)| auth),
        keep_alive: keep_alive.unwrap_or(false),
        family,
        close,
        url,
    })
}

fn https(reading: &Reading<'_>, url: &str) -> bool {
    expand(url, reading.env()).is_ok_and(|url| is_https(&url))
}

/// A redirect may lead to https; without redirects nothing does.
fn needs_https(reading: &mut Reading<'_>, at: Option<Mark>, key: &str) {
    if let Some(at) = at {
        let message = format!(
            "'{key}' is not used: the URL is http:// and redirects are not followed; remove it or write https://"
        );
        reading.fault(at, message);
    }
}

/// How many redirects are followed: 0 for `follow_redirects: false`.
fn redirects(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> u8 {
    let follow = fields.read(reading, "follow_redirects", Reading::boolean);
    let most = fields.read_at(reading, "max_redirects", |r, k, n| r.whole(k, n, 1..=50));
    match (follow, most) {
        (Some(false), Some((_, at))) => {
            let message = "'max_redirects' is not used with 'follow_redirects: false'; remove one";
            reading.fault(at, message);
            0
        }
        (Some(false), None) => 0,
        (_, Some((most, _))) => narrow(most),
        (_, None) => Http::REDIRECTS,
    }
}

fn max_body(reading: &mut Reading<'_>, key: &str, node: &Node<'_>) -> Option<u32> {
    let text = reading.expanded(key, node)?;
    let size = quantity::size(&text).filter(|size| (1..=BODY_MAX).contains(size));
    let message = || {
        let text = shown(&text);
        format!("'{key}' must be from 1 byte to 1024MiB, such as 65536, 64KiB or 10MiB, not {text}")
    };
    reading.value(node.at, size.ok_or_else(message)).map(narrow)
}

/// Request headers, sorted by name, no name twice whatever its case.
fn headers(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Headers> {
    let at = node.at;
    let pairs = reading.pairs("'headers'", node)?;
    if pairs.len() > HEADERS_MAX {
        reading.fault(
            at,
            format!("{} headers, at most {HEADERS_MAX}", pairs.len()),
        );
        return None;
    }
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        header_name(reading, &key.text, key.at);
        not_framing(reading, &key.text, key.at);
        let twice = headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(&key.text));
        if twice {
            let name = shown(&key.text);
            let message = format!("header {name} is given twice; case does not matter, keep one");
            reading.fault(key.at, message);
        }
        let Some(text) = reading.text(&key.text, &value, Check::HeaderValue) else {
            continue;
        };
        if is_sensitive(&key.text) && text.contains(HIDDEN) {
            let message =
                "'***' is shown in place of a secret and is not one; write the secret or ${NAME}";
            reading.fault(value.at, message);
        }
        headers.push((key.text.into(), text));
    }
    headers.sort();
    Some(headers.into())
}

/// A text that is sent to the target; `***` is none.
pub(super) fn sent_text(reading: &mut Reading<'_>, key: &str, node: &Node<'_>) -> Option<Box<str>> {
    let text = reading.text(key, node, Check::Any)?;
    if *text == *HIDDEN {
        let message =
            "'***' is shown in place of a secret and is not one; write the secret or ${NAME}";
        reading.fault(node.at, message);
    }
    Some(text)
}

/// Reports a header that says where the request ends or what becomes of the connection.
fn not_framing(reading: &mut Reading<'_>, name: &str, at: Mark) {
    const OURS: [&str; 7] = [
        "connection",
        "content-length",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        let message =
            format!("header {name} is the probe's own to send; remove it (see 'keep_alive')");
        reading.fault(at, message);
    }
}

/// Reports a name that no header can have.
pub(super) fn header_name(reading: &mut Reading<'_>, name: &str, at: Mark) {
    if !is_token(name) {
        let name = shown(name);
        let message =
            format!("{name} can't be the name of a header; names are letters, digits and '-'");
        reading.fault(at, message);
    }
}

fn one_authorization(reading: &mut Reading<'_>, at: Mark, headers: &[(Box<str>, Box<str>)]) {
    let both = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if both {
        let message = "'auth' and a header 'Authorization' are both given; keep one";
        reading.fault(at, message);
    }
}

fn auth(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Auth> {
    let mut fields = reading.fields("'auth'", node)?;
    let (basic_node, bearer_node) = (fields.take("basic"), fields.take("bearer"));
    let at = fields.at;
    fields.finish(reading, &[]);
    match (basic_node, bearer_node) {
        (Some(node), None) => basic(reading, node),
        (None, Some(node)) => bearer(reading, node),
        (Some(_), Some(_)) | (None, None) => {
            reading.fault(at, "'auth' needs one of 'basic' and 'bearer'");
            None
        }
    }
}

fn basic(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Auth> {
    let mut fields = reading.fields("'basic'", node)?;
    let at = fields.at;
    let complete =
        fields.has("username") && (fields.has("password") || fields.has("password_file"));
    let username = fields.read(reading, "username", |r, k, n| r.text(k, n, Check::Username));
    let password = connection::secret(reading, &mut fields, "password", "password_file");
    fields.finish(reading, &[]);
    if !complete {
        let message = "'basic' needs a 'username' and a 'password' or 'password_file'";
        reading.fault(at, message);
    }
    Some(Auth::Basic(username?, password?.0))
}

fn bearer(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Auth> {
    let mut fields = reading.fields("'bearer'", node)?;
    let at = fields.at;
    let complete = fields.has("token") || fields.has("token_file");
    let token = connection::secret(reading, &mut fields, "token", "token_file");
    fields.finish(reading, &[]);
    if !complete {
        reading.fault(at, "'bearer' needs a 'token' or a 'token_file'");
    }
    Some(Auth::Bearer(token?.0))
}
