//! scratch
use sim::fleet::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|k| a[1] == "all" || format!("{k:?}") == a[1])
        .collect();
    let (from, to): (u64, u64) = (a[2].parse().unwrap(), a[3].parse().unwrap());
    for kind in kinds {
        let t = std::time::Instant::now();
        let (mut bad, mut gap, mut downs) = (
            std::collections::BTreeMap::<_, Vec<u64>>::new(),
            std::time::Duration::ZERO,
            0,
        );
        let (mut refused, mut steps) = (0, 0);
        for seed in from..to {
            let mut course = Course::draw(kind, seed);
            if let Some(m) = a.get(4).filter(|m| *m != "-") {
                course.mutation = Some(mutation(m));
            }
            let r = match std::panic::catch_unwind(|| run(&course, 0)) {
                Ok(r) => r,
                Err(_) => {
                    println!("{kind:?} {seed}: PANIC");
                    continue;
                }
            };
            gap = gap.max(r.figures.longest_gap);
            downs += r.figures.downs;
            refused += r.refused;
            steps += r.steps;
            if let Some(b) = r.broken {
                bad.entry(b.promise).or_default().push(seed);
                if a.get(5).is_some() && from + 1 == to {
                    let least = cut_down(&course, b.promise);
                    let again = run(&least, a[5].parse().unwrap());
                    for l in
                        again.trace.to_string().lines().filter(|l| {
                            a.get(6).is_none_or(|f| f.split("|").any(|f| l.contains(f)))
                        })
                    {
                        println!("{l}");
                    }
                    println!(
                        "hosts {} calm {}\n{:#?}\n{:?}\n{:?}\n{:?}",
                        course.plan.hosts,
                        course.plan.calm_from,
                        least.plan.faults,
                        least.servers,
                        least.calls,
                        again.broken.map(|b| b.to_string())
                    );
                } else {
                    println!("{kind:?} {seed}: {b}");
                }
            }
        }
        println!(
            "{kind:?} {from}..{to}: {:?} gap {gap:?} downs {downs} refused {refused} steps {steps} in {:?}",
            bad,
            t.elapsed()
        );
    }
}
fn mutation(m: &str) -> health::Mutation {
    use health::Mutation::*;
    [
        NoCollapse,
        VotesIgnored,
        SilenceAgrees,
        StreakInventsDown,
        BurstAfterPause,
        MarkIgnoresPending,
        TakeoverWithoutPhase,
        BootOverrules,
    ]
    .into_iter()
    .find(|x| format!("{x:?}") == m)
    .unwrap()
}
