//! Request bytes, built once per target and sent as they are.
//!
//! Only a redirect looks into them again: [`Request::parse`] takes them apart, so that nothing
//! else of a request has to be kept in memory. Start reading at [`Request::bytes`].
//! Does not know connections or answers.

use url::Url;

/// A request in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Sent unless the target says otherwise.
const USER_AGENT: &str = concat!("roundsman/", env!("CARGO_PKG_VERSION"));

impl Request {
    /// A request for `url` with the headers that every request has, unless `headers` has them.
    pub(super) fn new(
        method: &str,
        url: &Url,
        headers: Vec<(String, String)>,
        body: Option<&str>,
        keep_alive: bool,
    ) -> Self {
        let mut request = Self {
            method: method.to_owned(),
            path: path_of(url),
            headers: Vec::new(),
            body: body.unwrap_or_default().into(),
        };
        let connection = if keep_alive { None } else { Some("close") };
        let ours = [
            ("Host", Some(authority(url))),
            ("User-Agent", Some(USER_AGENT.to_owned())),
            ("Accept", Some("*/*".to_owned())),
            ("Connection", connection.map(str::to_owned)),
            ("Content-Length", length(method, body)),
        ];
        for (name, value) in ours {
            let replaced = headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
            if let Some(value) = value.filter(|_| !replaced) {
                request.headers.push((name.to_owned(), value));
            }
        }
        request.headers.extend(headers);
        request
    }

    /// The parts of what [`Request::bytes`] made.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut room = vec![httparse::EMPTY_HEADER; 256];
        let mut parsed = httparse::Request::new(&mut room);
        let Ok(httparse::Status::Complete(head)) = parsed.parse(bytes) else {
            return None;
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parsed.headers.iter();
        Some(Self {
            method: parsed.method?.to_owned(),
            path: parsed.path?.to_owned(),
            headers: headers
                .map(|h| (h.name.to_owned(), text(h.value)))
                .collect(),
            body: bytes[head..].to_vec(),
        })
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self) -> Box<[u8]> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out.into()
    }

    /// Replaces every header of this name.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.remove(name);
        self.headers.insert(0, (name.to_owned(), value));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }
}

/// A method that may have a body says so even if it is empty.
fn length(method: &str, body: Option<&str>) -> Option<String> {
    let expects_body = matches!(method, "POST" | "PUT" | "PATCH");
    match body {
        Some(body) => Some(body.len().to_string()),
        None => expects_body.then(|| "0".to_owned()),
    }
}

pub(super) fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The host, with its port unless that is the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_from_its_bytes() {
        let url = Url::parse("http://[::1]:8080/a?b=c#d").unwrap();
        let headers = vec![("X-Key".to_owned(), "v".to_owned())];
        let request = Request::new("POST", &url, headers, Some("body"), true);
        let bytes = request.bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(
            text.starts_with("POST /a?b=c HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: roundsman/")
        );
        assert!(
            text.ends_with("Content-Length: 4\r\nX-Key: v\r\n\r\nbody"),
            "{text}"
        );
        assert_eq!(Request::parse(&bytes), Some(request));
    }

    #[test]
    fn given_headers_replace_ours() {
        let url = Url::parse("http://x/").unwrap();
        let headers = vec![("host".to_owned(), "other".to_owned())];
        let request = Request::new("GET", &url, headers, None, false);
        let hosts = request
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case("host"));
        assert_eq!(
            hosts.map(|(_, v)| v.as_str()).collect::<Vec<_>>(),
            ["other"]
        );
    }
}
