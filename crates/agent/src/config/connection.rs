//! What http and tcp probes share: TLS, secrets, address families, closing.

use health::{Close, Family, SecretSource, Tls};

use super::fault::Mark;
use super::take::{Fields, Reading};
use super::verify::Check;
use super::yaml::Node;

/// The words for address families.
pub(super) const FAMILIES: [(&str, Family); 5] = [
    ("any", Family::Any),
    ("prefer_ipv4", Family::PreferV4),
    ("prefer_ipv6", Family::PreferV6),
    ("ipv4", Family::OnlyV4),
    ("ipv6", Family::OnlyV6),
];

/// The words for closing.
pub(super) const CLOSES: [(&str, Close); 2] = [("reset", Close::Reset), ("fin", Close::Fin)];

/// The value of `ip`.
pub(super) fn family(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> Family {
    fields
        .read(reading, "ip", |r, k, n| r.choice(k, n, &FAMILIES))
        .unwrap_or_default()
}

/// The value of `close`.
pub(super) fn close(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> Close {
    fields
        .read(reading, "close", |r, k, n| r.choice(k, n, &CLOSES))
        .unwrap_or_default()
}

/// A mapping of `tls`.
pub(super) fn tls(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Tls> {
    let mut fields = reading.fields("'tls'", node)?;
    let ca_file = fields.read_at(reading, "ca_file", |r, k, n| r.text(k, n, Check::CaFile));
    let server_name = fields.read(reading, "server_name", |r, k, n| {
        r.text(k, n, Check::ServerName)
    });
    let verify = fields.read(reading, "verify", Reading::boolean);
    fields.finish(reading, &[]);
    let verify = verify.unwrap_or(true);
    if let Some((_, at)) = &ca_file
        && !verify
    {
        let message = "'ca_file' is not used with 'verify: false'; remove one of them";
        reading.fault(*at, message);
    }
    Some(Tls {
        ca_file: ca_file.map(|(path, _)| path),
        server_name,
        verify,
    })
}

/// A secret given as text or as a file, and where it stands.
///
/// Text is checked once expanded; the file must be readable.
pub(super) fn secret(
    reading: &mut Reading<'_>,
    fields: &mut Fields<'_>,
    text_key: &'static str,
    file_key: &'static str,
) -> Option<(SecretSource, Mark)> {
    let (text, file) = (fields.take(text_key), fields.take(file_key));
    if let (Some(text), Some(file)) = (&text, &file) {
        let message = format!("'{text_key}' and '{file_key}' are both given; keep one");
        reading.fault(text.at.max(file.at), message);
    }
    if let Some(node) = text {
        let text = reading.text(text_key, &node, Check::Token)?;
        return Some((SecretSource::Text(text), node.at));
    }
    let node = file?;
    let path = reading.text(file_key, &node, Check::SecretFile)?;
    Some((SecretSource::File(path), node.at))
}
