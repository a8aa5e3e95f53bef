//! The compiler and the linker for eBPF, and a build with them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

const TARGET: &str = "bpfel-unknown-none";
const SETUP: &str = "run `cargo xtask setup --ebpf`";

/// Paths and versions of the tools that build the programs.
pub(super) struct Toolchain {
    cargo: OsString,
    sysroot: PathBuf,
    cargo_home: PathBuf,
    /// Compiler and linker with their versions.
    pub(super) versions: String,
}

impl Toolchain {
    pub(super) fn find() -> Result<Self> {
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
        let linker = output_of(
            Command::new("bpf-linker").arg("--version").env("PATH", path_with(&cargo_home)?),
        )
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
        // Instruction set v3 (kernel 5.1) has 32-bit arithmetic and comparisons. Header fields of 2
        // and 4 bytes are read in one piece each, not byte by byte: the verifier takes that on
        // every architecture whose kernel is built for unaligned access, x86-64 and arm64 among
        // them.
        let mut flags: Vec<String> = [
            "-Clinker=bpf-linker",
            "-Clink-arg=--btf",
            "-Ctarget-cpu=v3",
            "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        ]
        .map(String::from)
        .into();
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

    /// Builds the binaries in one run of cargo and returns the linker's output for each.
    pub(super) fn build<const N: usize>(
        &self,
        root: &Path,
        binaries: [&str; N],
    ) -> Result<Vec<Vec<u8>>> {
        let target_dir = root.join("target/ebpf");
        let mut cargo = Command::new(&self.cargo);
        for (name, _) in
            env::vars_os().filter(|(name, _)| changes_the_build(&name.to_string_lossy()))
        {
            cargo.env_remove(name);
        }
        cargo
            .current_dir(root)
            .args(["build", "--quiet", "--locked", "--release", "-Zbuild-std=core"])
            .args(["--target", TARGET, "--package", "vxtap-ebpf", "--features", "program"]);
        for binary in binaries {
            cargo.args(["--bin", binary]);
        }
        cargo
            .arg("--target-dir")
            .arg(&target_dir)
            .env("PATH", path_with(&self.cargo_home)?)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags(root)?)
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
        ensure!(status.success(), "the programs do not build; if a tool is missing, {SETUP}");
        let built = target_dir.join(TARGET).join("release");
        let read = |binary: &str| {
            let path = built.join(binary);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        binaries.into_iter().map(read).collect()
    }
}

/// Returns `true` if this variable may change the result of a build.
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

/// Returns `PATH` followed by the directory in which cargo installs programs.
fn path_with(cargo_home: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(env::split_paths(&path).chain([cargo_home.join("bin")]))?)
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
