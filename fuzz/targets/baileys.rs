//! A file of a Baileys folder: its name is the first line, its content the rest.
#![no_main]

use auth_format::baileys::{Entry, Folder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|&byte| byte == b'\n');
    let (name, content) = data.split_at(end.unwrap_or(data.len()));
    let content = content.get(1..).unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    if let Err(error) = Entry::read(&name, content) {
        // Where, and what should be there: nothing that was read.
        assert!(error.to_string().len() < 1000, "{error}");
    }
    // As the only file and beside others.
    if let Err(error) = Folder::of([(name.into_owned(), content.to_vec())]) {
        assert!(error.to_string().len() < 1000, "{error}");
    }
});
