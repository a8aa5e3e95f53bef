//! A bit-spreading hash, for checksums, fillers and reproducible pseudo-random choices.

/// Largest odd number below 2^64 divided by the golden ratio; any odd factor keeps a lane's step
/// one-to-one.
pub(crate) const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads every bit of a word over all its bits, one-to-one.
pub(crate) const fn hash(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(FACTOR);
    let word = (word ^ (word >> 29)).wrapping_mul(FACTOR);
    word ^ (word >> 32)
}
