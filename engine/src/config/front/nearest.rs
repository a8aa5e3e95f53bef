//! Finds the key that was probably meant.

/// Most typing errors that a suggestion forgives.
const EDITS_MAX: usize = 2;

/// Returns the key with the fewest edits from `found`, if few enough and fewer than a rewrite.
pub(super) fn nearest(found: &str, keys: &[&'static str]) -> Option<&'static str> {
    let longest = keys.iter().map(|key| key.len()).max()?;
    if found.len() > longest + EDITS_MAX {
        return None;
    }
    let (edits, key) = keys.iter().map(|key| (edits(found, key), *key)).min()?;
    (edits <= EDITS_MAX && edits < key.len()).then_some(key)
}

/// The Levenshtein distance: insertions, deletions and substitutions of bytes that turn one text into the other.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (position, byte) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = position + 1;
        for (column, other) in to.bytes().enumerate() {
            let substitution = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = substitution.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_levenshtein_does() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("prots", "ports"), 2);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn a_suggestion_is_near_or_absent() {
        let keys = ["session", "sessions", "vni"];
        assert_eq!(nearest("sesion", &keys), Some("session"));
        assert_eq!(nearest("vnis", &keys), Some("vni"));
        assert_eq!(nearest("xyz", &keys), None);
        assert_eq!(nearest("lessen", &keys), None);
        assert_eq!(nearest(&"session".repeat(1000), &keys), None);
    }
}
