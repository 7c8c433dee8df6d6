//! How healthy this node believes itself to be.
//!
//! Lifeguard (Dadgar, Phillips, Currey 2017), local health: a node whose own probes go wrong waits
//! longer before it blames others.
//! Does not know what a probe is.

/// The worst score: every span of probing is then nine times as long.
const WORST: u8 = 8;

/// 0 when all is well, up to 8.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awareness {
    score: u8,
    off: bool,
}

impl Awareness {
    /// Perfect health; for ever so, if `off`.
    pub(crate) const fn new(off: bool) -> Self {
        Self { score: 0, off }
    }

    /// Something went wrong that may be this node's own fault.
    pub(crate) fn worse(&mut self, by: usize) {
        let by = u8::try_from(by).unwrap_or(WORST);
        self.score = self.score.saturating_add(by).min(WORST);
        if self.off {
            self.score = 0;
        }
    }

    /// A probe went well.
    pub(crate) const fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    pub(crate) const fn score(&self) -> u8 {
        self.score
    }

    /// How many times as long as usual to wait.
    pub(crate) fn scale(&self) -> u32 {
        u32::from(self.score) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_between_its_ends() {
        let mut health = Awareness::new(false);
        health.better();
        assert_eq!(health.score(), 0);
        health.worse(3);
        health.worse(100);
        assert_eq!((health.score(), health.scale()), (8, 9));
        health.better();
        assert_eq!(health.score(), 7);
    }

    #[test]
    fn switched_off_it_never_changes() {
        let mut health = Awareness::new(true);
        health.worse(3);
        assert_eq!(health.scale(), 1);
    }
}
