//! `check`: one probe now, with its phases.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::probe::{Shared, Trust, prepare, probe_once};
use base::Wall;
use health::{Definition, Finding, Http, Outcome, Phase, Probe, Rule, Tcp};
use serde_json::{Value, json};

use crate::arguments::Check;
use crate::failure::Failure;
use crate::out;
use crate::table::{millis, pad, plain, span};

/// Schemes of later versions.
const LATER: [&str; 5] = ["dns", "icmp", "grpc", "tls", "ws"];

/// Makes each check once; 0 when all passed.
pub(crate) fn check(check: &Check) -> Result<ExitCode, Failure> {
    let (first, names) = check.what.split_first().expect("clap demands one");
    let is_url = first.contains("://");
    let targets = if is_url {
        if let Some(second) = names.first() {
            let text = format!("a URL is checked alone; what is '{second}' for?");
            return Err(Failure::Input(text));
        }
        vec![Arc::new(from_url(first, check.timeout)?)]
    } else {
        from_config(Path::new(first), names)?
    };
    let results = probe_all(&targets)?;
    if check.json {
        let mut items: Vec<Value> = results.iter().map(Checked::document).collect();
        match is_url {
            true => out::json(&items.pop()),
            false => out::json(&json!({ "items": items })),
        }
    } else {
        for result in &results {
            result.lines().iter().for_each(out::say);
        }
    }
    let passed = |result: &Checked| result.outcome.finding == Finding::Passed;
    Ok(ExitCode::from(u8::from(!results.iter().all(passed))))
}

fn from_url(url: &str, timeout: Duration) -> Result<Definition, Failure> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    // What is printed, sent to a terminal or kept in a log must hold no password.
    let shown = agent::api::masked(url);
    let refuse = |text: String| Err(Failure::Input(text));
    let probe = match scheme {
        "http" | "https" => Probe::Http(Box::new(Http::get(url))),
        "tcp" => {
            let address = rest.trim_end_matches('/');
            match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Probe::Tcp(Box::new(Tcp::connect(address)))
                }
                _ => return refuse(format!("{shown}: write it as tcp://HOST:PORT")),
            }
        }
        later if LATER.contains(&later) => {
            return refuse(format!("'{later}://' is not in this version"));
        }
        _ => {
            return refuse(format!(
                "{shown}: only http://, https:// and tcp:// can be checked"
            ));
        }
    };
    if timeout.is_zero() || timeout > Definition::INTERVAL_MAX {
        return refuse("--timeout: more than zero, at most a day".to_owned());
    }
    Ok(Definition {
        name: shown.into(),
        probe,
        interval: timeout.max(Definition::INTERVAL_MIN),
        timeout,
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    })
}

fn from_config(path: &Path, names: &[String]) -> Result<Vec<Arc<Definition>>, Failure> {
    let config = agent::config::load(path).map_err(Failure::Config)?;
    let shown = path.display();
    if names.is_empty() {
        let text = format!("which target of {shown}? name at least one, or give a URL");
        return Err(Failure::Input(text));
    }
    let find = |name: &String| {
        let found = config.targets.iter().find(|target| *target.name == **name);
        found.cloned().ok_or_else(|| {
            let known = config.targets.iter().map(|target| &*target.name);
            let near = nearest(name, known);
            let hint = match near.is_empty() {
                true => String::new(),
                false => format!("; did you mean {}?", near.join(" or ")),
            };
            Failure::Input(plain(&format!("no target '{name}' in {shown}{hint}")))
        })
    };
    names.iter().map(find).collect()
}

/// Up to three known names that look like `name`, best first.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = scored.into_iter().take(3);
    best.map(|(_, candidate)| format!("'{candidate}'"))
        .collect()
}

fn probe_all(targets: &[Arc<Definition>]) -> Result<Vec<Checked>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("can't start: {error}")))?;
    runtime.block_on(async {
        let shared = Shared::new();
        let mut results = Vec::new();
        for target in targets {
            let prepared = prepare(target, Trust::File, &shared)
                .map_err(|error| Failure::Input(format!("{}: {error}", target.name)))?;
            let at = SystemTime::now();
            let outcome = probe_once(&prepared, &shared, target.timeout).await;
            results.push(Checked {
                target: Arc::clone(&target.name),
                at,
                outcome,
            });
        }
        Ok(results)
    })
}

/// What a check of a target yielded.
struct Checked {
    target: Arc<str>,
    at: SystemTime,
    outcome: Outcome,
}

impl Checked {
    /// "passed", and for the other two why.
    fn words(&self) -> (&'static str, Option<String>) {
        match self.outcome.finding {
            Finding::Passed => ("passed", None),
            Finding::Failed(reason) => ("failed", Some(reason.words())),
            Finding::Inconclusive(doubt) => ("inconclusive", Some(doubt.words().to_owned())),
        }
    }

