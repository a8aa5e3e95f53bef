//! Finds the key that was probably meant.

/// Most typing errors that a suggestion forgives.
const EDITS_MAX: usize = 2;

/// Returns the key with the fewest edits from `found`, if few enough and fewer than a rewrite.
///
/// An edit inserts, deletes or replaces a letter, or swaps two neighbours.
pub(super) fn nearest(found: &str, keys: &[&'static str]) -> Option<&'static str> {
    let longest = keys.iter().map(|key| key.len()).max()?;
    if found.len() > longest + EDITS_MAX {
        return None;
    }
    let (edits, key) = keys.iter().map(|key| (strsim::osa_distance(found, key), *key)).min()?;
    (edits <= EDITS_MAX && edits < key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_near_or_absent() {
        let keys = ["session", "sessions", "vlan", "vni"];
        assert_eq!(nearest("sesion", &keys), Some("session"));
        assert_eq!(nearest("vnis", &keys), Some("vni"));
        assert_eq!(nearest("vin", &keys), Some("vni"));
        assert_eq!(nearest("xyz", &keys), None);
        assert_eq!(nearest("lessen", &keys), None);
        assert_eq!(nearest(&"session".repeat(1000), &keys), None);
    }
}
