//! Lists of which the AWS CLI printed only some pages.

use std::collections::BTreeMap;

use crate::import::left_out::{Class, LeftOutSession};
use crate::import::model::Mirror;

/// The pages of each list that were read.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<&'static str, ListPages>);

struct ListPages {
    class: Class,
    has_end: bool,
    /// The files in which the list goes on elsewhere.
    files: Vec<String>,
}

impl Pages {
    pub(super) fn add(&mut self, list: &'static str, class: Class, goes_on: bool, file: &str) {
        let (has_end, files) = (false, Vec::new());
        let pages = self.0.entry(list).or_insert(ListPages { class, has_end, files });
        if goes_on {
            pages.files.push(file.to_owned());
        } else {
            pages.has_end = true;
        }
    }

    /// Reports the lists whose last page was not read, with what follows for others.
    pub(super) fn report(self, mirror: &mut Mirror) {
        for (list, pages) in self.0.into_iter().filter(|(_, pages)| !pages.has_end) {
            for file in &pages.files {
                let sentence = format!(
                    "{file}: {list} goes on (NextToken), and the rest is not in the input: without --max-items and \
                     --no-paginate the AWS CLI prints all of it"
                );
                match pages.class {
                    Class::Rule => mirror.left_out.rule(None, true, sentence),
                    Class::Session => {
                        let name = "a session that is not in the input".to_owned();
                        let session = LeftOutSession { name, ..LeftOutSession::new("", None) };
                        mirror.left_out.session(session, sentence);
                    }
                    _ => mirror.left_out.say(sentence),
                }
            }
        }
    }
}
