//! Completions and the manual, made from the same definition as the arguments.

use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::out;

/// Prints completions for `shell`.
pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "roundsman", &mut text);
    out::bytes(&text);
    ExitCode::SUCCESS
}

/// Prints one page with every verb and its options.
pub(crate) fn man() -> Result<ExitCode, Failure> {
    let unwritten =
        |error: std::io::Error| Failure::Other(format!("can't make the manual: {error}"));
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let head = Man::new(command.clone());
    head.render_title(&mut page)
        .and_then(|()| head.render_name_section(&mut page))
        .and_then(|()| head.render_synopsis_section(&mut page))
        .and_then(|()| head.render_description_section(&mut page))
        .and_then(|()| head.render_options_section(&mut page))
        .map_err(unwritten)?;
    for verb in command.get_subcommands().filter(|v| v.get_name() != "help") {
        page.extend(section(verb).map_err(unwritten)?);
    }
    out::bytes(&page);
    Ok(ExitCode::SUCCESS)
}

/// A verb's section: its synopsis, what it does, its own options.
fn section(verb: &Command) -> std::io::Result<Vec<u8>> {
    let own = verb.clone().mut_args(|argument| {
        let is_hidden = argument.is_global_set() || argument.is_hide_set();
        argument.hide(is_hidden)
    });
    let man = Man::new(own);
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    let parts = String::from_utf8_lossy(&parts)
        .lines()
        .map(|line| {
            line.strip_prefix(".SH")
                .map_or(line.to_owned(), |rest| format!(".SS{rest}"))
        })
        .collect::<Vec<_>>()
        .join("\n");
    let title = verb.get_name().to_uppercase();
    Ok(format!(".SH \"ROUNDSMAN {title}\"\n{parts}\n").into_bytes())
}
