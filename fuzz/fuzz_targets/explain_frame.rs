#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vxtap::Config;
use vxtap::explain::{Explainer, Summary};

static EXPLAINER: LazyLock<Explainer> = LazyLock::new(|| {
    let text = include_str!("../../engine/tests/scenarios/two_sessions.toml");
    let config = Config::from_toml(Path::new("two_sessions.toml"), text).expect("valid");
    Explainer::new(config).expect("valid")
});

fuzz_target!(|frame: &[u8]| Summary::new(&EXPLAINER).count(&EXPLAINER.explain(frame)));
