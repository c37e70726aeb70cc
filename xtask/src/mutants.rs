//! Breaks the promises of lease and fence on purpose, one at a time, and sees that a test notices.
//!
//! Each [`Mutation`] edits one file and names the tests of which at least one must
//! then fail. It is applied to a copy of the tree with a target directory of its own, so that nothing
//! of the developer's is touched. A text that is not there exactly once, a test that does not exist,
//! a test that fails without any mutation, and a mutation that does not compile are errors of the
//! list: they prove nothing.

mod list;
mod tree;
mod trial;

use std::time::Duration;

use self::list::MUTATIONS;
use self::trial::{Verdict, Workshop};

/// One promise, broken.
#[derive(Debug)]
pub struct Mutation {
    /// Its name on the command line.
    pub id: &'static str,
    /// What the program no longer does.
    pub breaks: &'static str,
    /// The file, from the top of the tree.
    pub file: &'static str,
    /// Texts that occur in it once, each with what takes its place.
    pub edits: &'static [(&'static str, &'static str)],
    /// At least one of these must fail.
    pub tests: &'static [Test],
    /// Whether every change is checked with it.
    pub short: bool,
}

/// A test by its full name, and the test binary that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// A unit test of the worker.
    Unit(&'static str),
    /// An integration test of the worker.
    Integration(&'static str),
    /// A test of the auth store.
    AuthStore(&'static str),
}

#[cfg(test)]
impl Test {
    /// The files that may hold it, and the name of its function.
    fn places(self) -> (Vec<String>, &'static str) {
        let (modules, name) = self.name().rsplit_once("::").expect("it is in a module");
        let outer = modules
            .rsplit_once("::")
            .map_or(modules, |(outer, _)| outer);
        let top = match self {
            Self::Unit(_) => "src",
            Self::Integration(_) => "tests",
            Self::AuthStore(_) => "auth-store/tests/auth_store",
        };
        // Its last module may be inside the file of the one before.
        let file = |modules: &str| format!("{top}/{}.rs", modules.replace("::", "/"));
        (vec![file(modules), file(outer)], name)
    }
}

/// Which mutations, and whether to run them.
#[derive(Debug)]
pub struct Choice {
    list: bool,
    short: bool,
    only: Vec<String>,
}

impl Choice {
    /// From the command line; `None`: it is not understood.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let mut choice = Self {
            list: false,
            short: false,
            only: Vec::new(),
        };
        let mut naming = false;
        for argument in arguments {
            match argument.as_str() {
                "--list" => choice.list = true,
                "--short" => choice.short = true,
                "--only" => naming = true,
                id if naming && !id.starts_with('-') => choice.only.push(id.to_owned()),
                _ => return None,
            }
        }
        (!naming || (!choice.only.is_empty() && !choice.short)).then_some(choice)
    }

    fn takes(&self, mutation: &Mutation) -> bool {
        if self.only.is_empty() {
            mutation.short || !self.short
        } else {
            self.only.iter().any(|id| id == mutation.id)
        }
    }
}

/// Tries what was chosen. `false`: one survived, or the list is wrong.
///
/// # Errors
/// A text for people when nothing could be tried.
pub fn run(choice: &Choice) -> Result<bool, String> {
    if let Some(id) = choice
        .only
        .iter()
        .find(|id| MUTATIONS.iter().all(|m| m.id != **id))
    {
        return Err(format!(
            "there is no mutation {id:?}: see `cargo xtask mutants --list`"
        ));
    }
    let chosen: Vec<&Mutation> = MUTATIONS.iter().filter(|m| choice.takes(m)).collect();
    if choice.list {
        for mutation in chosen {
            let short = if mutation.short { "short" } else { "" };
            println!("{:24} {short:6} {}", mutation.id, mutation.breaks);
        }
        return Ok(true);
    }
    let workshop = Workshop::open()?;
    println!("The named tests without a mutation...");
    let mut tests: Vec<Test> = Vec::new();
    for test in chosen.iter().flat_map(|mutation| mutation.tests) {
        if !tests.contains(test) {
            tests.push(*test);
        }
    }
    match workshop.judge(&tests)? {
        Verdict::Survived { .. } => {}
        other => return Err(format!("they must pass: {}", other.describe())),
    }
    let mut good = 0;
    println!("\n| Mutation | The program | Outcome | Time |\n|---|---|---|---|");
    for mutation in &chosen {
        let (verdict, time) = try_one(&workshop, mutation)?;
        let caught = matches!(verdict, Verdict::Caught { .. } | Verdict::Hung);
        good += usize::from(caught);
        println!(
            "| {} | {} | {} | {} s |",
            mutation.id,
            mutation.breaks,
            verdict.describe(),
            time.as_secs()
        );
    }
    println!("\n{good} of {} mutations were noticed.", chosen.len());
    Ok(good == chosen.len())
}

fn try_one(workshop: &Workshop, mutation: &Mutation) -> Result<(Verdict, Duration), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only the table's last column comes from it"
    )]
    let begun = std::time::Instant::now();
    let verdict = workshop.with(mutation, || workshop.judge(mutation.tests))?;
    Ok((verdict, begun.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_the_list_is_there_once_and_each_id_is_its_own() {
        for (at, mutation) in MUTATIONS.iter().enumerate() {
            let path = tree::top().join(mutation.file);
            let text = std::fs::read_to_string(&path).expect("the file is there");
            for (wanted, _) in mutation.edits {
                let count = text.matches(wanted).count();
                assert_eq!(count, 1, "{}: {wanted:?} in {}", mutation.id, mutation.file);
            }
            assert_ne!(mutation.edits, [], "{}", mutation.id);
            assert_ne!(mutation.tests, [], "{}", mutation.id);
            assert!(MUTATIONS[..at].iter().all(|other| other.id != mutation.id));
        }
    }

    #[test]
    fn each_named_test_is_in_the_file_that_its_name_says() {
        for test in MUTATIONS.iter().flat_map(|mutation| mutation.tests) {
            let (files, name) = test.places();
            let wanted = format!("fn {name}(");
            let found = files.iter().any(|file| {
                std::fs::read_to_string(tree::top().join(file))
                    .is_ok_and(|text| text.contains(&wanted))
            });
            assert!(found, "{} in one of {files:?}", test.name());
        }
    }

    #[test]
    fn the_command_line_names_mutations_or_the_short_form() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Choice::parse(&words)
        };
        let only = parse("--only a b --list").expect("understood");
        assert_eq!((only.only.len(), only.list, only.short), (2, true, false));
        assert!(parse("--short").expect("understood").short);
        for wrong in ["--only", "--quick", "a", "--short --only a"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
