//! The words of the command line as a rehearsal, and back as a command that can be given again.
//!
//! Whatever is wrong is named in one line, with both values and the way out.

use std::time::Duration;

use base::Time;
use health::{Mutation, Rule};
use sim::cluster::Host;
use sim::fleet::rehearsal::{Kill, Partition, Rehearsal};

use super::spans::given;
use crate::arguments::Simulate;
use crate::table::{plain, thousands};

/// The longest run.
const SPAN_MAX: Duration = Duration::from_hours(24);

const MUTATIONS: [(&str, Mutation); 8] = [
    ("no-collapse", Mutation::NoCollapse),
    ("votes-ignored", Mutation::VotesIgnored),
    ("silence-agrees", Mutation::SilenceAgrees),
    ("streak-invents-down", Mutation::StreakInventsDown),
    ("burst-after-pause", Mutation::BurstAfterPause),
    ("mark-ignores-pending", Mutation::MarkIgnoresPending),
    ("takeover-without-phase", Mutation::TakeoverWithoutPhase),
    ("boot-overrules", Mutation::BootOverrules),
];

/// What the words mean; or what is wrong with them.
pub(super) fn rehearsal(words: &Simulate) -> Result<Rehearsal, String> {
    let mut rehearsal = Rehearsal {
        nodes: words.nodes,
        targets: words.targets,
        span: words.span,
        seed: words.seed,
        loss: loss(&words.loss)?,
        outages: words.outages,
        interval: words.interval,
        timeout: words
            .timeout
            .unwrap_or_else(|| Duration::from_secs(2).min(words.interval)),
        rule: Rule {
            fall: words.fall,
            of: words.fall,
            rise: words.rise,
        },
        confirm: words.confirm,
        mutation: words.mutation.as_deref().map(mutation).transpose()?,
        ..Rehearsal::default()
    };
    sizes(&rehearsal)?;
    for text in &words.kill {
        let kill =
            kill(&rehearsal, text).map_err(|why| format!("--kill {}: {why}", plain(text)))?;
        rehearsal.kills.push(kill);
    }
    for text in &words.partition {
        let partition = partition(&rehearsal, text);
        let partition = partition.map_err(|why| format!("--partition {}: {why}", plain(text)))?;
        rehearsal.partitions.push(partition);
    }
    in_order(&mut rehearsal)?;
    outages(&rehearsal)?;
    Ok(rehearsal)
}

fn sizes(rehearsal: &Rehearsal) -> Result<(), String> {
    let Rehearsal { nodes, targets, .. } = rehearsal;
    if !(1..=Rehearsal::NODES_MAX).contains(nodes) {
        let most = Rehearsal::NODES_MAX;
        return Err(format!("--nodes {nodes}: give 1 to {most} nodes"));
    }
    let rows = u64::from(*nodes) * u64::from(*targets);
    if rows > Rehearsal::ROWS_MAX {
        let most = Rehearsal::ROWS_MAX / u64::from(*nodes);
        return Err(format!(
            "--targets {targets}: with {nodes} nodes give at most {}, or take fewer nodes",
            thousands(usize::try_from(most).unwrap_or(usize::MAX))
        ));
    }
    let span = rehearsal.span;
    if span < Duration::from_secs(1) || span > SPAN_MAX {
        return Err(format!("--for {}: give 1s to 24h", given(span)));
    }
    let is_fine = |span: Duration| span.subsec_nanos().is_multiple_of(1_000_000);
    for (name, span) in [
        ("--for", span),
        ("--interval", rehearsal.interval),
        ("--timeout", rehearsal.timeout),
    ] {
        if !is_fine(span) {
            return Err(format!("{name} {span:?}: give whole milliseconds"));
        }
    }
    rehearsal
        .check()
        .map_err(|fault| format!("--interval, --timeout, --fall, --rise: {fault}"))
}

fn outages(rehearsal: &Rehearsal) -> Result<(), String> {
    let Some(outages) = rehearsal.outages.filter(|outages| *outages > 0) else {
        return Ok(());
    };
    let targets = rehearsal.targets;
    if outages > targets {
        return Err(format!(
            "--outages {outages}: there are {targets} targets, and each fails once; give at most {targets}"
        ));
    }
    let least = rehearsal.least_span_of_outages();
    if rehearsal.span < least {
        return Err(format!(
            "--outages {outages}: with this interval an outage needs --for {}, and it is {}; \
             give more time or a shorter --interval",
            given(least),
            given(rehearsal.span)
        ));
    }
    Ok(())
}

