//! Builds and runs the named tests, and says what became of them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Mutation, Test, tree};

/// Crates and test binaries of this tree: they are built anew for each mutation.
const OURS: &[&str] = &[
    "whatsapp-worker",
    "auth-store",
    "simulator",
    "integration",
    "xtask",
];
/// The longest that a build may take, on a machine that is busy.
const BUILDING: Duration = Duration::from_mins(30);
/// The longest that the tests of one mutation may take; all of them together take less.
const TESTING: Duration = Duration::from_mins(5);
/// Between two looks whether they have ended.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a mutation.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These tests failed.
    Caught {
        /// Their names.
        by: Vec<String>,
    },
    /// The tests did not end.
    Hung,
    /// All of them passed.
    Survived {
        /// How many.
        tests: usize,
    },
    /// It proves nothing: the mutated program does not compile, or a test does not exist.
    Wrong(String),
}

impl Verdict {
    /// For the table.
    pub fn describe(&self) -> String {
        match self {
            Self::Caught { by } => format!("noticed by {}", by.join(", ")),
            Self::Hung => "noticed: the tests did not end".to_owned(),
            Self::Survived { tests } => format!("**SURVIVED** {tests} tests"),
            Self::Wrong(text) => format!("**WRONG LIST**: {text}"),
        }
    }
}

impl Test {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit(name) | Self::Integration(name) | Self::AuthStore(name) => name,
        }
    }

    /// How cargo is told which binary to build: with the whole workspace, as `./test` does. With other
    /// features, dependencies would be built a second time.
    fn target(self) -> &'static [&'static str] {
        match self {
            Self::Unit(_) => &["--workspace", "--features", "simulator", "--lib"],
            Self::Integration(_) => &[
                "--workspace",
                "--features",
                "simulator",
                "--test",
                "integration",
            ],
            Self::AuthStore(_) => &[
                "--workspace",
                "--features",
                "simulator",
                "--test",
                "auth_store",
            ],
        }
    }
}

/// The copy that is broken and mended.
pub struct Workshop {
    tree: PathBuf,
    target: PathBuf,
}

