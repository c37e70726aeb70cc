//! Examples for each command's `--help` and manual page. A test parses each of them.

use clap::Command;

/// Below a command, what one can write; by the command's words.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("run", &["whatsapp-worker run"]),
    #[cfg(feature = "simulator")]
    ("demo", &["whatsapp-worker demo --standby"]),
    #[cfg(feature = "simulator")]
    ("simulate", &["whatsapp-worker simulate"]),
    (
        "link",
        &[
            "whatsapp-worker link",
            "whatsapp-worker link --account shop --png code.png",
            "whatsapp-worker link --phone '+49 151 2345678'",
        ],
    ),
    (
        "events tail",
        &[
            "whatsapp-worker events tail --follow",
            "whatsapp-worker events tail --account shop --event whatsapp.lease. --since 1h",
        ],
    ),
    ("lease list", &["whatsapp-worker lease list --owner B"]),
    ("lease show", &["whatsapp-worker lease show shop"]),
    (
        "lease transfer",
        &["whatsapp-worker lease transfer shop --to B"],
    ),
    (
        "lease release",
        &[
            "whatsapp-worker lease release shop",
            "whatsapp-worker lease release shop --force --yes",
        ],
    ),
    (
        "jobs list",
        &["whatsapp-worker jobs list --account shop --status pending --limit 20"],
    ),
    ("jobs show", &["whatsapp-worker jobs show JOB"]),
    (
        "jobs queues",
        &["whatsapp-worker jobs queues --output json"],
    ),
    (
        "jobs discarded",
        &["whatsapp-worker jobs discarded --account shop --reason webhook_refused"],
    ),
    (
        "jobs retry",
        &[
            "whatsapp-worker jobs retry JOB",
            "whatsapp-worker jobs retry --reason webhook_refused",
        ],
    ),
    (
        "jobs fail",
        &["whatsapp-worker jobs fail JOB --reason operator --yes"],
    ),
    ("jobs cancel", &["whatsapp-worker jobs cancel JOB --yes"]),
    (
        "jobs discard",
        &["whatsapp-worker jobs discard --account shop --yes"],
    ),
    (
        "jobs priority",
        &["whatsapp-worker jobs priority CONVERSATION 1"],
    ),
    (
        "outbox list",
        &["whatsapp-worker outbox list --account shop --status uncertain"],
    ),
    ("outbox show", &["whatsapp-worker outbox show MESSAGE"]),
    (
        "outbox send",
        &["whatsapp-worker outbox send shop '+49 151 2345678' 'Hello!'"],
    ),
    ("outbox retry", &["whatsapp-worker outbox retry MESSAGE"]),
    ("outbox cancel", &["whatsapp-worker outbox cancel MESSAGE"]),
    (
        "conversations list",
        &["whatsapp-worker conversations list --account shop"],
    ),
    (
        "conversations purge",
        &["whatsapp-worker conversations purge CONVERSATION --yes"],
    ),
    (
        "accounts list",
        &["whatsapp-worker accounts list --output json"],
    ),
    ("accounts add", &["whatsapp-worker accounts add shop"]),
    ("accounts enable", &["whatsapp-worker accounts enable shop"]),
    (
        "accounts disable",
        &["whatsapp-worker accounts disable shop --yes"],
    ),
    (
        "accounts pause",
        &[
            "whatsapp-worker accounts pause shop",
            "whatsapp-worker accounts pause --all",
        ],
    ),
    (
        "accounts resume",
        &[
            "whatsapp-worker accounts resume shop",
            "whatsapp-worker accounts resume --all",
        ],
    ),
    (
        "workers drain",
        &["whatsapp-worker workers drain wa-worker-1"],
    ),
    ("workers list", &["whatsapp-worker workers list"]),
    (
        "workers undrain",
        &["whatsapp-worker workers undrain wa-worker-1"],
    ),
    ("auth status", &["whatsapp-worker auth status shop"]),
    (
        "auth export",
        &["whatsapp-worker auth export shop --out shop.bundle"],
    ),
    (
        "auth import",
        &[
            "whatsapp-worker auth import shop.bundle --account shop",
            "whatsapp-worker auth import --baileys auth_info_baileys --account shop",
        ],
    ),
    (
        "auth migrate",
        &["whatsapp-worker auth migrate shop --to remote"],
    ),
    ("auth clear", &["whatsapp-worker auth clear shop --yes"]),
    (
        "auth accept-rollback",
        &["whatsapp-worker auth accept-rollback shop --yes"],
    ),
    (
        "auth quarantine list",
        &["whatsapp-worker auth quarantine list shop"],
    ),
    (
        "auth quarantine prune",
        &["whatsapp-worker auth quarantine prune shop --older-than-days 90 --yes"],
    ),
    ("auth keys list", &["whatsapp-worker auth keys list"]),
    (
        "auth keys rotate",
        &["whatsapp-worker auth keys rotate --drop-old"],
    ),
    (
        "auth keys verify",
        &["whatsapp-worker auth keys verify shop"],
    ),
    (
        "media get",
        &["whatsapp-worker media get JOB --out menu.png"],
    ),
    (
        "config check",
        &["whatsapp-worker config check --output json"],
    ),
    (
        "config default",
        &["whatsapp-worker config default > worker.toml"],
    ),
    (
        "config print",
        &[
            "whatsapp-worker config print",
            "whatsapp-worker config print --markdown",
        ],
    ),
    (
        "doctor",
        &[
            "whatsapp-worker doctor",
            "whatsapp-worker doctor --offline --output json",
        ],
    ),
    (
        "healthcheck",
        &[
            "whatsapp-worker healthcheck",
            "whatsapp-worker healthcheck --ready",
        ],
    ),
    (
        "completions",
        &[
            "whatsapp-worker completions bash > /etc/bash_completion.d/whatsapp-worker",
            "whatsapp-worker completions zsh > _whatsapp-worker",
        ],
    ),
    ("man", &["whatsapp-worker man /usr/local/share/man/man1"]),
];

