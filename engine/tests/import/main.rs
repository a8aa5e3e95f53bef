//! Imports of the output of AWS CLI, Terraform and CloudFormation.
//!
//! The fixtures are files as those tools print them, each with the expected configuration beside
//! it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod any_source;
mod aws_forms;
mod command;
mod contradictions;
mod damage;
mod dns;
mod functions;
mod golden;
mod incomplete;
mod loops;
mod malformed;
mod order;
mod properties;
mod resource_kinds;
mod target;

use std::fs;
use std::path::{Path, PathBuf};

use vxtap::Config;
use vxtap::import::{self, ImportError, Imported, Input, Options};

/// Tool whose output is read.
#[derive(Clone, Copy, Debug)]
enum Source {
    Aws,
    Terraform,
    Cloudformation,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Terraform => "terraform",
            Self::Cloudformation => "cloudformation",
        }
    }

    fn import(self, inputs: &[Input]) -> Result<Imported, ImportError> {
        self.import_to(inputs, None)
    }

    fn import_to(self, inputs: &[Input], target: Option<&str>) -> Result<Imported, ImportError> {
        let read = match self {
            Self::Aws => import::aws,
            Self::Terraform => import::terraform,
            Self::Cloudformation => import::cloudformation,
        };
        read(inputs, &Options { target: target.map(str::to_owned) })
    }

    fn path(self, file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(self.name()).join(file)
    }

    /// A file of the fixtures.
    fn fixture(self, file: &str) -> Input {
        input(file, fs::read(self.path(file)).unwrap())
    }
}

/// The configuration and the sentences about what is left out.
fn import_text(source: Source, text: impl Into<Vec<u8>>) -> (Config, Imported) {
    let imported = source.import(&[input("in", text)]).unwrap_or_else(|error| panic!("{error}"));
    let config = Config::from_toml(Path::new("imported"), &imported.toml).unwrap();
    (config, imported)
}

fn input(name: &str, bytes: impl Into<Vec<u8>>) -> Input {
    Input { name: name.to_owned(), bytes: bytes.into() }
}

/// The scenarios of `tests/scenarios`, which the AWS CLI describes here.
const SCENARIOS: [&str; 7] = [
    "capture_all",
    "tcp_without_ssh",
    "web_and_database",
    "dns_egress",
    "ipv6_beside_ipv4",
    "headers_only",
    "two_sessions",
];