/// Percent with at most one decimal, as thousandths.
fn loss(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "--loss {}: give a percentage from 0 to 100, with at most one decimal",
            plain(text)
        )
    };
    let digits = text.strip_suffix('%').unwrap_or(text);
    let (whole, tenth) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(tenth) || tenth.len() > 1 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let tenth: u64 = tenth.parse().map_err(|_| wrong())?;
    let thousandths = whole.saturating_mul(10).saturating_add(tenth);
    (thousandths <= 1_000)
        .then_some(thousandths)
        .ok_or_else(wrong)
}

fn mutation(name: &str) -> Result<Mutation, String> {
    let known = MUTATIONS.iter().find(|(known, _)| *known == name);
    let names = || MUTATIONS.map(|(name, _)| name).join(", ");
    known
        .map(|(_, mutation)| *mutation)
        .ok_or_else(|| format!("--mutation {}: give one of {}", plain(name), names()))
}

fn kill(rehearsal: &Rehearsal, text: &str) -> Result<Kill, String> {
    let form = "write NODE@TIME or NODE@TIME-TIME, for example 2@60s or 2@60s-90s";
    let (node, times) = text.split_once('@').ok_or(form)?;
    let host = host(rehearsal, node)?;
    let (from, back) = match times.split_once('-') {
        Some((from, back)) => (time(from)?, Some(time(back)?)),
        None => (time(times)?, None),
    };
    within(rehearsal, from)?;
    if from < Time(1_000_000) {
        return Err("the nodes start at 0s; give a time from 1s on".to_owned());
    }
    if let Some(back) = back {
        ends_after(from, back)?;
        within(rehearsal, back)?;
    }
    Ok(Kill {
        host,
        at: from,
        returns: back,
    })
}

fn partition(rehearsal: &Rehearsal, text: &str) -> Result<Partition, String> {
    let form = "write NODES/NODES@TIME-TIME, for example 1,2/3-5@60s-120s";
    let (nodes, times) = text.split_once('@').ok_or(form)?;
    let (from, until) = times.split_once('-').ok_or(form)?;
    let (from, until) = (time(from)?, time(until)?);
    ends_after(from, until)?;
    within(rehearsal, from)?;
    within(rehearsal, until)?;
    let sides = nodes.split('/').map(|side| hosts(rehearsal, side));
    let mut sides: Vec<Vec<Host>> = sides.collect::<Result<_, _>>()?;
    let mut seen = Vec::new();
    for host in sides.iter().flatten() {
        if seen.contains(host) {
            return Err(format!("n{} is named twice; name it once", host.0 + 1));
        }
        seen.push(*host);
    }
    let others = (0..rehearsal.nodes).map(Host).filter(|h| !seen.contains(h));
    let others: Vec<Host> = others.collect();
    match (sides.len(), others.first()) {
        (1, Some(_)) => sides.push(others),
        (1, None) => return Err("all nodes are on one side; leave one out".to_owned()),
        (_, Some(other)) => {
            return Err(format!(
                "n{} is on no side; add it to one, or name one side alone against all others",
                other.0 + 1
            ));
        }
        (_, None) => {}
    }
    Ok(Partition { sides, from, until })
}

/// `1,n2,4-6`.
fn hosts(rehearsal: &Rehearsal, side: &str) -> Result<Vec<Host>, String> {
    let mut hosts = Vec::new();
    for part in side.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (host(rehearsal, first)?, host(rehearsal, last)?);
        if last < first {
            return Err(format!(
                "{part} goes backwards; write the lower number first"
            ));
        }
        hosts.extend((first.0..=last.0).map(Host));
    }
    Ok(hosts)
}

/// A node by its number or name.
fn host(rehearsal: &Rehearsal, text: &str) -> Result<Host, String> {
    let number = text.strip_prefix('n').unwrap_or(text).parse::<u32>();
    let number = number.ok().filter(|n| (1..=rehearsal.nodes).contains(n));
    number.map(|number| Host(number - 1)).ok_or_else(|| {
        let (text, last) = (plain(text), rehearsal.nodes);
        format!("there is no node '{text}'; they are n1 to n{last} (--nodes)")
    })
}

fn time(text: &str) -> Result<Time, String> {
    let span = humantime::parse_duration(text);
    let span = span.map_err(|_| format!("'{}' is no time; write 90s or 1m30s", plain(text)))?;
    let is_fine = span.subsec_nanos().is_multiple_of(1_000_000);
    let micros = u64::try_from(span.as_micros()).ok().filter(|_| is_fine);
    let micros = micros.ok_or_else(|| format!("'{}' is no whole milliseconds", plain(text)))?;
    Ok(Time(micros))
}

