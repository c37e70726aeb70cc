//! `cargo xtask`: what this repository does to itself beyond cargo's own commands.

mod mutants;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask mutants [--short | --only ID...] [--list]

  mutants   break the program on purpose, once for each line of a list, and see that a named test
            notices
  --short   those that a change is checked with: a few minutes
  --only    these
  --list    say what would be done";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((task, rest)) if task == "mutants" => match mutants::Choice::parse(rest) {
            Some(choice) => mutants::run(&choice),
            None => Err(USAGE.to_owned()),
        },
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}
