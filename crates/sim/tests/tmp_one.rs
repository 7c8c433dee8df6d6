//! tmp
use sim::{Plan, run, shrink};
#[test]
fn one() {
    let seed: u64 = std::env::var("S").expect("S").parse().expect("n");
    let plan = Plan::draw(seed);
    let b = run(&plan, None, 0).broken;
    let plan = match b {
        Some(b) if std::env::var("N").is_err() => shrink(&plan, None, b.promise),
        _ => plan,
    };
    let name = std::env::var("T").expect("T");
    for d in &plan.file {
        if *d.name == *name {
            println!("{d:?}");
        }
    }
    println!(
        "{:?} in_flight {}",
        plan.servers.get(&*name),
        plan.in_flight_max
    );
    println!("{}", run(&plan, None, 1_000_000).trace);
}
