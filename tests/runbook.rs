//! The runbook, carried out: each of its sections has a test that makes the incident, sees the symptoms
//! that the section names, and runs every command of it, as it is written there and in its order.

mod agent;
mod auth;
mod leases;
mod linking;
mod machines;
mod messages;
mod pages;
mod queue;
mod section;
mod serving;
mod session;
mod upkeep;

use self::pages::{Page, pages};
use self::section::Section;

/// Words that begin a command of ours.
const COMMANDS: [&str; 14] = [
    "accounts",
    "auth",
    "config",
    "conversations",
    "demo",
    "doctor",
    "healthcheck",
    "jobs",
    "lease",
    "link",
    "media",
    "outbox",
    "run",
    "workers",
];

/// A test for each section, which is given the section and must leave nothing of it undone.
macro_rules! sections {
    ($($title:literal => $module:ident::$name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let mut section = Section::of($title);
                $module::$name(&mut section).await;
                section.done();
            }
        )*

        const TESTED: &[&str] = &[$($title),*];
    };
}

sections! {
    "Look first" => upkeep::look_first,
    "No worker runs" => machines::no_worker_runs,
    "Stuck jobs" => queue::stuck_jobs,
    "Dead letters" => queue::dead_letters,
    "Stopping everything" => queue::stopping_everything,
    "Lease contention" => leases::lease_contention,
    "Moving an account" => leases::moving_an_account,
    "Accounts that nobody operates" => leases::accounts_that_nobody_operates,
    "Taking an account offline" => leases::taking_an_account_offline,
    "Heartbeat loss" => leases::heartbeat_loss,
    "Logged out" => linking::logged_out,
    "Auth state cannot be used" => auth::auth_state_cannot_be_used,
    "An older auth state" => auth::an_older_auth_state,
    "Another number" => auth::another_number,
    "Conflict" => session::conflict,
    "Deaf session" => session::deaf_session,
    "Ban" => session::ban,
    "Outdated client" => session::outdated_client,
    "Ineligible" => auth::ineligible,
    "Duplicates" => session::duplicates,
    "Jobs that failed" => messages::jobs_that_failed,
    "Webhook failing" => serving::webhook_failing,
    "Agents are refused" => serving::agents_are_refused,
    "Messages that were not sent" => messages::messages_that_were_not_sent,
    "Store busy or unreachable" => machines::store_busy_or_unreachable,
    "Events are not exported" => upkeep::events_are_not_exported,
    "Not connected" => session::not_connected,
    "Connected and silent" => session::connected_and_silent,
    "Replacing the worker" => machines::replacing_the_worker,
    "Backups" => machines::backups,
}

#[test]
fn every_section_has_its_test() {
    let written: Vec<&str> = pages().iter().map(|page| page.title).collect();
    assert_eq!(written, TESTED);
}

#[test]
fn every_command_is_written_in_full() {
    let short = |quote: &String| {
        let first = quote.split(' ').next().unwrap_or_default();
        quote.contains(' ') && COMMANDS.contains(&first)
    };
    let pages = pages();
    let short: Vec<String> = pages.iter().flat_map(Page::quotes).filter(short).collect();
    assert_eq!(short, [""; 0]);
}

/// A command, an event: what each test below leaves out.
const PAGE: &str = "\
## Smoke
**Symptom.** `fire.alarm` is no event, `whatsapp.session.deaf` is one, as `Ring <n> of '…', again` is a line.
It takes `whatsapp-worker doctor
--offline` and

```sh
whatsapp-worker jobs show JOB   # its end
```
## Water
Nothing.
";

#[test]
fn a_page_is_read_with_its_commands_and_events_in_order() {
    let pages = pages::read(PAGE);
    let titles: Vec<&str> = pages.iter().map(|page| page.title).collect();
    assert_eq!(titles, ["Smoke", "Water"]);
    let commands = [
        "whatsapp-worker doctor --offline",
        "whatsapp-worker jobs show JOB",
    ];
    assert_eq!(pages[0].commands(), commands);
    assert_eq!(pages[0].events(), ["whatsapp.session.deaf"]);
    assert_eq!(pages[1].commands(), [""; 0]);
    let line = pages[0].line("Ring");
    assert!(pages::fits(&line, "say: Ring 3 of 'x', again and again"));
    assert!(!pages::fits(&line, "Ring 3 of x"));
}

#[test]
#[should_panic(expected = "was not run: whatsapp-worker doctor --offline")]
fn a_section_whose_command_was_not_run_is_not_done() {
    Section::read(PAGE, "Smoke").done();
}

#[test]
#[should_panic(expected = "was not seen: whatsapp.session.deaf")]
fn a_section_whose_event_was_not_seen_is_not_done() {
    let mut section = Section::read(PAGE, "Smoke");
    section.command("doctor", &[]);
    section.command("jobs show", &[("JOB", "job_1")]);
    section.done();
}

#[test]
#[should_panic(expected = "the next command is: whatsapp-worker doctor --offline")]
fn a_command_is_not_run_before_its_turn() {
    Section::read(PAGE, "Smoke").command("jobs show", &[]);
}
