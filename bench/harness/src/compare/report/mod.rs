//! Output of a comparison: results.json, table.md, and a plot for each table.

mod bar_chart;
mod line_chart;
mod markdown;
mod plots;
mod results_json;
mod tables;

use std::os::unix::fs::lchown;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};

pub(crate) use results_json::{Document, Machine};

use super::receiver_summary::ReceiverSummary;

/// Writes everything to `directory` and returns the tables as text.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(directory: &Path, document: &Document) -> Result<String> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let save = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    save("results.json", &document.to_json()?)?;
    let tables = format!("{}{}", document.heading(), tables::all(&document.summary));
    save("table.md", &tables)?;
    for (name, svg) in plots::all(&document.summary)? {
        save(&name, &svg)?;
    }
    hand_over(directory)?;
    Ok(tables)
}

/// Gives the directory and its files to the user who called sudo.
fn hand_over(directory: &Path) -> Result<()> {
    let id = |name| env::var(name).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) else { return Ok(()) };
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    for path in files.chain([directory.to_owned()]) {
        lchown(&path, Some(user), Some(group))
            .with_context(|| format!("cannot change the owner of {}", path.display()))?;
    }
    Ok(())
}

/// Reads results.json back to check that it is valid.
///
/// # Errors
/// When it is missing or damaged.
pub(crate) fn check_json(directory: &Path) -> Result<()> {
    let path = directory.join("results.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    results_json::check(&text)
        .with_context(|| format!("{} is not what was written", path.display()))
}

/// Groups the entries by table: the same measure, layout and size.
fn tables(entries: &[ReceiverSummary]) -> Vec<Vec<&ReceiverSummary>> {
    let mut groups: Vec<Vec<&ReceiverSummary>> = Vec::new();
    for entry in entries {
        let key = |e: &ReceiverSummary| (e.cell.measure, e.cell.layout, e.cell.size.clone());
        match groups.iter_mut().find(|group| key(group[0]) == key(entry)) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}
