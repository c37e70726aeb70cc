//! The copy of the tree, and a target directory that need not build every dependency again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files from this size on are linked rather than copied into the new target directory: cargo
/// replaces libraries, but writes its small notes in place.
const LINKED: u64 = 64 * 1024;

/// The top of this checkout.
pub fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("xtask lies below the top")
        .to_path_buf()
}

/// What git knows of, from the top.
pub fn tracked() -> Result<Vec<PathBuf>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(top())
        .output()
        .map_err(|error| format!("git: {error}"))?;
    if !output.status.success() {
        return Err("the mutations need a git checkout: the tracked files are copied".to_owned());
    }
    let names = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .collect())
}

/// Makes `copy` equal to the tracked files as they are now. Files that are equal already are left
/// alone, so that what was built from them stays good.
pub fn copy_to(copy: &Path) -> io::Result<()> {
    let files: BTreeSet<PathBuf> = tracked().map_err(io::Error::other)?.into_iter().collect();
    for file in &files {
        let (from, to) = (top().join(file), copy.join(file));
        // Deleted, but not yet in git's list.
        let Ok(text) = fs::read(&from) else { continue };
        if fs::read(&to).ok().as_ref() != Some(&text) {
            fs::create_dir_all(to.parent().expect("below the copy"))?;
            fs::write(&to, &text)?;
            fs::set_permissions(&to, fs::metadata(&from)?.permissions())?;
        }
    }
    remove_others(copy, copy, &files)
}

fn remove_others(top: &Path, dir: &Path, files: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.strip_prefix(top).expect("below the top");
        if path.is_dir() {
            remove_others(top, &path, files)?;
        } else if !files.contains(name) || !self::top().join(name).exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Fills a new target directory with the dependencies that `from` has built. The crates of this tree
/// are left out: they would be taken for their mutations.
pub fn seed(from: &Path, to: &Path, ours: &[&str]) -> io::Result<()> {
    let (from, to) = (from.join("debug"), to.join("debug"));
    if to.exists() || !from.exists() {
        return Ok(());
    }
    for part in ["deps", "build", ".fingerprint"] {
        if from.join(part).exists() {
            take_over(&from.join(part), &to.join(part), &|name| {
                !is_ours(name, ours)
            })?;
        }
    }
    Ok(())
}

fn is_ours(name: &str, ours: &[&str]) -> bool {
    let name = name.replace('_', "-");
    let name = name.strip_prefix("lib").unwrap_or(&name);
    ours.iter().any(|ours| {
        name.strip_prefix(ours)
            .is_some_and(|rest| rest.starts_with(['-', '.']) || rest.is_empty())
    })
}

fn take_over(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        let about = fs::symlink_metadata(&from)?;
        if about.is_dir() {
            take_over(&from, &to, &|_| true)?;
        } else if about.is_file() && (about.len() < LINKED || fs::hard_link(&from, &to).is_err()) {
            fs::copy(&from, &to)?;
            // Cargo compares times to tell what is out of date.
            fs::File::options()
                .write(true)
                .open(&to)?
                .set_modified(about.modified()?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_this_tree_are_told_from_dependencies() {
        let ours = ["whatsapp-worker", "auth-store", "simulator"];
        for name in [
            "libwhatsapp_worker-01.rlib",
            "auth_store-01",
            "simulator-01",
            "auth-store-1",
        ] {
            assert!(is_ours(name, &ours), "{name}");
        }
        for name in ["libwhatsapp_rust-01.rlib", "simulator2-01", "serde-01"] {
            assert!(!is_ours(name, &ours), "{name}");
        }
    }
}
