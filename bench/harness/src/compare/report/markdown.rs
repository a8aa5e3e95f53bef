//! Tables in Markdown that can be read as they are: every column as wide as its widest cell.

use std::fmt::Write as _;

/// Returns the table; the first column is aligned to the left, the others to the right.
pub(super) fn table(header: &[String], lines: &[Vec<String>]) -> String {
    let all = || std::iter::once(header).chain(lines.iter().map(Vec::as_slice));
    let width = |column: usize| {
        all().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> =
        (0..header.len()).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(
            |(column, &width)| {
                if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
            },
        )
        .collect();
    let mut text = line(header, &widths) + &line(&rule, &widths);
    for cells in lines {
        text += &line(cells, &widths);
    }
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::from("|");
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        // Writing to a string does not fail.
        let _ = if column == 0 {
            write!(text, " {cell:<width$} |")
        } else {
            write!(text, " {cell:>width$} |")
        };
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let words = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let lines = [words(["vxtap", "1.25"]), words(["x", "× 2"])];
        assert_eq!(
            table(&words(["row", "Mpps"]), &lines),
            "| row   | Mpps |\n\
             | ----- | ---: |\n\
             | vxtap | 1.25 |\n\
             | x     |  × 2 |\n"
        );
    }
}
