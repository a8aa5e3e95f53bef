//! Plain scalars as YAML 1.1 has them, which is what CloudFormation reads: `0100` is 64, `yes` is
//! true.
//!
//! <https://yaml.org/type/int.html>, <https://yaml.org/type/bool.html>,
//! <https://yaml.org/type/null.html>

use serde_json::Value;

/// Returns the value of a plain scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => integer(text).map_or_else(|| Value::String(text.to_owned()), Value::from),
    }
}

/// Returns the value of an integer in one of the bases 2, 8, 10, 16 or 60.
fn integer(text: &str) -> Option<i64> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = match unsigned.as_bytes() {
        [b'0'] => 0,
        [b'0', b'b', ..] => digits(&unsigned[2..], 2)?,
        [b'0', b'x', ..] => digits(&unsigned[2..], 16)?,
        [b'0', ..] => digits(&unsigned[1..], 8)?,
        [b'1'..=b'9', ..] if unsigned.contains(':') => sexagesimal(unsigned)?,
        [b'1'..=b'9', ..] => digits(unsigned, 10)?,
        _ => return None,
    };
    Some(if is_negative { -value } else { value })
}

/// Returns the value of digits, among which there may be underscores.
fn digits(text: &str, base: u32) -> Option<i64> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    // `from_str_radix` takes a sign, which stands before the base here.
    let is_digits = digits.chars().all(|c| c.is_digit(base));
    is_digits.then(|| i64::from_str_radix(&digits, base).ok()).flatten()
}

/// Returns the value of digits in base 60, such as `1:30` for 90.
fn sexagesimal(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let mut value = digits(parts.next()?, 10)?;
    for part in parts {
        let digit = digits(part, 10).filter(|&digit| digit < 60 && part.len() <= 2)?;
        value = value.checked_mul(60)?.checked_add(digit)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the pages above, and what is none of these numbers.
    #[test]
    fn numbers_have_the_bases_of_yaml_1_1() {
        for (text, expected) in [
            ("685230", 685_230),
            ("+685_230", 685_230),
            ("02472256", 685_230),
            ("0x_0A_74_AE", 685_230),
            ("0b1010_0111_0100_1010_1110", 685_230),
            ("190:20:30", 685_230),
            ("-0100", -64),
            ("01", 1),
            ("0", 0),
            ("-1", -1),
        ] {
            assert_eq!(plain(text), Value::from(expected), "{text}");
        }
        for text in [
            "08",
            "0o17",
            "0x",
            "1:60",
            "1:000",
            "10.0.0.1",
            "::1",
            "1e3",
            "-",
            "+",
            "0b2",
            "9223372036854775808",
            "0-1",
            "1-2",
            "_1",
            "y",
            "Null ",
            "٣",
        ] {
            assert_eq!(plain(text), Value::from(text), "{text}");
        }
    }

    #[test]
    fn words_have_the_values_of_yaml_1_1() {
        for text in ["true", "Yes", "ON"] {
            assert_eq!(plain(text), Value::Bool(true), "{text}");
        }
        for text in ["false", "NO", "off"] {
            assert_eq!(plain(text), Value::Bool(false), "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(plain(text), Value::Null, "{text}");
        }
    }
}
