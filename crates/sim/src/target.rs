//! Virtual servers: how each answers at each moment.

use base::{Duration, Rng, Time};
use health::{Finding, Phase, Reason};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers in time.
    Up,
    /// Refuses at once.
    Refusing,
    /// Nothing ever comes back.
    Silent,
    /// Answers with status 503.
    Unavailable,
    /// Answers after this long, whatever the timeout.
    Slow(Duration),
    /// Refuses and answers in turn, half this long each.
    Flapping(Duration),
}

/// What a server does with one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// How long it takes; `None` when nothing ever comes.
    pub(crate) after: Option<Duration>,
    /// What it says.
    pub(crate) finding: Finding,
    /// What the checker finds if its time is over first.
    pub(crate) overdue: Finding,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// On the checker's own machine.
    pub local: bool,
    /// Its usual answer takes up to so long.
    pub latency: Duration,
    /// When it is in another mood than [`Mood::Up`]: from, until, mood. Later ones win.
    pub moods: Vec<(Time, Time, Mood)>,
}

impl Server {
    /// The mood at `now`.
    #[must_use]
    pub fn mood(&self, now: Time) -> Mood {
        self.moods
            .iter()
            .rev()
            .find(|(from, until, _)| (*from..*until).contains(&now))
            .map_or(Mood::Up, |&(.., mood)| mood)
    }

    pub(crate) fn reply(&self, now: Time, rng: &mut Rng) -> Reply {
        let most = u64::try_from(self.latency.as_micros()).unwrap_or(1);
        let usual = Duration::from_micros(100 + rng.below(most));
        let connect = Finding::Failed(Reason::Timeout(Phase::Connect));
        let processing = Finding::Failed(Reason::Timeout(Phase::Processing));
        let reply = |after, finding, overdue| Reply {
            after,
            finding,
            overdue,
        };
        match self.mood(now) {
            Mood::Up => reply(Some(usual), Finding::Passed, processing),
            Mood::Refusing => reply(Some(usual), Finding::Failed(Reason::Refused), connect),
            Mood::Silent => reply(None, connect, connect),
            Mood::Unavailable => reply(
                Some(usual),
                Finding::Failed(Reason::Status(503)),
                processing,
            ),
            Mood::Slow(after) => reply(Some(after), Finding::Passed, processing),
            Mood::Flapping(period) => {
                let (at, period) = (u128::from(now.0), period.as_micros().max(2));
                let refuses = at % period < period / 2;
                let refused = Finding::Failed(Reason::Refused);
                let finding = if refuses { refused } else { Finding::Passed };
                reply(Some(usual), finding, connect)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_follows_its_script_and_is_up_otherwise() {
        let server = Server {
            local: false,
            latency: Duration::from_millis(5),
            moods: vec![(Time(10), Time(20), Mood::Silent)],
        };
        assert_eq!(server.mood(Time(9)), Mood::Up);
        assert_eq!(server.mood(Time(10)), Mood::Silent);
        assert_eq!(server.mood(Time(20)), Mood::Up);
        let mut rng = Rng::new(0);
        assert_eq!(server.reply(Time(15), &mut rng).after, None);
        assert_eq!(server.reply(Time(5), &mut rng).finding, Finding::Passed);
    }
}
