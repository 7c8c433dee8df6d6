//! What a config file promises, from the outside: text in, config or faults out.
//!
//! `faults.rs` holds the table of mistakes, `hostile.rs` what nobody writes in good faith,
//! `round_trip.rs` the way to JSON and back.

mod cluster;
mod faults;
mod good;
mod hostile;
mod round_trip;

use super::*;

/// The environment of every test here.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOST" => "shop.example",
        "TOKEN" => "t0ken",
        "PASSWORD" => "hunter2",
        "SECONDS" => "7",
        "EMPTY" => "",
        "LINES" => "a\nb",
        _ => return None,
    };
    Some(value.to_owned())
}

fn read(text: &str) -> Result<Config, Vec<Fault>> {
    parse("c.yaml", text, &env)
}

/// The config of a text without mistakes.
fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
}

/// The faults of a text as `line:column: message`.
fn faults(text: &str) -> Vec<String> {
    let Err(faults) = read(text) else {
        panic!("no fault in:\n{text}");
    };
    let line = |fault: &Fault| format!("{}:{}: {}", fault.line, fault.column, fault.message);
    faults.iter().map(line).collect()
}

/// The only target of a text: `item` is what follows the name.
fn target(item: &str) -> Definition {
    let config = good(&format!("targets:\n- name: t\n{item}"));
    assert_eq!(config.targets.len(), 1);
    (*config.targets[0]).clone()
}