/// `command` with the examples of all commands below it.
pub(super) fn add(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (words, examples)| {
        let words: Vec<&str> = words.split(' ').collect();
        describe(command, &words, examples)
    })
}

fn describe(command: Command, words: &[&str], examples: &[&str]) -> Command {
    match words.split_first() {
        Some((word, rest)) => command.mut_subcommand(word, |sub| describe(sub, rest, examples)),
        None => command.after_help(format!("Examples:\n  {}", examples.join("\n  "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// Every command that does something, by its words.
    fn leaves(command: &Command, words: &str, found: &mut Vec<String>) {
        let mut subcommands = command.get_subcommands().peekable();
        if subcommands.peek().is_none() {
            found.push(words.to_owned());
        }
        for sub in subcommands {
            let words = format!("{words} {}", sub.get_name());
            leaves(sub, words.trim(), found);
        }
    }

    /// As a shell would, so far as these examples go.
    fn words(line: &str) -> Vec<String> {
        let line = line.split_once(" > ").map_or(line, |(line, _)| line);
        line.split('\'')
            .enumerate()
            .flat_map(|(at, piece)| match at % 2 {
                0 => piece.split_whitespace().map(str::to_owned).collect(),
                _ => vec![piece.to_owned()],
            })
            .collect()
    }

    #[test]
    fn every_command_has_examples_and_every_example_has_a_command() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        found.sort();
        let mut told: Vec<_> = EXAMPLES.iter().map(|(words, _)| *words).collect();
        told.sort_unstable();
        assert_eq!(told, found);
    }

    #[test]
    fn every_example_is_what_its_command_takes() {
        for (command, examples) in EXAMPLES {
            for example in *examples {
                assert!(
                    example.starts_with(&format!("whatsapp-worker {command}")),
                    "{example}"
                );
                Cli::described()
                    .try_get_matches_from(words(example))
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }
}
