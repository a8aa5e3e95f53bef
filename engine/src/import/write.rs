//! Writer of the configuration.

use std::collections::HashSet;
use std::fmt::{self, Display, Write};

use super::assemble::Assembled;
use super::input::Input;
use super::interface::MirrorInterface;
use super::item::Place;
use super::model::{MirrorFilter, MirrorRule, Object};
use super::sessions::UsableSession;
use crate::config::{TCP, UDP, protocol_name};

/// Maximum number of characters of a name or description that a comment repeats.
const COMMENT_CHARS_MAX: usize = 200;
/// Maximum number of characters of a sentence of the importer in a comment.
const SENTENCE_CHARS_MAX: usize = 2000;
/// Maximum length of a line of such a sentence.
const COLUMNS_MAX: usize = 100;

/// Text of a configuration, with the objects that its lines come from.
pub(super) struct Written {
    pub(super) toml: String,
    /// The first line, from 1, of each object, with the object and its place in the input.
    objects: Vec<(usize, Object, Place)>,
}

impl Written {
    /// Returns the object that a line, from 1, comes from.
    pub(super) fn at_line(&self, line: usize) -> Option<(&Object, &Place)> {
        let after = self.objects.partition_point(|(first, ..)| *first <= line);
        let (_, object, place) = self.objects[..after].last()?;
        Some((object, place))
    }
}

/// Writes the configuration with comments.
pub(super) fn toml(command: &str, inputs: &[Input], assembled: &Assembled) -> Written {
    let mut out = Writer::default();
    let files: Vec<_> = inputs.iter().map(|input| Comment(&input.name).to_string()).collect();
    out.line(format_args!("# Written by `vxtap import {command}` from {}.", files.join(", ")));
    out.line(
        "# To be added: [capture] with the interface that the mirror sends to, and [[output]] for the frames.",
    );
    out.sentences("Left out", &assembled.left_out);
    out.sentences("Notes", &assembled.notes);
    for (eni, vpc_prefixes) in &assembled.interfaces {
        out.start(Object::Interface(eni.id.clone()), &eni.place);
        out.interface(eni, vpc_prefixes);
    }
    let used: HashSet<_> = assembled.sessions.iter().filter_map(|it| it.filter.as_ref()).collect();
    for (each, rules) in &assembled.filters {
        out.start(Object::Filter(each.id.clone()), &each.place);
        out.filter(each, used.contains(&each.id));
        for each in rules {
            out.start(Object::Rule(each.id.clone()), &each.place);
            out.rule(each);
        }
    }
    for each in &assembled.sessions {
        out.start(Object::Session(each.session.id.clone()), &each.session.place);
        out.session(each);
    }
    Written { toml: out.toml, objects: out.objects }
}

#[derive(Default)]
struct Writer {
    toml: String,
    lines: usize,
    objects: Vec<(usize, Object, Place)>,
}

impl Writer {
    /// Writes a line, or several.
    fn line(&mut self, line: impl Display) {
        let start = self.toml.len();
        // Writing to a string cannot fail.
        let _ = writeln!(self.toml, "{line}");
        self.lines += self.toml[start..].bytes().filter(|&byte| byte == b'\n').count();
    }

    /// Writes a list of sentences below a title, if there are any.
    fn sentences(&mut self, title: &str, sentences: &[String]) {
        if !sentences.is_empty() {
            self.line(format_args!("#\n# {title}:"));
        }
        for sentence in sentences {
            self.sentence("# - ", "#   ", sentence);
        }
    }

    /// Begins an object with an empty line.
    fn start(&mut self, object: Object, place: &Place) {
        self.line("");
        self.objects.push((self.lines + 1, object, place.clone()));
    }

    fn interface(&mut self, interface: &MirrorInterface, vpc_prefixes: &[ipnet::Ipv4Net]) {
        self.comments(interface.label.as_deref(), &interface.assumptions);
        self.line("[[eni]]");
        self.key("id", Quoted(&interface.id));
        self.optional("mac", interface.mac.map(|mac| format!("\"{mac}\"")));
        let addresses = interface.addresses.iter().map(|prefix| {
            // A prefix of one host is written as its address.
            if prefix.prefix_len() == prefix.max_prefix_len() {
                prefix.addr().to_string()
            } else {
                prefix.to_string()
            }
        });
        self.list("addresses", addresses);
        self.list("vpc_prefixes", vpc_prefixes.iter().map(ToString::to_string));
    }

