//! The frames that are sent repeatedly, in the program's format.

use std::net::IpAddr;

use vxtap_ebpf::generator::{FRAME_MAX, HEAD_LEN, HEAD_WORDS, Head, MARK_LEN, Whole};

use super::LiveError;
use crate::frames::TAG_STARTS;
use crate::outer_headers;
use crate::payload_tag::PayloadTag;
use crate::profile::{Ipv6Checksum, Profile};
use crate::totals::{SessionTotals, Totals};
use crate::traffic::{Sent, Traffic};

/// The first frames of a profile.
#[derive(Debug)]
pub(super) struct FrameTable {
    entries: Vec<TableFrame>,
    session_count: usize,
}

/// One frame.
#[derive(Debug)]
struct TableFrame {
    frame: Vec<u8>,
    /// Offset of the payload tag in the frame.
    tag_at: usize,
    session: usize,
    inner_len: usize,
}

impl FrameTable {
    /// Makes the first `len` frames of a profile, or all of a smaller count.
    ///
    /// # Errors
    /// The profile's, a frame that is too long, or checksums that would be wrong.
    pub(super) fn new(profile: &Profile, len: u32, tag_every: u64) -> Result<Self, LiveError> {
        let mut traffic = Traffic::new(profile)?;
        let mut entries = Vec::new();
        let mut frame = Vec::new();
        while entries.len() < len as usize
            && let Some(sent) = traffic.next_frame(&mut frame)
        {
            let source = profile.sessions[sent.session].source;
            if frame.len() > FRAME_MAX {
                return Err(LiveError::TooLong { frame_len: frame.len() });
            }
            let is_summed =
                source.is_ipv6() && profile.outer.ipv6_checksum == Ipv6Checksum::Computed;
            if is_summed && tag_every != 1 {
                return Err(LiveError::Checksum);
            }
            entries.push(TableFrame::new(&frame, source, &sent));
        }
        Ok(Self { entries, session_count: profile.sessions.len() })
    }

    /// Number of frames.
    #[expect(clippy::cast_possible_truncation, reason = "it was made with a length of 32 bits")]
    pub(super) const fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Template from which the kernel makes each page: as long as the longest frame, and without a
    /// payload tag.
    pub(super) fn template(&self) -> Vec<u8> {
        let longest = self.entries.iter().max_by_key(|entry| entry.frame.len());
        let mut template = longest.map_or_else(Vec::new, TableFrame::without_tag);
        template.resize(template.len().max(HEAD_LEN), 0);
        template
    }

    /// The starts of the frames, in the layout of the map.
    pub(super) fn heads(&self) -> impl Iterator<Item = [u64; HEAD_WORDS]> + '_ {
        self.entries.iter().map(TableFrame::head)
    }

    /// The whole frames, in the layout of the map.
    pub(super) fn wholes(&self) -> impl Iterator<Item = Whole> + '_ {
        self.entries.iter().map(|entry| {
            let mut whole = [0; FRAME_MAX];
            whole[..entry.frame.len()].copy_from_slice(&entry.frame);
            whole
        })
    }

    /// Totals after `handed` frames of the repeated table, `refused` of which the interface did not
    /// take.
    ///
    /// The refused frames are not known individually: they count as frames of mean length, and the
    /// sessions stay empty.
    pub(super) fn totals(&self, handed: u64, refused: u64) -> Totals {
        let mut totals = self.handed(handed);
        if refused > 0 {
            let sent = handed.saturating_sub(refused);
            let share =
                |bytes: u64| u128::from(bytes) * u128::from(sent) / u128::from(handed.max(1));
            let share = |bytes| u64::try_from(share(bytes)).unwrap_or(u64::MAX);
            totals.outer_bytes = share(totals.outer_bytes);
            totals.inner_bytes = share(totals.inner_bytes);
            totals.frames = sent;
            totals.refused = refused;
            totals.sessions.clear();
        }
        totals
    }

    fn handed(&self, handed: u64) -> Totals {
        let mut totals = Totals {
            sessions: vec![SessionTotals::default(); self.session_count],
            ..Totals::default()
        };
        let Some(rounds) = handed.checked_div(self.entries.len() as u64) else { return totals };
        let rest = handed % self.entries.len() as u64;
        for (index, entry) in (0..).zip(&self.entries) {
            let frames = rounds + u64::from(index < rest);
            let inner_bytes = frames * entry.inner_len as u64;
            totals.frames += frames;
            totals.outer_bytes += frames * entry.frame.len() as u64;
            totals.inner_bytes += inner_bytes;
            totals.sessions[entry.session].frames += frames;
            totals.sessions[entry.session].inner_bytes += inner_bytes;
        }
        totals
    }
}

impl TableFrame {
    fn new(frame: &[u8], source: IpAddr, sent: &Sent) -> Self {
        let inner = outer_headers::len(source);
        let is_tag = |at: usize| {
            let tag = frame.get(at..).and_then(PayloadTag::read);
            tag.is_some_and(|tag| {
                usize::from(tag.payload_len) == frame.len() - at
                    && (tag.flow, tag.sequence) == (sent.flow, sent.sequence)
            })
        };
        let tag_at = TAG_STARTS.iter().map(|start| inner + start).find(|&at| is_tag(at));
        Self {
            frame: frame.to_vec(),
            tag_at: tag_at.unwrap_or_else(|| {
                unreachable!("the generator writes a payload tag into every frame")
            }),
            session: sent.session,
            inner_len: sent.inner_len.into(),
        }
    }

