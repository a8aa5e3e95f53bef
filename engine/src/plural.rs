//! Numbers with their nouns in messages: `1 frame`, `2 frames`.
//!
//! For the library and the command alike; not part of the API.

use std::fmt::Display;

/// Returns a number with its noun, which gets an `s` unless the number is 1.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    format!("{number} {noun}{}", ending(number == N::from(1)))
}

/// Returns the members of a list behind their noun: `port 4789`, `ports 4789, 6081`.
pub fn listed<T: Display>(noun: &str, list: &[T]) -> String {
    let members: Vec<_> = list.iter().map(T::to_string).collect();
    format!("{noun}{} {}", ending(list.len() == 1), members.join(", "))
}

const fn ending(is_one: bool) -> &'static str {
    if is_one { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_every_other_number_plural() {
        let frames = [0_u64, 1, 2].map(|number| counted(number, "frame"));
        assert_eq!(frames, ["0 frames", "1 frame", "2 frames"]);
        assert_eq!(counted(1_usize, "ingress rule"), "1 ingress rule");
        assert_eq!(listed("port", &[4789]), "port 4789");
        assert_eq!(listed("port", &[4789, 6081]), "ports 4789, 6081");
    }
}
