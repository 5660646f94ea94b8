//! Tables as kubectl prints them: capitals on top, columns as wide as they must be.

use std::io;

use super::screen::{Screen, Tone};
use crate::live::shown;

/// The space between two columns.
const GAP: usize = 3;
/// The longest text in a cell: that of a message in the status.
const CELL_LIMIT: usize = 1024;

/// Rows under a head.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            head: head.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; texts come from a cluster, and are made one harmless line each.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells
            .into_iter()
            .map(|cell| shown::line(&cell, CELL_LIMIT))
            .collect();
        self.rows.push(cells);
    }

    /// Prints it. Words that say how things are get the colour of what they say.
    pub(super) fn print(&self, screen: &mut Screen<'_>) -> io::Result<()> {
        let head: Vec<String> = self.head.iter().map(|cell| (*cell).to_owned()).collect();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = self
                    .rows
                    .iter()
                    .chain([&head])
                    .filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        print_row(screen, &head, &widths, |_| Tone::Plain)?;
        for row in &self.rows {
            print_row(screen, row, &widths, Tone::of)?;
        }
        Ok(())
    }
}

fn print_row(
    screen: &mut Screen<'_>,
    row: &[String],
    widths: &[usize],
    tone: impl Fn(&str) -> Tone,
) -> io::Result<()> {
    let mut line = String::new();
    // No spaces behind the last text of a line.
    let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
    for (cell, width) in row.iter().zip(widths).take(last + 1) {
        let pad = width - cell.chars().count() + GAP;
        line.push_str(&screen.paint(tone(cell), cell));
        line.push_str(&" ".repeat(pad));
    }
    screen.line(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::screen::printed;
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "SYNC", "MESSAGE"]);
        table.row([
            "shop".into(),
            "OutOfSync".into(),
            "3 objects\ndiffer".into(),
        ]);
        table.row(["bäckerei".into(), "Synced".into(), String::new()]);
        let (result, out, _) = printed(|screen| table.print(screen));
        result.expect("a Vec takes every byte");
        assert_eq!(
            out,
            "NAME       SYNC        MESSAGE\n\
             shop       OutOfSync   3 objects differ\n\
             bäckerei   Synced\n"
        );
    }

    #[test]
    fn a_terminal_is_not_steered() {
        let mut table = Table::new(["NAME"]);
        table.row(["a\u{1b}[2Jb".into()]);
        let (_, out, _) = printed(|screen| table.print(screen));
        assert_eq!(out, "NAME\na\\u{1b}[2Jb\n");
    }
}