impl Workshop {
    /// Copies the tree below the target directory.
    pub fn open() -> Result<Self, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| tree::top().join("target"), |dir| tree::top().join(dir));
        let workshop = Self {
            tree: target.join("mutants/tree"),
            target: target.join("mutants/target"),
        };
        let failed = |error: std::io::Error| format!("{}: {error}", workshop.tree.display());
        fs::create_dir_all(&workshop.tree).map_err(failed)?;
        tree::copy_to(&workshop.tree).map_err(failed)?;
        tree::seed(&target, &workshop.target, OURS).map_err(failed)?;
        Ok(workshop)
    }

    /// Does `work` while the copy holds the mutation.
    pub fn with(
        &self,
        mutation: &Mutation,
        work: impl FnOnce() -> Result<Verdict, String>,
    ) -> Result<Verdict, String> {
        let path = self.tree.join(mutation.file);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let sound = fs::read_to_string(&path).map_err(failed)?;
        let mut broken = sound.clone();
        for (text, instead) in mutation.edits {
            let count = sound.matches(text).count();
            if count != 1 {
                let text = format!("{text:?} is {count} times in {}", mutation.file);
                return Ok(Verdict::Wrong(text));
            }
            broken = broken.replacen(text, instead, 1);
        }
        fs::write(&path, broken).map_err(failed)?;
        let verdict = work();
        fs::write(&path, sound).map_err(failed)?;
        verdict
    }

    /// Builds and runs `tests` in the copy as it is.
    pub fn judge(&self, tests: &[Test]) -> Result<Verdict, String> {
        let mut caught = Vec::new();
        let mut passed = 0;
        let mut targets: Vec<&[&str]> = tests.iter().map(|test| test.target()).collect();
        targets.dedup();
        for target in targets {
            let names = tests.iter().filter(|test| test.target() == target);
            let names: Vec<&str> = names.map(|test| test.name()).collect();
            let built = self.cargo(target, &["--no-run"], &[])?;
            if !matches!(built, Ended::Well(_)) {
                return Ok(Verdict::Wrong(format!(
                    "it does not compile: {}",
                    built.tail()
                )));
            }
            let text = match self.cargo(target, &["--no-fail-fast"], &names)? {
                Ended::Not => return Ok(Verdict::Hung),
                Ended::Well(text) | Ended::Badly(text) => text,
            };
            let outcome = Outcome::read(&text);
            if outcome.passed + outcome.failed.len() != names.len() {
                let ran = |name: &&str| text.contains(&format!("test {name} ..."));
                let missing: Vec<&str> = names.into_iter().filter(|name| !ran(name)).collect();
                return Ok(Verdict::Wrong(format!(
                    "did not run: {}",
                    missing.join(", ")
                )));
            }
            passed += outcome.passed;
            caught.extend(outcome.failed);
            if !caught.is_empty() {
                break;
            }
        }
        Ok(if caught.is_empty() {
            Verdict::Survived { tests: passed }
        } else {
            Verdict::Caught { by: caught }
        })
    }

    fn cargo(&self, target: &[&str], options: &[&str], names: &[&str]) -> Result<Ended, String> {
        let log = self.target.with_file_name("output");
        let failed = |error: std::io::Error| format!("cargo: {error}");
        let file = fs::File::create(&log).map_err(failed)?;
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command
            .args(["test", "--locked"])
            .args(target)
            .args(options);
        if !names.is_empty() {
            command
                .args(["--", "--exact", "--test-threads", "1"])
                .args(names);
        }
        for (name, _) in std::env::vars_os() {
            // What cargo tells the programs that it runs is about this program, not about the next.
            let own = name.to_string_lossy();
            if own.starts_with("CARGO_PKG_") || own.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        let mut child = command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            // The same crates are built for each mutation, also where everything else is built once.
            .env("CARGO_INCREMENTAL", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        // Naming tests means that they are built already.
        let patience = if names.is_empty() { BUILDING } else { TESTING };
        let mut waited = Duration::ZERO;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break Some(status);
            }
            if waited >= patience {
                break None;
            }
            thread::sleep(LOOK);
            waited += LOOK;
        };
        let text = String::from_utf8_lossy(&fs::read(&log).map_err(failed)?).into_owned();
        match status {
            Some(status) if status.success() => Ok(Ended::Well(text)),
            Some(_) => Ok(Ended::Badly(text)),
            None => {
                let group = format!("-{}", child.id());
                Command::new("kill")
                    .args(["-KILL", "--", &group])
                    .status()
                    .map_err(failed)?;
                child.wait().map_err(failed)?;
                Ok(Ended::Not)
            }
        }
    }
}

/// How a command ended, with what it said.
enum Ended {
    Well(String),
    Badly(String),
    Not,
}

impl Ended {
    fn tail(&self) -> String {
        let (Self::Well(text) | Self::Badly(text)) = self else {
            return "it did not end".to_owned();
        };
        let errors: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("error"))
            .collect();
        errors.join("; ")
    }
}

/// What the test harness said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    passed: usize,
    failed: Vec<String>,
}

impl Outcome {
    /// Reads the summaries: single results may be torn by what the tests' own processes print.
    fn read(text: &str) -> Self {
        let mut outcome = Self::default();
        let mut naming = false;
        for line in text.lines() {
            if let Some(summary) = line.strip_prefix("test result: ") {
                naming = false;
                let count = summary
                    .split(' ')
                    .nth(1)
                    .and_then(|count| count.parse().ok());
                outcome.passed += count.unwrap_or(0);
            } else if line == "failures:" {
                naming = true;
            } else if let Some(name) = line.strip_prefix("    ").filter(|_| naming) {
                let name = name.trim();
                let new = !outcome.failed.iter().any(|known| known == name);
                if new && name.contains("::") && !name.contains(' ') {
                    outcome.failed.push(name.to_owned());
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_is_understood() {
        let text = "
running 2 tests
test a::b ... ok
test a::c ... FAILED

failures:

---- a::c stdout ----
thread panicked
    some::thing else

failures:
    a::c

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s
error: test failed";
        let wanted = Outcome {
            passed: 1,
            failed: vec!["a::c".to_owned()],
        };
        assert_eq!(Outcome::read(text), wanted);
        assert_eq!(
            Outcome::read("error[E0308]: mismatched types"),
            Outcome::default()
        );
    }
}
