//! Parts of an object that have to match, apart from those that depend on the machine that built
//! it.

use std::collections::BTreeMap;

use anyhow::Result;
use object::build::elf::{Builder, SectionData};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, elf};

/// Section that names the tools which built the object. Both loaders skip it.
const TOOLS_SECTION: &str = ".comment";

/// Removes the debug information (BTF stays) and notes the tools.
pub(super) fn strip(object: &[u8], tools: &str) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        section.delete =
            section.name.starts_with(b".debug_") || section.name.starts_with(b".rel.debug_");
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

/// Parts of an object that the kernel loads, and the tools that built it.
pub(super) struct Facts {
    license: Vec<u8>,
    code: BTreeMap<String, Code>,
    maps: BTreeMap<String, String>,
    pub(super) tools: String,
}

impl Facts {
    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
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
        let data_of =
            |name| object.section_by_name(name).map_or(Ok(&[][..]), |section| section.data());
        let maps = aya_obj::Object::parse(bytes)?.maps;
        Ok(Self {
            license: data_of("license")?.to_vec(),
            code,
            maps: maps.into_iter().map(|(name, map)| (name, definition(&map))).collect(),
            tools: String::from_utf8_lossy(data_of(TOOLS_SECTION)?).into_owned(),
        })
    }

    /// Names the first thing that differs.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
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
