#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vxtap::Config;
use vxtap::explain::Explainer;

fuzz_target!(|text: &str| {
    match Config::from_toml(Path::new("vxtap.toml"), text) {
        // A valid configuration can be compiled.
        Ok(config) => assert!(Explainer::new(config).is_ok()),
        Err(error) => assert!(vxtap_fuzz::is_a_line(&error.to_string()), "{error}"),
    }
});
