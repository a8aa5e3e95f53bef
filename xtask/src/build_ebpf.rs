//! `cargo xtask build-ebpf`: builds the XDP program and stores it as `ebpf/vxtap.bpf.o`, the object that the engine
//! embeds; with `--check`, says whether that object is what the source gives.
//!
//! The program needs `core` for a target that rustup does not ship, which takes an unstable cargo flag;
//! `RUSTC_BOOTSTRAP=1` lets the stable compiler accept it, so that both sides come from one compiler.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use object::build::elf::{Builder, SectionData};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, elf};

/// Builds the XDP program, which the repository holds as ebpf/vxtap.bpf.o
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if the committed object differs from what the source gives
    #[arg(long)]
    pub(crate) check: bool,
}

const COMMITTED: &str = "ebpf/vxtap.bpf.o";
const TARGET: &str = "bpfel-unknown-none";
const SETUP: &str = "run `cargo xtask setup --ebpf`";
/// Section that names the tools which built the object. Both loaders pass over it.
const TOOLS_SECTION: &str = ".comment";

/// Runs the command.
///
/// # Errors
///
/// A part of the toolchain is missing, the program does not build, or, with `--check`, the committed object differs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = &crate::shell::root();
    let toolchain = Toolchain::find()?;
    let built = strip(&build(root, &toolchain)?, &toolchain.versions).context("cannot strip the object")?;
    let committed_path = root.join(COMMITTED);
    if options.check {
        let committed = fs::read(&committed_path)
            .with_context(|| format!("cannot read {COMMITTED}; run `cargo xtask build-ebpf`"))?;
        return check(&committed, &built);
    }
    fs::write(&committed_path, &built).with_context(|| format!("cannot write {COMMITTED}"))?;
    eprintln!("wrote {COMMITTED} ({} bytes, {})", built.len(), toolchain.versions);
    Ok(())
}

fn check(committed: &[u8], built: &[u8]) -> Result<()> {
    let is =
        Facts::of(committed).context("cannot read the committed object; run `cargo xtask build-ebpf`")?;
    let should_be = Facts::of(built)?;
    let Some(difference) = is.difference(&should_be) else {
        eprintln!("{COMMITTED} is what the source gives");
        return Ok(());
    };
    bail!(
        "{COMMITTED} is not what the source gives ({difference}); run `cargo xtask build-ebpf` and commit the result \
         (committed object built with {}, this one with {})",
        is.tools,
        should_be.tools
    )
}

/// What it takes to build, and what it is called.
struct Toolchain {
    cargo: OsString,
    sysroot: PathBuf,
    cargo_home: PathBuf,
    /// Compiler and linker with their versions.
    versions: String,
}

impl Toolchain {
    fn find() -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = PathBuf::from(output_of(Command::new(&rustc).args(["--print", "sysroot"]))?);
        let core = sysroot.join("lib/rustlib/src/rust/library/core");
        ensure!(
            core.is_dir(),
            "the source of `core` is missing (component rust-src of the toolchain in use); {SETUP}"
        );
        let cargo_home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
            .context("neither CARGO_HOME nor HOME is set")?;
        let compiler = output_of(Command::new(&rustc).arg("--version"))?;
        let linker =
            output_of(Command::new("bpf-linker").arg("--version").env("PATH", path_with(&cargo_home)?))
                .with_context(|| format!("the linker bpf-linker is missing; {SETUP}"))?;
        Ok(Self {
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            sysroot,
            cargo_home,
            versions: format!("{compiler}, {linker}"),
        })
    }

    /// Flags of the compiler. The object names no path of the machine that it was built on.
    fn rust_flags(&self, root: &Path) -> Result<String> {
        // Instruction set v3 (kernel 5.1) has 32-bit arithmetic and comparisons.
        let mut flags: Vec<String> =
            ["-Clinker=bpf-linker", "-Clink-arg=--btf", "-Ctarget-cpu=v3"].map(String::from).into();
        // Later ones win over earlier ones: from the general to the particular.
        let mut remap = |from: &Path, to: &str| {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        };
        remap(&self.sysroot, "rust");
        remap(&self.cargo_home, "cargo");
        for source in fs::read_dir(self.cargo_home.join("registry/src")).into_iter().flatten() {
            remap(&source?.path(), "registry");
        }
        remap(root, "vxtap");
        Ok(flags.join("\x1f"))
    }
}