fn within(rehearsal: &Rehearsal, at: Time) -> Result<(), String> {
    let end = Time::ZERO + rehearsal.span;
    if at >= end {
        return Err(format!(
            "the run is over after {}, before {}; give an earlier time or a longer --for",
            given(rehearsal.span),
            given(at.since(Time::ZERO))
        ));
    }
    Ok(())
}

fn ends_after(from: Time, until: Time) -> Result<(), String> {
    if until <= from {
        return Err(format!(
            "it would end at {} and begin at {}; write the earlier time first",
            given(until.since(Time::ZERO)),
            given(from.since(Time::ZERO))
        ));
    }
    Ok(())
}

/// Sorts kills and partitions by time; refuses those of one kind that are in each other's way.
fn in_order(rehearsal: &mut Rehearsal) -> Result<(), String> {
    rehearsal.kills.sort_by_key(|kill| (kill.at, kill.host));
    rehearsal.partitions.sort_by_key(|partition| partition.from);
    let spoken = |at: Time| given(at.since(Time::ZERO));
    for (place, kill) in rehearsal.kills.iter().enumerate() {
        let later = rehearsal.kills[place + 1..].iter();
        let mut again = later.filter(|other| other.host == kill.host);
        let is_dead = |again: &&Kill| kill.returns.is_none_or(|back| again.at <= back);
        if let Some(again) = again.find(is_dead) {
            let (node, at, again) = (kill.host.0 + 1, spoken(kill.at), spoken(again.at));
            return Err(format!(
                "--kill {node}@{again}: n{node} is dead since {at}; say when it is back before that, \
                 as in {node}@{at}-TIME"
            ));
        }
    }
    for pair in rehearsal.partitions.windows(2) {
        if pair[1].from < pair[0].until {
            return Err(format!(
                "--partition: one lasts until {}, the next begins at {}; let it begin later, or give \
                 one with more sides",
                spoken(pair[0].until),
                spoken(pair[1].from)
            ));
        }
    }
    Ok(())
}

/// Sides as people write them: "n1,n2 / n3-n5".
pub(super) fn sides(sides: &[Vec<Host>], between: &str) -> String {
    let sides: Vec<String> = sides.iter().map(|one| side(one)).collect();
    sides.join(between)
}

/// Three and more in a row are written as from and to.
fn side(hosts: &[Host]) -> String {
    let mut numbers: Vec<u32> = hosts.iter().map(|host| host.0 + 1).collect();
    numbers.sort_unstable();
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, _, .., last] => format!("n{first}-n{last}"),
        few => {
            let few: Vec<String> = few.iter().map(|number| format!("n{number}")).collect();
            few.join(",")
        }
    });
    let runs: Vec<String> = runs.collect();
    runs.join(",")
}

/// Thousandths as a percentage: "5", "2.5".
pub(super) fn percent(thousandths: u64) -> String {
    match thousandths % 10 {
        0 => (thousandths / 10).to_string(),
        tenth => format!("{}.{tenth}", thousandths / 10),
    }
}

/// A command that does the same again.
pub(super) fn command(rehearsal: &Rehearsal) -> String {
    let at = |time: Time| given(time.since(Time::ZERO));
    let mut words = vec![
        "roundsman simulate".to_owned(),
        format!("--nodes {}", rehearsal.nodes),
        format!("--targets {}", rehearsal.targets),
        format!("--for {}", given(rehearsal.span)),
        format!("--seed {}", rehearsal.seed),
    ];
    if rehearsal.loss > 0 {
        words.push(format!("--loss {}", percent(rehearsal.loss)));
    }
    for kill in &rehearsal.kills {
        let back = kill
            .returns
            .map_or(String::new(), |back| format!("-{}", at(back)));
        words.push(format!("--kill {}@{}{back}", kill.host.0 + 1, at(kill.at)));
    }
    for partition in &rehearsal.partitions {
        let (from, until) = (at(partition.from), at(partition.until));
        let sides = sides(&partition.sides, "/");
        words.push(format!("--partition {sides}@{from}-{until}"));
    }
    words.extend([
        format!("--outages {}", rehearsal.outages()),
        format!("--interval {}", given(rehearsal.interval)),
        format!("--timeout {}", given(rehearsal.timeout)),
        format!("--fall {}", rehearsal.rule.fall),
        format!("--rise {}", rehearsal.rule.rise),
        format!("--confirm {}", rehearsal.confirm),
    ]);
    let mutation = MUTATIONS
        .iter()
        .find(|(_, m)| Some(*m) == rehearsal.mutation);
    words.extend(mutation.map(|(name, _)| format!("--mutation {name}")));
    words.join(" ")
}

#[cfg(test)]
mod tests;
