#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vxtap_fuzz::import(vxtap::import::cloudformation, bytes));
