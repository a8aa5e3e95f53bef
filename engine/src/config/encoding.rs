//! Text from the bytes of a file: UTF-8, or UTF-16 with a byte order mark, as `>` of Windows
//! PowerShell writes it.

use std::borrow::Cow;

/// Bytes that are not text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    /// Text before the first of them.
    pub(crate) valid: String,
    /// Offset of the first of them in bytes.
    pub(crate) offset: usize,
    /// Name of the encoding that they violate.
    pub(crate) encoding: &'static str,
}

/// Returns the text without its byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let valid = String::from_utf8_lossy(&bytes[..offset]).into_owned();
        NotText { valid, offset, encoding: "UTF-8" }
    })?;
    Ok(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)))
}

/// Decodes what follows the byte order mark.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    let mut offset = 2;
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        let Ok(c) = decoded else {
            return Err(NotText { valid: text, offset, encoding: "UTF-16" });
        };
        offset += 2 * c.len_utf16();
        text.push(c);
    }
    if rest.is_empty() {
        return Ok(Cow::Owned(text));
    }
    Err(NotText { valid: text, offset, encoding: "UTF-16" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_text_is_the_same_in_each_encoding() {
        let text = "name = \"ä\u{1f600}\" # €\r\n";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.into_bytes(),
            utf16_of(text, u16::to_le_bytes),
            utf16_of(text, u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).unwrap(), text, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_located() {
        let fails = |bytes: &[u8]| {
            let NotText { valid, offset, encoding } = decode(bytes).unwrap_err();
            (valid, offset, encoding)
        };
        assert_eq!(fails(b"a\n\xff"), ("a\n".to_owned(), 2, "UTF-8"));
        // The first half of a pair alone, and half a unit at the end.
        let lone = [0xff, 0xfe, b'a', 0, 0x3d, 0xd8, b'b', 0];
        assert_eq!(fails(&lone), ("a".to_owned(), 4, "UTF-16"));
        assert_eq!(fails(&[0xfe, 0xff, 0, b'a', 0]), ("a".to_owned(), 4, "UTF-16"));
    }
}