/// Builds the program and returns the linker's output.
fn build(root: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let target_dir = root.join("target/ebpf");
    let mut cargo = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| changes_the_build(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--release", "-Zbuild-std=core", "--target", TARGET])
        .args(["--package", "vxtap-ebpf", "--bin", "vxtap-xdp", "--features", "program", "--target-dir"])
        .arg(&target_dir)
        .env("PATH", path_with(&toolchain.cargo_home)?)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain.rust_flags(root)?)
        .envs([
            // BTF is made from the debug information.
            ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
            ("CARGO_PROFILE_RELEASE_STRIP", "none"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
            ("CARGO_PROFILE_RELEASE_LTO", "true"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "false"),
            ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
        ]);
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the XDP program does not build; if a tool is missing, {SETUP}");
    let built = target_dir.join(TARGET).join("release/vxtap-xdp");
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}

/// Says whether cargo, given this variable, might build something else.
fn changes_the_build(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];
    const NAMES: [&str; 6] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "__CARGO_DEFAULT_LIB_METADATA",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `PATH` with the place at the end where cargo installs programs.
fn path_with(cargo_home: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(env::split_paths(&path).chain([cargo_home.join("bin")]))?)
}

fn output_of(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Removes the debug information (BTF stays) and notes the tools.
fn strip(object: &[u8], tools: &str) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        section.delete = section.name.starts_with(b".debug_") || section.name.starts_with(b".rel.debug_");
    }
    builder.delete_orphans();
    let section = builder.sections.add();
    section.name = TOOLS_SECTION.as_bytes().into();
    section.sh_type = elf::SHT_PROGBITS;
    section.sh_addralign = 1;
    section.data = SectionData::Data(tools.as_bytes().into());
    // LLVM keeps the names of sections and of symbols in one table; the builder writes two.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// Code of a section: its bytes, and the symbols that the loader puts into them, by offset.
type Code = (Vec<u8>, BTreeMap<u64, String>);

/// What of an object the kernel gets to see, and who made it.
struct Facts {
    license: Vec<u8>,
    code: BTreeMap<String, Code>,
    maps: BTreeMap<String, String>,
    tools: String,
}

impl Facts {
    fn of(bytes: &[u8]) -> Result<Self> {
        let object = ElfFile64::<Endianness>::parse(bytes)?;
        let mut code = BTreeMap::new();
        for section in object.sections().filter(|section| section.kind() == SectionKind::Text) {
            let mut symbols = BTreeMap::new();
            for (offset, relocation) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
                symbols.insert(offset, object.symbol_by_index(symbol)?.name()?.to_owned());
            }
            code.insert(section.name()?.to_owned(), (section.data()?.to_vec(), symbols));
        }
        let data_of = |name| object.section_by_name(name).map_or(Ok(&[][..]), |section| section.data());
        let maps = aya_obj::Object::parse(bytes)?.maps;
        Ok(Self {
            license: data_of("license")?.to_vec(),
            code,
            maps: maps.into_iter().map(|(name, map)| (name, definition(&map))).collect(),
            tools: String::from_utf8_lossy(data_of(TOOLS_SECTION)?).into_owned(),
        })
    }

    /// Names the first thing that differs.
    fn difference(&self, other: &Self) -> Option<String> {
        let Self { license, code, maps, tools: _ } = self;
        if *license != other.license {
            return Some("license".into());
        }
        if let Some(name) = differing_key(maps, &other.maps) {
            return Some(format!("definition of map {name}"));
        }
        differing_key(code, &other.code).map(|name| format!("instructions of section {name}"))
    }
}

fn definition(map: &aya_obj::Map) -> String {
    format!(
        "type {} key {} value {} entries {} flags {}",
        map.map_type(),
        map.key_size(),
        map.value_size(),
        map.max_entries(),
        map.map_flags()
    )
}

fn differing_key<'a, V: PartialEq>(
    left: &'a BTreeMap<String, V>,
    right: &'a BTreeMap<String, V>,
) -> Option<&'a str> {
    left.keys().chain(right.keys()).find(|&key| left.get(key) != right.get(key)).map(String::as_str)
}
