//! temporary
fn main() {
    use sim::fleet::{Course, Kind, run};
    let a: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let (mut p, mut v) = (0, 0);
    for seed in a[0]..a[1] {
        let r = run(&Course::draw(Kind::Reads, seed), 0);
        p += r.figures.reads;
        v += r.figures.reads_in_vain;
        if let Some(b) = r.broken {
            println!("{seed} {b}");
        }
    }
    println!("{p} shown {v} in vain");
}
