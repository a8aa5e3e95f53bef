//! The guest's file system: a cpio archive with everything that runs in it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::fetch::Files;
use super::guest::{self, Program, TOOLS};
use super::kernel::Kernel;
use crate::shell;

/// Modules that the guest loads, after their dependencies.
const MODULES: [&str; 7] =
    ["virtio_pci", "virtio_net", "veth", "bridge", "8021q", "vxlan", "geneve"];

/// Makes the archive; returns its path.
pub(super) fn make(files: &Files, programs: &[Program], kernel: &Kernel) -> Result<PathBuf> {
    let root = shell::target_dir()?.join("vm/root");
    let _ = fs::remove_dir_all(&root);
    for directory in
        ["bin", "proc", "sys", "dev", "run", "tmp", "tests", "modules", "etc", "usr/sbin"]
    {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    let modules = copy_modules(&files.modules, &root.join("modules"))?;
    let busybox = shell::find("busybox").context("busybox is missing")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    let mut libraries = BTreeSet::new();
    for tool in TOOLS {
        let path = shell::find(tool).with_context(|| format!("{tool} is missing"))?;
        fs::copy(&path, root.join("usr/sbin").join(tool))?;
        libraries.extend(libraries_of(&path)?);
    }
    let vxtap = programs[0]
        .path
        .ancestors()
        .nth(2)
        .context("tests lie in a target directory")?
        .join("vxtap");
    let tested = programs
        .iter()
        .map(|program| (program.path.clone(), root.join("tests").join(program.name)));
    // Tests look for the command in the directory above their own.
    for (from, to) in tested.chain([(vxtap, root.join("vxtap"))]) {
        libraries.extend(libraries_of(&from)?);
        shell::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(to).arg(from))?;
    }
    for library in libraries {
        let to = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(to.parent().context("libraries lie in directories")?)?;
        fs::copy(&library, to)?;
    }
    let init = root.join("init");
    fs::write(&init, guest::init(&modules, programs, kernel))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    archive(&root)
}

/// Returns the paths of the loader and of the shared libraries of a program.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = shell::output(Command::new("ldd").arg(program));
    let listed =
        listed.with_context(|| format!("ldd does not say what {} needs", program.display()))?;
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(listed.lines().filter_map(path).collect())
}

/// Copies modules and their dependencies, unpacked; returns their names in the order of loading.
fn copy_modules(from: &Path, to: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    find_modules(from, &mut all)?;
    let mut order = Vec::new();
    for name in MODULES {
        copy_module(name, &all, to, &mut order)?;
    }
    Ok(order)
}

fn copy_module(name: &str, all: &[PathBuf], to: &Path, order: &mut Vec<String>) -> Result<()> {
    let name = name.replace('-', "_");
    if order.contains(&name) {
        return Ok(());
    }
    // A built-in module has no file.
    let Some(path) = all.iter().find(|path| module_name(path) == name) else { return Ok(()) };
    let bytes = if path.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new("xz").arg("-dc").arg(path).stderr(Stdio::inherit()).output()?;
        output.stdout
    } else {
        fs::read(path)?
    };
    for needed in needed(&bytes) {
        copy_module(&needed, all, to, order)?;
    }
    fs::write(to.join(&name), bytes)?;
    order.push(name);
    Ok(())
}

fn find_modules(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find_modules(&path, found)?;
        } else if path.to_string_lossy().contains(".ko") {
            found.push(path);
        }
    }
    Ok(())
}

fn module_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split(".ko").next().unwrap_or_default().replace('-', "_")
}

/// Returns the dependencies of a module, from its `.modinfo` section (`depends=a,b`).
fn needed(module: &[u8]) -> Vec<String> {
    const LABEL: &[u8] = b"\0depends=";
    let Some(at) = module.windows(LABEL.len()).position(|window| window == LABEL) else {
        return Vec::new();
    };
    let value = module[at + LABEL.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Packs everything below `root` with `busybox cpio`.
fn archive(root: &Path) -> Result<PathBuf> {
    let image = root.with_extension("cpio");
    let script = "find . | busybox cpio -o -H newc";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .stdout(fs::File::create(&image)?)
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("the guest's file system cannot be packed");
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        let module = b"\x7fELF..\0license=GPL\0depends=net_failover,failover\0name=virtio_net\0";
        assert_eq!(needed(module), ["net_failover", "failover"]);
        assert_eq!(needed(b"\0depends=\0"), [""; 0]);
        assert_eq!(module_name(Path::new("a/virtio-net.ko.xz")), "virtio_net");
    }
}
