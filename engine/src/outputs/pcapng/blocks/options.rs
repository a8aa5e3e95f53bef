//! Options of blocks. The meaning of a code depends on its block (draft-ietf-opsawg-pcapng, section
//! 4).

pub(super) const COMMENT: u16 = 1;
pub(super) const SHB_USERAPPL: u16 = 4;
pub(super) const IF_NAME: u16 = 2;
pub(super) const IF_DESCRIPTION: u16 = 3;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const ISB_STARTTIME: u16 = 2;
pub(super) const ISB_ENDTIME: u16 = 3;
pub(super) const ISB_IFRECV: u16 = 4;
pub(super) const ISB_IFDROP: u16 = 5;
pub(super) const EPB_FLAGS: u16 = 2;
pub(super) const ISB_FILTERACCEPT: u16 = 6;
pub(super) const ISB_USRDELIV: u16 = 8;
pub(super) const END: u16 = 0;

/// Appends an option that is text, as much of it as fits.
pub(super) fn push_text(bytes: &mut Vec<u8>, code: u16, text: &str) {
    // The length of an option has 16 bits, and the text has to end with a complete UTF-8 character.
    let mut len = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    push(bytes, code, &text.as_bytes()[..len]);
}

/// Appends an option.
#[inline]
pub(super) fn push(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).expect("an option's value is shorter than 64 KiB");
    bytes.extend(code.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    let start = bytes.len();
    bytes.extend_from_slice(value);
    pad(bytes, start);
}

/// Appends zeros until the number of bytes from `start` on is a multiple of 4.
#[inline]
pub(super) fn pad(bytes: &mut Vec<u8>, start: usize) {
    let len = bytes.len() - start;
    bytes.extend_from_slice(&[0; 3][..len.next_multiple_of(4) - len]);
}
