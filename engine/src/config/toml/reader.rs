//! Reads typed values from a TOML tree and keeps the key and the offset of each for errors.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::LocatedProblem;
use super::renamed::renamed;
use crate::config::error::Problem;
use crate::config::key::KeyPath;
use crate::config::keyword::{Keyword, keyword_list};
use crate::config::limit::Limit;
use crate::config::suggest::suggest;

/// Maximum number of characters of a value that an error repeats.
const FOUND_CHARS_MAX: usize = 60;

const A_NAME: &str = "a name in quotes";
const A_PREFIX: &str = "an address prefix in quotes, such as \"10.0.0.0/8\"";

/// A value of the document with its key.
pub(super) struct Node<'d> {
    value: &'d Spanned<DeValue<'d>>,
    key: KeyPath,
}

/// A table of the document whose keys are all known.
pub(super) struct Section<'d> {
    table: &'d DeTable<'d>,
    key: KeyPath,
    offset: usize,
}

impl<'d> Section<'d> {
    /// Returns the top level of the document.
    pub(super) fn top(
        document: &'d Spanned<DeTable<'d>>,
        keys: &'static [&'static str],
    ) -> Result<Self, LocatedProblem> {
        Self { table: document.get_ref(), key: KeyPath::default(), offset: 0 }.with_only(keys)
    }

    /// Returns the section if it has no other keys than these; else the error is at the first one
    /// in the file.
    fn with_only(self, keys: &'static [&'static str]) -> Result<Self, LocatedProblem> {
        self.check_keys(keys).map(|()| self)
    }

    /// Refuses keys that are not valid for this kind of table, at the first one in the file.
    pub(super) fn check_keys(&self, keys: &'static [&'static str]) -> Result<(), LocatedProblem> {
        let unknown = self.table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref()));
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let name = first.get_ref().as_ref();
        let problem = match renamed(&self.key.without_indexes().to_string(), name) {
            Some(new) => Problem::RenamedKey { new },
            None => Problem::UnknownKey { suggestion: suggest(name, keys), allowed: keys },
        };
        Err(LocatedProblem {
            key: self.key.key(shortened(name)),
            offset: first.span().start,
            problem,
        })
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Node<'d>> {
        self.table.get(key).map(|value| Node { value, key: self.key.key(key) })
    }

    pub(super) fn required(
        &self,
        key: &'static str,
        allowed: impl fmt::Display,
    ) -> Result<Node<'d>, LocatedProblem> {
        self.get(key).ok_or_else(|| LocatedProblem {
            key: self.key.key(key),
            offset: self.offset,
            problem: Problem::Missing { allowed: allowed.to_string() },
        })
    }

    pub(super) fn section(
        &self,
        key: &'static str,
        keys: &'static [&'static str],
    ) -> Result<Option<Self>, LocatedProblem> {
        self.get(key)
            .map(|node| node.section(keys, format_args!("a table, written [{key}]")))
            .transpose()
    }

    /// Reads each table of an array; an absent array is empty.
    pub(super) fn each<T>(
        &self,
        key: &'static str,
        keys: &'static [&'static str],
        read: impl Fn(&Self) -> Result<T, LocatedProblem>,
    ) -> Result<Vec<T>, LocatedProblem> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(array) = node.value() else {
            let header = node.key.without_indexes();
            return Err(node.refused(format_args!("a list of tables, each written [[{header}]]")));
        };
        // One after the other: there may be a million.
        let tables = array.iter().enumerate();
        tables
            .map(|(at, value)| Node { value, key: node.key.index(at) })
            .map(|table| read(&table.section(keys, "a table")?))
            .collect()
    }

    pub(super) fn boolean(&self, key: &'static str) -> Result<Option<bool>, LocatedProblem> {
        self.get(key).map(|node| node.boolean()).transpose()
    }

    pub(super) fn number<N: TryFrom<u64>>(
        &self,
        key: &'static str,
        limit: Limit,
    ) -> Result<Option<N>, LocatedProblem> {
        self.get(key).map(|node| node.number(limit)).transpose()
    }

    /// Returns a required string.
    pub(super) fn name(&self, key: &'static str) -> Result<String, LocatedProblem> {
        Ok(self.required(key, A_NAME)?.string(A_NAME)?.to_owned())
    }

    /// Returns an optional string.
    pub(super) fn reference(&self, key: &'static str) -> Result<Option<String>, LocatedProblem> {
        self.get(key).map(|node| Ok(node.string(A_NAME)?.to_owned())).transpose()
    }

    /// Returns a list of prefixes; an absent list is empty.
    pub(super) fn prefixes(&self, key: &'static str) -> Result<Vec<IpNet>, LocatedProblem> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        node.list("a list of address prefixes, such as [\"10.0.0.0/8\"]")?
            .iter()
            .map(Node::prefix)
            .collect()
    }

    pub(super) fn required_keyword<W: Keyword>(
        &self,
        key: &'static str,
    ) -> Result<W, LocatedProblem> {
        self.required(key, keyword_list::<W>())?.keyword()
    }

    pub(super) fn keyword<W: Keyword>(
        &self,
        key: &'static str,
    ) -> Result<Option<W>, LocatedProblem> {
        self.get(key).map(|node| node.keyword()).transpose()
    }
}

