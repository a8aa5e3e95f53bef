//! Damaged files of every kind, made by a seeded generator.

use super::*;

/// Number of damaged files of each sample.
const FILES: u64 = 400;

/// A small generator of random numbers (splitmix64), so that each run makes the same files.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

/// Damages a file in one to three places.
fn damage_somewhere(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..end].fill(0),
            2 => bytes[at..end].fill(0xff),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.next().to_le_bytes()[0]),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let zeros = vec![0; 1 + random.below(64)];
                bytes.splice(at..at, zeros);
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// The samples with frames of every link type, then the same compressed.
fn whole_files() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = small_files().into_iter().map(|(file, _)| file.bytes).collect();
    files.extend(outer_frames::files());
    files.extend(fragment_order::files());
    let compressed: Vec<_> = files.iter().map(|file| compressed::gzip(file)).collect();
    let zstd: Vec<_> = files.iter().map(|file| compressed::zstd(file)).collect();
    files.extend(compressed);
    files.extend(zstd);
    files
}

/// Reads all outer frames; returns the error.
fn read_outer(bytes: Vec<u8>) -> Result<u64, CaptureFileError> {
    let mut frames = OuterFrames::from_reader("capture.pcap", Cursor::new(bytes))?;
    let mut count = 0;
    while frames.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_damaged_file_never_panics_and_each_refusal_names_file_place_and_reason() {
    let mut random = Random(0x5eed);
    let (mut refused, mut read) = (0, 0);
    for whole in whole_files() {
        for _ in 0..FILES {
            let mut bytes = whole.clone();
            damage_somewhere(&mut bytes, &mut random);
            let Err(error) = read_outer(bytes) else {
                read += 1;
                continue;
            };
            refused += 1;
            let text = error.to_string();
            let reason = text.strip_prefix("capture.pcap: ").unwrap_or_else(|| panic!("{text}"));
            let has_place = reason.contains(" at byte ") && reason.contains(", after ");
            let is_of_the_whole = matches!(
                error,
                CaptureFileError::Empty { .. }
                    | CaptureFileError::NotACapture { .. }
                    | CaptureFileError::Compressed { .. }
                    | CaptureFileError::LinkType { .. }
            );
            assert!(has_place || is_of_the_whole, "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
    // Both outcomes have to occur, or the generator has nothing to say.
    assert!(refused > 1000 && read > 1000, "{refused} refused, {read} read");
}
