//! The public items of the library, compared with `engine/public-api.txt`.
//!
//! A change of the public API has to change that file on purpose:
//!
//! ```text
//! WRITE_PUBLIC_API=1 cargo test -p vxtap --test public_api
//! ```
//!
//! The items come from the sources: public modules, re-exports and the definitions that they lead
//! to, each with its signature as written there, derives and trait implementations included. Types
//! in signatures are not resolved, and code that macros generate is not seen.

mod items;
mod modules;
mod text;

use std::fs;
use std::path::Path;

#[test]
fn the_public_items_are_those_of_the_committed_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = modules::Modules::read(&root.join("src"));
    let mut found = items::public_items(&modules).join("\n");
    found.push('\n');
    let path = root.join("public-api.txt");
    if std::env::var_os("WRITE_PUBLIC_API").is_some() {
        fs::write(&path, &found).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let difference = difference(&committed, &found);
    assert!(
        difference.is_empty(),
        "the public API is not the one of engine/public-api.txt:\n{difference}\
         If that is intended: WRITE_PUBLIC_API=1 cargo test -p vxtap --test public_api\n"
    );
}

/// Returns the lines that only one of the texts has, with `-` for the first and `+` for the second.
fn difference(old: &str, new: &str) -> String {
    let only_in = |sign: &str, one: &str, other: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|it| it == *line));
        lines.fold(String::new(), |text, line| text + sign + " " + line + "\n")
    };
    only_in("-", old, new) + &only_in("+", new, old)
}
