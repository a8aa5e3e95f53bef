//! Suggests an existing key or name for an unknown one.

/// Maximum edit distance of a suggestion.
const EDITS_MAX: usize = 2;

/// Returns the key or name with the smallest edit distance from `found`, if it is small enough and
/// below its length.
///
/// An edit inserts, deletes or replaces a letter, or swaps two neighbours.
pub(super) fn suggest<'k>(found: &str, keys: &[&'k str]) -> Option<&'k str> {
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
        assert_eq!(suggest("sesion", &keys), Some("session"));
        assert_eq!(suggest("vnis", &keys), Some("vni"));
        assert_eq!(suggest("vin", &keys), Some("vni"));
        assert_eq!(suggest("xyz", &keys), None);
        assert_eq!(suggest("lessen", &keys), None);
        assert_eq!(suggest(&"session".repeat(1000), &keys), None);
    }
}