impl<'d> Node<'d> {
    pub(super) fn value(&self) -> &'d DeValue<'d> {
        self.value.get_ref()
    }

    pub(super) fn section(
        self,
        keys: &'static [&'static str],
        allowed: impl fmt::Display,
    ) -> Result<Section<'d>, LocatedProblem> {
        let DeValue::Table(table) = self.value() else { return Err(self.refused(allowed)) };
        Section { table, offset: self.value.span().start, key: self.key }.with_only(keys)
    }

    pub(super) fn list(&self, allowed: &str) -> Result<Vec<Self>, LocatedProblem> {
        let DeValue::Array(array) = self.value() else { return Err(self.refused(allowed)) };
        Ok(array
            .iter()
            .enumerate()
            .map(|(at, value)| Self { value, key: self.key.index(at) })
            .collect())
    }

    pub(super) fn numbers<N: TryFrom<u64>>(
        &self,
        limit: Limit,
        allowed: &str,
    ) -> Result<Vec<N>, LocatedProblem> {
        self.list(allowed)?.iter().map(|node| node.number(limit)).collect()
    }

    pub(super) fn string(&self, allowed: impl fmt::Display) -> Result<&'d str, LocatedProblem> {
        self.value().as_str().ok_or_else(|| self.refused(allowed))
    }

    fn boolean(&self) -> Result<bool, LocatedProblem> {
        self.value().as_bool().ok_or_else(|| self.refused("true or false"))
    }

    pub(super) fn number<N: TryFrom<u64>>(&self, limit: Limit) -> Result<N, LocatedProblem> {
        let DeValue::Integer(integer) = self.value() else { return Err(self.refused(limit)) };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|&number| limit.accepts(number))
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| self.refused(limit))
    }

    /// Returns a prefix; an address without length is the prefix of one host.
    pub(super) fn prefix(&self) -> Result<IpNet, LocatedProblem> {
        let text = self.string(A_PREFIX)?;
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address).ok_or_else(|| self.refused(A_PREFIX))
    }

    /// Returns the value that a string represents.
    pub(super) fn parsed<T: FromStr>(&self, allowed: &str) -> Result<T, LocatedProblem> {
        self.string(allowed)?.parse().ok().ok_or_else(|| self.refused(allowed))
    }

    pub(super) fn keyword<W: Keyword>(&self) -> Result<W, LocatedProblem> {
        let allowed = keyword_list::<W>();
        let found = self.string(&allowed)?;
        let known = W::KEYWORDS.iter().find(|(word, _)| *word == found);
        known.map(|(_, value)| *value).ok_or_else(|| self.refused(allowed))
    }

    pub(super) fn refused(&self, allowed: impl fmt::Display) -> LocatedProblem {
        self.fault(Problem::refused(describe(self.value()), allowed))
    }

    pub(super) fn fault(&self, problem: Problem) -> LocatedProblem {
        LocatedProblem { key: self.key.clone(), offset: self.value.span().start, problem }
    }
}

/// Describes a value in an error: scalars as they are written, tables and arrays by their type.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(string) => format!("{:?}", shortened(string)),
        DeValue::Integer(integer) => shortened(&integer.to_string()),
        DeValue::Float(float) => shortened(float.as_str()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(datetime) => format!("the date {datetime}"),
        DeValue::Array(array) if array.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
