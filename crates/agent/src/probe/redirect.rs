//! Where redirects lead: resolved as browsers do, followed with what may travel along.
//!
//! Every hop is a fresh connection, guarded like the first one. Credentials stay behind when the
//! host changes or encryption ends. Start reading at [`follow`].
//! Does not know how a request is sent.

use health::{Phase, Reason};
use url::Url;

use super::Run;
use super::connect::{Host, connect};
use super::http::converse;
use super::prepare::{AskHttp, endpoint_of, name_of};
use super::request::{Request, authority, path_of};
use super::response::Response;
use super::tls::Secure;
use super::trace::Fault;

/// Whether an answer with this status sends elsewhere.
pub(super) const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Follows the redirect in `response`, and those after it, to an answer that is none.
pub(super) async fn follow(
    run: &Run<'_>,
    ask: &AskHttp,
    mut response: Response,
) -> Result<Response, Fault> {
    let (mut request, mut url) = origin(run, ask)
        .ok_or_else(|| Fault::new(Reason::BadRedirect, "the request can't be sent again"))?;
    let mut seen = vec![url.clone()];
    let mut wanted = ask.wanted();
    for _ in 0..ask.redirects {
        let next = target(&url, &response)?;
        rewrite(&mut request, response.status(), &url, &next);
        let is_get = request.method == "GET" || request.method == "HEAD";
        if is_get && seen.contains(&next) {
            return Err(Fault::new(
                Reason::RedirectLoop,
                format!("{} again", shown(&next)),
            ));
        }
        seen.push(next.clone());
        wanted.bodiless = request.method == "HEAD";
        response = Response::new(wanted);
        hop(run, &request, &next, &mut response).await?;
        if !is_redirect(response.status()) {
            return Ok(response);
        }
        url = next;
    }
    let detail = format!(
        "more than {} redirects, the last to {}",
        ask.redirects,
        shown(&url)
    );
    Err(Fault::new(Reason::RedirectLoop, detail))
}

/// The target's own request and URL, taken from its bytes.
fn origin(run: &Run<'_>, ask: &AskHttp) -> Option<(Request, Url)> {
    let mut request = Request::parse(&ask.request)?;
    request.set("Connection", "close".to_owned());
    let scheme = if run.prepared.starts_secure {
        "https"
    } else {
        "http"
    };
    let endpoint = &run.prepared.endpoint;
    let host = match &endpoint.host {
        Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.as_ref().to_owned(),
    };
    let url = format!("{scheme}://{host}:{}{}", endpoint.port, request.path);
    Some((request, Url::parse(&url).ok()?))
}

/// The URL that an answer sends to.
fn target(from: &Url, response: &Response) -> Result<Url, Fault> {
    let bad = |detail: &str| Fault::new(Reason::BadRedirect, detail);
    let values = response.header("location");
    let location = values.first().ok_or_else(|| bad("no Location"))?;
    let location = String::from_utf8_lossy(location);
    let mut next = from
        .join(location.trim())
        .map_err(|_| bad("Location is not a URL"))?;
    next.set_fragment(None);
    if !matches!(next.scheme(), "http" | "https") {
        return Err(bad(&format!(
            "to {}: only http and https are followed",
            next.scheme()
        )));
    }
    Ok(next)
}

/// Makes `request` the one that belongs to `next`.
fn rewrite(request: &mut Request, status: u16, from: &Url, next: &Url) {
    let to_get = match status {
        303 => request.method != "HEAD",
        301 | 302 => request.method == "POST",
        _ => false,
    };
    if to_get {
        "GET".clone_into(&mut request.method);
        request.body.clear();
        for name in [
            "Content-Length",
            "Content-Type",
            "Content-Encoding",
            "Transfer-Encoding",
        ] {
            request.remove(name);
        }
    }
    request.path = path_of(next);
    if authority(from) != authority(next) || from.scheme() != next.scheme() {
        request.set("Host", authority(next));
    }
    if !is_same_place(from, next) {
        // Any header of the target's own may be a secret of the place that it was meant for.
        let is_plain = |name: &str| PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(name));
        request.headers.retain(|(name, _)| is_plain(name));
    }
}

/// The headers that go wherever a redirect leads.
const PLAIN: [&str; 6] = [
    "Host",
    "User-Agent",
    "Accept",
    "Connection",
    "Content-Length",
    "Content-Type",
];

/// The same host and port, or the same host's ordinary step from http to https.
fn is_same_place(from: &Url, next: &Url) -> bool {
    let is_secured = from.scheme() == "http" && next.scheme() == "https" && next.port().is_none();
    let same_scheme = from.scheme() == next.scheme();
    let same_port = from.port_or_known_default() == next.port_or_known_default();
    from.host() == next.host() && (is_secured || same_scheme && same_port)
}

/// One more request and its answer.
async fn hop(
    run: &Run<'_>,
    request: &Request,
    url: &Url,
    response: &mut Response,
) -> Result<(), Fault> {
    let bad = || {
        Fault::new(
            Reason::BadRedirect,
            format!("{} can't be asked", shown(url)),
        )
    };
    let endpoint = endpoint_of(url).ok_or_else(bad)?;
    let secure = if url.scheme() == "https" {
        Some(secure_for(run, &endpoint.host).ok_or_else(bad)?)
    } else {
        None
    };
    let mut socket = connect(run, &endpoint, secure.as_ref(), false).await?;
    converse(run, &mut socket, &request.bytes(), response).await?;
    run.enter(Phase::Transfer);
    socket.close(run.prepared.close);
    Ok(())
}

/// The target's TLS settings; its own server name only for its own host.
fn secure_for(run: &Run<'_>, host: &Host) -> Option<Secure> {
    let own = run.prepared.secure.as_deref();
    let name = name_of(host)?;
    match own {
        Some(secure) if *host == run.prepared.endpoint.host => Some(secure.clone()),
        Some(secure) => Some(Secure {
            name,
            ..secure.clone()
        }),
        None => Some(Secure {
            setup: run.shared.tls.of(None, true).ok()?,
            name,
            valid_for: None,
        }),
    }
}

/// A URL without what may be secret in it.
fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_origin_or_its_step_to_https_is_the_same_place() {
        let table = [
            ("http://a/", "http://a/x", true),
            ("http://a/", "https://a/", true),
            ("https://a/", "http://a/", false),
            ("http://a:1/", "http://a:2/", false),
            ("http://a/", "https://a:8443/", false),
            ("http://a/", "http://b/", false),
        ];
        for (from, next, same) in table {
            let url = |text: &str| Url::parse(text).unwrap();
            assert_eq!(
                is_same_place(&url(from), &url(next)),
                same,
                "{from} to {next}"
            );
        }
    }
}
