//! Finds the rules that the value of one field of a packet satisfies: a row of bits, one for each
//! rule.
//!
//! The values of a field are divided into pieces at the ends of the rules' ranges; all values of a
//! piece share a row, and so do pieces that satisfy the same rules. Addresses are found by a binary
//! search; protocols and ports, of which there are few, by tables.

use std::collections::{BTreeSet, HashMap};

use super::ranges::NO_PORT;
use crate::config::RULES_MAX;

/// Number of a row.
type Row = u16;
const _: () = assert!(2 * RULES_MAX < Row::MAX as u32, "each rule begins one piece and ends one");

const WORD: usize = u64::BITS as usize;
const _: () =
    assert!(RULES_MAX as usize <= WORD * WORD, "one summary word has a bit for each word of a row");

/// Values of one byte.
const BYTES: usize = 256;

/// The rows of a field. Each has a summary word, with a bit for each of the following words that is
/// not zero, and these words; a row of one word has no summary.
#[derive(Debug)]
struct Rows {
    words: Box<[u64]>,
    row_len: usize,
}

/// Returns the bit of the first rule that is in all rows.
#[inline]
pub(super) fn lowest_common_bit(rows: [&[u64]; 5]) -> Option<usize> {
    let in_all = |word: usize| rows.iter().fold(u64::MAX, |bits, row| bits & row[word]);
    let mut summary = in_all(0);
    if rows[0].len() == 1 {
        return (summary != 0).then(|| summary.trailing_zeros() as usize);
    }
    while summary != 0 {
        let word = summary.trailing_zeros() as usize;
        let bits = in_all(1 + word);
        if bits != 0 {
            return Some(word * WORD + bits.trailing_zeros() as usize);
        }
        summary &= summary - 1;
    }
    None
}

impl Rows {
    #[inline]
    fn get(&self, row: Row) -> &[u64] {
        &self.words[usize::from(row) * self.row_len..][..self.row_len]
    }
}

/// Returns the first value of each piece with its row, ascending from the lowest value, and the
/// rows.
fn divide<V: Copy + Ord + Bounds>(ranges: &[(V, V)]) -> (Vec<(V, Row)>, Rows) {
    let mut starts = BTreeSet::from([V::MIN]);
    for &(first, last) in ranges {
        starts.insert(first);
        starts.extend(last.next());
    }
    let (mut words, mut known) = (Vec::new(), HashMap::new());
    let pieces = starts.into_iter().map(|value| {
        let number = Row::try_from(known.len()).unwrap_or(Row::MAX);
        let row = *known.entry(row_of(ranges, value)).or_insert_with_key(|row| {
            words.extend_from_slice(row);
            number
        });
        (value, row)
    });
    let pieces = pieces.collect();
    (pieces, Rows { words: words.into(), row_len: row_len(ranges.len()) })
}

const fn row_len(rules: usize) -> usize {
    match rules.div_ceil(WORD) {
        1 => 1,
        words => 1 + words,
    }
}

/// Returns the row of a value: a bit for each rule whose range has it.
fn row_of<V: Copy + Ord>(ranges: &[(V, V)], value: V) -> Vec<u64> {
    let mut row = vec![0; row_len(ranges.len())];
    let summary_len = usize::from(row.len() > 1);
    for (bit, &(first, last)) in ranges.iter().enumerate() {
        if first <= value && value <= last {
            row[summary_len + bit / WORD] |= 1 << (bit % WORD);
            if summary_len > 0 {
                row[0] |= 1 << (bit / WORD);
            }
        }
    }
    row
}

/// The ends of a field.
pub(super) trait Bounds: Sized {
    const MIN: Self;
    /// Returns the next higher value; `None` at the upper end.
    fn next(self) -> Option<Self>;
}

macro_rules! bounds {
    ($($type:ty),*) => {$(
        impl Bounds for $type {
            const MIN: Self = <$type>::MIN;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    )*};
}
bounds!(u32, u128);

/// Rows by address.
#[derive(Debug)]
pub(super) struct ByAddress<A> {
    /// The first address of each piece, ascending, the lowest address first.
    starts: Box<[A]>,
    of_piece: Box<[Row]>,
    rows: Rows,
}

impl<A: Copy + Ord + Bounds> ByAddress<A> {
    /// Builds the rows. `ranges` has the range of each rule.
    pub(super) fn new(ranges: &[(A, A)]) -> Self {
        let (pieces, rows) = divide(ranges);
        let (starts, of_piece): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
        Self { starts: starts.into(), of_piece: of_piece.into(), rows }
    }

    #[inline]
    pub(super) fn row(&self, address: A) -> &[u64] {
        let piece = self.starts.partition_point(|start| *start <= address) - 1;
        self.rows.get(self.of_piece[piece])
    }
}

/// Rows by protocol.
#[derive(Debug)]
pub(super) struct ByProtocol {
    of_protocol: Box<[Row; BYTES]>,
    rows: Rows,
}

impl ByProtocol {
    /// Builds the rows. `ranges` has the range of each rule.
    pub(super) fn new(ranges: &[(u32, u32)]) -> Self {
        let (pieces, rows) = divide(ranges);
        Self { of_protocol: Box::new(table(&pieces, 0)), rows }
    }

    #[inline]
    pub(super) fn row(&self, protocol: u8) -> &[u64] {
        self.rows.get(self.of_protocol[usize::from(protocol)])
    }
}

/// Rows by port. The upper byte selects a table by lower byte; equal tables are shared.
#[derive(Debug)]
pub(super) struct ByPort {
    table_of: Box<[u8; BYTES]>,
    tables: Box<[[Row; BYTES]]>,
    no_port: Row,
    rows: Rows,
}

impl ByPort {
    /// Builds the rows. `ranges` has the range of each rule, up to [`NO_PORT`] if it has no port
    /// range.
    pub(super) fn new(ranges: &[(u32, u32)]) -> Self {
        let (pieces, rows) = divide(ranges);
        let (mut table_of, mut tables) = (Box::new([0; BYTES]), Vec::new());
        let mut known = HashMap::new();
        for (first, number) in (0..NO_PORT).step_by(BYTES).zip(table_of.iter_mut()) {
            *number = *known.entry(table(&pieces, first)).or_insert_with_key(|table| {
                tables.push(*table);
                // There are 256 upper bytes, and no more tables.
                u8::try_from(tables.len() - 1).unwrap_or(u8::MAX)
            });
        }
        let no_port = pieces[piece_of(&pieces, NO_PORT)].1;
        Self { table_of, tables: tables.into(), no_port, rows }
    }

    /// Returns the row of a port; `None` stands for a packet that does not show it.
    #[inline]
    pub(super) fn row(&self, port: Option<u16>) -> &[u64] {
        let row = match port.map(u16::to_be_bytes) {
            Some([upper, lower]) => {
                self.tables[usize::from(self.table_of[usize::from(upper)])][usize::from(lower)]
            }
            None => self.no_port,
        };
        self.rows.get(row)
    }
}

/// Returns the rows of 256 values from `first`.
fn table(pieces: &[(u32, Row)], first: u32) -> [Row; BYTES] {
    let mut table = [0; BYTES];
    let mut piece = piece_of(pieces, first);
    for (value, row) in (first..).zip(&mut table) {
        if pieces.get(piece + 1).is_some_and(|&(start, _)| start <= value) {
            piece += 1;
        }
        *row = pieces[piece].1;
    }
    table
}

/// Returns the index of the piece that has the value.
fn piece_of(pieces: &[(u32, Row)], value: u32) -> usize {
    pieces.partition_point(|&(start, _)| start <= value) - 1
}
