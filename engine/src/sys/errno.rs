//! The error of a system call at the end of a chain of errors.

use std::error::Error;
use std::io;

/// Returns that error, if the chain has one.
pub(crate) fn os_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

/// Returns the number (errno(3)) of that error.
pub(crate) fn os_number(error: &(dyn Error + 'static)) -> Option<i32> {
    os_error(error).and_then(io::Error::raw_os_error)
}
