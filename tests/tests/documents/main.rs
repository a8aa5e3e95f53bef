//! Claim: what the documents tell to type runs as it is written.
//!
//! Each document is read from the top in a [`sandbox`] with traffic on `eth1`, by the rules of
//! [`reader`]. A block that cannot run here is followed by a sentence that says so, with the
//! reason. The table below has the number of blocks of each kind in each document, so that a block
//! is added on purpose to those that do not run.

mod page;
mod reader;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow};
use page::{Block, Kind};
use reader::Reader;
use sandbox::Sandbox;
use vxtap_tests::{NetNs, Process, Veth, privileged};

/// A document.
struct Page {
    path: &'static str,
    /// Commands and configurations that run.
    run: usize,
    /// Blocks that say that they do not run, each with its reason.
    not_run: usize,
    /// Blocks of output and drawings.
    texts: usize,
    /// Commands that make what the document takes for granted; typed before its own.
    before: &'static [&'static str],
    /// Configuration of the engine that runs before the first block; empty if none does.
    configuration: &'static str,
    /// Parts of the commands that go on until Ctrl-C, beside `vxtap tail` without `--count`.
    endless: &'static [&'static str],
}

const README: Page = Page {
    path: "README.md",
    run: 9,
    not_run: 2,
    texts: 1,
    before: &["vxgen run --write mirror.pcap --count 1000"],
    configuration: "",
    endless: &[],
};

/// Sessions and outputs that the page on outputs speaks of before it shows how they are configured.
const OF_OUTPUTS: &str = r#"
[[session]]
name = "web"
vni = 100

[[session]]
name = "database"
vni = 200

[[output]]
name = "sniffers"
type = "interface"
interface = "mirror0"

[[output]]
name = "remote"
type = "stream"
to = "tcp"
"#;

const OUTPUTS: Page = Page {
    path: "docs/outputs.md",
    run: 23,
    not_run: 4,
    texts: 1,
    before: &[
        "vxgen run --write mirror.pcap --count 1000",
        // The compressed file of an earlier hour.
        "mkdir -p /var/lib/vxtap && vxtap decap mirror.pcap -o web.pcapng && \
         zstd -q web.pcapng -o /var/lib/vxtap/web-20261129T090000Z.pcapng.zst",
        "printf '%%YAML 1.1\n---\naf-packet:\n  - interface: mirror0\n' > suricata.yaml",
        "mkdir /var/log/suricata",
    ],
    configuration: OF_OUTPUTS,
    endless: &[
        "tcpdump -ni",
        "tshark -i",
        "suricata -c",
        "/run/vxtap/frames",
        "nc 127.0.0.1",
        "vxtap run -i eth1 -c stdout.toml |",
    ],
};

const MIRRORING: Page = Page {
    path: "docs/mirroring.md",
    run: 9,
    not_run: 2,
    texts: 2,
    before: &[
        "vxgen run --write mirror.pcap --count 1000",
        "cp engine/tests/import/aws/two_sessions.json filters.json",
        "echo '{\"TrafficMirrorSessions\": []}' | tee sessions.json",
        "echo '{\"NetworkInterfaces\": []}' | tee interfaces.json",
        "echo '{\"Vpcs\": []}' | tee vpcs.json",
        "cp engine/tests/import/terraform/state.json state.json",
        "cp engine/tests/import/cloudformation/template.yaml template.yaml",
    ],
    configuration: include_str!("../../../engine/examples/vxtap.toml"),
    endless: &[],
};

const RING_ABI: Page = Page {
    path: "docs/ring-abi.md",
    run: 4,
    not_run: 0,
    texts: 0,
    before: &[],
    configuration: "",
    endless: &["./flows /run", "examples/flows.py /run"],
};

const PAGES: [&Page; 4] = [&README, &OUTPUTS, &MIRRORING, &RING_ABI];

#[test]
fn every_block_of_the_documents_runs_or_says_why_not() {
    for page in PAGES {
        let blocks = blocks_of(page).unwrap_or_else(|error| panic!("{}: {error}", page.path));
        let not_run = blocks.iter().filter(|block| block.not_run.is_some()).count();
        let texts = blocks.iter().filter(|block| block.kind == Kind::Text).count();
        let run = blocks.iter().filter(|block| block.not_run.is_none());
        let configurations = run.clone().filter(|block| block.kind == Kind::Configuration).count();
        let run = run.map(|block| block.commands().len()).sum::<usize>() + configurations;
        assert_eq!(
            (run, not_run, texts),
            (page.run, page.not_run, page.texts),
            "{}: commands and configurations that run, blocks that do not, texts",
            page.path
        );
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn blocks_of(page: &Page) -> Result<Vec<Block>> {
    let text = fs::read_to_string(repository().join(page.path))?;
    page::blocks(&text).map_err(|sentence| anyhow!(sentence))
}

/// Reads a page while the frames of four sessions arrive on `eth1`.
fn read(page: &Page) -> Result<()> {
    privileged();
    let blocks = blocks_of(page)?;
    let veth = Veth::pair(2)?;
    let receiver = &veth.receiver.netns;
    receiver.ip(&["link", "set", veth.receiver.interface, "down"])?;
    receiver.ip(&["link", "set", veth.receiver.interface, "name", "eth1"])?;
    receiver.ip(&["link", "set", "eth1", "up"])?;
    // Destination of the generator's frames.
    receiver.ip(&["address", "add", "10.0.0.2/8", "dev", "eth1"])?;
    let sandbox = Sandbox::new(receiver)?;
    let _traffic = traffic(&veth.sender.netns, veth.sender.interface)?;
    let mut reader = Reader::new(&sandbox, page.endless);
    for command in page.before {
        reader.type_in(command).with_context(|| format!("before {}", page.path))?;
    }
    if !page.configuration.is_empty() {
        reader.configure(page.configuration)?;
        reader.start_engine()?;
    }
    reader.read(&blocks).with_context(|| page.path)
}

/// Sends frames of the sessions that the documents speak of, until it is dropped.
fn traffic(netns: &NetNs, interface: &str) -> Result<Process> {
    let test = std::env::current_exe()?;
    let programs = test.parent().and_then(Path::parent).context("tests lie in deps")?;
    let mut vxgen = netns.command(programs.join("vxgen"));
    vxgen.args(["run", "-i", interface, "--rate", "2kpps", "--duration", "60m"]);
    for session in ["10.0.1.1=100", "10.0.1.2=101", "10.0.1.3=102", "10.0.1.4=200"] {
        vxgen.args(["--session", session]);
    }
    Process::spawn("vxgen", vxgen.stdin(Stdio::null()).stdout(Stdio::null()))
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces; run by cargo xtask test"]
fn the_readme_runs_as_written() -> Result<()> {
    read(&README)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, Suricata, socat, netcat and zstd; run by cargo xtask test"]
fn the_page_on_outputs_runs_as_written() -> Result<()> {
    read(&OUTPUTS)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces; run by cargo xtask test"]
fn the_page_on_mirrors_runs_as_written() -> Result<()> {
    read(&MIRRORING)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, a C compiler and Python; run by cargo xtask test"]
fn the_page_on_the_ring_runs_as_written() -> Result<()> {
    read(&RING_ABI)
}