    fn filter(&mut self, filter: &MirrorFilter, is_used: bool) {
        self.comments(filter.label.as_deref(), &filter.assumptions);
        if !is_used {
            self.line("# No session uses it.");
        }
        self.line("[[filter]]");
        self.key("name", Quoted(&filter.id));
        if filter.amazon_dns {
            self.line("network_services = [\"amazon-dns\"]");
        }
    }

    fn rule(&mut self, rule: &MirrorRule) {
        let label = rule
            .label
            .as_ref()
            .map_or_else(|| rule.id.clone(), |label| format!("{}: {label}", rule.id));
        self.comments(Some(&label), &rule.assumptions);
        self.line("[[filter.rule]]");
        self.key("direction", format_args!("\"{}\"", rule.direction));
        self.key("number", rule.number);
        self.key("action", format_args!("\"{}\"", rule.action));
        self.optional("protocol", rule.protocol.map(protocol));
        self.key("source", format_args!("\"{}\"", rule.source));
        self.key("destination", format_args!("\"{}\"", rule.destination));
        self.optional("source_ports", rule.source_ports.map(|ports| format!("\"{ports}\"")));
        let ports = rule.destination_ports.map(|ports| format!("\"{ports}\""));
        self.optional("destination_ports", ports);
    }

    fn session(&mut self, usable: &UsableSession) {
        let UsableSession { session, vni, source, filter, has_interface } = usable;
        self.comments(session.label.as_deref(), &session.assumptions);
        self.line("[[session]]");
        self.key("name", Quoted(&session.id));
        self.key("vni", vni);
        self.optional("source", source.map(|source| format!("\"{source}\"")));
        self.optional("eni", has_interface.then_some(Quoted(&session.interface)));
        self.optional("filter", filter.as_deref().map(Quoted));
        self.optional("packet_length", session.packet_length);
        self.optional("number", session.number.filter(|_| *has_interface));
    }

    fn comments(&mut self, label: Option<&str>, assumptions: &[String]) {
        if let Some(label) = label {
            self.line(format_args!("# {}", Comment(label)));
        }
        for sentence in assumptions {
            self.sentence("# ", "# ", sentence);
        }
    }

    /// Writes a sentence of the importer, which may repeat names of the input, as lines of a
    /// comment: the first one begins with `start`, the others with `indent`.
    fn sentence(&mut self, start: &str, indent: &str, sentence: &str) {
        let text: String = sentence.chars().take(SENTENCE_CHARS_MAX).map(spaced).collect();
        let (mut line, mut has_words) = (start.to_owned(), false);
        for word in text.split(' ') {
            if has_words && line.chars().count() + 1 + word.chars().count() > COLUMNS_MAX {
                self.line(&line);
                (line, has_words) = (indent.to_owned(), false);
            }
            if has_words {
                line.push(' ');
            }
            line.push_str(word);
            has_words = true;
        }
        self.line(line);
    }

    fn key(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.key(name, value);
        }
    }

    fn list(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let values: Vec<_> = values.map(|value| format!("\"{value}\"")).collect();
        if !values.is_empty() {
            self.key(name, format_args!("[{}]", values.join(", ")));
        }
    }
}

/// Writes common protocols by name, for readability.
fn protocol(number: u8) -> String {
    let name = protocol_name(number).filter(|_| matches!(number, 1 | TCP | UDP | 58));
    name.map_or_else(|| number.to_string(), |name| format!("\"{name}\""))
}

/// Writes a text as a TOML basic string.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\U{:08X}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Writes a text in a comment and keeps it there: the names come from the input.
struct Comment<'t>(&'t str);

impl Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(COMMENT_CHARS_MAX).try_for_each(|c| f.write_char(spaced(c)))
    }
}

/// Returns a space in the place of a character that could end a line.
fn spaced(c: char) -> char {
    if c.is_control() || c.is_whitespace() { ' ' } else { c }
}