    fn lines(&self) -> Vec<String> {
        let Outcome {
            phases,
            detail,
            address,
            http_status,
            cert_expiry,
            ..
        } = &self.outcome;
        let (result, why) = self.words();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let detail = detail
            .as_deref()
            .map_or_else(String::new, |detail| format!(" ({detail})"));
        let took = millis(in_millis(phases.total()));
        let mut lines = vec![plain(&format!(
            "{} {result}{why}{detail} in {took}",
            self.target
        ))];
        for phase in Phase::ALL {
            let time = phases.get(phase);
            let time = match time.is_zero() {
                true => "-".to_owned(),
                false => millis(in_millis(time)),
            };
            lines.push(format!("  {} {time:>9}", pad(phase.name(), 11)));
        }
        let extra = [
            ("address", address.map(|address| address.to_string())),
            ("status", http_status.map(|status| status.to_string())),
            ("certificate", cert_expiry.map(expiry)),
        ];
        for (title, value) in extra {
            lines.extend(value.map(|value| format!("  {} {value}", pad(title, 11))));
        }
        lines
    }

    fn document(&self) -> Value {
        let Outcome {
            finding, phases, ..
        } = &self.outcome;
        let phases_ms: serde_json::Map<String, Value> = Phase::ALL
            .into_iter()
            .map(|phase| {
                let ms = in_millis(phases.get(phase));
                (phase.name().to_owned(), json!(ms))
            })
            .collect();
        let reason = match finding {
            Finding::Passed => None,
            Finding::Failed(reason) => Some(reason.code()),
            Finding::Inconclusive(doubt) => Some(doubt.words().replace(' ', "_")),
        };
        json!({
            "target": &*self.target,
            "at": humantime::format_rfc3339_millis(self.at).to_string(),
            "result": self.words().0,
            "reason": reason,
            "detail": self.outcome.detail.as_deref(),
            "latency_ms": in_millis(phases.total()),
            "phases_ms": phases_ms,
            "address": self.outcome.address.map(|address| address.to_string()),
            "http_status": self.outcome.http_status,
            "cert_expires": self.outcome.cert_expiry.and_then(rfc3339),
        })
    }
}

/// To the microsecond, as the API writes it.
fn in_millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}

fn moment(wall: Wall) -> Option<SystemTime> {
    let since_epoch = Duration::from_millis(u64::try_from(wall.0).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

/// `None` for a moment that RFC 3339 can't write.
fn rfc3339(wall: Wall) -> Option<String> {
    let last = Duration::from_secs(253_402_300_799);
    let moment = moment(wall)?;
    let in_range = moment.duration_since(SystemTime::UNIX_EPOCH).ok()? <= last;
    in_range.then(|| humantime::format_rfc3339_seconds(moment).to_string())
}

/// "ends 2026-12-01T00:00:00Z, in 23d4h".
fn expiry(wall: Wall) -> String {
    let when = rfc3339(wall).unwrap_or_else(|| "at a time that no calendar holds".to_owned());
    let left = moment(wall).map(|moment| moment.duration_since(SystemTime::now()));
    match left {
        Some(Ok(left)) => format!("ends {when}, in {}", span(left)),
        Some(Err(past)) => format!("ended {when}, {} ago", span(past.duration())),
        None => format!("ends {when}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_nearest() {
        let known = ["shop", "shop-eu", "database"];
        let near = nearest("shpo", known.into_iter());
        assert_eq!(near.first().map(String::as_str), Some("'shop'"));
        assert!(nearest("zzz", known.into_iter()).is_empty());
    }

    #[test]
    fn a_url_of_a_later_version_is_refused_as_such() {
        let refused = |url| match from_url(url, Duration::from_secs(1)) {
            Err(Failure::Input(text)) => text,
            other => panic!("{url} gave {other:?}"),
        };
        assert_eq!(refused("dns://1.1.1.1"), "'dns://' is not in this version");
        assert!(refused("tcp://host").contains("tcp://HOST:PORT"));
        assert!(refused("ftp://host").contains("only http://"));
        assert!(!refused("ftp://me:hunter2@host").contains("hunter2"));
    }

    #[test]
    fn a_password_in_a_url_is_asked_with_and_not_shown() {
        let url = "http://me:hunter2@127.0.0.1:9/?token=hunter2";
        let definition = from_url(url, Duration::from_secs(1)).unwrap();
        assert_eq!(definition.probe.address(), url);
        assert_eq!(&*definition.name, "http://***@127.0.0.1:9/?token=***");
    }

    #[test]
    fn a_certificate_that_ended_says_so() {
        assert!(expiry(Wall(0)).starts_with("ended 1970-01-01T00:00:00Z, "));
        assert!(expiry(Wall(i64::MAX)).starts_with("ends at a time"));
    }
}