    /// The frame without the payload tag, so that no verifier finds it.
    fn without_tag(&self) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[self.tag_at..self.tag_at + MARK_LEN].fill(0);
        frame
    }

    fn head(&self) -> [u64; HEAD_WORDS] {
        let mut start = self.without_tag();
        start.resize(start.len().max(HEAD_LEN), 0);
        let is_behind = self.tag_at + MARK_LEN > HEAD_LEN;
        let mut bytes = [0; HEAD_LEN / 8];
        for (word, bytes) in bytes.iter_mut().zip(start.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Head {
            frame_len: self.frame.len() as u64,
            mark_at: if is_behind { self.tag_at as u64 } else { 0 },
            bytes,
        }
        .words()
    }
}

#[cfg(test)]
mod tests {
    use vxtap_ebpf::generator::MARK_AT_MAX;

    use super::*;
    use crate::payload_tag::is_intact;
    use crate::profile::MirrorSession;

    fn profile(count: u64) -> Profile {
        Profile { count: Some(count), ..Profile::default() }
    }

    fn table(profile: &Profile) -> FrameTable {
        FrameTable::new(profile, 500, 1).expect("the profile is valid")
    }

    fn bytes_of(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn whole_frames_are_those_of_the_profile() {
        let profile = profile(500);
        let table = table(&profile);
        let mut traffic = Traffic::new(&profile).expect("the profile is valid");
        let mut frame = Vec::new();
        for whole in table.wholes() {
            traffic.next_frame(&mut frame).expect("as many as in the table");
            assert_eq!(whole[..frame.len()], frame);
        }
        assert_eq!(traffic.next_frame(&mut frame), None);
    }

    #[test]
    fn a_head_written_over_any_older_frame_leaves_no_tag() {
        let sessions =
            ["10.0.0.1=1", "fd00::1=2"].map(|text| text.parse().expect("a session")).to_vec();
        let table = table(&Profile { sessions, ..profile(500) });
        let older = table.entries.iter().max_by_key(|entry| entry.tag_at).expect("not empty");
        for (entry, head) in table.entries.iter().zip(table.heads()) {
            let [frame_len, mark_at, head @ ..] = head;
            assert_eq!(frame_len, entry.frame.len() as u64);
            assert!(mark_at < MARK_AT_MAX);
            let mut page = entry.frame.clone();
            page.resize(page.len().max(older.frame.len()), 0);
            page[..HEAD_LEN].copy_from_slice(&bytes_of(&head));
            let mark_at = usize::try_from(mark_at).expect("just checked");
            if mark_at > 0 {
                page[mark_at..][..MARK_LEN].fill(0);
            }
            assert_eq!(PayloadTag::read(&page[entry.tag_at..entry.frame.len()]), None);
            assert_eq!(
                page[..entry.tag_at.min(HEAD_LEN)],
                entry.frame[..entry.tag_at.min(HEAD_LEN)]
            );
        }
    }

    #[test]
    fn the_template_is_as_long_as_the_longest_frame_and_has_no_tag() {
        let table = table(&profile(500));
        let template = table.template();
        assert_eq!(template.len(), 1514 + 50);
        assert!((0..template.len()).all(|at| !is_intact(&template[at..])));
        let short = Profile {
            mix: "udp=1".parse().expect("a mix"),
            sizes: "60".parse().expect("a size"),
            ..profile(1)
        };
        let short = Profile { ipv6_percent: 0, ..short };
        assert_eq!(self::table(&short).template().len(), HEAD_LEN);
    }

    #[test]
    fn totals_are_those_of_the_frames_handed_over() {
        let profile = profile(500);
        let table = table(&profile);
        assert_eq!(table.totals(500, 0), Traffic::totals(&profile).expect("valid"));
        let twice = table.totals(1000, 0);
        assert_eq!((twice.frames, twice.refused), (1000, 0));
        assert_eq!(twice.outer_bytes, 2 * table.totals(500, 0).outer_bytes);
        assert_eq!(twice.sessions.iter().map(|session| session.frames).sum::<u64>(), 1000);
    }

    #[test]
    fn refused_frames_are_not_among_those_sent() {
        let table = table(&Profile { sizes: "200".parse().expect("a size"), ..profile(500) });
        let totals = table.totals(1000, 400);
        assert_eq!((totals.frames, totals.refused), (600, 400));
        assert_eq!((totals.outer_bytes, totals.inner_bytes), (600 * 250, 600 * 200));
        assert!(totals.sessions.is_empty());
        assert_eq!(table.totals(0, 0).frames, 0);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_in_words() {
        let error = |profile: &Profile, tag_every| {
            FrameTable::new(profile, 10, tag_every).expect_err("refused").to_string()
        };
        let long = Profile { sizes: "3200".parse().expect("a size"), ..profile(10) };
        assert_eq!(
            error(&long, 1),
            "a frame of 3250 bytes is too long for live frames, which have 3200 at most: give a smaller size or \
             --via packet"
        );
        let session: MirrorSession = "fd00::1=1".parse().expect("a session");
        let summed = Profile { sessions: vec![session], ..profile(10) };
        assert_eq!(
            error(&summed, 0),
            "the outer UDP checksum over IPv6 covers the whole frame, of which only the headers are written: give \
             --proof-every 1 or --zero-checksum-v6"
        );
        assert!(FrameTable::new(&summed, 10, 1).is_ok());
    }
}
