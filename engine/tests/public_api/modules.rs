//! The modules of the crate with their items, and the resolution of paths between them.

use std::fs;
use std::path::Path;

use quote::ToTokens;
use syn::{Attribute, Item, ItemMod, UseTree};

/// Index of a module.
pub(crate) type ModuleId = usize;

/// The module at the root of the crate.
pub(crate) const ROOT: ModuleId = 0;

/// Maximum number of re-exports that lead from one to the next.
const DEPTH_MAX: usize = 16;

/// A module.
pub(crate) struct Module {
    name: String,
    parent: Option<ModuleId>,
    /// Items without modules and imports.
    pub(crate) items: Vec<Item>,
    /// Child modules, with `true` for those that are public.
    pub(crate) children: Vec<(ModuleId, bool)>,
    pub(crate) imports: Vec<Import>,
}

/// One name of a `use` item.
pub(crate) struct Import {
    pub(crate) is_public: bool,
    /// Name in the module; `None` for `*`.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
}

/// Definition that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Definition {
    pub(crate) module: ModuleId,
    pub(crate) name: String,
}

/// All modules of the crate, without those for tests and hidden ones.
pub(crate) struct Modules(Vec<Module>);

impl Modules {
    /// Reads the crate whose `lib.rs` is in the directory.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut modules = Self(Vec::new());
        let items = parse(&directory.join("lib.rs"));
        modules.add("vxtap", None, items, directory);
        modules
    }

    pub(crate) fn get(&self, id: ModuleId) -> &Module {
        &self.0[id]
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ModuleId> {
        0..self.0.len()
    }

    /// Returns the name of a module without its path.
    pub(crate) fn name(&self, id: ModuleId) -> &str {
        &self.0[id].name
    }

    fn add(
        &mut self,
        name: &str,
        parent: Option<ModuleId>,
        items: Vec<Item>,
        directory: &Path,
    ) -> ModuleId {
        let id = self.0.len();
        let module = Module {
            name: name.to_owned(),
            parent,
            items: Vec::new(),
            children: Vec::new(),
            imports: Vec::new(),
        };
        self.0.push(module);
        for item in items {
            match item {
                Item::Mod(item) if !is_hidden(&item.attrs) => self.add_child(id, item, directory),
                Item::Use(item) if !is_hidden(&item.attrs) => {
                    let is_public = is_public(&item.vis);
                    collect_imports(
                        &item.tree,
                        is_public,
                        &mut Vec::new(),
                        &mut self.0[id].imports,
                    );
                }
                Item::Mod(_) | Item::Use(_) => {}
                item => self.0[id].items.push(item),
            }
        }
        id
    }

    fn add_child(&mut self, parent: ModuleId, item: ItemMod, directory: &Path) {
        let name = item.ident.to_string();
        let inner = directory.join(&name);
        let items = item.content.map_or_else(
            || {
                let file = directory.join(format!("{name}.rs"));
                parse(&if file.exists() { file } else { inner.join("mod.rs") })
            },
            |(_, items)| items,
        );
        let id = self.add(&name, Some(parent), items, &inner);
        self.0[parent].children.push((id, is_public(&item.vis)));
    }

    /// Returns the definition that a path in a module leads to; `None` if it is in another crate or
    /// is a module.
    pub(crate) fn resolve(&self, module: ModuleId, path: &[String]) -> Option<Definition> {
        self.resolve_within(module, path, DEPTH_MAX)
    }

    /// Returns the module that a path in a module leads to.
    pub(crate) fn resolve_module(&self, module: ModuleId, path: &[String]) -> Option<ModuleId> {
        path.iter().enumerate().try_fold(module, |at, (step, name)| match name.as_str() {
            "crate" => Some(ROOT),
            "self" => Some(at),
            "super" => self.0[at].parent,
            _ => self.child(at, name).or_else(|| {
                let import = self.0[at].imports.iter().find(|it| it.name.as_ref() == Some(name))?;
                // An import of the name itself is one of another crate.
                (step == 0 && import.path.len() > 1)
                    .then(|| self.resolve_module(at, &import.path))
                    .flatten()
            }),
        })
    }

    fn resolve_within(
        &self,
        module: ModuleId,
        path: &[String],
        depth: usize,
    ) -> Option<Definition> {
        let depth = depth.checked_sub(1)?;
        let (name, parents) = path.split_last()?;
        let module = self.resolve_module(module, parents)?;
        if self.0[module].items.iter().any(|item| name_of(item).as_ref() == Some(name)) {
            return Some(Definition { module, name: name.clone() });
        }
        self.0[module].imports.iter().find_map(|import| match &import.name {
            Some(it) if it == name => self.resolve_within(module, &import.path, depth),
            Some(_) => None,
            None => {
                let path: Vec<_> = import.path.iter().chain([name]).cloned().collect();
                self.resolve_within(module, &path, depth)
            }
        })
    }

    fn child(&self, module: ModuleId, name: &str) -> Option<ModuleId> {
        let children = self.0[module].children.iter();
        children.map(|(child, _)| *child).find(|child| self.0[*child].name == name)
    }
}

fn parse(path: &Path) -> Vec<Item> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())).items
}

/// Returns `true` for items of tests, and for items that the documentation hides.
pub(crate) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string().replace(' ', "");
        text == "cfg(test)" || text == "doc(hidden)"
    })
}

pub(crate) const fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// Returns the name of an item that paths can lead to.
pub(crate) fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn collect_imports(
    tree: &UseTree,
    is_public: bool,
    prefix: &mut Vec<String>,
    imports: &mut Vec<Import>,
) {
    let mut add = |name: Option<String>, last: Option<String>| {
        let path = prefix.iter().cloned().chain(last).collect();
        imports.push(Import { is_public, name, path });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            collect_imports(&path.tree, is_public, prefix, imports);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                collect_imports(tree, is_public, prefix, imports);
            }
        }
        UseTree::Glob(_) => add(None, None),
        UseTree::Name(name) if name.ident == "self" => {
            let name = prefix.last().cloned();
            add(name, None);
        }
        UseTree::Name(name) => add(Some(name.ident.to_string()), Some(name.ident.to_string())),
        UseTree::Rename(rename) => {
            add(Some(rename.rename.to_string()), Some(rename.ident.to_string()));
        }
    }
}
